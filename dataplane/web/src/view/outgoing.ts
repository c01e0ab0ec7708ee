// Own danmaku that are not delivered yet, below the chat, and what became of those that the server refused.

import { Reason } from '../protocol/generated/barrage/v2/barrage_pb';
import type { Pending, Refusal } from '../session/outbox';
import { byId, make } from './element';
import { languageOf } from './wording';

/** Lines shown; of more, their number is. */
const LINES_MAX = 20;

export class Outgoing {
  readonly #list = byId('chat-pending', HTMLOListElement);
  readonly #grown: () => void;
  #next: { readonly pending: readonly Pending[]; readonly isLive: boolean } | undefined;

  /** `grown` is told when there are lines to be seen. */
  constructor(grown: () => void) {
    this.#grown = grown;
  }

  /** Shows these with the next frame; `isLive` tells waiting for the server from waiting for a connection. */
  show(pending: readonly Pending[], isLive: boolean): void {
    const isIdle = pending.length === 0 && !this.#list.hasChildNodes();
    if (!this.#next && !isIdle) {
      requestAnimationFrame(() => this.#draw());
    }
    if (this.#next || !isIdle) {
      this.#next = { pending, isLive };
    }
  }

  #draw(): void {
    const { pending = [], isLive = false } = this.#next ?? {};
    this.#next = undefined;
    const lines = pending.slice(0, LINES_MAX).map((one) => line(one, isLive));
    if (pending.length > LINES_MAX) {
      lines.push(make('li', 'chat-divider', `and ${pending.length - LINES_MAX} more`));
    }
    this.#list.replaceChildren(...lines);
    if (lines.length > 0) {
      this.#grown();
    }
  }
}

/** What a refusal says to the user: what happened, and what to do. */
export function explain({ reason, message, retryAfterMs }: Refusal): string {
  const seconds = Math.max(1, Math.ceil(retryAfterMs / 1000));
  switch (reason) {
    case Reason.RATE_LIMITED:
      return `Too fast for this room. Your message goes out by itself in ${seconds} s.`;
    case Reason.RETRY:
      return `The server cannot keep messages right now. Yours goes out by itself in ${seconds} s.`;
    case Reason.BLOCKED:
      return 'Waiting for your earlier message to go out first.';
    case Reason.UNKNOWN_OUTCOME:
      return 'The connection was away too long to know whether this arrived. If you do not see it in the chat, send it again.';
    case Reason.CONTENT_TOO_LONG:
      return `Too long for this room. ${message}`;
    case Reason.SEND_NOT_ALLOWED:
      return `You may watch here, but not send. ${message}`;
    default:
      return message || 'The server did not take the message.';
  }
}

function line({ seq, content, state, held }: Pending, isLive: boolean): HTMLLIElement {
  const item = make('li', 'chat-line');
  item.dataset.seq = String(seq);
  const text = make('span', 'chat-text', content);
  text.dir = 'auto';
  text.lang = languageOf(content);
  item.append(make('span', 'chat-state', wordFor(state, held, isLive)), text);
  return item;
}

function wordFor(state: Pending['state'], held: Reason | undefined, isLive: boolean): string {
  if (state === 'kept') {
    return 'sent';
  }
  if (!isLive) {
    return 'waiting for connection';
  }
  if (state === 'inFlight') {
    return 'sending';
  }
  return held === Reason.RATE_LIMITED ? 'slowing down' : 'waiting';
}
