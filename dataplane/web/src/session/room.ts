// What a room's messages mean to this viewer: what is new, what is from before, what became of own danmaku.
//
// Knows no socket and no screen: bytes and time come in, the listener is told.

import { type Danmaku, danmakuId, Role } from '../danmaku';
import { rowsOf, UnevenColumns } from '../protocol/batch';
import type { Batch, History, Notice, Removal } from '../protocol/generated/barrage/v2/barrage_pb';
import { readMessage, type ServerMessage, writeLike } from '../protocol/message';
import { writeTry } from '../protocol/send';
import { type Highlights, highlightsOf } from './highlights';
import { Likes } from './likes';
import { type Draft, Outbox, type Pending, type Refusal } from './outbox';
import { type Ranked, Ranking } from './ranking';
import { Seen } from './seen';

/** How the room does. */
export interface Figures {
  readonly viewers: number;
  readonly messagesPerSecond: number;
  /** Since the room exists. */
  readonly likes: bigint;
  /** Danmaku a minute, smoothed; a gift counts as ten. */
  readonly heat: number;
}

/** What moderators have set for all viewers. */
export interface Rules {
  readonly slowModeS: number;
  readonly moderatorsOnly: boolean;
}

/** Who is told what happens in a room. */
export interface RoomListener {
  /** A danmaku of now: let it fly. */
  onLive(danmaku: Danmaku): void;
  /** Danmaku from before, oldest first; `missed` where they are the first that came while the connection was away. */
  onPast(danmaku: readonly Danmaku[], missed: boolean): void;
  /** More was missed than the `given` danmaku: it stands before `firstKnown` in the HTTP history. */
  onGap(firstKnown: string, given: number): void;
  /** A shown danmaku stands for `total` of its kind. */
  onMerge(id: string, total: number): void;
  onRanking(best: readonly Ranked[]): void;
  onFigures(figures: Figures): void;
  onRules(rules: Rules): void;
  onHighlights(highlights: Highlights): void;
  /** Moderators took away what this says so of: it vanishes everywhere. */
  onRemoval(isGone: (danmaku: Pick<Danmaku, 'id' | 'user'>) => boolean): void;
  /** Moderators decided something about this viewer. */
  onSanction(notice: Notice): void;
  onPending(pending: readonly Pending[]): void;
  onRefusal(refusal: Refusal): void;
  /** The room is here; what is shown from now on is live. */
  onJoined(): void;
  /** The server answered a heartbeat that was sent at this Unix time, ms. */
  onHeartbeat(sentMs: number): void;
  onGoAway(delayMs: number): void;
  /** The server had something to say that is about no danmaku. */
  onNotice(message: string): void;
  /** The server sent what this page cannot read; it was passed over. */
  onUnreadable(why: string): void;
}

export class Room {
  readonly #listener: RoomListener;
  readonly #outbox = new Outbox();
  readonly #ranking = new Ranking();
  readonly #seen = new Seen();
  readonly #likes = new Likes();
  #cursor: Uint8Array = new Uint8Array();
  #joined = false;
  /** Between a loss and the first history after it: more than the history may be missing. */
  #returning: 'no' | 'resuming' | 'anew' = 'no';
  /** Whose danmaku are own; user 0 is nobody. */
  self = { user: 0n, role: Role.VIEWER };

  constructor(listener: RoomListener) {
    this.#listener = listener;
  }

  /** Where to resume; empty before the server gave a cursor. */
  get cursor(): Uint8Array {
    return this.#cursor;
  }

  /** Takes a message of the server. */
  receive(bytes: Uint8Array, nowMs: number): void {
    for (const message of readMessage(bytes)) {
      try {
        this.#handle(message, nowMs);
      } catch (error) {
        if (!(error instanceof UnevenColumns)) {
          throw error;
        }
        this.#listener.onUnreadable(error.message);
      }
    }
    this.#tellPending();
  }

  /** Takes a danmaku of the user's. */
  compose(draft: Draft, nowMs: number): void {
    this.#outbox.compose(draft, nowMs);
    this.#tellPending();
  }

  /** The user likes the room. */
  like(): void {
    this.#likes.add();
  }

  /** Likes that the server's count cannot have yet. */
  get likesWaiting(): number {
    return this.#likes.waiting;
  }

  /** The connection is gone. */
  lost(): void {
    this.#outbox.lost();
    if (this.#joined && this.#returning === 'no') {
      this.#returning = this.#cursor.length > 0 ? 'resuming' : 'anew';
    }
    this.#tellPending();
  }

  /** The server does not take the cursor: join anew, and fill the gap from the history. */
  dropCursor(): void {
    this.#cursor = new Uint8Array();
    this.#returning = this.#joined ? 'anew' : 'no';
  }

  /** Frames to send now, in order; they count as sent. */
  take(nowMs: number): Uint8Array<ArrayBuffer>[] {
    const tries = this.#outbox.take(nowMs).map(writeTry);
    if (tries.length > 0) {
      this.#tellPending();
    }
    const likes = this.#likes.take(nowMs);
    return likes > 0 ? [...tries, writeLike(likes)] : tries;
  }

  /** Does what is due by time; returns when to call again, Unix ms. */
  tick(nowMs: number): number | undefined {
    for (const own of this.#outbox.due(nowMs)) {
      this.#live({ ...own, ...this.self });
    }
    this.#tellPending();
    const times = [this.#outbox.wakeAtMs(nowMs), this.#likes.wakeAtMs()];
    const known = times.filter((time) => time !== undefined);
    return known.length > 0 ? Math.min(...known) : undefined;
  }

  /** Of danmaku that came by another way than the connection: those that are not shown yet. From now on they are. */
  claim(danmaku: readonly Danmaku[], nowMs: number): Danmaku[] {
    return danmaku.filter((row) => {
      const isNew = this.#seen.add(row.id);
      const isOwn = row.user === this.self.user && row.user !== 0n;
      return isOwn ? this.#outbox.arrived(row, nowMs) && isNew : isNew;
    });
  }

  #handle(message: ServerMessage, nowMs: number): void {
    switch (message.kind) {
      case 'batch':
        for (const row of this.#fresh(message.body, nowMs)) {
          this.#listener.onLive(row);
        }
        this.#merges(message.body);
        break;
      case 'history':
        this.#history(message.body, nowMs);
        break;
      case 'rankingSnapshot':
        this.#ranking.replace(message.body.user, message.body.score);
        this.#listener.onRanking(this.#ranking.best());
        break;
      case 'rankingDelta':
        this.#ranking.change(message.body.user, message.body.score, message.body.removed);
        this.#listener.onRanking(this.#ranking.best());
        break;
      case 'roomState':
        this.#listener.onFigures(message.body);
        break;
      case 'roomSettings':
        this.#listener.onRules(message.body);
        break;
      case 'highlights':
        this.#listener.onHighlights(highlightsOf(message.body));
        break;
      case 'removal':
        this.#removal(message.body);
        break;
      case 'notice':
        this.#listener.onSanction(message.body);
        break;
      case 'ack':
        this.#outbox.acknowledged(message.body, nowMs);
        break;
      case 'error':
        this.#refused(message.body, nowMs);
        break;
      case 'goAway':
        this.#listener.onGoAway(message.body.reconnectAfterMs);
        break;
      case 'unreadable':
        this.#listener.onUnreadable(message.why);
        break;
      case 'heartbeat':
        this.#listener.onHeartbeat(Number(message.body.clientMs));
        break;
    }
  }

  #history({ batch, truncated }: History, nowMs: number): void {
    const rows = batch ? rowsOf(batch) : [];
    const past = batch ? this.#fresh(batch, nowMs) : [];
    if (past.length > 0) {
      this.#listener.onPast(past, this.#returning !== 'no');
    }
    const first = rows[0];
    if (first && (this.#returning === 'anew' || (this.#returning === 'resuming' && truncated))) {
      this.#listener.onGap(first.id, rows.length);
    }
    this.#joined = true;
    this.#returning = 'no';
    this.#outbox.ready();
    this.#listener.onJoined();
  }

  #removal({ danmaku, user }: Removal): void {
    const ids = new Set(danmaku.map(({ partition, offset, index }) => danmakuId(partition, offset, index)));
    const users = new Set(user);
    for (const id of ids) {
      // What an answer of the HTTP API still has of it is not shown either.
      this.#seen.add(id);
    }
    this.#listener.onRemoval((one) => ids.has(one.id) || users.has(one.user));
  }

  #refused(error: Extract<ServerMessage, { kind: 'error' }>['body'], nowMs: number): void {
    const refusal = this.#outbox.refused(error, nowMs);
    if (refusal) {
      this.#listener.onRefusal(refusal);
    } else if (error.seq === 0n) {
      this.#listener.onNotice(error.message);
    }
  }

  /** The rows of a batch that have not been shown; own ones settle what waits for them. */
  #fresh(batch: Batch, nowMs: number): Danmaku[] {
    if (batch.cursor.length > 0) {
      this.#cursor = batch.cursor;
    }
    return this.claim(rowsOf(batch), nowMs);
  }

  #tellPending(): void {
    this.#listener.onPending(this.#outbox.pending);
  }

  #live(danmaku: Danmaku): void {
    if (this.#seen.add(danmaku.id)) {
      this.#listener.onLive(danmaku);
    }
  }

  #merges({ merge }: Batch): void {
    for (const { partition, offset, index, total } of merge) {
      this.#listener.onMerge(danmakuId(partition, offset, index), total);
    }
  }
}
