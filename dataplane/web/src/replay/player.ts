// Plays a room's past as it was: danmaku come out as far apart as they once came in. Pure but for the pages that it
// asks for; time is an argument.

import type { Danmaku } from '../danmaku';
import type { Past } from '../session/api';

/** Where a page begins: at a moment, or behind the page before. */
export type From = { readonly fromMs: number } | { readonly after: string };

/** Where pages of the past come from. */
export type Pages = (from: From) => Promise<{ readonly past: readonly Past[]; readonly after: string }>;

/** Read on when what is at hand lasts no longer than this. */
const AHEAD_MS = 10_000;
/** At the end of what there is: how soon to look for more. */
const LOOK_AGAIN_MS = 2_000;

export class Player {
  readonly #pages: Pages;
  readonly #failed: (error: unknown) => void;
  #queue: Past[] = [];
  /** What comes next; undefined before anything was asked for. */
  #next: From;
  #isReading = false;
  #readAgainMs = 0;
  /** The moment that plays now is this plus the time that has passed since. */
  #momentMs: number;
  #sinceMs: number;
  #isPaused = false;
  /** Pages that were asked for before a seek are of no use after it. */
  #generation = 0;

  /** Begins at a moment, Unix ms. `failed` is told when a page cannot be had; it is asked for again. */
  constructor(pages: Pages, momentMs: number, nowMs: number, failed: (error: unknown) => void) {
    this.#pages = pages;
    this.#failed = failed;
    this.#momentMs = momentMs;
    this.#sinceMs = nowMs;
    this.#next = { fromMs: Math.floor(momentMs) };
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** The moment that is playing, Unix ms. */
  momentMs(nowMs: number): number {
    return this.#isPaused ? this.#momentMs : this.#momentMs + (nowMs - this.#sinceMs);
  }

  /** Goes on at another moment. */
  seek(momentMs: number, nowMs: number): void {
    this.#generation += 1;
    this.#queue = [];
    this.#isReading = false;
    this.#readAgainMs = 0;
    this.#next = { fromMs: Math.floor(momentMs) };
    this.#momentMs = momentMs;
    this.#sinceMs = nowMs;
  }

  pause(nowMs: number): void {
    this.#momentMs = this.momentMs(nowMs);
    this.#isPaused = true;
  }

  resume(nowMs: number): void {
    this.#sinceMs = nowMs;
    this.#isPaused = false;
  }

  /** Forgets what `isGone` says so of. */
  remove(isGone: (danmaku: Danmaku) => boolean): void {
    this.#queue = this.#queue.filter(({ danmaku }) => !isGone(danmaku));
    // A page under way may have been read before: it is asked for anew.
    this.#generation += 1;
    this.#isReading = false;
  }

  /** What is due now, in order; call it often. Reads ahead by itself. */
  take(nowMs: number): Past[] {
    const momentMs = this.momentMs(nowMs);
    const lastMs = this.#queue.at(-1)?.receivedMs ?? Number.NEGATIVE_INFINITY;
    if (!this.#isReading && nowMs >= this.#readAgainMs && lastMs - momentMs < AHEAD_MS) {
      void this.#read(nowMs);
    }
    if (this.#isPaused) {
      return [];
    }
    const firstLater = this.#queue.findIndex(({ receivedMs }) => receivedMs > momentMs);
    return this.#queue.splice(0, firstLater < 0 ? this.#queue.length : firstLater);
  }

  async #read(nowMs: number): Promise<void> {
    const generation = this.#generation;
    this.#isReading = true;
    try {
      const { past, after } = await this.#pages(this.#next);
      if (generation === this.#generation) {
        this.#queue.push(...past);
        this.#next = after ? { after } : this.#next;
        this.#readAgainMs = past.length > 0 ? 0 : nowMs + LOOK_AGAIN_MS;
      }
    } catch (error) {
      if (generation === this.#generation) {
        this.#readAgainMs = nowMs + LOOK_AGAIN_MS;
        this.#failed(error);
      }
    } finally {
      if (generation === this.#generation) {
        this.#isReading = false;
      }
    }
  }
}
