// Which suites there are, what each needs and what it disturbs. schedule.mjs decides from that what runs beside what.
//
// In short, on two cores: the page is fetched and built beside Cargo's one build of everything, and what the tests'
// clusters are made of is fetched and built beside it, too. Whatever else compiles (clippy, rustdoc, fuzz targets) runs at
// the lowest priority beside tests, most of which wait most of the time. Benchmarks have the machine for themselves.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { CargoTests, Check, packagesWithoutTests, Preparation, Sums } from './counts.mjs';
import { suitesOf } from './programs.mjs';

const SETUP = 'e2e/scripts/setup.sh';
const MAKE = 'make --no-print-directory';

// Names that others need.
const SYSTEM = 'setup: system packages';
const KAFKA = 'setup: Kafka';
const KUBERNETES = 'setup: Kubernetes';
const SCHEMATHESIS = 'setup: schemathesis';
const CARGO_DENY = 'setup: cargo-deny';
const CARGO_FUZZ = 'setup: cargo-fuzz';
const PAGE = 'setup: the page';
const BROWSER = 'setup: packages of the browser tests';
const BUILD = 'cargo build';
const FUZZ_BUILD = 'fuzz targets: build';

/** Cargo's target folder: one command at a time has it. */
const TARGET_FOLDER = 'target folder';

/**
 * What programs of tests need and disturb, in the order in which they begin; all others keep one core busy and need
 * nothing. Those that put a load on a cluster of brokers and break parts of it have two cores: they time what comes of it.
 * Those that wait for servers most of the time have half of one.
 */
const TEMPERS = {
  // Before what would keep it from having the machine for minutes.
  'barrage-e2e tests/pool/main.rs': { needs: [SYSTEM, KAFKA], cores: 2 },
  // Its addresses and names are fixed.
  'barrage-e2e tests/kubernetes/main.rs': {
    needs: [SYSTEM, KAFKA, KUBERNETES],
    holds: ['Kubernetes cluster'],
    cores: 0.5,
  },
  'barrage-e2e tests/modes/main.rs': { needs: [SYSTEM, KAFKA] },
  'barrage-e2e tests/store/main.rs': { needs: [SYSTEM], cores: 0.5 },
  'barrage-e2e tests/kept.rs': { cores: 0.5 },
  'barrage-e2e tests/cluster/main.rs': { needs: [SYSTEM, KAFKA], cores: 0.5 },
  'barrage-e2e tests/operator.rs': { needs: [SYSTEM, KAFKA], cores: 0.5 },
  // helm and the checkers of manifests.
  'barrage-e2e tests/chart/main.rs': { needs: [KUBERNETES] },
};

/** What passes or fails as one. */
function check(name, command, options = {}) {
  return { name, command, reader: new Check(name), ...options };
}

/** A runner that closes with sums. */
function sums(name, command, options = {}) {
  return { name, command, reader: new Sums(name), ...options };
}

/** What others need; it hardly computes, unless it says so. */
function setup(name, part, options = {}) {
  return { name, command: `${SETUP} later ${part}`, reader: new Preparation(name), cores: 0, ...options };
}

/** The suites of a run; `GROUPS` names what can be asked for. */
export class Plan {
  #groups;
  #root;
  #packages;
  #target;
  #locked;
  #environment;

  /**
   * `groups` is what was asked for, `packages` and `target` are of `cargo metadata`, `environment` may say FUZZ_SECONDS,
   * BARRAGE_KILLS, BARRAGE_FAULTS, CI.
   */
  constructor(groups, { root, packages, target, environment }) {
    this.#groups = groups;
    this.#root = root;
    this.#packages = packages;
    this.#target = target;
    this.#environment = environment;
    // A clone is tested with the versions it names; somebody who edits a manifest may have them change.
    this.#locked = environment.CI ? '--locked ' : '';
  }

  /** In the order in which they begin, where the schedule leaves a choice. Nothing is in it twice. */
  suites() {
    const suites = new Map();
    for (const suite of this.#groups.flatMap((group) => GROUPS[group](this))) {
      if (!suites.has(suite.name)) suites.set(suite.name, suite);
    }
    // What nobody waits for comes late, and what has the machine for itself last.
    const place = ({ late, alone }) => (alone ? 2 : late ? 1 : 0);
    return [...suites.values()].sort((one, other) => place(one) - place(other));
  }

  /** Rows for what the counts of all suites have to hold and do not. */
  missing(rows) {
    const tested = rows.some(({ name }) => name.startsWith('barrage'));
    return tested && this.#groups.some((group) => ['test', 'soak'].includes(group))
      ? packagesWithoutTests(this.#packages, rows)
      : [];
  }

  lint() {
    return [
      ...this.#page(),
      ...this.#denySetup(),
      ...this.#quickLints(),
      ...this.#slowLints({}),
      ...this.#deny('clippy'),
    ];
  }

  test() {
    const binary = { BARRAGE_BIN: `${this.#target}/debug/barrage` };
    return [
      ...this.#clusterSetup(),
      this.#build({}),
      ...this.#page(),
      ...this.#denySetup(),
      setup(SCHEMATHESIS, 'schemathesis', { needs: [SYSTEM] }),
      sums('scripts: unit tests', 'node --test e2e/scripts/'),
      sums('page: unit tests', 'npm test --silent', { folder: 'dataplane/web', needs: [PAGE] }),
      ...this.#quickLints(),
      ...this.#deny(BUILD),
      ...this.#slowLints({ needs: [BUILD], spare: true, late: true }),
      // There are next to none; it sees that those there are still compile.
      {
        name: 'cargo test, doc tests',
        command: `cargo test ${this.#locked}--workspace --doc`,
        reader: new CargoTests(this.#packages),
        needs: [BUILD],
        holds: [TARGET_FOLDER],
        spare: true,
        late: true,
      },
      sums('browser: the page in Chromium', 'npm test --silent', {
        folder: 'e2e/browser',
        env: binary,
        needs: [BUILD, PAGE, BROWSER, SYSTEM],
      }),
      check('HTTP API: schemathesis', 'node e2e/scripts/schemathesis.mjs', {
        env: binary,
        needs: [BUILD, SCHEMATHESIS],
      }),
    ];
  }

  fuzz() {
    const seconds = Number(this.#environment.FUZZ_SECONDS ?? 60);
    // The pinned compiler has the sanitizer, but takes options that are for nightly ones only when it is told to.
    const options = { folder: 'proto', env: { RUSTC_BOOTSTRAP: '1' } };
    const seeds = 'fuzz targets: seeds';
    const list = () =>
      execFileSync('cargo', ['fuzz', 'list'], { cwd: resolve(this.#root, 'proto'), encoding: 'utf8' });
    const run = (target) =>
      check(`fuzz target ${target}, ${seconds} s`, `cargo fuzz run ${target} -- -max_total_time=${seconds}`, {
        ...options,
        needs: [seeds],
      });
    const built = this.#builds();
    return [
      setup(SYSTEM, this.#purposes()),
      setup(CARGO_FUZZ, 'cargo-fuzz', { needs: [SYSTEM] }),
      built
        ? check(seeds, `"${this.#target}/debug/examples/fuzz_seeds"`, { needs: [BUILD], cores: 0 })
        : check(seeds, `cargo run ${this.#locked}--quiet -p barrage-proto --example fuzz_seeds`),
      check(FUZZ_BUILD, 'cargo fuzz build', {
        ...options,
        needs: [CARGO_FUZZ],
        spare: built,
        cores: 2,
        found: () => list().split('\n').filter(Boolean).map(run),
      }),
    ];
  }

  /** Of the build that the tests use; `make bench` is for figures. */
  bench() {
    return [
      ...this.#clusterSetup(),
      ...this.#page(),
      this.#build(),
      check('benchmarks, short', `"${this.#target}/debug/barrage-bench" --short`, {
        needs: [BUILD, KAFKA, SYSTEM],
        alone: true,
      }),
      check('frames of the page', 'npm run --silent bench', {
        folder: 'e2e/browser',
        env: { BARRAGE_BIN: `${this.#target}/debug/barrage`, SECONDS_EACH: '5' },
        needs: [BUILD, PAGE, BROWSER, SYSTEM],
        alone: true,
      }),
    ];
  }

  chaos() {
    return [
      setup(SYSTEM, this.#purposes()),
      this.#build(),
      {
        name: 'cargo test, chaos',
        command: `cargo test ${this.#locked}--workspace --test pool -- --nocapture chaos:: zombie::`,
        reader: new CargoTests(this.#packages),
        needs: [BUILD, SYSTEM],
        alone: true,
      },
    ];
  }

  soak() {
    const { BARRAGE_KILLS = '200', BARRAGE_FAULTS = '300' } = this.#environment;
    return [
      ...this.#clusterSetup(),
      this.#build({ SOAK: '1', BARRAGE_KILLS, BARRAGE_FAULTS }),
      ...this.#page(),
      ...this.fuzz(),
    ];
  }

  /** What setup.sh knows of the groups. */
  #purposes() {
    const of = { lint: ['lint'], fuzz: ['fuzz'], bench: ['bench'], soak: ['test', 'fuzz'] };
    return `packages ${[...new Set(this.#groups.flatMap((group) => of[group] ?? ['test']))].join(' ')}`;
  }

  #builds() {
    return this.#groups.some((group) => ['test', 'bench', 'chaos', 'soak'].includes(group));
  }

  /** Kubernetes takes minutes of all cores, which it shares with Cargo's build; nothing that is timed runs beside them. */
  #clusterSetup() {
    const needed = this.#groups.some((group) => ['test', 'soak'].includes(group));
    return [
      setup(SYSTEM, this.#purposes()),
      setup(KAFKA, 'kafka'),
      ...(needed ? [setup(KUBERNETES, 'kubernetes', { needs: [SYSTEM], cores: 1 })] : []),
    ];
  }

  #page() {
    const made = (name, target) => ({
      name,
      command: `${MAKE} ${target}`,
      reader: new Preparation(name),
      cores: 0,
    });
    return [made(PAGE, 'web'), made(BROWSER, 'e2e/browser/node_modules/.package-lock.json')];
  }

  /**
   * All targets: the tests start the server's program and must find it built, with the features they were built with. It
   * takes all cores, and shares them with what is counted. The page's folder has to be there, and no more. With `env` it
   * finds the programs of tests, which run with that: Cargo has built them, and only says where they are.
   */
  #build(env) {
    const all = `mkdir -p dataplane/web/dist && cargo build ${this.#locked}--workspace --all-targets`;
    if (!env) return check(BUILD, all, { holds: [TARGET_FOLDER] });
    const messages = `${this.#target}/test-programs.json`;
    const where = `cargo test ${this.#locked}--workspace --no-run --message-format=json-render-diagnostics`;
    return check(BUILD, `${all} && ${where} >"${messages}"`, {
      holds: [TARGET_FOLDER],
      found: () =>
        suitesOf(readFileSync(messages, 'utf8'), this.#packages, TEMPERS).map((suite) => ({
          ...suite,
          env: { ...suite.env, ...env },
        })),
    });
  }

  #quickLints() {
    const prettier = 'node_modules/.bin/prettier --config .prettierrc.json --check ../scripts';
    return [
      check('rustfmt', 'cargo fmt --all -- --check -l'),
      check('page: types and format', 'npm run --silent check', { folder: 'dataplane/web', needs: [PAGE] }),
      check('browser tests: format', 'npm run --silent check', { folder: 'e2e/browser', needs: [BROWSER] }),
      check('scripts: format', prettier, { folder: 'e2e/browser', needs: [BROWSER] }),
    ];
  }

  #denySetup() {
    return [setup(SYSTEM, this.#purposes()), setup(CARGO_DENY, 'cargo-deny', { needs: [SYSTEM] })];
  }

  /** `fetched`: the suite that leaves all sources behind, as these look at them without asking a registry. */
  #deny(fetched) {
    // Advisories are a repository of their own, which not every machine reaches.
    const advisories = [
      'if timeout 60 cargo deny fetch db >/dev/null 2>&1',
      'then cargo deny check --disable-fetch advisories',
      "else echo 'left out: the database of advisories cannot be fetched here'; fi",
    ].join('; ');
    return [
      check(
        'dependencies: licences, bans, sources',
        'cargo deny --locked --offline check --deny warnings bans licenses sources',
        {
          needs: [CARGO_DENY, fetched],
        },
      ),
      check('dependencies: advisories', advisories, { needs: [CARGO_DENY] }),
    ];
  }

  /** Both read the same metadata of dependencies: with the same features, and those of tests, which examples ask for. */
  #slowLints(options) {
    const common = `${this.#locked}--workspace --features barrage/conformance`;
    // Programs that are named like their library would overwrite its pages.
    const targets = "--lib --examples --bin 'barrage-[!o]*'";
    return [
      check('clippy', `cargo clippy ${common} --all-targets -- -D warnings`, {
        holds: [TARGET_FOLDER],
        ...options,
      }),
      check('rustdoc: links', `cargo doc ${common} ${targets} --no-deps --document-private-items`, {
        env: { RUSTDOCFLAGS: '-D warnings -A rustdoc::private_intra_doc_links' },
        holds: [TARGET_FOLDER],
        ...options,
      }),
    ];
  }
}

/** What can be asked for. */
export const GROUPS = {
  lint: (plan) => plan.lint(),
  test: (plan) => plan.test(),
  fuzz: (plan) => plan.fuzz(),
  bench: (plan) => plan.bench(),
  chaos: (plan) => plan.chaos(),
  soak: (plan) => plan.soak(),
};
