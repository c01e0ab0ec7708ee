// One WebSocket after the other: connects, notices silence, comes back after a drop, and says honestly where it stands.

import { reconnectDelayMs, refusedDelayMs } from './delays';

/** Why there is no connection, as far as the page can tell. */
export type Trouble = 'lost' | 'silent' | 'unreachable' | 'unclear';

/** Where the connection stands. Times are Unix ms. */
export type Status =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'live' }
  | { readonly kind: 'waiting'; readonly untilMs: number; readonly trouble: Trouble; readonly said: string }
  | { readonly kind: 'goingAway'; readonly untilMs: number }
  | { readonly kind: 'refused'; readonly untilMs: number; readonly why: string }
  /** Moderators keep this viewer out: there is no coming back by itself. */
  | { readonly kind: 'banned' };

/** What the server answers where a WebSocket would not open: browsers do not show why. */
export type Verdict =
  | { readonly kind: 'unreachable' }
  | { readonly kind: 'refused'; readonly why: string }
  | { readonly kind: 'unclear' }
  /** The reason was removed (a new token): connect again at once. */
  | { readonly kind: 'mended' };

/** The part of a WebSocket that is used here. */
export type Socket = Pick<WebSocket, 'send' | 'close' | 'readyState' | 'onopen' | 'onmessage' | 'onclose'> & {
  binaryType: BinaryType;
};

/** What a connection needs and whom it tells. */
export interface ConnectionDeps {
  /** Opens a socket; rejects where it cannot even try. */
  open(): Promise<Socket>;
  /** Finds out why a socket did not open. */
  diagnose(): Promise<Verdict>;
  heartbeat(): Uint8Array<ArrayBuffer>;
  onStatus(status: Status): void;
  onMessage(bytes: Uint8Array): void;
  /** A connection that was open is gone. */
  onLost(): void;
}

/** `WebSocket.OPEN`. */
const OPEN = 1;
/** The close code of who is banned. */
const CLOSE_BANNED = 4403;
/** Silence before a heartbeat asks whether the server is there, and how long the answer may take. */
const SILENCE_MS = 15_000;
const ANSWER_MS = 10_000;
const WATCH_MS = 5_000;
/** A connection that lasted this long earns a quick first attempt after a drop. */
const STABLE_MS = 5_000;
/** A server that does not open the connection and show the room in this time is as good as not there. */
const OPEN_MS = 10_000;

export class Connection {
  readonly #deps: ConnectionDeps;
  #socket: Socket | undefined;
  /** Grows with every attempt: what belongs to an older one is ignored. */
  #generation = 0;
  #attempt = 0;
  #liveSinceMs: number | undefined;
  #goAwayUntilMs: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #watch: ReturnType<typeof setInterval> | undefined;
  #heardMs = 0;
  #askedMs: number | undefined;
  #isBanned = false;

  constructor(deps: ConnectionDeps) {
    this.#deps = deps;
  }

  /** Connects now, whatever was waited for. */
  connect(): void {
    this.#drop();
    const generation = this.#generation;
    this.#deps.onStatus({ kind: 'connecting' });
    this.#timer = setTimeout(() => this.#failed(generation), OPEN_MS);
    this.#deps.open().then(
      (socket) => this.#adopt(socket, generation),
      () => this.#failed(generation),
    );
  }

  /** Sends bytes; false where there is no connection to send them on. */
  send(bytes: Uint8Array<ArrayBuffer>): boolean {
    if (!this.isOpen) {
      return false;
    }
    this.#socket?.send(bytes);
    return true;
  }

  get isOpen(): boolean {
    return this.#socket?.readyState === OPEN && this.#goAwayUntilMs === undefined;
  }

  /** The room is here: the connection is of use. */
  markLive(): void {
    clearTimeout(this.#timer);
    this.#liveSinceMs = Date.now();
    this.#deps.onStatus({ kind: 'live' });
  }

  /** The server stops: connect again after its delay, which spreads the viewers. */
  goAway(delayMs: number): void {
    const untilMs = Date.now() + delayMs;
    this.#goAwayUntilMs = untilMs;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#deps.onLost();
      this.connect();
    }, delayMs);
    this.#deps.onStatus({ kind: 'goingAway', untilMs });
  }

  /** The network may have changed: try now if waiting, ask the server if not. */
  nudge(): void {
    if (this.#socket) {
      this.#ask();
    } else if (this.#goAwayUntilMs === undefined && !this.#isBanned) {
      this.connect();
    }
  }

  #adopt(socket: Socket, generation: number): void {
    if (generation !== this.#generation) {
      socket.close();
      return;
    }
    let opened = false;
    this.#socket = socket;
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      if (generation === this.#generation) {
        opened = true;
        this.#startWatch();
      }
    };
    socket.onmessage = (event: MessageEvent<unknown>) => {
      if (generation === this.#generation && event.data instanceof ArrayBuffer) {
        this.#heardMs = Date.now();
        this.#askedMs = undefined;
        this.#deps.onMessage(new Uint8Array(event.data));
      }
    };
    socket.onclose = (event: CloseEvent) => {
      if (generation !== this.#generation) {
        return;
      }
      if (event.code === CLOSE_BANNED) {
        this.#drop();
        this.#deps.onLost();
        this.#isBanned = true;
        this.#deps.onStatus({ kind: 'banned' });
      } else if (opened) {
        this.#lost(generation, 'lost', event.reason);
      } else {
        this.#failed(generation);
      }
    };
  }

  /** An open connection ended. */
  #lost(generation: number, trouble: Trouble, said = ''): void {
    if (generation !== this.#generation) {
      return;
    }
    const goAwayUntilMs = this.#goAwayUntilMs;
    const stable = this.#liveSinceMs !== undefined && Date.now() - this.#liveSinceMs >= STABLE_MS;
    this.#drop();
    this.#attempt = stable ? 0 : this.#attempt;
    this.#deps.onLost();
    if (goAwayUntilMs === undefined) {
      this.#wait(reconnectDelayMs(this.#attempt++, Math.random()), (untilMs) => ({
        kind: 'waiting',
        untilMs,
        trouble,
        said,
      }));
    } else {
      this.#attempt = Math.max(1, this.#attempt);
      this.#wait(Math.max(0, goAwayUntilMs - Date.now()), (untilMs) => ({ kind: 'goingAway', untilMs }));
    }
  }

  /** A connection did not come to be: ask why, then wait. */
  async #failed(generation: number): Promise<void> {
    if (generation !== this.#generation) {
      return;
    }
    this.#drop();
    const asking = this.#generation;
    const verdict = await this.#deps.diagnose();
    if (asking !== this.#generation) {
      return;
    }
    this.#attempt += 1;
    switch (verdict.kind) {
      case 'mended':
        this.#wait(this.#attempt > 2 ? reconnectDelayMs(1, Math.random()) : 0, () => ({
          kind: 'connecting',
        }));
        break;
      case 'refused':
        this.#wait(refusedDelayMs(Math.random()), (untilMs) => ({
          kind: 'refused',
          untilMs,
          why: verdict.why,
        }));
        break;
      default: {
        const { kind: trouble } = verdict;
        this.#wait(reconnectDelayMs(1, Math.random()), (untilMs) => ({
          kind: 'waiting',
          untilMs,
          trouble,
          said: '',
        }));
      }
    }
  }

  #wait(delayMs: number, status: (untilMs: number) => Status): void {
    this.#deps.onStatus(status(Date.now() + delayMs));
    this.#timer = setTimeout(() => this.connect(), delayMs);
  }

  /** Forgets the socket and every timer; events of theirs that still come are of an older generation. */
  #drop(): void {
    this.#generation += 1;
    clearTimeout(this.#timer);
    clearInterval(this.#watch);
    this.#socket?.close();
    this.#socket = undefined;
    this.#liveSinceMs = undefined;
    this.#goAwayUntilMs = undefined;
    this.#askedMs = undefined;
  }

  #startWatch(): void {
    this.#heardMs = Date.now();
    this.#watch = setInterval(() => {
      const now = Date.now();
      if (this.#askedMs !== undefined && now - this.#askedMs >= ANSWER_MS) {
        this.#lost(this.#generation, 'silent');
      } else if (now - this.#heardMs >= SILENCE_MS) {
        this.#ask();
      }
    }, WATCH_MS);
  }

  #ask(): void {
    if (this.#askedMs === undefined && this.#socket?.readyState === OPEN) {
      this.#askedMs = Date.now();
      this.#socket.send(this.#deps.heartbeat());
    }
  }
}
