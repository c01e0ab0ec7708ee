// The leaderboard: the best ten in sight, the best hundred by scrolling. Lines are kept and moved, not made anew.

import type { Ranked } from '../session/ranking';
import { byId, make } from './element';
import { nameButton } from './line';
import { count } from './wording';

interface Line {
  readonly item: HTMLLIElement;
  readonly rank: HTMLElement;
  readonly score: HTMLElement;
}

export class Leaderboard {
  readonly #list = byId('ranks', HTMLOListElement);
  readonly #empty = byId('ranks-empty', HTMLElement);
  readonly #lines = new Map<bigint, Line>();
  readonly #chosen: (user: bigint, opener: HTMLElement) => void;

  /** `chosen` is told whose name was pressed, and where. */
  constructor(chosen: (user: bigint, opener: HTMLElement) => void) {
    this.#chosen = chosen;
  }

  /** Shows these, best first; `self` is marked. */
  show(best: readonly Ranked[], self: bigint): void {
    const users = new Set(best.map(({ user }) => user));
    for (const [user, { item }] of this.#lines) {
      if (!users.has(user)) {
        item.remove();
        this.#lines.delete(user);
      }
    }
    best.forEach((ranked, i) => {
      const { item, rank, score } = this.#line(ranked.user);
      setText(rank, String(ranked.rank));
      setText(score, count(ranked.score));
      item.toggleAttribute('data-own', ranked.user === self);
      if (this.#list.children[i] !== item) {
        this.#list.insertBefore(item, this.#list.children[i] ?? null);
      }
    });
    this.#empty.hidden = best.length > 0;
  }

  #line(user: bigint): Line {
    const known = this.#lines.get(user);
    if (known) {
      return known;
    }
    const item = make('li', 'rank');
    item.dataset.user = String(user);
    const rank = make('span', 'rank-place');
    const name = nameButton(user);
    name.classList.add('rank-user');
    name.addEventListener('click', () => this.#chosen(user, name));
    const score = make('span', 'rank-score');
    item.append(rank, name, score);
    const line = { item, rank, score };
    this.#lines.set(user, line);
    return line;
  }
}

/** Writes only what changed: an unchanged write still costs a layout. */
function setText(element: HTMLElement, text: string): void {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}
