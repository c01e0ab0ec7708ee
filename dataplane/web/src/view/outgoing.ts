// Own danmaku that are not delivered yet, below the chat, and what became of those that the server refused.

import { words } from '../i18n/language';
import { Reason } from '../protocol/generated/barrage/v2/barrage_pb';
import type { Pending, Refusal } from '../session/outbox';
import { byId, make } from './element';
import { textOf } from './line';
import { count } from './wording';

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
      lines.push(make('li', 'chat-divider', words().andMore(count(pending.length - LINES_MAX))));
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
      return words().rateLimited(seconds);
    case Reason.RETRY:
      return words().cannotKeep(seconds);
    case Reason.BLOCKED:
      return words().blocked;
    case Reason.UNKNOWN_OUTCOME:
      return words().unknownOutcome;
    case Reason.CONTENT_TOO_LONG:
      return words().tooLong(message);
    case Reason.SLOW_MODE:
      return words().slowMode(seconds);
    case Reason.MUTED:
      return retryAfterMs > 0 ? words().mutedFor(seconds) : words().mutedForEver;
    case Reason.BLOCKED_WORD:
      return words().blockedWord;
    case Reason.MODERATORS_ONLY:
      return words().moderatorsOnlyNow;
    case Reason.UNKNOWN_REPLY:
      return words().unknownReply;
    case Reason.REJECTED:
      return retryAfterMs > 0 ? words().notJudged : words().rejected;
    case Reason.CONTENT_UNREADABLE:
      return words().unreadable;
    case Reason.SEND_NOT_ALLOWED:
      return words().mayNotSend(message);
    default:
      return message || words().notTaken;
  }
}

function line({ seq, content, state, held }: Pending, isLive: boolean): HTMLLIElement {
  const item = make('li', 'chat-line');
  item.dataset.seq = String(seq);
  item.append(make('span', 'chat-state', wordFor(state, held, isLive)), textOf(content));
  return item;
}

function wordFor(state: Pending['state'], held: Reason | undefined, isLive: boolean): string {
  if (state === 'kept') {
    return words().sent;
  }
  if (!isLive) {
    return words().waitingForConnection;
  }
  if (state === 'inFlight') {
    return words().sending;
  }
  return held === Reason.RATE_LIMITED || held === Reason.SLOW_MODE ? words().slowingDown : words().waiting;
}
