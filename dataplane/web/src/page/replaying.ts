// Replay: the stage and a chat of its own play a past moment, while the room's chat goes on out of sight.

import type { Danmaku } from '../danmaku';
import { words } from '../i18n/language';
import { Player } from '../replay/player';
import { heatCurve, historyPage } from '../session/api';
import type { RoomHttp } from '../session/http';
import { Timeline } from '../view/timeline';

/** How often the player is asked what is due: a danmaku is late by no more than a few frames. */
const BEAT_MS = 50;
const PAGE_ROWS = 500;
/** How often the heat curve is read anew, while somebody looks. */
const HEAT_MS = 15_000;

/** Whom a replay plays to. */
export interface ReplayStage {
  /** Replay begins, or jumps: nothing of before stays. */
  onSeek(): void;
  onDanmaku(danmaku: Danmaku): void;
  onPause(isPaused: boolean): void;
  /** Back to now. */
  onLive(): void;
  onTrouble(text: string): void;
}

export class Replaying {
  readonly #http: RoomHttp;
  readonly #stage: ReplayStage;
  readonly #timeline: Timeline;
  #player: Player | undefined;

  constructor(http: RoomHttp, stage: ReplayStage) {
    this.#http = http;
    this.#stage = stage;
    this.#timeline = new Timeline({
      seek: (momentMs) => this.#seek(momentMs),
      goLive: () => this.#goLive(),
      toggle: () => this.#toggle(),
    });
    setInterval(() => this.#beat(), BEAT_MS);
    setInterval(() => document.hidden || this.readHeat(), HEAT_MS);
  }

  /** Whether the stage shows the past. */
  get isOn(): boolean {
    return this.#player !== undefined;
  }

  /** Reads how the room went. */
  readHeat(): void {
    heatCurve(this.#http).then(
      ({ stepMs, points }) => this.#timeline.showHeat(stepMs, points),
      // It is read again soon. The past plays without a curve, too.
      () => this.#timeline.show(),
    );
  }

  /** What `isGone` says so of is not played, though it was read already. */
  remove(isGone: (danmaku: Danmaku) => boolean): void {
    this.#player?.remove(isGone);
  }

  #seek(momentMs: number): void {
    const nowMs = Date.now();
    this.#stage.onSeek();
    if (this.#player) {
      this.#player.seek(momentMs, nowMs);
    } else {
      const pages = (from: Parameters<typeof historyPage>[1]) => historyPage(this.#http, from, PAGE_ROWS);
      this.#player = new Player(pages, momentMs, nowMs, () => this.#stage.onTrouble(words().replayUnread));
    }
    this.#beat();
  }

  #goLive(): void {
    if (this.#player) {
      this.#player = undefined;
      this.#timeline.showMoment(undefined, false);
      this.#stage.onPause(false);
      this.#stage.onLive();
    }
  }

  #toggle(): void {
    const player = this.#player;
    if (player) {
      if (player.isPaused) {
        player.resume(Date.now());
      } else {
        player.pause(Date.now());
      }
      this.#stage.onPause(player.isPaused);
      this.#beat();
    }
  }

  #beat(): void {
    const player = this.#player;
    if (!player) {
      return;
    }
    const nowMs = Date.now();
    for (const { danmaku } of player.take(nowMs)) {
      this.#stage.onDanmaku(danmaku);
    }
    if (player.momentMs(nowMs) >= nowMs) {
      this.#goLive();
    } else {
      this.#timeline.showMoment(player.momentMs(nowMs), player.isPaused);
    }
  }
}
