// Programs of tests that Cargo has built, as suites.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { suitesOf } from './programs.mjs';

const target = (kind, name, src_path, test = true) => ({ kind: [kind], name, src_path, test });
const PACKAGES = [
  {
    name: 'barrage',
    version: '0.1.0',
    manifest_path: '/x/core/Cargo.toml',
    targets: [
      target('lib', 'barrage', '/x/core/src/lib.rs'),
      target('bin', 'barrage', '/x/core/src/main.rs'),
      target('test', 'room', '/x/core/tests/room.rs'),
      target('test', 'pool', '/x/core/tests/pool/main.rs'),
      target('example', 'seeds', '/x/core/examples/seeds.rs', false),
    ],
  },
];

const artifact = (kind, src_path, executable, test = true) =>
  JSON.stringify({
    reason: 'compiler-artifact',
    target: { kind: [kind], src_path },
    profile: { test },
    executable,
  });

const MESSAGES = [
  artifact('lib', '/x/core/src/lib.rs', null, false),
  artifact('lib', '/x/core/src/lib.rs', '/t/barrage-1'),
  artifact('bin', '/x/core/src/main.rs', '/t/barrage', false),
  artifact('bin', '/x/core/src/main.rs', '/t/barrage-2'),
  artifact('test', '/x/core/tests/room.rs', '/t/room-3'),
  artifact('test', '/x/core/tests/pool/main.rs', '/t/pool-4'),
  JSON.stringify({ reason: 'build-finished', success: true }),
].join('\n');

test('each program of tests is a suite, in the folder that Cargo runs it in', () => {
  const suites = suitesOf(`   Compiling barrage\n${MESSAGES}\n`, PACKAGES);
  assert.deepEqual(
    suites.map(({ name, command }) => [name, command]),
    [
      ['barrage src/lib.rs', '"/t/barrage-1"'],
      ['barrage src/main.rs', '"/t/barrage-2"'],
      ['barrage tests/room.rs', '"/t/room-3"'],
      ['barrage tests/pool/main.rs', '"/t/pool-4"'],
    ],
  );
  assert.equal(suites[0].folder, '/x/core');
  assert.equal(suites[0].env.CARGO_MANIFEST_DIR, '/x/core');
});

test('those that are known to need or disturb something come first, in the order in which they are known', () => {
  const tempers = {
    'barrage tests/pool/main.rs': { cores: 2 },
    'barrage tests/room.rs': { holds: ['room'] },
  };
  const [pool, room] = suitesOf(MESSAGES, PACKAGES, tempers);
  assert.deepEqual([pool.name, pool.cores], ['barrage tests/pool/main.rs', 2]);
  assert.deepEqual([room.name, room.holds], ['barrage tests/room.rs', ['room']]);
});

test('a program that is not there is a mistake', () => {
  const without = MESSAGES.replace(artifact('test', '/x/core/tests/room.rs', '/t/room-3'), '');
  assert.throws(() => suitesOf(without, PACKAGES), /no program of tests for barrage tests\/room\.rs/);
});
