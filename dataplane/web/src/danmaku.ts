// What one danmaku is to the page, wherever it came from: a live batch, the history, or the page's own composer.

import { Role } from './protocol/generated/barrage/v2/barrage_pb';

export { Role };

/** Ways over the stage, by their numbers on the wire: right to left, standing at the top or bottom, left to right. */
export const MODES = ['scroll', 'top', 'bottom', 'reverse'] as const;
/** Sizes of text, by their numbers on the wire. */
export const SIZES = ['normal', 'small', 'large'] as const;

export type Mode = (typeof MODES)[number];
export type Size = (typeof SIZES)[number];

/** How a danmaku looks and moves. */
export interface Style {
  readonly mode: Mode;
  /** 0xRRGGBB; 0 is the stage's own white. */
  readonly colour: number;
  readonly size: Size;
}

export const PLAIN: Style = { mode: 'scroll', colour: 0, size: 'normal' };

/** What came with a danmaku for the room. */
export interface Gift {
  /** What it counts in the ranking. */
  readonly value: bigint;
  /** Empty for a super chat, whose text is all there is to say. */
  readonly name: string;
  readonly count: number;
  readonly isSuperChat: boolean;
}

/** Which danmaku another one answers. */
export interface Reply {
  readonly to: string;
  readonly user: bigint;
}

/** One comment of one user. */
export interface Danmaku {
  /** Its place in the log, `partition-offset-index`: unique for ever. */
  readonly id: string;
  readonly user: bigint;
  readonly role: Role;
  /** Unix time of sending, ms, by the sender's clock: for display only. */
  readonly sentMs: number;
  readonly content: string;
  readonly style: Style;
  readonly reply?: Reply;
  readonly gift?: Gift;
}

/** The ID of what stands at a place in the log; the HTTP API writes IDs in the same way. */
export function danmakuId(partition: number, offset: bigint, index: number): string {
  return `${partition}-${offset}-${index}`;
}

/** The place in the log that an ID names. */
export function placeOf(id: string): { partition: number; offset: bigint; index: number } {
  const [partition = '0', offset = '0', index = '0'] = id.split('-');
  return { partition: Number(partition), offset: BigInt(offset), index: Number(index) };
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

/** Whether a role may change the room for others. */
export function moderates(role: Role): boolean {
  return role === Role.MODERATOR || role === Role.HOST;
}
