// The send box: Enter sends, except while an input method is composing; a notice beneath says what went wrong.

import { onLanguage, words } from '../i18n/language';
import { byId } from './element';
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
  #closed: (() => string) | undefined;
  #noticeTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(send: (content: string) => void) {
    this.#input.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && (event.isComposing || event.keyCode === KEY_CODE_COMPOSING)) {
        event.preventDefault();
      }
    });
    onLanguage(() => this.#showOpenness());
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

  /** Opens the box. */
  open(): void {
    this.#closed = undefined;
    this.#showOpenness();
  }

  /** Closes the box; `why` stands in it. */
  close(why: () => string): void {
    this.#closed = why;
    this.#showOpenness();
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

  #showOpenness(): void {
    this.#input.disabled = this.#closed !== undefined;
    this.#button.disabled = this.#closed !== undefined;
    this.#input.placeholder = this.#closed?.() ?? words().invitation;
  }

  #submit(send: (content: string) => void): void {
    const content = this.#input.value.trim();
    if (content === '' || this.#input.disabled) {
      return;
    }
    const bytes = new TextEncoder().encode(content).length;
    if (bytes > CONTENT_BYTES_MAX) {
      this.tell(words().tooManyBytes(count(bytes), count(CONTENT_BYTES_MAX)));
      return;
    }
    this.#input.value = '';
    this.tell('');
    send(content);
  }
}
