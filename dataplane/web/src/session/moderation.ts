// What moderators do, over HTTP: each call is done when no screen can show the old state any more.

import type { RoomHttp } from './http';

/** A user who may not send, or not watch. */
export interface Sanction {
  readonly userId: string;
  readonly kind: 'muted' | 'banned';
  /** Unix ms; for ever where absent. */
  readonly untilMs?: number;
  readonly reason?: string;
}

/** One entry of the list of who did what. */
export interface Act {
  readonly atMs: number;
  readonly actorId: string;
  readonly act: string;
  readonly userId?: string;
  readonly danmaku?: string;
  readonly untilMs?: number;
  readonly reason?: string;
  readonly detail?: string;
}

/** A room's settings, as moderators see them. */
export interface RoomRules {
  readonly slowModeSeconds: number;
  readonly moderatorsOnly: boolean;
  readonly blockedWords: readonly string[];
}

/** A change of settings: what is absent stays. */
export interface RoomRulesChange {
  readonly slowModeSeconds?: number;
  readonly moderatorsOnly?: boolean;
  readonly blockWords?: readonly string[];
  readonly allowWords?: readonly string[];
}

/** How much of the list of acts is shown. */
const ACTS_MAX = 50;

/** All methods throw what {@link RoomHttp.change} throws. */
export class Moderation {
  readonly #http: RoomHttp;

  constructor(http: RoomHttp) {
    this.#http = http;
  }

  /** For `seconds`, or for ever without. */
  mute(user: bigint, seconds?: number): Promise<void> {
    return this.#http.change('POST', '/moderation/mutes', {
      userId: String(user),
      ...(seconds && { seconds }),
    });
  }

  ban(user: bigint): Promise<void> {
    return this.#http.change('POST', '/moderation/bans', { userId: String(user) });
  }

  lift({ userId, kind }: Sanction): Promise<void> {
    return this.#http.change('DELETE', `/moderation/${kind === 'muted' ? 'mutes' : 'bans'}/${userId}`);
  }

  /** One danmaku of a user, or without it all that the user said so far. */
  remove(user: bigint, danmaku?: string): Promise<void> {
    return this.#http.change('POST', '/moderation/removals', {
      userId: String(user),
      ...(danmaku && { danmaku }),
    });
  }

  pin(
    what: { readonly content: string } | { readonly danmaku: string; readonly userId: string },
  ): Promise<void> {
    return this.#http.change('PUT', '/moderation/pin', what);
  }

  unpin(): Promise<void> {
    return this.#http.change('DELETE', '/moderation/pin');
  }

  async sanctions(): Promise<readonly Sanction[]> {
    const { sanctions } = await this.#http.get<{ sanctions: Sanction[] }>('/moderation/sanctions');
    return sanctions;
  }

  /** The newest first. */
  async acts(): Promise<readonly Act[]> {
    const { acts } = await this.#http.get<{ acts: Act[] }>('/moderation/audit', { limit: ACTS_MAX });
    return acts;
  }

  rules(): Promise<RoomRules> {
    return this.#http.get('/settings');
  }

  setRules(change: RoomRulesChange): Promise<void> {
    return this.#http.change('PATCH', '/settings', change);
  }
}
