// The programs of tests that Cargo has built, as suites that can run side by side: `cargo test` would run them one after
// the other. What Cargo says of them comes from `cargo test --no-run --message-format=json`.

import { dirname, relative } from 'node:path';
import { TestProgram } from './counts.mjs';

/** Kinds of targets that `cargo test` makes a program of; examples are built and not run. */
const TESTED = ['lib', 'rlib', 'bin', 'test', 'proc-macro'];

/**
 * A suite for each program of tests in Cargo's messages. `packages` are those of `cargo metadata`; `tempers` says by
 * name what a suite needs and disturbs, and the order in which they begin: the others come last. Throws where Cargo has
 * not built a program that there has to be.
 */
export function suitesOf(messages, packages, tempers = {}) {
  const built = messages
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line))
    .filter(
      ({ reason, profile, executable }) => reason === 'compiler-artifact' && profile.test && executable,
    );
  const suites = expected(packages).map(({ owner, target }) => {
    const artifact = built.find(
      (one) => one.target.src_path === target.src_path && one.target.kind.join() === target.kind.join(),
    );
    const name = nameOf(owner, target);
    if (!artifact) throw new Error(`Cargo has built no program of tests for ${name}`);
    return { ...suite(name, owner, target, artifact.executable), ...tempers[name] };
  });
  const places = Object.keys(tempers);
  const place = ({ name }) => (places.includes(name) ? places.indexOf(name) : places.length);
  return suites.sort((one, other) => place(one) - place(other));
}

function expected(packages) {
  return packages.flatMap((owner) =>
    owner.targets
      .filter(({ test, kind }) => test && kind.some((one) => TESTED.includes(one)))
      .map((target) => ({ owner, target })),
  );
}

/** As `cargo test` names it, with its package: `barrage-e2e tests/room.rs`. */
function nameOf({ name, manifest_path: manifest }, { src_path: source }) {
  return `${name} ${relative(dirname(manifest), source)}`;
}

/** In the folder and with the variables that Cargo gives it. */
function suite(name, { name: owner, version, manifest_path: manifest }, { kind }, executable) {
  return {
    name,
    command: `"${executable}"`,
    folder: dirname(manifest),
    env: { CARGO_MANIFEST_DIR: dirname(manifest), CARGO_PKG_NAME: owner, CARGO_PKG_VERSION: version },
    reader: new TestProgram(name, kind.includes('test')),
  };
}
