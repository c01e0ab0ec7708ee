// Danmaku in flight over the stage, in lanes, by the live mode of the `danmaku` package.

import Renderer from 'danmaku';
import { type Danmaku, Role } from '../danmaku';
import { byId, make } from './element';
import { Lanes } from './lanes';
import { languageOf, times } from './wording';

/** How long a danmaku takes from edge to edge; a phone's narrow stage gets a quicker one, or they would crawl. */
const FLIGHT_MS = 8_000;
const FLIGHT_NARROW_MS = 6_000;
const NARROW_PX = 520;
/** Measures of `.flying`, in its font size: the height of a line, padding at both sides, room to the next one. */
const LINE_EM = 1.6;
const PADDING_EM = 1.6;
/** A text may turn out this much wider than measured (its language may choose another font) and still not collide. */
const MEASURE_SLACK = 1.03;
/** How long a danmaku waits for a free lane before it stays in the chat only, and how many may wait. */
const WAIT_MS = 1_500;
const WAITING_MAX = 60;
const BEAT_MS = 100;
/** How often the stage says what found no room. */
const REPORT_MS = 1_000;

interface Flight {
  readonly node: HTMLElement;
  readonly counter: HTMLElement;
  readonly landsMs: number;
}

interface Waiting {
  readonly danmaku: Danmaku;
  readonly isOwn: boolean;
  readonly widthPx: number;
  readonly untilMs: number;
  /** How many of its kind it came to stand for while it waited. */
  total: number;
}

/** The part of the package's inner state that live mode never frees: every danmaku that it was ever given. */
interface Leak {
  comments: unknown[];
  _: { position: number };
}

export class Stage {
  readonly #element = byId('flight', HTMLElement);
  readonly #toggle = byId('flight-toggle', HTMLButtonElement);
  readonly #quiet = byId('quiet', HTMLElement);
  readonly #crowded = byId('crowded', HTMLElement);
  readonly #renderer = new Renderer({ container: this.#element });
  readonly #lanes = new Lanes();
  readonly #ruler = document.createElement('canvas').getContext('2d');
  /** By ID, in the order of take-off. */
  readonly #flights = new Map<string, Flight>();
  #waiting: Waiting[] = [];
  #isOn = !matchMedia('(prefers-reduced-motion: reduce)').matches;
  #fontPx = 16;
  #left = 0;

  constructor() {
    new ResizeObserver(() => this.#fit()).observe(this.#element);
    this.#fit();
    this.#toggle.addEventListener('click', () => this.#switch(!this.#isOn));
    this.#switch(this.#isOn);
    setInterval(() => this.#beat(), BEAT_MS);
    setInterval(() => this.#report(), REPORT_MS);
  }

  /** Lets a danmaku fly as soon as there is a lane for it. An own one is next in line, and waits as long as it takes. */
  fly(danmaku: Danmaku, isOwn: boolean): void {
    if (!this.#isOn || document.hidden) {
      return;
    }
    const widthPx = this.#widthOf(danmaku.content);
    if (isOwn) {
      const place = this.#waiting.findIndex((other) => !other.isOwn);
      const own = { danmaku, isOwn, widthPx, untilMs: Number.POSITIVE_INFINITY, total: 1 };
      this.#waiting.splice(place < 0 ? this.#waiting.length : place, 0, own);
    } else if (this.#waiting.length < WAITING_MAX) {
      this.#waiting.push({ danmaku, isOwn, widthPx, untilMs: performance.now() + WAIT_MS, total: 1 });
    } else {
      this.#left += 1;
    }
    this.#board(performance.now());
  }

  /** A danmaku in flight stands for `total` of its kind. */
  merge(id: string, total: number): void {
    const flight = this.#flights.get(id);
    if (flight) {
      flight.counter.textContent = times(total);
      return;
    }
    const waiting = this.#waiting.find(({ danmaku }) => danmaku.id === id);
    if (waiting) {
      waiting.total = total;
    }
  }

  #takeOff({ danmaku, isOwn, total }: Waiting, nowMs: number): void {
    const node = make('span', 'flying', danmaku.content);
    const counter = make('b', 'flying-count', total > 1 ? times(total) : '');
    node.append(counter);
    node.dir = 'auto';
    node.lang = languageOf(danmaku.content);
    node.dataset.id = danmaku.id;
    node.dataset.role = Role[danmaku.role].toLowerCase();
    node.toggleAttribute('data-own', isOwn);
    this.#flights.set(danmaku.id, { node, counter, landsMs: nowMs + this.#flightMs() });
    this.#renderer.emit({ render: () => node });
    this.#quiet.hidden = true;
  }

  #switch(isOn: boolean): void {
    this.#isOn = isOn;
    this.#toggle.setAttribute('aria-pressed', String(isOn));
    this.#toggle.textContent = isOn ? 'Danmaku on' : 'Danmaku off';
    if (!isOn) {
      this.#renderer.clear();
      this.#flights.clear();
      this.#waiting = [];
    }
  }

  #flightMs(): number {
    return this.#element.clientWidth < NARROW_PX ? FLIGHT_NARROW_MS : FLIGHT_MS;
  }

  /** The width that the renderer will find, near enough: measured without a layout. */
  #widthOf(content: string): number {
    const textPx = this.#ruler?.measureText(content).width ?? content.length * this.#fontPx;
    return textPx * MEASURE_SLACK + PADDING_EM * this.#fontPx;
  }

  #fit(): void {
    const { clientWidth, clientHeight } = this.#element;
    const style = getComputedStyle(this.#element);
    this.#fontPx = Number.parseFloat(style.fontSize);
    if (this.#ruler) {
      this.#ruler.font = `600 ${style.fontSize} ${style.fontFamily}`;
    }
    this.#renderer.resize();
    this.#renderer.speed = (clientWidth / this.#flightMs()) * 1000;
    // The renderer uses a lane only if the next one would begin on the stage, too.
    const lanes = Math.ceil(clientHeight / (LINE_EM * this.#fontPx)) - 1;
    this.#lanes.resize(lanes, clientWidth, this.#flightMs());
  }

  #beat(): void {
    const nowMs = performance.now();
    for (const [id, { landsMs }] of this.#flights) {
      if (landsMs > nowMs) {
        break;
      }
      this.#flights.delete(id);
    }
    const inTime = this.#waiting.filter(({ untilMs }) => untilMs >= nowMs);
    this.#left += this.#waiting.length - inTime.length;
    this.#waiting = inTime;
    this.#board(nowMs);
  }

  /** Lets fly who is next in line, while there are lanes. */
  #board(nowMs: number): void {
    let next = this.#waiting[0];
    while (next && this.#lanes.take(next.widthPx, nowMs)) {
      this.#waiting.shift();
      this.#takeOff(next, nowMs);
      next = this.#waiting[0];
    }
  }

  #report(): void {
    this.#crowded.hidden = this.#left === 0;
    this.#crowded.textContent = `+${this.#left}/s in chat only`;
    this.#left = 0;
    const inner = this.#renderer as unknown as Leak;
    inner.comments.splice(0, inner._.position);
    inner._.position = 0;
  }
}
