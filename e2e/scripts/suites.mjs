// Runs suites of tests, side by side where they do not disturb each other, and closes with the time that each took, what
// each counted and one line of the sum. Ends with status 1 when anything failed, after the others have run.
//
// usage: node suites.mjs [--plan] GROUP...      GROUP: lint, test, fuzz, bench, chaos, soak
//        --plan: only say what there is, what it needs and what it takes
// FUZZ_SECONDS: how long each fuzz target runs (60). BARRAGE_KILLS: how often the soak kills the server (200).
// BARRAGE_FAULTS: how often something in a cluster is broken (30, in the soak 300). BEGAN: when what calls this began,
// in seconds since 1970, for the table of times.

import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { GROUPS, Plan } from './plan.mjs';
import { summary, timeTable } from './report.mjs';
import { runAll } from './run.mjs';

const ROOT = resolve(import.meta.dirname, '../..');
/** Fewer do not make sense: most tests wait most of the time. */
const CORES_MIN = 2;

async function main(words) {
  const groups = words.filter((word) => word !== '--plan');
  const unknown = groups.find((group) => !Object.hasOwn(GROUPS, group));
  if (groups.length === 0 || unknown !== undefined) {
    console.error(`usage: suites.mjs [--plan] GROUP...      GROUP: ${Object.keys(GROUPS).join(', ')}`);
    return 2;
  }
  const plan = new Plan(groups, { root: ROOT, environment: process.env, ...metadata() });
  if (groups.length < words.length) {
    tell(plan.suites());
    return 0;
  }
  const startMs = Date.now();
  const beforeMs = process.env.BEGAN ? startMs - Number(process.env.BEGAN) * 1000 : 0;
  const { rows, times } = await runAll(plan.suites(), {
    root: ROOT,
    cores: Math.max(availableParallelism(), CORES_MIN),
  });
  rows.push(...plan.missing(rows));
  console.log(timeTable(times, Date.now() - startMs, beforeMs));
  console.log(summary(rows));
  return rows.some(({ failed }) => failed > 0) ? 1 : 0;
}

function metadata() {
  const said = execFileSync('cargo', ['metadata', '--no-deps', '--format-version=1'], {
    cwd: ROOT,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  const { packages, target_directory: target } = JSON.parse(said);
  return { packages, target };
}

function tell(suites) {
  for (const { name, command, needs = [], holds = [], cores = 1, spare, alone } of suites) {
    const takes = alone ? 'the machine' : spare ? 'spare time' : `${cores} cores`;
    const more = [
      needs.length > 0 && `needs ${needs.join(', ')}`,
      holds.length > 0 && `holds ${holds.join(', ')}`,
    ];
    console.log(`${name}: ${[takes, ...more.filter(Boolean)].join('; ')}\n    ${command}`);
  }
}

// A signal ends this as usual, but what runs at low priority only hears of it from here.
for (const [signal, status] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
]) {
  process.once(signal, () => process.exit(status));
}
process.exitCode = await main(process.argv.slice(2));
