// One line of the chat: when, who, and what; who opens the menu.

import type { Danmaku } from '../danmaku';
import { words } from '../i18n/language';
import { make } from './element';
import { legible } from './legible';
import { badgeOf, clock, hueOf, languageOf, moment, times } from './wording';

export class Line {
  readonly danmaku: Danmaku;
  readonly item = make('li', 'chat-line');
  /** Opens the menu; all but one of the chat's are out of the way of Tab. */
  readonly user = make('button', 'chat-user');

  constructor(danmaku: Danmaku, isOwn: boolean) {
    this.danmaku = danmaku;
    const { item, user } = this;
    item.dataset.id = danmaku.id;
    item.toggleAttribute('data-own', isOwn);
    const time = make('time', 'chat-time', clock(danmaku.sentMs));
    time.title = moment(danmaku.sentMs);
    user.type = 'button';
    user.tabIndex = -1;
    user.textContent = String(danmaku.user);
    user.title = words().menuOf(String(danmaku.user));
    user.setAttribute('aria-haspopup', 'menu');
    user.style.setProperty('--hue', String(hueOf(danmaku.user)));
    item.append(time, user);
    const badge = badgeOf(danmaku.role);
    if (badge) {
      item.append(make('span', 'chat-badge', badge));
    }
    const text = make('span', 'chat-text', legible(danmaku.content));
    text.dir = 'auto';
    text.lang = languageOf(danmaku.content);
    item.append(text);
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
