// The bar: which room, who the viewer is, how many watch, and where the connection stands.

import { onLanguage, words } from '../i18n/language';
import type { Status } from '../session/connection';
import { ANONYMOUS, type Identity } from '../session/identity';
import type { Figures } from '../session/room';
import { byId } from './element';
import { count } from './wording';

const COUNTDOWN_MS = 250;
const UNKNOWN = '–';

export class Header {
  readonly #connection = byId('connection', HTMLElement);
  readonly #text = byId('connection-text', HTMLElement);
  readonly #countdown = byId('connection-countdown', HTMLElement);
  readonly #button = byId('connect-now', HTMLButtonElement);
  readonly #viewers = byId('viewers', HTMLElement);
  readonly #viewersWord = byId('viewers-word', HTMLElement);
  readonly #rate = byId('rate', HTMLElement);
  readonly #latency = byId('latency', HTMLElement);
  readonly #self = byId('self', HTMLElement);
  readonly #heat = byId('heat', HTMLElement);
  #figures: Figures | undefined;
  #latencyMs: number | undefined;
  #identity: Identity = ANONYMOUS;
  #status: Status = { kind: 'connecting' };

  constructor(room: string, connectNow: () => void) {
    byId('room', HTMLElement).textContent = room;
    document.title = `${room} · Barrage`;
    this.#button.addEventListener('click', connectNow);
    setInterval(() => this.#count(), COUNTDOWN_MS);
    onLanguage(() => {
      this.#showFigures();
      this.showIdentity(this.#identity);
      this.showStatus(this.#status);
    });
  }

  showFigures(figures: Figures): void {
    this.#figures = figures;
    this.#showFigures();
  }

  /** How long the way to the server and back took. */
  showLatency(ms: number): void {
    this.#latencyMs = ms;
    this.#showFigures();
  }

  showIdentity(identity: Identity): void {
    this.#identity = identity;
    const { user, guest, token } = identity;
    this.#self.dataset.user = String(user);
    if (user === 0n) {
      this.#self.textContent = token ? words().unknownUser : words().watchingOnly;
    } else {
      this.#self.textContent = guest ? words().guest(String(user)) : words().user(String(user));
    }
  }

  /** Figures of a connection that is gone are not figures. */
  showStatus(status: Status): void {
    this.#status = status;
    this.#connection.dataset.connection = status.kind;
    this.#text.textContent = wordFor(status);
    this.#button.hidden = status.kind !== 'waiting' && status.kind !== 'refused';
    if (status.kind !== 'live' && status.kind !== 'goingAway') {
      this.#figures = undefined;
      this.#latencyMs = undefined;
      this.#showFigures();
    }
    this.#count();
  }

  #showFigures(): void {
    const { viewers, messagesPerSecond, heat } = this.#figures ?? {};
    this.#viewers.textContent = viewers === undefined ? UNKNOWN : count(viewers);
    this.#viewersWord.textContent = words().viewers(viewers ?? 0);
    this.#rate.textContent = messagesPerSecond === undefined ? UNKNOWN : count(messagesPerSecond);
    this.#heat.textContent = heat === undefined ? UNKNOWN : count(heat);
    this.#latency.textContent =
      this.#latencyMs === undefined ? UNKNOWN : words().milliseconds(count(this.#latencyMs));
  }

  /** The countdown is outside the spoken status, or a screen reader would read every second. */
  #count(): void {
    const untilMs = 'untilMs' in this.#status ? this.#status.untilMs : 0;
    const seconds = Math.ceil((untilMs - Date.now()) / 1000);
    const text =
      this.#status.kind === 'refused' ? words().tryingIn(seconds) : words().reconnectingIn(seconds);
    this.#countdown.textContent = seconds > 0 ? text : '';
  }
}

function wordFor(status: Status): string {
  switch (status.kind) {
    case 'connecting':
      return words().connecting;
    case 'live':
      return words().live;
    case 'waiting':
      return status.said || words()[status.trouble];
    case 'goingAway':
      return words().restarting;
    case 'banned':
      return words().youAreBanned;
    case 'refused':
      return words().refused(status.why.replace(/\.?$/, '.'));
  }
}
