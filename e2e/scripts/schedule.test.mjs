// Which suites run at the same time, and in which order they begin.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Schedule } from './schedule.mjs';

const names = (suites) => suites.map(({ name }) => name);

test('what fits the cores begins together, in the order given', () => {
  const [a, b, c] = [{ name: 'a' }, { name: 'b' }, { name: 'c' }];
  const schedule = new Schedule([a, b, c], 2);
  assert.deepEqual(names(schedule.begin()), ['a', 'b']);
  assert.deepEqual(names(schedule.begin()), []);
  schedule.ended(b, true);
  assert.deepEqual(names(schedule.begin()), ['c']);
});

test('one that waits for the whole machine is not overtaken, unless by what needs no core', () => {
  const small = { name: 'small' };
  const schedule = new Schedule(
    [small, { name: 'large', cores: 2 }, { name: 'later' }, { name: 'fetch', cores: 0 }],
    2,
  );
  assert.deepEqual(names(schedule.begin()), ['small', 'fetch']);
  schedule.ended(small, true);
  assert.deepEqual(names(schedule.begin()), ['large']);
});

test('one that wants more cores than there are gets all of them', () => {
  const huge = { name: 'huge', cores: 8 };
  const schedule = new Schedule([huge, { name: 'small' }], 2);
  assert.deepEqual(names(schedule.begin()), ['huge']);
  schedule.ended(huge, true);
  assert.deepEqual(names(schedule.begin()), ['small']);
});

test('of a thing that is held there is one at a time, and others do not wait for it', () => {
  const first = { name: 'first', holds: ['cluster'] };
  const schedule = new Schedule([first, { name: 'second', holds: ['cluster'] }, { name: 'other' }], 4);
  assert.deepEqual(names(schedule.begin()), ['first', 'other']);
  schedule.ended(first, true);
  assert.deepEqual(names(schedule.begin()), ['second']);
});

test('spare time is for one at a time, and takes no core from others', () => {
  const build = { name: 'build', spare: true };
  const schedule = new Schedule([build, { name: 'lint', spare: true }, { name: 'large', cores: 2 }], 2);
  assert.deepEqual(names(schedule.begin()), ['build', 'large']);
  schedule.ended(build, true);
  assert.deepEqual(names(schedule.begin()), ['lint']);
});

test('nothing runs beside one that runs alone, and nothing later begins before it', () => {
  const before = { name: 'before', spare: true };
  const bench = { name: 'bench', alone: true };
  const schedule = new Schedule([before, bench, { name: 'after', cores: 0 }], 8);
  assert.deepEqual(names(schedule.begin()), ['before']);
  schedule.ended(before, true);
  assert.deepEqual(names(schedule.begin()), ['bench']);
  assert.deepEqual(names(schedule.begin()), []);
  schedule.ended(bench, true);
  assert.deepEqual(names(schedule.begin()), ['after']);
});

test('a suite waits for what it needs, and is dropped with all that need it when that fails', () => {
  const build = { name: 'build' };
  const schedule = new Schedule(
    [{ name: 'far', needs: ['near'] }, { name: 'near', needs: ['build'] }, build, { name: 'free' }],
    2,
  );
  assert.deepEqual(names(schedule.begin()), ['build', 'free']);
  assert.deepEqual(schedule.dropped(), []);
  schedule.ended(build, false);
  assert.deepEqual(
    schedule.dropped().map(({ suite, need }) => [suite.name, need]),
    [
      ['near', 'build'],
      ['far', 'near'],
    ],
  );
  assert.deepEqual(schedule.begin(), []);
});

test('what a suite finds out stands where it stood, and may need what has passed', () => {
  const [first, list] = [{ name: 'first' }, { name: 'list', cores: 0 }];
  const schedule = new Schedule([first, list, { name: 'last' }], 1);
  assert.deepEqual(names(schedule.begin()), ['first', 'list']);
  schedule.ended(list, true, [{ name: 'found', needs: ['list'] }]);
  assert.deepEqual(schedule.begin(), []);
  schedule.ended(first, true);
  const [found] = schedule.begin();
  assert.equal(found.name, 'found');
  schedule.ended(found, true);
  const [last] = schedule.begin();
  assert.deepEqual([last.name, schedule.isDone], ['last', false]);
  schedule.ended(last, true);
  assert.equal(schedule.isDone, true);
});

test('a need that is no suite is a mistake', () => {
  assert.throws(() => new Schedule([{ name: 'a', needs: ['b'] }], 1), /a needs b, which is no suite/);
});
