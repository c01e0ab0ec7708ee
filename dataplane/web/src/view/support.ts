// Gifts and super chats as a list, for the streamer to thank by: the newest first.

import type { Danmaku } from '../danmaku';
import { byId, make } from './element';
import { nameButton, textOf, tierOf, valueOf } from './line';

/** More than a streamer can scroll through while talking. */
const CARDS_MAX = 50;

export class Support {
  readonly #list = byId('support-list', HTMLOListElement);
  readonly #empty = byId('support-empty', HTMLElement);
  readonly #chosen: (danmaku: Danmaku, opener: HTMLElement) => void;
  readonly #cards = new Map<string, { readonly danmaku: Danmaku; readonly card: HTMLLIElement }>();

  /** `chosen` is told whose name was pressed, and where. */
  constructor(chosen: (danmaku: Danmaku, opener: HTMLElement) => void) {
    this.#chosen = chosen;
  }

  /** Takes what is a gift among these. */
  add(danmaku: readonly Danmaku[]): void {
    for (const one of danmaku) {
      if (one.gift && !this.#cards.has(one.id)) {
        const card = this.#card(one);
        this.#cards.set(one.id, { danmaku: one, card });
        this.#list.prepend(card);
      }
    }
    for (const [id, { card }] of this.#cards) {
      if (this.#cards.size <= CARDS_MAX) {
        break;
      }
      this.#cards.delete(id);
      card.remove();
    }
    this.#empty.hidden = this.#cards.size > 0;
  }

  /** Takes away, at once, what `isGone` says so of. */
  remove(isGone: (danmaku: Danmaku) => boolean): void {
    for (const [id, { danmaku, card }] of this.#cards) {
      if (isGone(danmaku)) {
        this.#cards.delete(id);
        card.remove();
      }
    }
    this.#empty.hidden = this.#cards.size > 0;
  }

  #card(danmaku: Danmaku): HTMLLIElement {
    const card = make('li', 'support-card');
    card.dataset.id = danmaku.id;
    const user = nameButton(danmaku.user);
    user.addEventListener('click', () => this.#chosen(danmaku, user));
    if (danmaku.gift) {
      card.dataset.tier = tierOf(danmaku.gift);
      card.append(make('b', 'support-value', valueOf(danmaku.gift)));
    }
    card.append(user, textOf(danmaku.content));
    return card;
  }
}
