// The bar: which room, who the viewer is, how many watch, and where the connection stands.

import type { Status } from '../session/connection';
import type { Identity } from '../session/identity';
import { byId } from './element';
import { count } from './wording';

const COUNTDOWN_MS = 250;

export class Header {
  readonly #connection = byId('connection', HTMLElement);
  readonly #text = byId('connection-text', HTMLElement);
  readonly #countdown = byId('connection-countdown', HTMLElement);
  readonly #button = byId('connect-now', HTMLButtonElement);
  readonly #viewers = byId('viewers', HTMLElement);
  readonly #viewersWord = byId('viewers-word', HTMLElement);
  readonly #rate = byId('rate', HTMLElement);
  readonly #self = byId('self', HTMLElement);
  #untilMs: number | undefined;

  constructor(room: string, connectNow: () => void) {
    byId('room', HTMLElement).textContent = room;
    document.title = `${room} · Barrage`;
    this.#button.addEventListener('click', connectNow);
    setInterval(() => this.#count(), COUNTDOWN_MS);
  }

  showFigures(viewers: number, messagesPerSecond: number): void {
    this.#viewers.textContent = count(viewers);
    this.#viewersWord.textContent = viewers === 1 ? 'viewer' : 'viewers';
    this.#rate.textContent = count(messagesPerSecond);
  }

  showIdentity({ user, guest, token }: Identity): void {
    this.#self.dataset.user = String(user);
    this.#self.textContent =
      user === 0n ? (token ? 'Unknown user' : 'Watching only') : `${guest ? 'Guest' : 'User'} ${user}`;
  }

  /** Figures of a connection that is gone are not figures. */
  showStatus(status: Status): void {
    this.#connection.dataset.connection = status.kind;
    this.#text.textContent = wordFor(status);
    this.#untilMs = 'untilMs' in status ? status.untilMs : undefined;
    this.#button.hidden = status.kind !== 'waiting' && status.kind !== 'refused';
    if (status.kind !== 'live' && status.kind !== 'goingAway') {
      this.#viewers.textContent = '–';
      this.#rate.textContent = '–';
    }
    this.#count();
  }

  /** The countdown is outside the spoken status, or a screen reader would read every second. */
  #count(): void {
    const verb = this.#connection.dataset.connection === 'refused' ? 'Trying again' : 'Reconnecting';
    const seconds = this.#untilMs === undefined ? 0 : Math.ceil((this.#untilMs - Date.now()) / 1000);
    this.#countdown.textContent = seconds > 0 ? `${verb} in ${seconds} s.` : '';
  }
}

function wordFor(status: Status): string {
  switch (status.kind) {
    case 'connecting':
      return 'Connecting…';
    case 'live':
      return 'Live';
    case 'waiting':
      return status.why;
    case 'goingAway':
      return 'The server is restarting.';
    case 'refused':
      return `Refused: ${status.why.replace(/\.?$/, '.')}`;
  }
}
