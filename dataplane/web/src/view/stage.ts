// Danmaku in flight over the stage, in lanes that nobody shares. What finds no lane in time stays in the chat only.

import type { Danmaku, Mode, Size } from '../danmaku';
import { onLanguage, words } from '../i18n/language';
import type { Settings } from '../settings/settings';
import { byId } from './element';
import { Flight } from './flight';
import { Lanes } from './lanes';
import { legible } from './legible';
import { count } from './wording';

/** How long a danmaku takes from edge to edge; a phone's narrow stage gets a quicker one, or they would crawl. */
const FLIGHT_MS = 8_000;
const FLIGHT_NARROW_MS = 6_000;
const NARROW_PX = 520;
/** How long one stands at the top or the bottom. */
const STAND_MS = 4_000;
/** Measures of `.flying`, in its font size: the height of a lane, padding at both sides. */
const LANE_EM = 1.6;
const PADDING_EM = 0.8;
const WIDTH_EM_MAX = 36;
/** Sizes of text against the stage's own, as the style sheet has them, and the lanes that they take. */
const SCALE = { small: 0.8, normal: 1, large: 1.4 } as const;
const SPAN = { small: 1, normal: 1, large: 2 } as const;
/** Room to the next one, in font sizes. The least is what "×9999" takes when repeats come in during the flight. */
const GAP_EM = { relaxed: 12, normal: 4, dense: 3 } as const;
/** A text may turn out this much wider than measured (its language may choose another font) and still not collide. */
const MEASURE_SLACK = 1.04;
/** How long a danmaku waits for a free lane before it stays in the chat only, and how many may wait. */
const WAIT_MS = 1_500;
/** Who needs an empty lane may have to wait until one that flies has landed. */
const WAIT_STANDING_MS = 9_000;
const WAITING_MAX = 60;
const BEAT_MS = 100;
/** How often the stage says what found no room. */
const REPORT_MS = 1_000;

interface Waiting {
  readonly danmaku: Danmaku;
  readonly text: string;
  readonly isOwn: boolean;
  readonly mode: Mode;
  readonly untilMs: number;
  /** How many of its kind it came to stand for while it waited. */
  total: number;
}

export class Stage {
  readonly #element = byId('flight', HTMLElement);
  readonly #quiet = byId('quiet', HTMLElement);
  readonly #crowded = byId('crowded', HTMLElement);
  readonly #lanes = new Lanes();
  readonly #ruler = document.createElement('canvas').getContext('2d');
  readonly #flights = new Map<string, Flight>();
  #waiting: Waiting[] = [];
  #settings: Settings;
  #fontPx = 16;
  #stagePx = 0;
  #flightMs = FLIGHT_MS;
  #left = 0;
  #pausedMs: number | undefined;

  /** `chosen` is told which danmaku a pointer chose, and where. */
  constructor(settings: Settings, chosen: (danmaku: Danmaku, at: DOMRect) => void) {
    this.#settings = settings;
    new ResizeObserver(() => this.#fit()).observe(this.#element);
    this.#element.addEventListener('click', ({ target }) => {
      const element = target instanceof Element ? target.closest<HTMLElement>('.flying') : null;
      const flight = this.#flights.get(element?.dataset.id ?? '');
      if (element && flight) {
        chosen(flight.danmaku, element.getBoundingClientRect());
      }
    });
    onLanguage(() => this.#report());
    setInterval(() => this.#board(), BEAT_MS);
    setInterval(() => this.#report(), REPORT_MS);
    this.set(settings);
  }

  /** Flies by these settings from now on. */
  set(settings: Settings): void {
    this.#settings = settings;
    this.#element.style.setProperty('--font-scale', String(settings.font / 100));
    this.#element.style.opacity = String(settings.opacity / 100);
    this.#fit();
    if (!settings.flying) {
      this.clear();
    }
  }

  /** Lets a danmaku fly as soon as there is a lane for it. An own one is next in line, and waits as long as it takes. */
  fly(danmaku: Danmaku, isOwn: boolean): void {
    const text = legible(danmaku.content);
    if (!this.#settings.flying || this.#pausedMs !== undefined || document.hidden || text === '') {
      return;
    }
    const { mode } = danmaku.style;
    const waitMs = isOwn ? Number.POSITIVE_INFINITY : mode === 'scroll' ? WAIT_MS : WAIT_STANDING_MS;
    const waiting = { danmaku, text, isOwn, mode, untilMs: performance.now() + waitMs, total: 1 };
    if (isOwn) {
      const place = this.#waiting.findIndex((other) => !other.isOwn);
      this.#waiting.splice(place < 0 ? this.#waiting.length : place, 0, waiting);
    } else if (this.#waiting.length < WAITING_MAX) {
      this.#waiting.push(waiting);
    } else {
      this.#left += 1;
    }
    this.#board();
  }

  /** A danmaku in flight stands for `total` of its kind. */
  merge(id: string, total: number): void {
    this.#flights.get(id)?.merge(total);
    const waiting = this.#waiting.find(({ danmaku }) => danmaku.id === id);
    if (waiting) {
      waiting.total = total;
    }
  }

  /** Takes off the stage, at once, what `isGone` says so of. */
  remove(isGone: (danmaku: Danmaku) => boolean): void {
    this.#waiting = this.#waiting.filter(({ danmaku }) => !isGone(danmaku));
    for (const [id, flight] of this.#flights) {
      if (isGone(flight.danmaku)) {
        flight.remove();
        this.#flights.delete(id);
      }
    }
  }

  /** Stops everything where it is; nothing takes off until {@link resume}. */
  pause(): void {
    if (this.#pausedMs === undefined) {
      this.#pausedMs = performance.now();
      for (const flight of this.#flights.values()) {
        flight.pause(this.#pausedMs);
      }
    }
  }

  resume(): void {
    if (this.#pausedMs !== undefined) {
      const nowMs = performance.now();
      this.#lanes.delay(nowMs - this.#pausedMs);
      this.#pausedMs = undefined;
      for (const flight of this.#flights.values()) {
        flight.resume(nowMs);
      }
    }
  }

  /** Empties the stage. */
  clear(): void {
    this.#waiting = [];
    this.#land();
  }

  /** Takes off what flies; who waits for a lane goes on waiting. */
  #land(): void {
    for (const flight of this.#flights.values()) {
      flight.remove();
    }
    this.#flights.clear();
    this.#lanes.clear();
  }

  #fit(): void {
    const { clientWidth, clientHeight } = this.#element;
    const { fontSize, fontFamily } = getComputedStyle(this.#element);
    const fontPx = Number.parseFloat(fontSize) || this.#fontPx;
    if (fontPx !== this.#fontPx || clientWidth !== this.#stagePx) {
      // Lanes of another height or length are other lanes: what flies in the old ones would cross the new.
      this.#land();
    }
    this.#fontPx = fontPx;
    this.#stagePx = clientWidth;
    if (this.#ruler) {
      this.#ruler.font = `600 ${this.#fontPx}px ${fontFamily}`;
    }
    const { area, speed } = this.#settings;
    this.#flightMs = (clientWidth < NARROW_PX ? FLIGHT_NARROW_MS : FLIGHT_MS) / (speed / 100);
    this.#lanes.resize({
      count: Math.floor((clientHeight * area) / 100 / (LANE_EM * this.#fontPx)),
      stagePx: clientWidth,
      flightMs: this.#flightMs,
      standMs: STAND_MS,
    });
  }

  /** The width that the element will have, near enough: measured without a layout. */
  #widthOf(text: string, size: Size): number {
    const textPx = this.#ruler?.measureText(text).width ?? text.length * this.#fontPx;
    const widthPx = textPx * MEASURE_SLACK + PADDING_EM * this.#fontPx;
    return SCALE[size] * Math.min(widthPx, WIDTH_EM_MAX * this.#fontPx);
  }

  /** Lets fly who waits and finds a lane, first come first served within each mode. */
  #board(): void {
    if (this.#pausedMs !== undefined) {
      return;
    }
    const nowMs = performance.now();
    const full = new Set<Mode>();
    this.#waiting = this.#waiting.filter((next) => {
      if (!full.has(next.mode) && this.#takeOff(next, nowMs)) {
        return false;
      }
      full.add(next.mode);
      this.#left += next.untilMs < nowMs ? 1 : 0;
      return next.untilMs >= nowMs;
    });
  }

  #takeOff({ danmaku, text, isOwn, mode, total }: Waiting, nowMs: number): boolean {
    const gapPx = GAP_EM[this.#settings.density] * this.#fontPx;
    const { size } = danmaku.style;
    const widthPx = this.#widthOf(text, size) + gapPx;
    const lane = this.#lanes.take(mode, widthPx, SPAN[size], nowMs);
    if (lane === undefined) {
      return false;
    }
    const flight = new Flight(danmaku, text, isOwn, total);
    this.#flights.set(danmaku.id, flight);
    const course = {
      mode,
      topPx: lane * LANE_EM * this.#fontPx,
      widthPx,
      stagePx: this.#stagePx,
      startMs: nowMs,
      durationMs: mode === 'scroll' || mode === 'reverse' ? this.#flightMs : STAND_MS,
    };
    flight.start(this.#element, course, () => this.#flights.delete(danmaku.id));
    this.#quiet.hidden = true;
    return true;
  }

  #report(): void {
    this.#crowded.hidden = this.#left === 0;
    this.#crowded.textContent = words().chatOnly(count(this.#left));
    this.#left = 0;
  }
}
