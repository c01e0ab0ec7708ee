// What stays on screens: a pinned message, and super chats for as long as they were paid for.

import { type Danmaku, danmakuId, type Role } from '../danmaku';
import { rowsOf } from '../protocol/batch';
import type { Highlights as Wire } from '../protocol/generated/barrage/v2/barrage_pb';

/** A message above all others. */
export interface Pin {
  readonly content: string;
  readonly user: bigint;
  readonly role: Role;
  /** The danmaku that was pinned; undefined for a text of a moderator's own. */
  readonly id: string | undefined;
}

export interface SuperChat {
  readonly danmaku: Danmaku;
  /** Unix ms. */
  readonly untilMs: number;
}

export interface Highlights {
  readonly pin: Pin | undefined;
  /** The oldest first. */
  readonly superChats: readonly SuperChat[];
}

/** What the server says stays. */
export function highlightsOf({ pin, superChats, untilMs }: Wire): Highlights {
  const id = pin?.danmaku && danmakuId(pin.danmaku.partition, pin.danmaku.offset, pin.danmaku.index);
  return {
    pin: pin && { content: pin.content, user: pin.user, role: pin.role, id },
    superChats: superChats.flatMap((batch, i) =>
      rowsOf(batch).map((danmaku) => ({ danmaku, untilMs: Number(untilMs[i] ?? 0n) })),
    ),
  };
}
