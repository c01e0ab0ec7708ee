// Likes on their way: counted at once on the screen, sent a few times a second, however fast somebody taps.

/** What a frame may hold, and how often one goes out: the server counts 100 a second. */
const FRAME_MAX = 50;
const PERIOD_MS = 500;

export class Likes {
  #waiting = 0;
  #sentMs = Number.NEGATIVE_INFINITY;

  /** Taken and not sent yet. */
  get waiting(): number {
    return this.#waiting;
  }

  /** The viewer liked the room. What a frame has no room for is not worth keeping. */
  add(): void {
    this.#waiting = Math.min(this.#waiting + 1, FRAME_MAX);
  }

  /** How many to send now; they count as sent. */
  take(nowMs: number): number {
    if (this.#waiting === 0 || nowMs - this.#sentMs < PERIOD_MS) {
      return 0;
    }
    const count = this.#waiting;
    this.#waiting = 0;
    this.#sentMs = nowMs;
    return count;
  }

  /** When {@link take} will next have some by the passing of time alone. */
  wakeAtMs(): number | undefined {
    return this.#waiting > 0 ? this.#sentMs + PERIOD_MS : undefined;
  }
}
