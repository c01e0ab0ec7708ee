// Reads how many tests passed and failed out of what test runners print. Each reader takes the output line by line and
// gives rows at the end: { name, passed, failed, ignored, problems }. What ended badly without a count is a failure;
// so is a suite that ran nothing.

const NOT_TEXT = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g');

/** A line without colours. */
export function plain(line) {
  return line.replace(NOT_TEXT, '');
}

/** An empty row. */
export function row(name) {
  return { name, passed: 0, failed: 0, ignored: 0, problems: [] };
}

/** A command that passes or fails as one: a formatter, a linter, a build. */
export class Check {
  #name;

  constructor(name) {
    this.#name = name;
  }

  read() {}

  end(ok) {
    return [{ ...row(this.#name), passed: ok ? 1 : 0, failed: ok ? 0 : 1, problems: ok ? [] : [this.#name] }];
  }
}

/** `cargo test` of a workspace: a row for each program of tests. `packages` are those of `cargo metadata`. */
export class CargoTests {
  #packages;
  #rows = [];
  #current;

  constructor(packages) {
    this.#packages = packages;
  }

  read(line) {
    const program = /^\s+Running (?:unittests )?(\S+) \((\S+)\)$/.exec(line);
    const documented = /^\s+Doc-tests (\S+)$/.exec(line);
    if (program || documented) {
      const [, source, path] = program ?? [];
      this.#current = row(
        program ? this.#label(source, path) : `${this.#packageOf(documented[1])} doc tests`,
      );
      this.#current.open = true;
      this.#rows.push(this.#current);
      return;
    }
    if (!this.#current) {
      return;
    }
    const result = /^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored;/.exec(line);
    if (result) {
      this.#current.open = false;
      this.#current.passed += Number(result[1]);
      this.#current.failed += Number(result[2]);
      this.#current.ignored += Number(result[3]);
    }
    const failed = /^test (.+?)(?: - should panic)? \.\.\. FAILED$/.exec(line);
    if (failed) {
      this.#current.problems.push(failed[1]);
    }
  }

  end(ok) {
    const rows = this.#rows.map(({ open, ...done }) =>
      open
        ? { ...done, failed: done.failed + 1, problems: [...done.problems, 'ended without a result'] }
        : done,
    );
    for (const { name } of this.#packages) {
      const own = rows.filter((one) => one.name.startsWith(`${name} `));
      if (own.every((one) => one.passed + one.failed === 0)) {
        rows.push({ ...row(name), failed: 1, problems: ['ran no test'] });
      }
    }
    if (!ok && rows.every((one) => one.failed === 0)) {
      rows.push({ ...row('cargo test'), failed: 1, problems: ['ended with an error'] });
    }
    // Programs and pages without tests are no news; a file of tests without tests is.
    for (const one of rows.filter(
      (one) => / tests\//.test(one.name) && one.passed + one.failed + one.ignored === 0,
    )) {
      Object.assign(one, { failed: 1, problems: ['ran no test'] });
    }
    return rows.filter((one) => one.passed + one.failed + one.ignored > 0);
  }

  /** `package path`: the path alone does not say which package it is in. */
  #label(source, path) {
    const target = /([^/]+)-[0-9a-f]+$/.exec(path)?.[1] ?? '';
    return `${this.#packageOf(target, source)} ${source}`;
  }

  #packageOf(target, source = '') {
    const fits = ({ name, src_path }) =>
      name.replaceAll('-', '_') === target && src_path.endsWith(`/${source}`);
    const any = ({ name }) => name.replaceAll('-', '_') === target;
    const owner = (rule) => this.#packages.find(({ targets }) => targets.some(rule));
    return (source ? owner(fits) : owner(any))?.name ?? target;
  }
}

/** Runners that close with sums: vitest, and node's own with the spec or the tap reporter. */
export class Sums {
  #row;
  #counted = false;

  constructor(name) {
    this.#row = row(name);
  }

  read(line) {
    this.#vitest(line);
    this.#node(line);
  }

  end(ok) {
    const done = this.#row;
    if (!this.#counted || done.passed + done.failed === 0) {
      done.failed += 1;
      done.problems.push(this.#counted ? 'ran no test' : 'ended without a result');
    } else if (!ok && done.failed === 0) {
      done.failed += 1;
      done.problems.push('ended with an error');
    }
    return [done];
  }

  // "      Tests  1 failed | 44 passed | 2 skipped (47)"
  #vitest(line) {
    if (!/^\s+Tests\s+\d/.test(line)) {
      const failed = /^\s+(?:FAIL|×)\s+(\S.*)$/.exec(line);
      if (failed) {
        this.#row.problems.push(failed[1].trim());
      }
      return;
    }
    this.#counted = true;
    const count = (what) => Number(new RegExp(`(\\d+) ${what}`).exec(line)?.[1] ?? 0);
    this.#row.passed += count('passed');
    this.#row.failed += count('failed');
    this.#row.ignored += count('skipped') + count('todo');
  }

  // "# pass 12", or with an "ℹ" for the "#".
  #node(line) {
    const sum = /^(?:#|ℹ) (pass|fail|cancelled|skipped|todo) (\d+)$/.exec(line);
    if (sum) {
      this.#counted = true;
      const where = { pass: 'passed', fail: 'failed', cancelled: 'failed' }[sum[1]] ?? 'ignored';
      this.#row[where] += Number(sum[2]);
    }
    const failed = /^\s*not ok \d+ - (.+)$/.exec(line);
    if (failed) {
      this.#row.problems.push(failed[1]);
    }
  }
}
