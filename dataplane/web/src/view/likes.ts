// The heart: counts at once, and lets hearts rise over the stage, also for the likes of others.

import { onLanguage } from '../i18n/language';
import { byId, make } from './element';
import { short } from './wording';

const RISE_MS = 1_600;
/** Hearts in the air at once, however many like the room. */
const HEARTS_MAX = 12;

export class LikeButton {
  readonly #button = byId('like', HTMLButtonElement);
  readonly #count = byId('likes', HTMLElement);
  readonly #sky = byId('hearts', HTMLElement);
  readonly #isCalm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  /** What the server counted, and what it has not counted yet. */
  #known: bigint | undefined;
  #own = 0;
  /** What was shown: likes on their way to the server's count must not seem to be taken back. */
  #shown = 0n;

  constructor(like: () => void) {
    this.#button.addEventListener('click', () => {
      like();
      this.#own += 1;
      this.#rise(1);
      this.#show();
    });
    onLanguage(() => this.#show());
  }

  /** Anonymous viewers watch only. */
  allow(isAllowed: boolean): void {
    this.#button.disabled = !isAllowed;
  }

  /** The server's count; `waiting` own likes are not in it. */
  show(likes: bigint, waiting: number): void {
    const others = this.#known === undefined ? 0 : Number(likes - this.#known) - (this.#own - waiting);
    this.#known = likes;
    this.#own = waiting;
    this.#rise(others);
    this.#show();
  }

  #show(): void {
    if (this.#known !== undefined) {
      const now = this.#known + BigInt(this.#own);
      this.#shown = now > this.#shown ? now : this.#shown;
      this.#count.textContent = short(this.#shown);
    }
  }

  #rise(hearts: number): void {
    const free = HEARTS_MAX - this.#sky.childElementCount;
    for (let i = 0; i < Math.min(hearts, free) && !document.hidden && !this.#isCalm; i++) {
      const heart = make('span', 'heart', '♥');
      heart.style.left = `${Math.random() * 80}%`;
      this.#sky.append(heart);
      const sway = (Math.random() - 0.5) * 40;
      heart.animate(
        [
          { transform: 'translate(0, 0) scale(0.6)', opacity: 0 },
          { transform: `translate(${sway}px, -60px) scale(1)`, opacity: 1, offset: 0.3 },
          { transform: `translate(${-sway}px, -180px) scale(1.1)`, opacity: 0 },
        ],
        { duration: RISE_MS, delay: i * 120, fill: 'both', easing: 'ease-out' },
      ).onfinish = () => heart.remove();
    }
  }
}
