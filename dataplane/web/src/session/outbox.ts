// The page's own danmaku on their way: sent in order, resent until acknowledged, and drawn exactly once.
//
// Pure state: time is an argument, and what to do comes back as a value. The rules are the protocol's: sequence numbers
// 1, 2, 3, … of one session; after a refusal the server refuses all later ones until that one comes again or is given up.

import { type Danmaku, danmakuId, type Reply, type Style } from '../danmaku';
import { type Ack, Reason, type Error as Refused } from '../protocol/generated/barrage/v2/barrage_pb';

/** How long an acknowledged danmaku waits for the room's frame or its echo before the page draws it by itself. */
const ROW_WAIT_MS = 2_000;
/** How long a danmaku that was drawn at its acknowledgement may still arrive under another ID. */
const TWIN_WINDOW_MS = 60_000;
/** For a refusal that passes and does not say when. */
const RETRY_AFTER_DEFAULT_MS = 1_000;

/** A danmaku as its writer wants it. */
export interface Draft {
  readonly content: string;
  readonly style: Style;
  readonly reply?: Reply;
}

/** One own danmaku that is not settled yet. */
export interface Pending extends Draft {
  readonly seq: bigint;
  readonly sentMs: number;
  /** Waiting to be sent, sent, or acknowledged and not drawn yet. */
  readonly state: 'queued' | 'inFlight' | 'kept';
  /** Why it waits, if the server said so. */
  readonly held: Reason | undefined;
}

/** What a refusal means for the user. */
export interface Refusal {
  readonly reason: Reason;
  readonly message: string;
  /** The danmaku that was given up; undefined where it will be sent again by itself. */
  readonly givenUp: Draft | undefined;
  /** When it may pass, as far as the server says; 0 where it does not. */
  readonly retryAfterMs: number;
}

interface Entry extends Draft {
  readonly seq: bigint;
  readonly sentMs: number;
  state: Pending['state'];
  held: Reason | undefined;
  /** Time of the first try whose outcome may be unknown. */
  firstTriedMs: number | undefined;
  notBeforeMs: number;
  /** Whether its latest try was marked as a retry: those are never echoed. */
  retried: boolean;
  /** Whether the room has shown it already. */
  shown: boolean;
  id: string | undefined;
  drawAtMs: number;
}

/** One try of a danmaku. */
export interface Try extends Draft {
  readonly seq: bigint;
  readonly oldestPending: bigint;
  readonly sentMs: number;
  /** 0 for a first try; ms since that for a later one. */
  readonly retryAgeMs: number;
}

export class Outbox {
  #entries: Entry[] = [];
  #nextSeq = 1n;
  #lastSentMs = 0;
  #ready = false;
  /** In flight when an earlier one was refused: nothing new goes out before each has its answer, or order breaks. */
  readonly #draining = new Set<bigint>();
  /** Given up on this connection: the server blocks what is above one until `oldest_pending` is above it, too. */
  #givenUp: bigint[] = [];
  #twins: { readonly sentMs: number; readonly content: string; readonly untilMs: number }[] = [];

  /** Own danmaku that are not settled, oldest first. */
  get pending(): readonly Pending[] {
    return this.#entries;
  }

  /** Takes a danmaku that the user sent. Its time is unique in the session, so that it is known again by it. */
  compose(draft: Draft, nowMs: number): void {
    this.#lastSentMs = Math.max(nowMs, this.#lastSentMs + 1);
    this.#entries.push({
      ...draft,
      seq: this.#nextSeq++,
      sentMs: this.#lastSentMs,
      state: 'queued',
      held: undefined,
      firstTriedMs: undefined,
      notBeforeMs: 0,
      retried: false,
      shown: false,
      id: undefined,
      drawAtMs: 0,
    });
  }

  /** A connection holds the room's history: what it showed is kept, the rest may be sent. */
  ready(): void {
    this.#entries = this.#entries.filter((entry) => !(entry.shown && entry.state === 'queued'));
    this.#ready = true;
  }

  /** The connection is gone: what had no answer goes out again on the next one. */
  lost(): void {
    this.#ready = false;
    this.#draining.clear();
    this.#givenUp = [];
    for (const entry of this.#entries) {
      if (entry.state === 'inFlight') {
        entry.state = 'queued';
      }
    }
  }

  /** What to send now, in order; it counts as sent. */
  take(nowMs: number): Try[] {
    const sends: Try[] = [];
    if (!this.#ready || this.#draining.size > 0) {
      return sends;
    }
    const oldestPending = this.#entries.find((entry) => entry.state !== 'kept')?.seq ?? this.#nextSeq;
    this.#givenUp = this.#givenUp.filter((seq) => seq >= oldestPending);
    for (const entry of this.#entries) {
      if (entry.state !== 'queued') {
        continue;
      }
      if (entry.notBeforeMs > nowMs || this.#givenUp.some((seq) => seq < entry.seq)) {
        break;
      }
      const retryAgeMs = entry.firstTriedMs === undefined ? 0 : Math.max(1, nowMs - entry.firstTriedMs);
      entry.firstTriedMs ??= nowMs;
      entry.retried = retryAgeMs > 0;
      entry.state = 'inFlight';
      entry.held = undefined;
      const { seq, sentMs } = entry;
      sends.push({ seq, oldestPending, sentMs, retryAgeMs, ...draftOf(entry) });
    }
    return sends;
  }

  /** These are kept; {@link due} says which to draw, and when. */
  acknowledged(ack: Ack, nowMs: number): void {
    ack.seq.forEach((seq, i) => {
      this.#draining.delete(seq);
      const entry = this.#entries.find((candidate) => candidate.seq === seq && candidate.state !== 'kept');
      if (!entry) {
        return;
      }
      entry.state = 'kept';
      entry.held = undefined;
      entry.id = danmakuId(ack.partition, ack.offset, ack.index[i] ?? 0);
      entry.drawAtMs = entry.retried ? nowMs : nowMs + ROW_WAIT_MS;
      if (entry.shown) {
        this.#remove(entry);
      }
    });
  }

  /** The server refused one; undefined where that is nothing to the user: none of this session, or shown already. */
  refused(error: Refused, nowMs: number): Refusal | undefined {
    this.#draining.delete(error.seq);
    const entry = this.#entries.find(
      (candidate) => candidate.seq === error.seq && candidate.state === 'inFlight',
    );
    if (!entry) {
      return undefined;
    }
    for (const later of this.#entries) {
      if (later.seq > entry.seq && later.state === 'inFlight') {
        this.#draining.add(later.seq);
      }
    }
    const { reason, message } = error;
    if (!passes(reason)) {
      this.#remove(entry);
      this.#givenUp.push(entry.seq);
      const retryAfterMs = error.retryAfterMs;
      return entry.shown ? undefined : { reason, message, givenUp: draftOf(entry), retryAfterMs };
    }
    const behind = reason === Reason.BLOCKED && this.#entries.some((earlier) => earlier.seq < entry.seq);
    const retryAfterMs = error.retryAfterMs || (behind ? 0 : RETRY_AFTER_DEFAULT_MS);
    entry.state = 'queued';
    entry.held = reason;
    entry.notBeforeMs = nowMs + retryAfterMs;
    if (!entry.retried && reason !== Reason.RETRY) {
      // It never came near the log: the next try is a first one, which the server echoes.
      entry.firstTriedMs = undefined;
    }
    return { reason, message, givenUp: undefined, retryAfterMs };
  }

  /**
   * An own danmaku came from the room: settles what waits for it.
   *
   * Returns false where the page has drawn it already, under the ID of its acknowledged retry.
   */
  arrived(row: Danmaku, nowMs: number): boolean {
    this.#twins = this.#twins.filter((twin) => twin.untilMs > nowMs);
    const same = (own: { sentMs: number; content: string }) =>
      own.sentMs === row.sentMs && own.content === row.content;
    if (this.#twins.some(same)) {
      return false;
    }
    const entry = this.#entries.find((candidate) => candidate.id === row.id || same(candidate));
    if (entry?.state === 'kept') {
      this.#remove(entry);
    } else if (entry) {
      entry.shown = true;
    }
    return true;
  }

  /** Acknowledged danmaku that the page has to draw itself; they are settled by this. */
  due(nowMs: number): (Draft & { readonly id: string; readonly sentMs: number })[] {
    const drawn = this.#entries.filter((entry) => entry.state === 'kept' && entry.drawAtMs <= nowMs);
    for (const { sentMs, content } of drawn) {
      this.#twins.push({ sentMs, content, untilMs: nowMs + TWIN_WINDOW_MS });
    }
    this.#entries = this.#entries.filter((entry) => !drawn.includes(entry));
    return drawn.map((entry) => ({ id: entry.id ?? '', sentMs: entry.sentMs, ...draftOf(entry) }));
  }

  /** When {@link take} or {@link due} will next have something by the passing of time alone. */
  wakeAtMs(nowMs: number): number | undefined {
    const times = this.#entries.flatMap((entry) => {
      if (entry.state === 'kept') {
        return [entry.drawAtMs];
      }
      return entry.state === 'queued' && entry.notBeforeMs > nowMs ? [entry.notBeforeMs] : [];
    });
    return times.length > 0 ? Math.min(...times) : undefined;
  }

  #remove(entry: Entry): void {
    this.#entries = this.#entries.filter((other) => other !== entry);
  }
}

function draftOf({ content, style, reply }: Draft): Draft {
  return { content, style, ...(reply && { reply }) };
}

/** Whether trying again by itself may help. */
function passes(reason: Reason): boolean {
  return [Reason.RETRY, Reason.RATE_LIMITED, Reason.SLOW_MODE, Reason.BLOCKED].includes(reason);
}
