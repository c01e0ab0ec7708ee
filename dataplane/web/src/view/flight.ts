// One danmaku over the stage: its element and its way across, which the browser's compositor moves by itself.

import { type Danmaku, type Mode, Role } from '../danmaku';
import { make } from './element';
import { hexOf, languageOf, times } from './wording';

/** Where a flight goes and how long it takes. */
export interface Course {
  readonly mode: Mode;
  readonly topPx: number;
  readonly widthPx: number;
  readonly stagePx: number;
  /** By `performance.now()`, which is the clock of lanes and of animations, too. */
  readonly startMs: number;
  readonly durationMs: number;
}

/** How long one that stands takes to appear and to go, as a part of its time. */
const FADE = 0.06;

export class Flight {
  readonly danmaku: Danmaku;
  readonly element = make('span', 'flying');
  readonly #counter = make('b', 'flying-count');
  #animation: Animation | undefined;

  constructor(danmaku: Danmaku, text: string, isOwn: boolean, total: number) {
    this.danmaku = danmaku;
    const { element } = this;
    element.append(text, this.#counter);
    element.dir = 'auto';
    element.lang = languageOf(text);
    element.dataset.id = danmaku.id;
    element.dataset.size = danmaku.style.size;
    element.toggleAttribute('data-gift', danmaku.gift !== undefined);
    if (danmaku.style.colour !== 0) {
      element.style.color = hexOf(danmaku.style.colour);
    }
    element.dataset.role = Role[danmaku.role].toLowerCase();
    element.toggleAttribute('data-own', isOwn);
    this.merge(total);
  }

  /** It stands for `total` of its kind. */
  merge(total: number): void {
    this.#counter.textContent = total > 1 ? times(total) : '';
  }

  /** Begins; `landed` is told when it has left the stage. */
  start(stage: HTMLElement, course: Course, landed: () => void): void {
    this.element.dataset.mode = course.mode;
    this.element.style.top = `${course.topPx}px`;
    stage.append(this.element);
    this.#animation = this.element.animate(keyframes(course), {
      duration: course.durationMs,
      easing: 'linear',
      fill: 'both',
    });
    // Not with the next frame, which may be late: lanes are reckoned from this moment.
    this.#animation.startTime = course.startMs;
    this.#animation.onfinish = () => {
      this.element.remove();
      landed();
    };
  }

  pause(nowMs: number): void {
    const animation = this.#animation;
    if (animation) {
      const flownMs = nowMs - Number(animation.startTime ?? nowMs);
      animation.pause();
      animation.currentTime = flownMs;
    }
  }

  resume(nowMs: number): void {
    const animation = this.#animation;
    if (animation) {
      animation.startTime = nowMs - Number(animation.currentTime ?? 0);
    }
  }

  /** Takes it off the stage at once. */
  remove(): void {
    this.#animation?.cancel();
    this.element.remove();
  }
}

function keyframes({ mode, widthPx, stagePx }: Course): Keyframe[] {
  const right = { transform: `translateX(${stagePx}px)` };
  const left = { transform: `translateX(${-widthPx}px)` };
  switch (mode) {
    case 'scroll':
      return [right, left];
    case 'reverse':
      return [left, right];
    default:
      return [{ opacity: 0 }, { opacity: 1, offset: FADE }, { opacity: 1, offset: 1 - FADE }, { opacity: 0 }];
  }
}
