// Which danmaku the page has shown: history, live frames, echoes and acknowledgements overlap.

/**
 * A window over the newest IDs. 20,000 are 100 s at the default viewer budget of 200 danmaku/s, far longer than a join
 * or a resume overlaps with what is live.
 */
export class Seen {
  readonly #ids = new Set<string>();
  readonly #capacity: number;

  constructor(capacity = 20_000) {
    this.#capacity = capacity;
  }

  /** Whether this ID is new; from now on it is not. */
  add(id: string): boolean {
    if (this.#ids.has(id)) {
      return false;
    }
    this.#ids.add(id);
    if (this.#ids.size > this.#capacity) {
      // A Set iterates in the order of insertion: the first is the oldest.
      for (const oldest of this.#ids) {
        this.#ids.delete(oldest);
        break;
      }
    }
    return true;
  }
}
