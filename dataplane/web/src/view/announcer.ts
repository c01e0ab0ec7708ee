// Chat for screen readers: politely, and never more than a listener can follow.

import type { Danmaku } from '../danmaku';
import { byId } from './element';

/** One announcement in this time, whatever the room does. */
const PERIOD_MS = 4_000;

export class Announcer {
  readonly #region = byId('announcer', HTMLElement);
  #newest: Danmaku | undefined;
  #waiting = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** A danmaku of somebody else came in. */
  hear(danmaku: Danmaku): void {
    this.#newest = danmaku;
    this.#waiting += 1;
    this.#timer ??= setTimeout(() => this.#speak(), PERIOD_MS);
  }

  #speak(): void {
    const { content = '' } = this.#newest ?? {};
    this.#region.textContent =
      this.#waiting === 1 ? content : `${this.#waiting} new messages, the latest: ${content}`;
    this.#waiting = 0;
    this.#timer = undefined;
  }
}
