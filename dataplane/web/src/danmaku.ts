// What one danmaku is to the page, wherever it came from: a live batch, the history, or the page's own composer.

import { Role } from './protocol/generated/barrage/v2/barrage_pb';

export { Role };

/** How a danmaku crosses the stage: right to left, left to right, or standing at the top or at the bottom. */
export type Mode = 'scroll' | 'reverse' | 'top' | 'bottom';

/** One comment of one user. */
export interface Danmaku {
  /** Its place in the log, `partition-offset-index`: unique for ever. */
  readonly id: string;
  readonly user: bigint;
  readonly role: Role;
  /** Unix time of sending, ms, by the sender's clock: for display only. */
  readonly sentMs: number;
  readonly content: string;
}

/** The ID of what stands at a place in the log; the HTTP API writes IDs in the same way. */
export function danmakuId(partition: number, offset: bigint, index: number): string {
  return `${partition}-${offset}-${index}`;
}

const ROLES: Readonly<Record<string, Role>> = {
  viewer: Role.VIEWER,
  moderator: Role.MODERATOR,
  host: Role.HOST,
  service: Role.SERVICE,
};

/** The role that JSON and tokens name; a viewer where the name is absent or unknown. */
export function roleOf(name: string | undefined): Role {
  return ROLES[name ?? ''] ?? Role.VIEWER;
}
