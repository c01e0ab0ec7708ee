// The timeline under the stage: how hot the room was, where one is, and the way to any other moment.

import { onLanguage, words } from '../i18n/language';
import type { HeatPoint } from '../session/api';
import { heightsOf } from './curve';
import { byId } from './element';
import { clockSeconds, moment } from './wording';

/** What one can do on it; moments are Unix ms. */
export interface TimelineActions {
  seek(momentMs: number): void;
  /** Back to now. */
  goLive(): void;
  /** Pauses or goes on. */
  toggle(): void;
}

/** What it shows at least, so that a room's first minute has some length. */
const SPAN_MS_MIN = 60_000;
/** Nearer to the end than this is now. */
const LIVE_MS = 1_500;
/** How far a key goes, as in players of video; the slider's own step is a millisecond. */
const KEY_STEPS_MS: Readonly<Record<string, number>> = {
  ArrowLeft: -5_000,
  ArrowDown: -5_000,
  ArrowRight: 5_000,
  ArrowUp: 5_000,
  PageDown: -60_000,
  PageUp: 60_000,
};
const BEAT_MS = 500;
/** The curve is drawn in so many steps. */
const STEPS = 240;
const HEIGHT = 40;

export class Timeline {
  readonly #root = byId('timeline', HTMLElement);
  readonly #slider = byId('seek', HTMLInputElement);
  readonly #curve = byId('heat-curve', SVGPathElement);
  readonly #time = byId('timeline-time', HTMLElement);
  readonly #toggle = byId('replay-toggle', HTMLButtonElement);
  readonly #live = byId('go-live', HTMLButtonElement);
  readonly #badge = byId('replay-badge', HTMLElement);
  #startMs = Date.now() - SPAN_MS_MIN;
  #points: readonly HeatPoint[] = [];
  #stepMs = 1;
  #momentMs: number | undefined;
  #isPaused = false;
  #isDragging = false;

  constructor(actions: TimelineActions) {
    this.#slider.addEventListener('input', () => {
      this.#isDragging = true;
      this.#show(Number(this.#slider.value));
    });
    const go = (momentMs: number) => {
      this.#isDragging = false;
      if (Date.now() - momentMs < LIVE_MS) {
        actions.goLive();
      } else {
        actions.seek(Math.max(this.#startMs, momentMs));
      }
    };
    this.#slider.addEventListener('change', () => go(Number(this.#slider.value)));
    this.#slider.addEventListener('keydown', (event) => {
      const stepMs = KEY_STEPS_MS[event.key];
      if (stepMs !== undefined) {
        event.preventDefault();
        go((this.#momentMs ?? Date.now()) + stepMs);
      }
    });
    this.#toggle.addEventListener('click', () => actions.toggle());
    this.#live.addEventListener('click', () => actions.goLive());
    setInterval(() => this.#beat(), BEAT_MS);
    onLanguage(() => this.#beat());
  }

  /** Shows how the room went; `startMs` is the oldest moment that can be played. */
  showHeat(stepMs: number, points: readonly HeatPoint[]): void {
    this.#points = points;
    this.#stepMs = stepMs;
    this.#startMs = Math.min(points[0]?.atMs ?? Number.POSITIVE_INFINITY, Date.now() - SPAN_MS_MIN);
    this.#draw();
    this.show();
  }

  /** Lets the past be played; before the room is there, there is none. */
  show(): void {
    this.#root.hidden = false;
    this.#beat();
  }

  /** Where one is: a moment of the past, or undefined for now. */
  showMoment(momentMs: number | undefined, isPaused: boolean): void {
    this.#momentMs = momentMs;
    this.#isPaused = isPaused;
    this.#beat();
  }

  #beat(): void {
    const nowMs = Date.now();
    this.#slider.min = String(this.#startMs);
    this.#slider.max = String(nowMs);
    const isLive = this.#momentMs === undefined;
    this.#live.setAttribute('aria-pressed', String(isLive));
    this.#toggle.hidden = isLive;
    this.#toggle.dataset.playing = String(!this.#isPaused);
    this.#toggle.setAttribute('aria-label', this.#isPaused ? words().play : words().pause);
    this.#badge.hidden = isLive;
    if (!this.#isDragging) {
      this.#slider.value = String(this.#momentMs ?? nowMs);
      this.#show(this.#momentMs ?? nowMs);
    }
  }

  #show(momentMs: number): void {
    const text = clockSeconds(momentMs);
    this.#time.textContent = text;
    this.#slider.setAttribute('aria-valuetext', moment(momentMs));
    const share = (momentMs - this.#startMs) / Math.max(1, Date.now() - this.#startMs);
    this.#root.style.setProperty('--played', `${Math.max(0, Math.min(1, share)) * 100}%`);
    if (this.#momentMs !== undefined) {
      this.#badge.textContent = words().replayOf(clockSeconds(this.#momentMs));
    }
  }

  /** An area from the oldest moment to now, as high as the room was hot against its hottest. */
  #draw(): void {
    const range = { startMs: this.#startMs, endMs: Date.now() };
    const heights = heightsOf({ stepMs: this.#stepMs, points: this.#points }, range, STEPS);
    const line = heights.map((height, i) => `L${i + 0.5} ${(HEIGHT - height * (HEIGHT - 4)).toFixed(1)}`);
    this.#curve.setAttribute('d', `M0 ${HEIGHT}${line.join('')}L${STEPS} ${HEIGHT}Z`);
  }
}
