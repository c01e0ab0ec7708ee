// The chat: every danmaku as a line, newest at the bottom, with what is not delivered yet below. Holds the newest lines
// only, and touches the page at most once a frame, whatever the room does.

import type { Danmaku } from '../danmaku';
import { byId, make } from './element';
import { badgeOf, clock, count, hueOf, languageOf, moment, times } from './wording';

/** Lines kept: half a page of the HTTP history, so that one request fills any gap that the chat can show. */
export const CHAT_LINES_MAX = 500;
/** Nearer to the bottom than this, the reader follows what is new. */
const FOLLOW_PX = 48;
/** A hidden page draws no frames; it keeps its chat in order by this beat. */
const HIDDEN_FLUSH_MS = 1_000;

export class Chat {
  readonly #scroll = byId('chat-scroll', HTMLElement);
  readonly #list = byId('chat-lines', HTMLOListElement);
  readonly #newer = byId('chat-newer', HTMLButtonElement);
  readonly #lines = new Map<string, HTMLLIElement>();
  #queue: HTMLLIElement[] = [];
  #isScheduled = false;
  #isFollowing = true;
  #unread = 0;

  constructor() {
    this.#scroll.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    this.#newer.addEventListener('click', () => this.follow());
    new ResizeObserver(() => this.#keepAtBottom()).observe(this.#scroll);
  }

  /** Adds lines at the end. */
  add(danmaku: readonly Danmaku[], self: bigint): void {
    this.#queue.push(...danmaku.map((one) => this.#line(one, one.user === self && self !== 0n)));
    if (this.#queue.length < CHAT_LINES_MAX) {
      this.#schedule();
    } else {
      this.#flush();
    }
  }

  /** Adds a line that is nobody's message. */
  addDivider(text: string): void {
    this.#queue.push(make('li', 'chat-divider', text));
    this.#schedule();
  }

  /** Puts lines where they belong in time: before that of `id`. */
  insertBefore(id: string, danmaku: readonly Danmaku[], self: bigint): void {
    this.#flush();
    const anchor = this.#lines.get(id) ?? null;
    for (const one of danmaku) {
      this.#list.insertBefore(this.#line(one, one.user === self && self !== 0n), anchor);
    }
    this.#trim();
    this.#keepAtBottom();
  }

  /** A line stands for `total` of its kind. */
  merge(id: string, total: number): void {
    const line = this.#lines.get(id);
    if (!line) {
      return;
    }
    let counter = line.querySelector('.chat-count');
    if (!counter) {
      counter = make('b', 'chat-count');
      line.append(counter);
    }
    counter.textContent = times(total);
  }

  /** Goes to the newest line and stays with it. */
  follow(): void {
    this.#isFollowing = true;
    this.#keepAtBottom();
    this.#showUnread(0);
  }

  /** Stays at the bottom after something below the lines changed. */
  settle(): void {
    this.#keepAtBottom();
  }

  #schedule(): void {
    if (this.#isScheduled) {
      return;
    }
    this.#isScheduled = true;
    const flush = () => this.#flush();
    if (document.hidden) {
      setTimeout(flush, HIDDEN_FLUSH_MS);
    } else {
      requestAnimationFrame(flush);
    }
  }

  #flush(): void {
    this.#isScheduled = false;
    const fresh = this.#queue;
    this.#queue = [];
    this.#list.append(...fresh);
    this.#trim();
    if (this.#isFollowing) {
      this.#keepAtBottom();
    } else {
      this.#showUnread(this.#unread + fresh.length);
    }
  }

  /** Drops the oldest lines, without moving what a reader of old lines has before their eyes. */
  #trim(): void {
    const tooMany = this.#list.children.length - CHAT_LINES_MAX;
    for (let i = 0; i < tooMany; i++) {
      const oldest = this.#list.firstElementChild;
      if (oldest instanceof HTMLLIElement && oldest.dataset.id) {
        this.#lines.delete(oldest.dataset.id);
      }
      oldest?.remove();
    }
  }

  #line(danmaku: Danmaku, isOwn: boolean): HTMLLIElement {
    const line = make('li', 'chat-line');
    line.dataset.id = danmaku.id;
    line.toggleAttribute('data-own', isOwn);
    const time = make('time', 'chat-time', clock(danmaku.sentMs));
    time.title = moment(danmaku.sentMs);
    const user = make('span', 'chat-user', String(danmaku.user));
    user.style.setProperty('--hue', String(hueOf(danmaku.user)));
    line.append(time, user);
    const badge = badgeOf(danmaku.role);
    if (badge) {
      line.append(make('span', 'chat-badge', badge));
    }
    const text = make('span', 'chat-text', danmaku.content);
    text.dir = 'auto';
    text.lang = languageOf(danmaku.content);
    line.append(text);
    this.#lines.set(danmaku.id, line);
    return line;
  }

  #scrolled(): void {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroll;
    this.#isFollowing = scrollHeight - scrollTop - clientHeight < FOLLOW_PX;
    if (this.#isFollowing) {
      this.#showUnread(0);
    }
  }

  #keepAtBottom(): void {
    if (this.#isFollowing) {
      this.#scroll.scrollTop = this.#scroll.scrollHeight;
    }
  }

  #showUnread(unread: number): void {
    this.#unread = unread;
    this.#newer.hidden = unread === 0;
    this.#newer.textContent = `${count(unread)} new ↓`;
  }
}
