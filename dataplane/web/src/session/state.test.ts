// The small pure parts: what was seen, who leads, when to come back, where to.

import { describe, expect, it } from 'vitest';
import { Role } from '../danmaku';
import { reconnectDelayMs, refusedDelayMs } from './delays';
import { Ranking } from './ranking';
import { Seen } from './seen';
import { randomSession, subprotocols, webSocketUrl } from './url';

describe('seen', () => {
  it('knows an ID again, and forgets the oldest first', () => {
    const seen = new Seen(2);
    const answers = ['a', 'b', 'a', 'c', 'b', 'a'].map((id) => seen.add(id));
    expect(answers).toEqual([true, true, false, true, false, true]);
  });
});

describe('ranking', () => {
  it('orders by score, then by the lower user ID, beyond what a double can hold', () => {
    const ranking = new Ranking();
    const big = 2n ** 60n;
    ranking.replace([9n, big + 1n, big], [3n, 3n, 4n]);
    expect(ranking.best().map(({ rank, user }) => [rank, user])).toEqual([
      [1, big],
      [2, 9n],
      [3, big + 1n],
    ]);
  });

  it('keeps the best hundred and drops the removed', () => {
    const ranking = new Ranking();
    const users = Array.from({ length: 150 }, (_, i) => BigInt(i));
    ranking.replace(users, users);
    ranking.change([], [], [149n]);
    expect(ranking.best()).toHaveLength(99);
    expect(ranking.best()[0]?.user).toBe(148n);
  });
});

describe('delays', () => {
  it('stay in their bounds', () => {
    const bounds = (delay: (random: number) => number) => [delay(0), delay(1)];
    expect(bounds((random) => reconnectDelayMs(0, random))).toEqual([200, 1_000]);
    expect(bounds((random) => reconnectDelayMs(1, random))).toEqual([4_000, 6_000]);
    expect(bounds((random) => reconnectDelayMs(99, random))).toEqual([4_000, 6_000]);
    expect(bounds(refusedDelayMs)).toEqual([24_000, 36_000]);
  });
});

describe('address', () => {
  const page = new URL('https://live.example/?room=a#token=x');

  it('asks for history at a first join and for the rest after', () => {
    const join = { room: 'a', session: 5n, cursor: new Uint8Array() };
    expect(webSocketUrl(page, join)).toBe('wss://live.example/v1/rooms/a/ws?session=5&history=50');
    const again = { ...join, cursor: new Uint8Array([0xfb, 0xff, 0xfe, 1]) };
    expect(webSocketUrl(page, again)).toBe('wss://live.example/v1/rooms/a/ws?session=5&resume=-__-AQ');
  });

  it('offers the token as a subprotocol', () => {
    const identity = { token: 'a.b.c', user: 1n, role: Role.VIEWER, canSend: true, guest: false };
    expect(subprotocols(identity)).toEqual(['barrage.v2', 'bearer.a.b.c']);
    expect(subprotocols({ ...identity, token: undefined })).toEqual(['barrage.v2']);
  });

  it('draws a session of 64 bits that is not 0', () => {
    const session = randomSession();
    expect(session > 0n && session < 2n ** 64n).toBe(true);
    expect(session).not.toBe(randomSession());
  });
});
