// The chat: every danmaku as a line, newest at the bottom, with what is not delivered yet below. Holds the newest lines
// only, and touches the page at most once a frame, whatever the room does.

import type { Danmaku } from '../danmaku';
import { onLanguage, words } from '../i18n/language';
import { byId, make } from './element';
import { Line } from './line';
import { count } from './wording';

/** Lines kept: half a page of the HTTP history, so that one request fills any gap that the chat can show. */
export const CHAT_LINES_MAX = 500;
/** Nearer to the bottom than this, the reader follows what is new. */
const FOLLOW_PX = 48;
/** A hidden page draws no frames; it keeps its chat in order by this beat. */
const HIDDEN_FLUSH_MS = 1_000;

export class Chat {
  readonly #panel: HTMLElement;
  readonly #scroll: HTMLElement;
  readonly #list: HTMLOListElement;
  readonly #newer: HTMLButtonElement;
  readonly #lines = new Map<string, Line>();
  readonly #chosen: (danmaku: Danmaku, opener: HTMLElement) => void;
  #queue: HTMLLIElement[] = [];
  #isScheduled = false;
  #isFollowing = true;
  #unread = 0;
  /** The one user name that Tab stops at. */
  #stop: HTMLElement | undefined;

  /** The chat of now, or that of the replay; `chosen` is told whose name was pressed, and where. */
  constructor(which: 'chat' | 'replay', chosen: (danmaku: Danmaku, opener: HTMLElement) => void) {
    this.#panel = byId(`${which}-panel`, HTMLElement);
    this.#scroll = byId(`${which}-scroll`, HTMLElement);
    this.#list = byId(`${which}-lines`, HTMLOListElement);
    this.#newer = byId(`${which}-newer`, HTMLButtonElement);
    this.#chosen = chosen;
    this.#scroll.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    this.#list.addEventListener('keydown', (event) => this.#move(event));
    this.#list.addEventListener('click', (event) => this.#clicked(event));
    this.#newer.addEventListener('click', () => this.follow());
    new ResizeObserver(() => this.#keepAtBottom()).observe(this.#scroll);
    onLanguage(() => this.#showUnread(this.#unread));
  }

  /** Adds lines at the end. */
  add(danmaku: readonly Danmaku[], self: bigint): void {
    this.#queue.push(...danmaku.map((one) => this.#line(one, self)));
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
    const anchor = this.#lines.get(id)?.item ?? null;
    for (const one of danmaku) {
      this.#list.insertBefore(this.#line(one, self), anchor);
    }
    this.#trim();
    this.#keepAtBottom();
  }

  /** A line stands for `total` of its kind. */
  merge(id: string, total: number): void {
    this.#lines.get(id)?.merge(total);
  }

  /** Takes away, at once, what `isGone` says so of. */
  remove(isGone: (danmaku: Danmaku) => boolean): void {
    for (const [id, { danmaku, item }] of this.#lines) {
      if (isGone(danmaku)) {
        this.#lines.delete(id);
        this.#queue = this.#queue.filter((queued) => queued !== item);
        item.remove();
      }
    }
    this.#stopAtNewest();
  }

  /** Shows or hides the chat as a whole. */
  reveal(isShown: boolean): void {
    this.#panel.hidden = !isShown;
    this.#keepAtBottom();
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
    this.#stopAtNewest();
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

  #line(danmaku: Danmaku, self: bigint): HTMLLIElement {
    const line = new Line(danmaku, danmaku.user === self && self !== 0n);
    this.#lines.set(danmaku.id, line);
    return line.item;
  }

  #clicked({ target }: Event): void {
    const opener = target instanceof Element ? target.closest<HTMLElement>('.chat-user') : null;
    const line = this.#lines.get(opener?.closest<HTMLElement>('.chat-line')?.dataset.id ?? '');
    if (opener && line) {
      this.#chosen(line.danmaku, opener);
    }
  }

  /** Arrows go from line to line; Tab leaves the chat. */
  #move(event: KeyboardEvent): void {
    const names = [...this.#list.querySelectorAll<HTMLElement>('.chat-user')];
    const now = names.findIndex((name) => name === document.activeElement);
    const next = { ArrowDown: now + 1, ArrowUp: now - 1, Home: 0, End: names.length - 1 }[event.key];
    const name = next === undefined ? undefined : names[next];
    if (now >= 0 && name) {
      event.preventDefault();
      this.#stopAt(name);
      name.focus();
    }
  }

  #stopAtNewest(): void {
    if (!this.#stop?.isConnected || document.activeElement !== this.#stop) {
      this.#stopAt([...this.#lines.values()].at(-1)?.user);
    }
  }

  #stopAt(name: HTMLElement | undefined): void {
    if (this.#stop) {
      this.#stop.tabIndex = -1;
    }
    this.#stop = name;
    if (name) {
      name.tabIndex = 0;
    }
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
    this.#newer.textContent = words().newLines(count(unread));
  }
}
