// What the page asks a room over HTTP: why a connection was refused, what was said before, how the room went.

import { type Danmaku, type Gift, MODES, PLAIN, roleOf, SIZES } from '../danmaku';
import type { Verdict } from './connection';
import { type RoomHttp, wordingOf } from './http';

interface HistoryRow {
  readonly id: string;
  readonly userId: string;
  readonly role: string;
  readonly sentMs: number;
  readonly receivedMs: number;
  readonly content: string;
  readonly mode?: string;
  readonly colour?: string;
  readonly size?: string;
  readonly replyTo?: { readonly id: string; readonly userId: string };
  readonly gift?: Pick<Gift, 'name' | 'count'> & { readonly value: string; readonly superChat: boolean };
}

/** A danmaku of the history, and when the server received it, Unix ms. */
export interface Past {
  readonly danmaku: Danmaku;
  readonly receivedMs: number;
}

/** How many danmaku came in a step of time. */
export interface HeatPoint {
  readonly atMs: number;
  readonly danmaku: number;
}

/** Asks over HTTP what a failed WebSocket hides; `renew` gets another token where that may help. */
export async function diagnose(http: RoomHttp, renew: () => boolean): Promise<Verdict> {
  let response: Response;
  try {
    response = await http.fetch('GET', '');
  } catch {
    return { kind: 'unreachable' };
  }
  if (response.ok || response.status >= 500 || response.status === 429) {
    return { kind: 'unclear' };
  }
  if (response.status === 401 && renew()) {
    return { kind: 'mended' };
  }
  return { kind: 'refused', why: await wordingOf(response) };
}

/**
 * The newest danmaku of a room, oldest first.
 *
 * @throws {Error} where the server does not give them.
 */
export async function newestHistory(http: RoomHttp, limit: number): Promise<Danmaku[]> {
  const { danmaku } = await http.get<{ danmaku: HistoryRow[] }>('/history', { limit });
  return danmaku.map((row) => pastOf(row).danmaku);
}

/**
 * A page of what was said from a moment on, oldest first, and the cursor of the next one.
 *
 * @throws {Error} where the server does not give it.
 */
export async function historyPage(
  http: RoomHttp,
  from: { readonly fromMs: number } | { readonly after: string },
  limit: number,
): Promise<{ past: Past[]; after: string }> {
  const { danmaku, after } = await http.get<{ danmaku: HistoryRow[]; after: string }>('/history', {
    limit,
    ...from,
  });
  return { past: danmaku.map(pastOf), after };
}

/**
 * How much was said over time; moments without danmaku are left out.
 *
 * @throws {Error} where the server does not say.
 */
export function heatCurve(
  http: RoomHttp,
  range: { readonly fromMs?: number; readonly toMs?: number } = {},
): Promise<{ readonly stepMs: number; readonly points: readonly HeatPoint[] }> {
  return http.get('/heat', range);
}

function pastOf({ id, userId, role, sentMs, receivedMs, content, ...rest }: HistoryRow): Past {
  const { mode, colour, size, replyTo, gift } = rest;
  const style = {
    mode: MODES.find((one) => one === mode) ?? PLAIN.mode,
    colour: colourOf(colour),
    size: SIZES.find((one) => one === size) ?? PLAIN.size,
  };
  const danmaku: Danmaku = {
    id,
    user: BigInt(userId),
    role: roleOf(role),
    sentMs,
    content,
    style,
    ...(replyTo && { reply: { to: replyTo.id, user: BigInt(replyTo.userId) } }),
    ...(gift && {
      gift: { name: gift.name, count: gift.count, value: BigInt(gift.value), isSuperChat: gift.superChat },
    }),
  };
  return { danmaku, receivedMs };
}

function colourOf(hex: string | undefined): number {
  return hex && /^#[0-9a-f]{6}$/i.test(hex) ? Number.parseInt(hex.slice(1), 16) : PLAIN.colour;
}
