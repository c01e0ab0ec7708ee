// Reads how many tests passed and failed out of what test runners print. Each reader takes the output line by line and
// gives rows at the end: { name, passed, failed, ignored, problems, seconds }. What ended badly without a count is a failure;
// so is a suite that ran nothing. `seconds` of a row is what its runner says that it took.

const NOT_TEXT = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g');

/** A line without colours. */
export function plain(line) {
  return line.replace(NOT_TEXT, '');
}

/** An empty row. */
export function row(name) {
  return { name, passed: 0, failed: 0, ignored: 0, problems: [] };
}

/**
 * A command that passes or fails as one: a formatter, a linter, a build. One that says `left out: WHY` has not looked, and
 * has not passed.
 */
export class Check {
  #name;
  #isLeftOut = false;

  constructor(name) {
    this.#name = name;
  }

  read(line) {
    this.#isLeftOut ||= line.startsWith('left out: ');
  }

  end(ok) {
    const done = row(this.#name);
    if (!ok) return [{ ...done, failed: 1, problems: [this.#name] }];
    return [this.#isLeftOut ? { ...done, ignored: 1 } : { ...done, passed: 1 }];
  }
}

/** What has to be there before suites can run: it counts for nothing unless it fails. */
export class Preparation {
  #name;

  constructor(name) {
    this.#name = name;
  }

  read() {}

  end(ok) {
    return ok ? [] : [{ ...row(this.#name), failed: 1, problems: [this.#name] }];
  }
}

/** What Rust's own harness prints, for one program of tests after the other. */
class Harness {
  #row;
  #open = true;

  /** `isFile`: it is a file of tests, which has to have some; libraries and programs may have none. */
  constructor(name, isFile) {
    this.#row = row(name);
    this.isFile = isFile;
  }

  read(line) {
    const result =
      /^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored;.*?(?:finished in ([\d.]+)s)?$/.exec(
        line,
      );
    if (result) {
      this.#open = false;
      this.#row.passed += Number(result[1]);
      this.#row.failed += Number(result[2]);
      this.#row.ignored += Number(result[3]);
      this.#row.seconds = (this.#row.seconds ?? 0) + Number(result[4] ?? 0);
    }
    const failed = /^test (.+?)(?: - should panic)? \.\.\. FAILED$/.exec(line);
    if (failed) {
      this.#row.problems.push(failed[1]);
    }
  }

  /** What it comes to; without a result the program has crashed. */
  end() {
    const done = this.#row;
    if (this.#open) {
      done.failed += 1;
      done.problems.push('ended without a result');
    } else if (this.isFile && done.passed + done.failed + done.ignored === 0) {
      done.failed += 1;
      done.problems.push('ran no test');
    }
    return done;
  }
}

/** One program of Rust tests, run by itself. */
export class TestProgram {
  #harness;

  constructor(name, isFile) {
    this.#harness = new Harness(name, isFile);
  }

  read(line) {
    this.#harness.read(line);
  }

  end(ok) {
    const done = this.#harness.end();
    if (!ok && done.failed === 0) {
      done.failed += 1;
      done.problems.push('ended with an error');
    }
    return hasRun(done) ? [done] : [];
  }
}

/** `cargo test`: a row for each program of tests. `packages` are those of `cargo metadata`. */
export class CargoTests {
  #packages;
  #programs = [];

  constructor(packages) {
    this.#packages = packages;
  }

  read(line) {
    const program = /^\s+Running (?:unittests )?(\S+) \((\S+)\)$/.exec(line);
    const documented = /^\s+Doc-tests (\S+)$/.exec(line);
    if (program) {
      const [, source, path] = program;
      this.#programs.push(new Harness(this.#label(source, path), source.startsWith('tests/')));
    } else if (documented) {
      this.#programs.push(new Harness(`${this.#packageOf(documented[1])} doc tests`, false));
    } else {
      this.#programs.at(-1)?.read(line);
    }
  }

  end(ok) {
    const rows = this.#programs.map((program) => program.end());
    if (!ok && rows.every((one) => one.failed === 0)) {
      rows.push({ ...row('cargo test'), failed: 1, problems: ['ended with an error'] });
    }
    // Programs and pages without tests are no news.
    return rows.filter(hasRun);
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

/** Rows for packages of which no program ran a test. */
export function packagesWithoutTests(packages, rows) {
  return packages
    .filter(({ name }) =>
      rows.filter((one) => one.name.startsWith(`${name} `)).every((one) => one.passed + one.failed === 0),
    )
    .map(({ name }) => ({ ...row(name), failed: 1, problems: ['ran no test'] }));
}

function hasRun({ passed, failed, ignored }) {
  return passed + failed + ignored > 0;
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
