// The send box: Enter sends, except while an input method is composing; a notice beneath says what went wrong.

import type { Danmaku, Reply } from '../danmaku';
import { onLanguage, words } from '../i18n/language';
import { byId } from './element';
import { legible } from './legible';
import { count } from './wording';

/** What fits a frame for the server (16 KiB with its header and fields); the room's own limit is the server's to say. */
const CONTENT_BYTES_MAX = 15 * 1024;
/** An input method's own Enter arrives with this code in browsers that end the composition first. */
const KEY_CODE_COMPOSING = 229;

export class Composer {
  readonly #form = byId('composer', HTMLFormElement);
  readonly #input = byId('message', HTMLInputElement);
  readonly #button = byId('send', HTMLButtonElement);
  readonly #notice = byId('notice', HTMLElement);
  readonly #reply = byId('reply', HTMLElement);
  #answers: Danmaku | undefined;
  #closed: (() => string) | undefined;
  #noticeTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(send: (content: string, reply: Reply | undefined) => void) {
    this.#input.addEventListener('keydown', (event) => this.#pressed(event));
    onLanguage(() => this.#show());
    byId('reply-cancel', HTMLButtonElement).addEventListener('click', () => {
      this.answer(undefined);
      this.#input.focus();
    });
    byId('skip', HTMLAnchorElement).addEventListener('click', (event) => {
      // The fragment of the URL is the token's place: a skip link must not write there.
      event.preventDefault();
      this.#input.focus();
    });
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit(send);
    });
  }

  /** Opens the box, or closes it; why stands in a closed one. */
  allow(closed: (() => string) | undefined): void {
    this.#closed = closed;
    this.#show();
  }

  /** The next message answers this danmaku; undefined: none. */
  answer(danmaku: Danmaku | undefined): void {
    this.#answers = danmaku;
    this.#show();
    if (danmaku) {
      this.#input.focus();
    }
  }

  /** What is answered is gone, if this says so of it. */
  forget(isGone: (danmaku: Danmaku) => boolean): void {
    if (this.#answers && isGone(this.#answers)) {
      this.answer(undefined);
    }
  }

  /** Says something about sending; for `ms`, or until the next message. */
  tell(text: string, ms?: number): void {
    this.#notice.textContent = text;
    clearTimeout(this.#noticeTimer);
    if (ms !== undefined) {
      this.#noticeTimer = setTimeout(() => this.tell(''), ms);
    }
  }

  /** Gives a text back that was not taken, unless another one is being written. */
  giveBack(content: string): void {
    if (this.#input.value === '') {
      this.#input.value = content;
    }
  }

  #show(): void {
    this.#input.disabled = this.#closed !== undefined;
    this.#button.disabled = this.#closed !== undefined;
    this.#input.placeholder = this.#closed?.() ?? words().invitation;
    this.#reply.hidden = this.#answers === undefined;
    if (this.#answers) {
      byId('reply-user', HTMLElement).textContent = words().replyTo(String(this.#answers.user));
      byId('reply-text', HTMLElement).textContent = legible(this.#answers.content);
    }
  }

  #pressed(event: KeyboardEvent): void {
    const isComposing = event.isComposing || event.keyCode === KEY_CODE_COMPOSING;
    if (event.key === 'Enter' && isComposing) {
      event.preventDefault();
    } else if (event.key === 'Escape' && !isComposing) {
      this.answer(undefined);
    }
  }

  #submit(send: (content: string, reply: Reply | undefined) => void): void {
    const content = this.#input.value.trim();
    if (content === '' || this.#input.disabled) {
      return;
    }
    const bytes = new TextEncoder().encode(content).length;
    if (bytes > CONTENT_BYTES_MAX) {
      this.tell(words().tooManyBytes(count(bytes), count(CONTENT_BYTES_MAX)));
      return;
    }
    const reply = this.#answers && { to: this.#answers.id, user: this.#answers.user };
    this.#input.value = '';
    this.answer(undefined);
    this.tell('');
    send(content, reply);
  }
}
