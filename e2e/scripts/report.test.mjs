// What is said of suites.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clock, progress, summary, timeTable } from './report.mjs';

const row = (name, passed, failed, ignored, problems = []) => ({ name, passed, failed, ignored, problems });

test('the summary closes with the sum, and names what failed once', () => {
  const said = summary([row('unit', 3, 0, 1), row('e2e tests/room.rs', 4, 1, 0, ['a::b', 'a::b'])]);
  assert.deepEqual(said.split('\n').slice(2), [
    '  ok  unit                  3 passed, 0 failed, 1 left out',
    'FAIL  e2e tests/room.rs     4 passed, 1 failed',
    '',
    'failed:',
    '  e2e tests/room.rs: a::b',
    '',
    '7 passed, 1 failed',
  ]);
});

test('times are minutes and seconds', () => {
  assert.deepEqual([0, 59_600, 61_000, 3_725_000].map(clock), ['0:00', '1:00', '1:01', '62:05']);
});

test('the table of times is longest first, and sums up what is short', () => {
  const times = [
    { name: 'quick', beganMs: 0, tookMs: 400, cpuMs: 300, rows: [] },
    { name: 'short', beganMs: 0, tookMs: 2_000, cpuMs: 1_000, rows: [] },
    {
      name: 'cargo test',
      beganMs: 2_000,
      tookMs: 90_000,
      cpuMs: 150_000,
      rows: [
        { name: 'e2e tests/pool.rs', seconds: 80 },
        { name: 'e2e src/lib.rs', seconds: 0.2 },
      ],
    },
  ];
  assert.deepEqual(timeTable(times, 92_000, 10_000).split('\n').slice(2), [
    '   took      CPU    began  suite',
    '   1:30     2:30     0:02  cargo test',
    '   1:20                      e2e tests/pool.rs',
    '   0:02     0:01     0:00  short',
    '   0:00     0:00           1 others',
    '1:32 from the first to the last; one after the other 1:32; computed 2:31',
    '1:42 with 0:10 of tools before',
  ]);
});

test('progress says what runs, since when, and its last word', () => {
  assert.equal(progress([], 1_000), '');
  const running = [
    { name: 'build', beganMs: 1_000, last: () => `Compiling ${'x'.repeat(100)}` },
    { name: 'fetch', beganMs: 60_000, last: '' },
  ];
  assert.equal(
    progress(running, 91_000),
    `  … 1:31  build for 1:30 (Compiling ${'x'.repeat(50)}); fetch for 0:31`,
  );
});
