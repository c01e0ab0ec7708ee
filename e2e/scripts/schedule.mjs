// Decides which suites run at the same time. Pure: who runs them asks `begin` after every end.
//
// Of a suite it reads:
//   name    what others call it
//   needs   names of suites that have to have passed before (none)
//   cores   how much of the machine it keeps busy, in cores; what fits beside it begins beside it (1)
//   holds   names of things that only one suite at a time can have: a cluster, a folder that is locked (none)
//   spare   true for what takes only the time that others leave: it counts no cores, and there is one at a time
//   alone   true for what nothing else may run beside
//
// Suites begin in the order they were given; those that a suite finds out about stand where it stood. One that is ready,
// and only waits for cores, is not overtaken by later ones: whatever needs the whole machine would never get it otherwise.

/** What suites that take spare time hold, so that there is one of them at a time. */
const SPARE_TIME = 'spare time';

export class Schedule {
  #cores;
  /** All of them in their order. */
  #suites = [];
  #waiting = new Set();
  #running = new Set();
  #passed = new Map();

  constructor(suites, cores) {
    this.#cores = cores;
    this.#add(suites);
  }

  /** Suites that begin now. */
  begin() {
    const begun = [];
    let crowded = [...this.#running].some(({ alone }) => alone) ? 'for all' : false;
    for (const suite of this.#suites) {
      if (crowded === 'for all') break;
      if (!this.#waiting.has(suite) || !this.#isReady(suite) || !this.#isFree(suite)) continue;
      if (suite.alone) {
        if (this.#running.size > 0) break;
        crowded = 'for all';
      } else if (coresOf(suite) > 0) {
        crowded ||= !this.#hasRoom(suite);
        if (crowded) continue;
      }
      this.#waiting.delete(suite);
      this.#running.add(suite);
      begun.push(suite);
    }
    return begun;
  }

  /** Takes in that a suite has ended, and the suites that it found out about. */
  ended(suite, passed, found = []) {
    this.#running.delete(suite);
    this.#passed.set(suite.name, passed);
    this.#add(found, this.#suites.indexOf(suite));
  }

  /** Takes out the suites that can never run, each with the name of what they need and did not get. */
  dropped() {
    const dropped = [];
    for (let more = true; more;) {
      const lost = [...this.#waiting].filter((suite) => this.#failedNeed(suite) !== undefined);
      lost.forEach((suite) => {
        dropped.push({ suite, need: this.#failedNeed(suite) });
        this.#waiting.delete(suite);
        this.#passed.set(suite.name, false);
      });
      more = lost.length > 0;
    }
    return dropped;
  }

  /** Whether there is nothing left to begin or to wait for. */
  get isDone() {
    return this.#waiting.size === 0 && this.#running.size === 0;
  }

  #add(suites, at = this.#suites.length) {
    this.#suites.splice(at, 0, ...suites);
    suites.forEach((suite) => this.#waiting.add(suite));
    const names = this.#suites.map(({ name }) => name);
    for (const { name, needs = [] } of suites) {
      const unknown = needs.find((need) => !names.includes(need));
      if (unknown !== undefined) throw new Error(`${name} needs ${unknown}, which is no suite`);
    }
  }

  #isReady({ needs = [] }) {
    return needs.every((need) => this.#passed.get(need) === true);
  }

  #failedNeed({ needs = [] }) {
    return needs.find((need) => this.#passed.get(need) === false);
  }

  #isFree(suite) {
    const held = new Set([...this.#running].flatMap(heldBy));
    return !heldBy(suite).some((thing) => held.has(thing));
  }

  /** A suite that wants more cores than there are gets all of them. */
  #hasRoom(suite) {
    const busy = [...this.#running].reduce((sum, one) => sum + coresOf(one), 0);
    return busy === 0 || busy + coresOf(suite) <= this.#cores;
  }
}

function coresOf({ cores = 1, spare = false }) {
  return spare ? 0 : cores;
}

function heldBy({ holds = [], spare = false }) {
  return spare ? [...holds, SPARE_TIME] : holds;
}
