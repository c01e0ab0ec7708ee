// The leaderboard that the page holds: a snapshot at join, then deltas. Order: score, then the lower user ID.

/** One line of the leaderboard. */
export interface Ranked {
  readonly rank: number;
  readonly user: bigint;
  readonly score: bigint;
}

/** What viewers get: the best 100. */
const RANKS_MAX = 100;

/** Holds scores and sorts them when somebody looks. */
export class Ranking {
  #scores = new Map<bigint, bigint>();

  /** Forgets everything and takes these. */
  replace(users: readonly bigint[], scores: readonly bigint[]): void {
    this.#scores.clear();
    this.change(users, scores, []);
  }

  /** Sets scores, removes users, keeps the best 100. */
  change(users: readonly bigint[], scores: readonly bigint[], removed: readonly bigint[]): void {
    users.forEach((user, i) => {
      this.#scores.set(user, scores[i] ?? 0n);
    });
    for (const user of removed) {
      this.#scores.delete(user);
    }
    if (this.#scores.size > RANKS_MAX) {
      this.#scores = new Map(this.best().map(({ user, score }) => [user, score]));
    }
  }

  /** The best, first rank first. */
  best(): Ranked[] {
    return [...this.#scores]
      .sort(([userA, a], [userB, b]) => compare(b, a) || compare(userA, userB))
      .slice(0, RANKS_MAX)
      .map(([user, score], i) => ({ rank: i + 1, user, score }));
  }
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
