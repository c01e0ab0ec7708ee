// What is said of suites: what runs, what each counted and the sum, and where the time went. Pure text.

/** Names listed of what failed; all of it stands further up. */
const PROBLEMS_LISTED = 20;
/** Characters of the last line of what runs. */
const LAST_LINE = 60;
/** What takes less is summed up, ms. */
const WORTH_A_LINE_MS = 1_000;

/** Minutes and seconds: 12:05. */
export function clock(ms) {
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

/** What runs, since when, and its last word; nothing when nothing does. */
export function progress(running, nowMs) {
  const told = running.map(({ name, beganMs, last }) => {
    const line = typeof last === 'function' ? last() : last;
    return `${name} for ${clock(nowMs - beganMs)}${line ? ` (${line.slice(0, LAST_LINE)})` : ''}`;
  });
  return told.length === 0 ? '' : `  … ${clock(nowMs)}  ${told.join('; ')}`;
}

/** The rows, what failed, and their sum. */
export function summary(rows) {
  const width = Math.max(...rows.map(({ name }) => name.length));
  const total = (what) => rows.reduce((sum, row) => sum + row[what], 0);
  const lines = rows.map(({ name, passed, failed, ignored }) => {
    const rest = ignored > 0 ? `, ${ignored} left out` : '';
    const counts = `${String(passed).padStart(4)} passed, ${failed} failed${rest}`;
    return `${failed > 0 ? 'FAIL' : '  ok'}  ${name.padEnd(width)}  ${counts}`;
  });
  const problems = rows.flatMap(({ name, problems }) =>
    [...new Set(problems)].map((one) => `  ${name}: ${one}`),
  );
  if (problems.length > 0) lines.push('', 'failed:', ...problems.slice(0, PROBLEMS_LISTED));
  return ['', '==> summary', ...lines, '', `${total('passed')} passed, ${total('failed')} failed`].join('\n');
}

/**
 * How long each suite took, longest first, the time of processors that it used, and when it began; programs that ran
 * within one suite stand below it. `wholeMs` is from the first to the last, `beforeMs` what went before.
 */
export function timeTable(times, wholeMs, beforeMs = 0) {
  const line = (name, ...columns) => [...columns.map((one) => one.padStart(7)), name].join('  ');
  const within = ({ rows = [] }) =>
    rows.length > 1 ? rows.filter(({ seconds }) => seconds * 1000 >= WORTH_A_LINE_MS) : [];
  const long = times.filter(({ tookMs }) => tookMs >= WORTH_A_LINE_MS);
  const rest = times.filter(({ tookMs }) => tookMs < WORTH_A_LINE_MS);
  const sum = (some, what = 'tookMs') => some.reduce((all, one) => all + one[what], 0);
  const lines = [...long]
    .sort((one, other) => other.tookMs - one.tookMs)
    .flatMap((one) => [
      line(one.name, clock(one.tookMs), clock(one.cpuMs), clock(one.beganMs)),
      ...within(one).map(({ seconds, name }) => line(`  ${name}`, clock(seconds * 1000), '', '')),
    ]);
  if (rest.length > 0)
    lines.push(line(`${rest.length} others`, clock(sum(rest)), clock(sum(rest, 'cpuMs')), ''));
  const [one, computed] = [sum(times), sum(times, 'cpuMs')].map(clock);
  const whole = [
    `${clock(wholeMs)} from the first to the last; one after the other ${one}; computed ${computed}`,
  ];
  if (beforeMs > 0) whole.push(`${clock(beforeMs + wholeMs)} with ${clock(beforeMs)} of tools before`);
  return ['', '==> time', line('suite', 'took', 'CPU', 'began'), ...lines, ...whole].join('\n');
}
