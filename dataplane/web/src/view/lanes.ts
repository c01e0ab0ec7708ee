// Which lanes of the stage are free: pure arithmetic on widths and times, so that no danmaku covers another.

import type { Mode } from '../danmaku';

/** The stage's measures. */
export interface Measures {
  /** Lanes, one below the other. */
  readonly count: number;
  readonly stagePx: number;
  /** From edge to edge, ms: the same for all, so a wider danmaku is faster. */
  readonly flightMs: number;
  /** How long one stands that does not move, ms. */
  readonly standMs: number;
}

interface Mover {
  readonly mode: 'scroll' | 'reverse';
  readonly startMs: number;
  readonly widthPx: number;
  readonly landsMs: number;
}

interface Lane {
  /** The newest that moves; older ones are ahead of it. */
  mover: Mover | undefined;
  /** Until when one stands here. */
  standsUntilMs: number;
}

/** After this long without one of its mode, an edge that was kept free for it is used by all again. */
const KEPT_MS = 20_000;
/** Lanes kept for a rare mode while there are some of it: one in this many. */
const KEPT_SHARE = 10;

export class Lanes {
  #measures: Measures = { count: 1, stagePx: 0, flightMs: 1, standMs: 1 };
  #lanes: Lane[] = [{ mover: undefined, standsUntilMs: 0 }];
  /** When one of a mode last asked for a lane. */
  readonly #askedMs: Partial<Record<Mode, number>> = {};

  /** Sets the stage's measures; what flies keeps its lane. */
  resize(measures: Measures): void {
    this.#measures = { ...measures, count: Math.max(1, measures.count) };
    this.#lanes = Array.from(
      { length: this.#measures.count },
      (_, i) => this.#lanes[i] ?? { mover: undefined, standsUntilMs: 0 },
    );
  }

  /** Frees all lanes: the stage was cleared. */
  clear(): void {
    this.#lanes = this.#lanes.map(() => ({ mover: undefined, standsUntilMs: 0 }));
  }

  /** Everything stood still for so long. */
  delay(ms: number): void {
    this.#lanes = this.#lanes.map(({ mover, standsUntilMs }) => ({
      mover: mover && { ...mover, startMs: mover.startMs + ms, landsMs: mover.landsMs + ms },
      standsUntilMs: standsUntilMs + ms,
    }));
  }

  /** Takes `span` lanes where a danmaku of this width may start now: the first from the top; undefined where none is. */
  take(mode: Mode, widthPx: number, span: number, nowMs: number): number | undefined {
    this.#askedMs[mode] = nowMs;
    const tops = Math.max(1, this.#lanes.length - span + 1);
    for (let i = 0; i < tops; i++) {
      const top = mode === 'bottom' ? tops - 1 - i : i;
      const taken = this.#lanes.slice(top, top + span);
      if (taken.every((lane, j) => this.#isFree(lane, top + j, mode, widthPx, nowMs))) {
        this.#occupy(taken, mode, widthPx, nowMs);
        return top;
      }
    }
    return undefined;
  }

  #occupy(lanes: readonly Lane[], mode: Mode, widthPx: number, nowMs: number): void {
    const { flightMs, standMs } = this.#measures;
    for (const lane of lanes) {
      if (mode === 'top' || mode === 'bottom') {
        lane.standsUntilMs = nowMs + standMs;
      } else {
        lane.mover = { mode, startMs: nowMs, widthPx, landsMs: nowMs + flightMs };
      }
    }
  }

  #isFree(lane: Lane, index: number, mode: Mode, widthPx: number, nowMs: number): boolean {
    const keptFor = this.#keptFor(index, nowMs);
    if (lane.standsUntilMs > nowMs || (keptFor !== undefined && keptFor !== mode)) {
      return false;
    }
    const ahead = lane.mover;
    if (!ahead || ahead.landsMs <= nowMs) {
      return true;
    }
    return ahead.mode === mode && !this.#collides(ahead, widthPx, nowMs);
  }

  /** Who stands or flies against the stream needs an empty lane; in a busy room that must be kept for them. */
  #keptFor(index: number, nowMs: number): Mode | undefined {
    const count = this.#lanes.length;
    const kept = Math.floor(count / KEPT_SHARE);
    const middle = Math.floor((count - kept) / 2);
    const isWanted = (mode: Mode) => nowMs - (this.#askedMs[mode] ?? Number.NEGATIVE_INFINITY) < KEPT_MS;
    if (index < kept && isWanted('top')) {
      return 'top';
    }
    if (index >= count - kept && isWanted('bottom')) {
      return 'bottom';
    }
    return index >= middle && index < middle + kept && isWanted('reverse') ? 'reverse' : undefined;
  }

  /** It may neither touch the one ahead now nor catch up with it before that one has left. */
  #collides(ahead: Mover, widthPx: number, nowMs: number): boolean {
    const { stagePx, flightMs } = this.#measures;
    const aheadMs = ahead.landsMs - ahead.startMs;
    const flownMs = nowMs - ahead.startMs;
    const hasEntered = ((stagePx + ahead.widthPx) * flownMs) / aheadMs >= ahead.widthPx;
    const reachesEdgeMs = (flightMs * stagePx) / (stagePx + widthPx);
    return !hasEntered || ahead.landsMs - nowMs > reachesEdgeMs;
  }
}
