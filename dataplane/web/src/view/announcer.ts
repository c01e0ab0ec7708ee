// Chat for screen readers: politely, and never more than a listener can follow.

import type { Danmaku } from '../danmaku';
import { words } from '../i18n/language';
import { byId } from './element';
import { legible } from './legible';
import { count } from './wording';

/** One announcement in this time, whatever the room does. */
const PERIOD_MS = 4_000;
/** What can be read aloud in about that time. */
const CHARS_MAX = 120;

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
    const latest = legible(this.#newest?.content ?? '').slice(0, CHARS_MAX);
    this.#region.textContent =
      this.#waiting === 1 ? latest : words().announceMany(count(this.#waiting), latest);
    this.#waiting = 0;
    this.#timer = undefined;
  }
}
