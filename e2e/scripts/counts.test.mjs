// What test runners print, and what is read out of it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CargoTests, Check, packagesWithoutTests, plain, Preparation, Sums, TestProgram } from './counts.mjs';

const PACKAGES = [
  {
    name: 'barrage-proto',
    targets: [
      { name: 'barrage_proto', src_path: '/x/proto/src/lib.rs' },
      { name: 'vectors', src_path: '/x/proto/tests/vectors.rs' },
    ],
  },
  {
    name: 'barrage',
    targets: [
      { name: 'barrage', src_path: '/x/dataplane/src/lib.rs' },
      { name: 'barrage', src_path: '/x/dataplane/src/main.rs' },
    ],
  },
];

function read(reader, ok, text) {
  for (const line of text.split('\n')) {
    reader.read(plain(line));
  }
  return reader.end(ok);
}

function sums(rows) {
  return rows.map(({ name, passed, failed, ignored }) => `${name}: ${passed} ${failed} ${ignored}`);
}

test('cargo test: a row for each program that has tests', () => {
  const rows = read(
    new CargoTests(PACKAGES),
    false,
    `   Compiling barrage v0.1.0
     Running unittests src/lib.rs (target/debug/deps/barrage_proto-0a1b)
running 3 tests
test v1::tests::a ... ok
test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
     Running tests/vectors.rs (target/debug/deps/vectors-99ff)
test invalid ... FAILED
test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
\u001b[1m\u001b[92m     Running\u001b[0m unittests src/lib.rs (target/debug/deps/barrage-77aa)
test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
     Running unittests src/main.rs (target/debug/deps/barrage-77ab)
test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
   Doc-tests barrage_proto
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s
test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s
`,
  );
  assert.deepEqual(sums(rows), [
    'barrage-proto src/lib.rs: 3 0 1',
    'barrage-proto tests/vectors.rs: 2 1 0',
    'barrage src/lib.rs: 5 0 0',
    'barrage-proto doc tests: 3 0 0',
  ]);
  assert.deepEqual(rows[1].problems, ['invalid']);
});

test('cargo test: a program that crashes and a file of tests without any are failures', () => {
  const rows = read(
    new CargoTests(PACKAGES),
    false,
    `     Running unittests src/lib.rs (target/debug/deps/barrage_proto-0a1b)
running 3 tests
     Running tests/vectors.rs (target/debug/deps/vectors-99ff)
test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s`,
  );
  assert.deepEqual(sums(rows), ['barrage-proto src/lib.rs: 0 1 0', 'barrage-proto tests/vectors.rs: 0 1 0']);
  assert.deepEqual(sums(packagesWithoutTests(PACKAGES, rows)), ['barrage: 0 1 0']);
});

test('cargo test: what each program says that it took', () => {
  const rows = read(
    new CargoTests(PACKAGES),
    true,
    `     Running tests/vectors.rs (target/debug/deps/vectors-99ff)
test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 61.25s`,
  );
  assert.deepEqual(
    rows.map(({ seconds }) => seconds),
    [61.25],
  );
});

test('a program of tests that runs by itself', () => {
  const name = 'barrage-proto tests/vectors.rs';
  const run = (ok, text) => sums(read(new TestProgram(name, true), ok, text));
  const result = (passed, failed) =>
    `test result: ok. ${passed} passed; ${failed} failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.00s`;
  assert.deepEqual(run(true, result(3, 0)), [`${name}: 3 0 1`]);
  assert.deepEqual(run(false, `test a ... FAILED\n${result(3, 1)}`), [`${name}: 3 1 1`]);
  assert.deepEqual(run(false, result(3, 0)), [`${name}: 3 1 1`], 'its exit status contradicts it');
  assert.deepEqual(run(false, 'running 3 tests'), [`${name}: 0 1 0`], 'it crashed');
  const nothing = 'test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out';
  assert.deepEqual(run(true, nothing), [`${name}: 0 1 0`], 'a file of tests has some');
  assert.deepEqual(read(new TestProgram('barrage src/main.rs', false), true, nothing), []);
});

test('a package of which no program ran a test is a failure', () => {
  const rows = [
    { name: 'barrage-proto src/lib.rs', passed: 1, failed: 0, ignored: 0 },
    { name: 'barrage src/lib.rs', passed: 0, failed: 0, ignored: 2 },
  ];
  assert.deepEqual(sums(packagesWithoutTests(PACKAGES, rows)), ['barrage: 0 1 0']);
});

test('what prepares counts only when it fails', () => {
  assert.deepEqual(read(new Preparation('jars'), true, ''), []);
  assert.deepEqual(sums(read(new Preparation('jars'), false, '')), ['jars: 0 1 0']);
});

test('cargo test: one that does not build is a failure', () => {
  assert.deepEqual(sums(read(new CargoTests([]), false, 'error: could not compile')), ['cargo test: 0 1 0']);
});

test('vitest', () => {
  const text =
    ' FAIL  src/a.test.ts > b\n Test Files  1 failed | 6 passed (7)\n      Tests  1 failed | 44 passed (45)';
  const [row] = read(new Sums('page'), false, text);
  assert.deepEqual(sums([row]), ['page: 44 1 0']);
  assert.deepEqual(row.problems, ['src/a.test.ts > b']);
});

test("node's runner, both reporters", () => {
  assert.deepEqual(sums(read(new Sums('n'), true, '# tests 9\n# pass 7\n# fail 0\n# skipped 2')), [
    'n: 7 0 2',
  ]);
  assert.deepEqual(sums(read(new Sums('n'), false, 'ℹ pass 7\nℹ fail 1\nℹ cancelled 1')), ['n: 7 2 0']);
});

test('sums that are missing, empty or contradicted are failures', () => {
  assert.deepEqual(sums(read(new Sums('n'), true, 'nothing')), ['n: 0 1 0']);
  assert.deepEqual(sums(read(new Sums('n'), true, '# pass 0\n# fail 0')), ['n: 0 1 0']);
  assert.deepEqual(sums(read(new Sums('n'), false, '# pass 3\n# fail 0')), ['n: 3 1 0']);
});

test('a check passes or fails as one', () => {
  assert.deepEqual(sums(read(new Check('clippy'), true, '')), ['clippy: 1 0 0']);
  assert.deepEqual(sums(read(new Check('clippy'), false, '')), ['clippy: 0 1 0']);
  assert.deepEqual(sums(read(new Check('advisories'), true, 'left out: no network')), ['advisories: 0 0 1']);
});
