// One line of the chat: when, who, and what; who opens the menu.

import type { Danmaku, Gift } from '../danmaku';
import { words } from '../i18n/language';
import { make } from './element';
import { legible } from './legible';
import { badgeOf, clock, count, hueOf, languageOf, moment, times } from './wording';

export class Line {
  readonly danmaku: Danmaku;
  readonly item = make('li', 'chat-line');
  /** Opens the menu; all but one of the chat's are out of the way of Tab. */
  readonly user: HTMLButtonElement;

  constructor(danmaku: Danmaku, isOwn: boolean) {
    this.danmaku = danmaku;
    this.user = nameButton(danmaku.user);
    this.user.tabIndex = -1;
    const { item } = this;
    item.dataset.id = danmaku.id;
    item.toggleAttribute('data-own', isOwn);
    const time = make('time', 'chat-time', clock(danmaku.sentMs));
    time.title = moment(danmaku.sentMs);
    item.append(time, this.user);
    const badge = badgeOf(danmaku.role);
    if (badge) {
      item.append(make('span', 'chat-badge', badge));
    }
    if (danmaku.reply) {
      item.append(make('span', 'chat-reply', words().replyTo(String(danmaku.reply.user))));
    }
    if (danmaku.gift) {
      item.dataset.tier = tierOf(danmaku.gift);
      item.append(make('b', 'chat-value', valueOf(danmaku.gift)));
    }
    item.append(textOf(danmaku.content));
  }

  /** It stands for `total` of its kind. */
  merge(total: number): void {
    let counter = this.item.querySelector('.chat-count');
    if (!counter) {
      counter = make('b', 'chat-count');
      this.item.append(counter);
    }
    counter.textContent = times(total);
  }
}

/** A user's name that opens the menu of what to do about them. */
export function nameButton(user: bigint): HTMLButtonElement {
  const button = make('button', 'chat-user', String(user));
  button.type = 'button';
  button.title = words().menuOf(String(user));
  button.setAttribute('aria-haspopup', 'menu');
  button.style.setProperty('--hue', String(hueOf(user)));
  return button;
}

/** What somebody wrote, set by its own direction and language. */
export function textOf(content: string): HTMLSpanElement {
  const text = make('span', 'chat-text', legible(content));
  text.dir = 'auto';
  text.lang = languageOf(content);
  return text;
}

/** A gift in a word: "Rocket ×3 · 600", or only what a super chat is worth. */
export function valueOf({ name, count: pieces, value }: Gift): string {
  const what = pieces > 1 ? `${legible(name)} ×${count(pieces)}` : legible(name);
  return name === '' ? count(value) : `${what} · ${count(value)}`;
}

/** Gifts are drawn by what they are worth, in steps of ten times. */
export function tierOf({ value }: Gift): string {
  return String(Math.min(4, String(value).length));
}
