// What a viewer does not want to read: their own words and users. Nobody else's screen is changed by it.

import type { Danmaku } from '../danmaku';
import type { Settings } from './settings';

/** Letters that look or read alike become one: full width, compatibility forms, case, accents, and nothing between letters. */
export function plain(text: string): string {
  return text
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[\p{Cf}\p{M}\s]+/gu, '');
}

export class Blocks {
  readonly #words: readonly string[];
  readonly #users: ReadonlySet<string>;

  constructor({ keywords, hiddenUsers }: Pick<Settings, 'keywords' | 'hiddenUsers'>) {
    this.#words = keywords.map(plain).filter((word) => word !== '');
    this.#users = new Set(hiddenUsers);
  }

  /** Whether this viewer does not want to see it. */
  hides({ user, content }: Pick<Danmaku, 'user' | 'content'>): boolean {
    if (this.#users.has(String(user))) {
      return true;
    }
    if (this.#words.length === 0) {
      return false;
    }
    const text = plain(content);
    return this.#words.some((word) => text.includes(word));
  }
}
