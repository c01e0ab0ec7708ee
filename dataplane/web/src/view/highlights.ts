// What stays above the chat: the pinned message, and super chats as long as they last.

import type { Danmaku } from '../danmaku';
import { onLanguage, words } from '../i18n/language';
import type { Highlights, Pin } from '../session/highlights';
import { byId, make } from './element';
import { textOf, tierOf, valueOf } from './line';
import { hueOf } from './wording';

const BEAT_MS = 500;

export class HighlightBar {
  readonly #pin = byId('pin', HTMLElement);
  readonly #pinText = byId('pin-text', HTMLElement);
  readonly #list = byId('super-chats', HTMLUListElement);
  readonly #chosen: (danmaku: Danmaku, opener: HTMLElement) => void;
  #known: Highlights = { pin: undefined, superChats: [] };
  #hides: (danmaku: Danmaku) => boolean = () => false;

  /** `chosen` is told which super chat was pressed, and where. */
  constructor(chosen: (danmaku: Danmaku, opener: HTMLElement) => void) {
    this.#chosen = chosen;
    setInterval(() => this.#dropOver(), BEAT_MS);
    onLanguage(() => this.show(this.#known));
  }

  /** Leaves out super chats that this says so of, now and later. */
  hide(hides: (danmaku: Danmaku) => boolean): void {
    this.#hides = hides;
    this.show(this.#known);
  }

  /** Shows these and nothing else. */
  show(highlights: Highlights): void {
    this.#known = highlights;
    this.#showPin(highlights.pin);
    const kept = new Map(
      [...this.#list.querySelectorAll('li')].map((item) => [item.dataset.id, item] as const),
    );
    const items = highlights.superChats
      .filter(({ danmaku }) => !this.#hides(danmaku))
      .map(({ danmaku, untilMs }) => kept.get(danmaku.id) ?? this.#item(danmaku, untilMs));
    this.#list.replaceChildren(...items.reverse());
    this.#list.hidden = items.length === 0;
    this.#dropOver();
  }

  /** Takes away, at once, what `isGone` says so of. */
  remove(isGone: (danmaku: Pick<Danmaku, 'id' | 'user'>) => boolean): void {
    const { pin, superChats } = this.#known;
    const isPinGone = pin?.id !== undefined && isGone({ id: pin.id, user: pin.user });
    this.show({
      pin: isPinGone ? undefined : pin,
      superChats: superChats.filter(({ danmaku }) => !isGone(danmaku)),
    });
  }

  #showPin(pin: Pin | undefined): void {
    this.#pin.hidden = pin === undefined;
    if (pin) {
      const user = make('span', 'pin-user', String(pin.user));
      user.style.setProperty('--hue', String(hueOf(pin.user)));
      this.#pinText.replaceChildren(user, textOf(pin.content));
    }
  }

  #item(danmaku: Danmaku, untilMs: number): HTMLLIElement {
    const item = make('li', 'super-chat');
    item.dataset.id = danmaku.id;
    item.dataset.until = String(untilMs);
    const { gift } = danmaku;
    const button = make('button', 'super-chat-card');
    button.type = 'button';
    button.title = words().menuOf(String(danmaku.user));
    if (gift) {
      item.dataset.tier = tierOf(gift);
      button.append(make('b', 'super-chat-value', valueOf(gift)));
    }
    button.append(make('span', 'super-chat-user', String(danmaku.user)), textOf(danmaku.content));
    button.addEventListener('click', () => this.#chosen(danmaku, button));
    const left = make('span', 'super-chat-left');
    left.animate([{ transform: 'scaleX(1)' }, { transform: 'scaleX(0)' }], {
      duration: Math.max(1, untilMs - Date.now()),
      fill: 'both',
    });
    item.append(button, left);
    return item;
  }

  #dropOver(): void {
    const nowMs = Date.now();
    const { pin, superChats } = this.#known;
    if (superChats.some(({ untilMs }) => untilMs <= nowMs)) {
      this.show({ pin, superChats: superChats.filter(({ untilMs }) => untilMs > nowMs) });
    }
  }
}
