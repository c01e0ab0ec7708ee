// Suites that are run: what is printed, what is counted, and what a suite that fails takes with it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Check } from './counts.mjs';
import { runAll } from './run.mjs';

const suite = (name, command, options = {}) => ({ name, command, reader: new Check(name), ...options });

async function run(suites, cores = 2, progressMs = 60_000) {
  const printed = [];
  const { rows, times } = await runAll(suites, {
    root: import.meta.dirname,
    cores,
    print: (text) => printed.push(...text.split('\n')),
    progressMs,
  });
  return { rows, times, printed, counts: rows.map(({ name, passed, failed }) => [name, passed, failed]) };
}

test('what suites print at the same time is not mixed', async () => {
  const talk = (name) =>
    suite(name, `for i in 1 2 3; do echo ${name} $i; sleep 0.05; done; echo ${name} err >&2`);
  const { printed, times } = await run([talk('a'), talk('b')]);
  const said = printed.filter((line) => /^[ab] /.test(line));
  const whole = (name) => ['1', '2', '3', 'err'].map((word) => `${name} ${word}`);
  assert.deepEqual([...said].sort(), [...whole('a'), ...whole('b')].sort());
  assert.deepEqual(said.slice(0, 4), whole(said[0][0]));
  assert.ok(times.every(({ tookMs }) => tookMs >= 150));
  assert.ok(times[1].beganMs < times[0].tookMs, 'both ran at once');
});

test('what suites computed is counted, of those that fail and in spare time, too', async () => {
  const work = 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done';
  const { times } = await run([
    suite('waits', 'sleep 0.2'),
    suite('works', `sh -c '${work}'; exit 1`),
    suite('spare', work, { spare: true }),
  ]);
  const cpuMs = Object.fromEntries(times.map((one) => [one.name, one.cpuMs]));
  assert.ok(cpuMs.waits < Math.min(cpuMs.works, cpuMs.spare) / 2, JSON.stringify(cpuMs));
});

test('a suite that fails fails those that need it, and no other', async () => {
  const { counts, rows } = await run([
    suite('build', 'exit 3'),
    suite('test', 'true', { needs: ['build'] }),
    suite('lint', 'true'),
  ]);
  assert.deepEqual(counts.sort(), [
    ['build', 0, 1],
    ['lint', 1, 0],
    ['test', 0, 1],
  ]);
  assert.deepEqual(rows.find(({ name }) => name === 'test').problems, ['not run: build failed']);
});

test('what a suite finds runs, and one that finds nothing where it has to fails', async () => {
  const found = suite('list', 'true', { found: () => [suite('found', 'true')] });
  assert.deepEqual((await run([found])).counts, [
    ['list', 1, 0],
    ['found', 1, 0],
  ]);
  const lost = suite('list', 'true', {
    found: () => {
      throw new Error('there is no list');
    },
  });
  const { counts, printed } = await run([lost]);
  assert.deepEqual(counts, [['list', 0, 1]]);
  assert.ok(printed.includes('list: there is no list'));
});

test('what takes spare time yields to others', async () => {
  const { printed } = await run([suite('spare', 'nice', { spare: true })]);
  assert.ok(printed.includes('19'), printed.join('\n'));
});

test('while something runs, a line says so', async () => {
  const { printed } = await run([suite('slow', 'echo begun; sleep 0.5')], 2, 100);
  assert.ok(
    printed.some((line) => /^ {2}… 0:00 {2}slow for 0:00 \(begun\)$/.test(line)),
    printed.join('\n'),
  );
});

test('what runs alone is shown as it comes', async () => {
  const { printed } = await run([suite('bench', 'echo one; sleep 0.3; echo two', { alone: true })], 2, 100);
  const [one, line, two] = ['one', '  … ', 'two'].map((what) =>
    printed.findIndex((said) => said.startsWith(what)),
  );
  assert.ok(one < line && line < two, printed.join('\n'));
  assert.equal(printed.filter((said) => said === 'one').length, 1);
});

test('suites that wait for each other are a mistake', async () => {
  await assert.rejects(
    run([suite('a', 'true', { needs: ['b'] }), suite('b', 'true', { needs: ['a'] })]),
    /wait for each other/,
  );
});
