// The send box: Enter sends, except while an input method is composing; a notice beneath says what went wrong.

import { byId } from './element';

/** What fits a frame for the server (16 KiB with its header and fields); the room's own limit is the server's to say. */
const CONTENT_BYTES_MAX = 15 * 1024;
/** An input method's own Enter arrives with this code in browsers that end the composition first. */
const KEY_CODE_COMPOSING = 229;

export class Composer {
  readonly #form = byId('composer', HTMLFormElement);
  readonly #input = byId('message', HTMLInputElement);
  readonly #button = byId('send', HTMLButtonElement);
  readonly #notice = byId('notice', HTMLElement);
  readonly #invitation = this.#input.placeholder;
  #noticeTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(send: (content: string) => void) {
    this.#input.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && (event.isComposing || event.keyCode === KEY_CODE_COMPOSING)) {
        event.preventDefault();
      }
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

  /** Opens or closes the box; `why` stands in a closed one. */
  allow(isAllowed: boolean, why: string): void {
    this.#input.disabled = !isAllowed;
    this.#button.disabled = !isAllowed;
    this.#input.placeholder = isAllowed ? this.#invitation : why;
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

  #submit(send: (content: string) => void): void {
    const content = this.#input.value.trim();
    if (content === '' || this.#input.disabled) {
      return;
    }
    const bytes = new TextEncoder().encode(content).length;
    if (bytes > CONTENT_BYTES_MAX) {
      this.tell(`Too long: ${bytes} bytes, and no message may have more than ${CONTENT_BYTES_MAX}.`);
      return;
    }
    this.#input.value = '';
    this.tell('');
    send(content);
  }
}
