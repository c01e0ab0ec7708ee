// Runs suites of tests one after the other, lets their output through, and closes with what each counted and one line
// of the sum. Ends with status 1 when anything failed, after the others have run.
//
// usage: node suites.mjs GROUP...      GROUP: lint, test, fuzz, bench, chaos, soak
// FUZZ_SECONDS: how long each fuzz target runs (60). BARRAGE_KILLS: how often the soak kills the server (200).
// BARRAGE_FAULTS: how often something in a cluster is broken (30, in the soak 300).

import { execFileSync, spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { CargoTests, Check, plain, Sums } from './counts.mjs';

const ROOT = resolve(import.meta.dirname, '../..');
const FUZZ_SECONDS = Number(process.env.FUZZ_SECONDS ?? 60);
/** A clone is tested with the versions it names; somebody who edits a manifest may have them change. */
const LOCKED = process.env.CI ? '--locked ' : '';
/** Names listed of what failed; all of it stands further up. */
const PROBLEMS_LISTED = 20;

const { packages, target_directory: TARGET } = JSON.parse(
  execFileSync('cargo', ['metadata', '--no-deps', '--format-version=1'], {
    cwd: ROOT,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  }),
);

/** What passes or fails as one. */
function check(name, command, options = {}) {
  return { name, command, reader: new Check(name), ...options };
}

/** A runner that closes with sums. */
function sums(name, command, options = {}) {
  return { name, command, reader: new Sums(name), ...options };
}

const quickLints = () => [
  check('rustfmt', 'cargo fmt --all -- --check -l'),
  check('page: types and format', 'npm run --silent check', { folder: 'dataplane/web' }),
  check('browser tests: format', 'npm run --silent check', { folder: 'e2e/browser' }),
  check('scripts: format', 'node_modules/.bin/prettier --config .prettierrc.json --check ../scripts', {
    folder: 'e2e/browser',
  }),
];

const slowLints = () => [
  check(
    'clippy',
    `cargo clippy ${LOCKED}--workspace --all-targets --features barrage/conformance -- -D warnings`,
  ),
  check('rustdoc: links', `cargo doc ${LOCKED}--workspace --no-deps --document-private-items`, {
    env: { RUSTDOCFLAGS: '-D warnings -A rustdoc::private_intra_doc_links' },
  }),
];

const BUILD = 'cargo build';
// All targets: the tests start the server's program and must find it built, with the features they were built with.
const build = () => check(BUILD, `cargo build ${LOCKED}--workspace --all-targets`);

const LONG_FORMS = {
  BARRAGE_KILLS: process.env.BARRAGE_KILLS ?? '200',
  BARRAGE_FAULTS: process.env.BARRAGE_FAULTS ?? '300',
};

const rust = ({ soak }) => ({
  name: 'cargo test',
  command: `cargo test ${LOCKED}--workspace --no-fail-fast`,
  env: soak ? { SOAK: '1', ...LONG_FORMS } : {},
  reader: new CargoTests(packages),
  needs: BUILD,
});

const test = () => [
  sums('scripts: unit tests', 'node --test e2e/scripts/'),
  sums('page: unit tests', 'npm test --silent', { folder: 'dataplane/web' }),
  ...quickLints(),
  build(),
  ...slowLints(),
  rust({ soak: false }),
  sums('browser: the page in Chromium', 'npm test --silent', {
    folder: 'e2e/browser',
    env: { BARRAGE_BIN: `${TARGET}/debug/barrage` },
    needs: BUILD,
  }),
];

const chaos = () => ({
  name: 'cargo test, chaos',
  command: `cargo test ${LOCKED}--workspace --test pool -- --nocapture chaos:: zombie::`,
  reader: new CargoTests(packages),
  needs: BUILD,
});

// The pinned compiler has the sanitizer, but takes options that are for nightly ones only when it is told to.
const FUZZ = { folder: 'proto', env: { RUSTC_BOOTSTRAP: '1' } };

function fuzz() {
  const list = execFileSync('cargo', ['fuzz', 'list'], { cwd: resolve(ROOT, FUZZ.folder), encoding: 'utf8' });
  const built = 'fuzz targets: build';
  return [
    check('fuzz targets: seeds', 'cargo run --quiet --example fuzz_seeds'),
    check(built, 'cargo fuzz build', FUZZ),
    ...list
      .split('\n')
      .filter(Boolean)
      .map((target) =>
        check(
          `fuzz target ${target}, ${FUZZ_SECONDS} s`,
          `cargo fuzz run ${target} -- -max_total_time=${FUZZ_SECONDS}`,
          {
            ...FUZZ,
            needs: built,
          },
        ),
      ),
  ];
}

function bench() {
  const built = 'cargo build --release';
  return [
    check(built, `cargo build ${LOCKED}--release --workspace --bins`),
    check('benchmarks, short', `"${TARGET}/release/barrage-bench" --short`, { needs: built }),
  ];
}

const GROUPS = {
  lint: () => [...quickLints(), ...slowLints()],
  test,
  fuzz,
  bench,
  chaos: () => [build(), chaos()],
  soak: () => [build(), rust({ soak: true }), ...fuzz()],
};

/** Runs a suite; true if it ended well. Both its streams come through one pipe, in the order they were written. */
async function run({ name, command, folder = '.', env = {}, reader }) {
  console.log(`\n==> ${name}: ${command}${folder === '.' ? '' : `   (in ${folder})`}`);
  const child = spawn('sh', ['-c', `exec 2>&1; ${command}`], {
    cwd: resolve(ROOT, folder),
    env: { ...process.env, ...colours(), ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise((done) => child.on('close', (code) => done(code === 0)));
  for await (const line of createInterface({ input: child.stdout })) {
    console.log(line);
    reader.read(plain(line));
  }
  return ended;
}

function colours() {
  return process.stdout.isTTY && !process.env.NO_COLOR
    ? { CARGO_TERM_COLOR: 'always', FORCE_COLOR: '1' }
    : {};
}

/** Prints the rows and their sum; true if nothing failed. */
function report(rows) {
  const width = Math.max(...rows.map(({ name }) => name.length));
  const total = (what) => rows.reduce((sum, row) => sum + row[what], 0);
  console.log('\n==> summary');
  for (const { name, passed, failed, ignored } of rows) {
    const mark = failed > 0 ? 'FAIL' : '  ok';
    const rest = ignored > 0 ? `, ${ignored} left out` : '';
    console.log(
      `${mark}  ${name.padEnd(width)}  ${String(passed).padStart(4)} passed, ${failed} failed${rest}`,
    );
  }
  const problems = rows.flatMap(({ name, problems }) =>
    [...new Set(problems)].map((one) => `  ${name}: ${one}`),
  );
  if (problems.length > 0) {
    console.log(['\nfailed:', ...problems.slice(0, PROBLEMS_LISTED)].join('\n'));
  }
  console.log(`\n${total('passed')} passed, ${total('failed')} failed`);
  return total('failed') === 0;
}

async function main(groups) {
  const unknown = groups.find((group) => !Object.hasOwn(GROUPS, group));
  if (groups.length === 0 || unknown !== undefined) {
    console.error(`usage: suites.mjs GROUP...      GROUP: ${Object.keys(GROUPS).join(', ')}`);
    return 2;
  }
  const rows = [];
  const broken = new Set();
  for (const suite of groups.flatMap((group) => GROUPS[group]())) {
    if (broken.has(suite.needs)) {
      rows.push({
        name: suite.name,
        passed: 0,
        failed: 1,
        ignored: 0,
        problems: [`not run: ${suite.needs} failed`],
      });
      continue;
    }
    const ok = await run(suite);
    rows.push(...suite.reader.end(ok));
    if (!ok) {
      broken.add(suite.name);
    }
  }
  return report(rows) ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
