// The HTTP side of a room: why a connection was refused, and older danmaku.

import { type Danmaku, roleOf } from '../danmaku';
import { words } from '../i18n/language';
import type { Verdict } from './connection';
import type { Identity } from './identity';

/** An error as the server words it (RFC 9457). */
interface Problem {
  readonly title?: string;
  readonly detail?: string;
}

interface HistoryRow {
  readonly id: string;
  readonly userId: string;
  readonly role: string;
  readonly sentMs: number;
  readonly content: string;
}

/** Asks over HTTP what a failed WebSocket hides; `renew` gets another token where that may help. */
export async function diagnose(room: string, identity: Identity, renew: () => boolean): Promise<Verdict> {
  let response: Response;
  try {
    response = await get(`/v1/rooms/${encodeURIComponent(room)}`, identity);
  } catch {
    return { kind: 'unreachable' };
  }
  if (response.ok || response.status >= 500 || response.status === 429) {
    return { kind: 'unclear' };
  }
  if (response.status === 401 && renew()) {
    return { kind: 'mended' };
  }
  const problem = (await response.json().catch(() => ({}))) as Problem;
  return {
    kind: 'refused',
    why: problem.detail ?? problem.title ?? words().answersHttp(response.status),
  };
}

/**
 * The newest danmaku of a room, oldest first.
 *
 * @throws {Error} where the server does not give them.
 */
export async function newestHistory(room: string, identity: Identity, limit: number): Promise<Danmaku[]> {
  const response = await get(`/v1/rooms/${encodeURIComponent(room)}/history?limit=${limit}`, identity);
  if (!response.ok) {
    throw new Error(`no history: HTTP ${response.status}`);
  }
  const { danmaku } = (await response.json()) as { danmaku: HistoryRow[] };
  return danmaku.map(({ id, userId, role, sentMs, content }) => ({
    id,
    user: BigInt(userId),
    role: roleOf(role),
    sentMs,
    content,
  }));
}

function get(path: string, { token }: Identity): Promise<Response> {
  return fetch(path, token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } });
}
