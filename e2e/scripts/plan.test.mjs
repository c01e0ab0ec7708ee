// The suites of each group: they can all run, and none beside what it disturbs.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GROUPS, Plan } from './plan.mjs';
import { Schedule } from './schedule.mjs';

const PACKAGES = [{ name: 'barrage', targets: [] }];

function plan(...groups) {
  return new Plan(groups, { root: '/x', packages: PACKAGES, target: '/x/target', environment: {} });
}

/** Runs the schedule as if each suite took as long; gives what ran at the same time, time by time. */
function simulate(suites, cores = 2) {
  const schedule = new Schedule(suites, cores);
  const running = new Set();
  const times = [];
  while (!schedule.isDone) {
    schedule.begin().forEach((suite) => running.add(suite));
    assert.ok(running.size > 0, 'something runs until all has run');
    times.push([...running]);
    const [first] = running;
    running.delete(first);
    schedule.ended(first, true);
  }
  return times;
}

const names = (suites) => suites.map(({ name }) => name);

for (const groups of [...Object.keys(GROUPS).map((group) => [group]), ['test', 'fuzz', 'bench']]) {
  test(`${groups.join(' ')}: everything runs, and nothing beside what it disturbs`, () => {
    const suites = plan(...groups).suites();
    const times = simulate(suites);
    assert.deepEqual([...new Set(names(times.flat()))].sort(), names(suites).sort());
    assert.equal(new Set(names(suites)).size, suites.length, 'nothing is there twice');
    for (const together of times) {
      if (together.some(({ alone }) => alone)) assert.equal(together.length, 1, names(together).join());
      const held = together.flatMap(({ holds = [] }) => holds);
      assert.equal(new Set(held).size, held.length, names(together).join());
    }
  });
}

test('all that lint looks at is part of the tests', () => {
  const all = names(plan('test').suites());
  const missing = names(plan('lint').suites()).filter((name) => !all.includes(name));
  assert.deepEqual(missing, []);
});

test('nothing is compiled twice for the same purpose', () => {
  const suites = plan('test', 'fuzz', 'bench').suites();
  const builds = suites.filter(({ command }) => /cargo build|--release/.test(command));
  assert.deepEqual(names(builds), ['cargo build']);
  // Metadata of dependencies is shared by what asks for the same features.
  const features = suites.map(({ command }) => /cargo (?:clippy|doc) .*(--features \S+)/.exec(command)?.[1]);
  assert.equal(new Set(features.filter(Boolean)).size, 1);
});

test('packages are those of what was asked for', () => {
  const [system] = plan('test', 'fuzz', 'bench').suites();
  assert.match(system.command, /later packages test fuzz bench$/);
  assert.match(plan('soak').suites()[0].command, /later packages test fuzz$/);
});

test('where tests ran, a package without any is missed; where none ran, that is said elsewhere', () => {
  const row = { name: 'barrage-proto src/lib.rs', passed: 1, failed: 0, ignored: 0, problems: [] };
  assert.deepEqual(
    plan('test')
      .missing([row])
      .map(({ name, problems }) => [name, problems]),
    [['barrage', ['ran no test']]],
  );
  assert.deepEqual(plan('test').missing([]), []);
  assert.deepEqual(plan('chaos').missing([row]), []);
});
