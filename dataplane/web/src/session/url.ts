// The WebSocket's address and what is offered with it.

import type { Identity } from './identity';

const SUBPROTOCOL = 'barrage.v2';
/** Danmaku at a first join: a screenful of chat. */
const HISTORY_ROWS = 50;

/** What a connection asks for. */
export interface Join {
  readonly room: string;
  /** Chosen once per page: the server knows own danmaku and retries by it. */
  readonly session: bigint;
  /** The newest cursor, where to resume; empty at a first join. */
  readonly cursor: Uint8Array;
}

/** The address of the room's WebSocket on the page's own server. */
export function webSocketUrl(page: URL, { room, session, cursor }: Join): string {
  const url = new URL(`/v1/rooms/${encodeURIComponent(room)}/ws`, page);
  url.protocol = page.protocol === 'https:' ? 'wss:' : 'ws:';
  url.searchParams.set('session', session.toString());
  if (cursor.length > 0) {
    url.searchParams.set('resume', base64url(cursor));
  } else {
    url.searchParams.set('history', HISTORY_ROWS.toString());
  }
  return url.href;
}

/** The subprotocols to offer: browsers cannot set headers, so the token travels in the list. */
export function subprotocols({ token }: Identity): string[] {
  return token === undefined ? [SUBPROTOCOL] : [SUBPROTOCOL, `bearer.${token}`];
}

/** A random session number, 64 bits, never 0. */
export function randomSession(): bigint {
  const [high = 0, low = 1] = crypto.getRandomValues(new Uint32Array(2));
  return (BigInt(high) << 32n) | BigInt(low) || 1n;
}

function base64url(bytes: Uint8Array): string {
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}
