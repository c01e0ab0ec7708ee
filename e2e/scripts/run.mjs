// Runs suites, several at a time as a Schedule allows. What a suite prints is kept and printed whole when it ends, so
// that nothing is mixed; meanwhile a line says from time to time what runs and how far it is. What runs alone is let
// through as it comes.

import { spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { plain, row } from './counts.mjs';
import { clock, progress } from './report.mjs';
import { Schedule } from './schedule.mjs';

/** How often a line says what runs. */
const PROGRESS_MS = 30_000;

/**
 * The lowest priority, for what takes the time that others leave. Linux shares time between sessions first, where it
 * was told to group processes by them, so the session gets it, too: who runs at low priority is given one of its own.
 */
const YIELDING = '{ echo 19 >/proc/self/autogroup; } 2>/dev/null; exec nice -n 19 sh -c "$0"';

/**
 * Runs all suites; gives the rows of their counts, and when each ran and what it computed: `{ rows, times }`. A suite's own fields, beside
 * those of a Schedule: `command`, `folder` and `env`, `reader` of its output, and `found`, which gives further suites
 * after it has passed.
 */
export async function runAll(suites, { root, cores, print = console.log, progressMs = PROGRESS_MS }) {
  const schedule = new Schedule(suites, cores);
  const [rows, times, running] = [[], [], new Map()];
  const startMs = Date.now();
  const timer = setInterval(() => {
    const told = progress([...running.values()], Date.now() - startMs);
    if (told) print(told);
  }, progressMs);
  try {
    while (!schedule.isDone) {
      for (const { suite, need } of schedule.dropped()) {
        rows.push({ ...row(suite.name), failed: 1, problems: [`not run: ${need} failed`] });
      }
      for (const suite of schedule.begin()) {
        print(`  > ${clock(Date.now() - startMs)}  ${suite.name}`);
        running.set(suite, {
          name: suite.name,
          beganMs: Date.now() - startMs,
          last: '',
          ...start(suite, root, print),
        });
      }
      if (running.size === 0) {
        if (schedule.isDone) break;
        throw new Error('suites wait for each other');
      }
      const { suite, ok, lines, cpuMs } = await Promise.race([...running.values()].map(({ ended }) => ended));
      const { beganMs } = running.get(suite);
      running.delete(suite);
      const took = { name: suite.name, beganMs, tookMs: Date.now() - startMs - beganMs, cpuMs };
      if (!suite.alone) print([heading(suite, clock(took.tookMs)), ...lines].join('\n'));
      const [passed, found] = finish(suite, ok, print);
      const own = suite.reader.end(passed);
      rows.push(...own);
      times.push({ ...took, rows: own });
      schedule.ended(suite, passed, found);
    }
  } finally {
    clearInterval(timer);
  }
  return { rows, times };
}

/** Starts a suite. Both its streams come through one pipe, in the order they were written. */
function start(suite, root, print) {
  const { name, command, folder = '.', env = {}, reader, alone, spare } = suite;
  if (alone) print(heading(suite, 'as it comes'));
  const merged = `exec 2>&1; (${command}) 3>&-; code=$?; times >&3; exit $code`;
  const child = spawn('sh', spare ? ['-c', YIELDING, merged] : ['-c', merged], {
    cwd: resolve(root, folder),
    env: { ...process.env, ...colours(), ...env },
    stdio: ['ignore', 'pipe', 'inherit', 'pipe'],
    detached: spare === true,
  });
  if (spare) endWithThis(child);
  const lines = [];
  const exited = new Promise((done) => {
    child.on('close', (code) => done(code === 0));
    child.on('error', (error) => {
      lines.push(`${name}: ${error.message}`);
      done(false);
    });
  });
  const state = {
    last: () => plain(lines.at(-1) ?? '').trim(),
    ended: (async () => {
      for await (const line of createInterface({ input: child.stdout })) {
        if (alone) print(line);
        lines.push(line);
        reader.read(plain(line));
      }
      return { suite, cpuMs: cpuMs(await text(child.stdio[3])), ok: await exited, lines };
    })(),
  };
  return state;
}

/** What a shell's `times` comes to: of itself and of all children that have ended. */
function cpuMs(times) {
  const each = [...times.matchAll(/(\d+)m([\d.]+)s/g)];
  return each.reduce((sum, [, minutes, seconds]) => sum + (Number(minutes) * 60 + Number(seconds)) * 1000, 0);
}

/** Whether a suite has passed, and what it found out; one that finds nothing where it has to fails. */
function finish(suite, ok, print) {
  if (!ok || !suite.found) return [ok, []];
  try {
    return [true, suite.found()];
  } catch (error) {
    print(`${suite.name}: ${error.message}`);
    return [false, []];
  }
}

/** A session of its own gets no Ctrl-C: its group ends with this process. */
function endWithThis(child) {
  const end = () => {
    try {
      process.kill(-child.pid, 'SIGTERM');
    } catch {
      // It has ended by itself.
    }
  };
  process.once('exit', end);
  child.once('close', () => process.off('exit', end));
}

function heading({ name, command, folder = '.' }, more) {
  return `\n==> ${name}: ${command}   (${folder === '.' ? '' : `in ${folder}; `}${more})`;
}

function colours() {
  return process.stdout.isTTY && !process.env.NO_COLOR
    ? { CARGO_TERM_COLOR: 'always', FORCE_COLOR: '1' }
    : {};
}
