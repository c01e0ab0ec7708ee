// Which lanes of the stage are free: pure arithmetic, the same as the renderer's own, so that a danmaku that gets a lane
// here never covers another one there.

interface Flight {
  readonly startMs: number;
  readonly widthPx: number;
}

export class Lanes {
  #stagePx = 0;
  #flightMs = 1;
  /** The newest danmaku of each lane, from the top. */
  #newest: (Flight | undefined)[] = [];

  /** Sets the stage's measures; what flies keeps its lane. */
  resize(count: number, stagePx: number, flightMs: number): void {
    this.#stagePx = stagePx;
    this.#flightMs = flightMs;
    this.#newest.length = Math.max(1, count);
  }

  /** Takes the first lane where a danmaku of this width may start now; false where all would collide. */
  take(widthPx: number, nowMs: number): boolean {
    for (let lane = 0; lane < this.#newest.length; lane++) {
      const ahead = this.#newest[lane];
      if (!ahead || !this.#collides(ahead, widthPx, nowMs)) {
        this.#newest[lane] = { startMs: nowMs, widthPx };
        return true;
      }
    }
    return false;
  }

  /** All fly for the same time, so a wider one is faster: it may neither touch the one ahead now nor catch up with it. */
  #collides(ahead: Flight, widthPx: number, nowMs: number): boolean {
    const flownMs = nowMs - ahead.startMs;
    const hasEntered = ((this.#stagePx + ahead.widthPx) * flownMs) / this.#flightMs >= ahead.widthPx;
    const reachesEdgeMs = (this.#flightMs * this.#stagePx) / (this.#stagePx + widthPx);
    return !hasEntered || this.#flightMs - flownMs > reachesEdgeMs;
  }
}
