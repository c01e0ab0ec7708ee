// The past comes out as far apart as it came in, also after seeking and pausing.

import { expect, it, vi } from 'vitest';
import { PLAIN, Role } from '../danmaku';
import type { Past } from '../session/api';
import { type From, Player } from './player';

const PAGE_ROWS = 3;
const past = (receivedMs: number): Past => ({
  receivedMs,
  danmaku: {
    id: `3-${receivedMs}-0`,
    user: 1n,
    role: Role.VIEWER,
    sentMs: 0,
    content: String(receivedMs),
    style: PLAIN,
  },
});
const all = [1_000, 1_500, 9_000, 30_000, 31_000].map(past);

/** Pages of three, with the last row's time as the cursor. */
function pagesOf(asked: From[] = []) {
  return async (from: From) => {
    asked.push(from);
    const rest = all.filter(({ receivedMs }) =>
      'after' in from ? receivedMs > Number(from.after) : receivedMs >= from.fromMs,
    );
    const page = rest.slice(0, PAGE_ROWS);
    return {
      past: page,
      after: String(page.at(-1)?.receivedMs ?? ('after' in from ? from.after : from.fromMs)),
    };
  };
}

const settle = () => new Promise((done) => setTimeout(done));
const failed = () => {
  throw new Error('no page should fail here');
};

async function taken(player: Player, nowMs: number): Promise<number[]> {
  const now = player.take(nowMs);
  await settle();
  return [...now, ...player.take(nowMs)].map(({ receivedMs }) => receivedMs);
}

it('plays at the pace of then', async () => {
  const player = new Player(pagesOf(), 1_000, 500_000, failed);
  expect(await taken(player, 500_000)).toEqual([1_000]);
  expect(await taken(player, 500_499)).toEqual([]);
  expect(await taken(player, 500_500)).toEqual([1_500]);
  expect(await taken(player, 508_000)).toEqual([9_000]);
  expect(await taken(player, 530_000)).toEqual([30_000, 31_000]);
});

it('begins in the middle, and leaves out what was before', async () => {
  const player = new Player(pagesOf(), 1_200, 0, failed);
  expect(await taken(player, 10_000)).toEqual([1_500, 9_000]);
});

it('stands still while paused, and goes on from there', async () => {
  const player = new Player(pagesOf(), 1_000, 0, failed);
  await taken(player, 0);
  player.pause(100);
  expect(await taken(player, 90_000)).toEqual([]);
  expect(player.momentMs(90_000)).toBe(1_100);
  player.resume(90_000);
  expect(await taken(player, 90_400)).toEqual([1_500]);
});

it('seeks both ways, and forgets what it had read', async () => {
  const player = new Player(pagesOf(), 30_000, 0, failed);
  expect(await taken(player, 0)).toEqual([30_000]);
  player.seek(1_400, 100);
  expect(await taken(player, 300)).toEqual([1_500]);
  player.seek(31_000, 400);
  expect(await taken(player, 400)).toEqual([31_000]);
});

it('does not play what is taken away, whether it was read or is on its way', async () => {
  const player = new Player(pagesOf(), 1_000, 0, failed);
  expect(await taken(player, 0)).toEqual([1_000]);
  player.remove(({ id }) => id === past(1_500).danmaku.id);
  expect(await taken(player, 8_000)).toEqual([9_000]);

  let give = (_: readonly Past[]) => {};
  const pages = () =>
    new Promise<{ past: readonly Past[]; after: string }>((done) => {
      give = (rows) => done({ past: rows, after: '' });
    });
  const slow = new Player(pages, 1_000, 0, failed);
  slow.take(0);
  const stale = give;
  slow.remove(() => true);
  slow.take(0);
  stale([past(1_000), past(1_500)]);
  give([past(1_500)]);
  expect(await taken(slow, 1_000)).toEqual([1_500]);
});

it('drops a page that comes after a seek away from it', async () => {
  let give = (_: readonly Past[]) => {};
  const pages = () =>
    new Promise<{ past: readonly Past[]; after: string }>((done) => {
      give = (rows) => done({ past: rows, after: '' });
    });
  const player = new Player(pages, 1_000, 0, failed);
  player.take(0);
  const late = give;
  player.seek(30_000, 0);
  player.take(0);
  late([past(1_000)]);
  give([past(30_000)]);
  expect(await taken(player, 0)).toEqual([30_000]);
});

it('asks for no page twice at once, and for the end only now and then', async () => {
  const asked: From[] = [];
  const player = new Player(pagesOf(asked), 40_000, 0, failed);
  for (let nowMs = 0; nowMs < 1_999; nowMs += 100) {
    await taken(player, nowMs);
  }
  expect(asked).toHaveLength(1);
  await taken(player, 2_000);
  expect(asked).toHaveLength(2);
});

it('says that a page cannot be had, and asks again', async () => {
  const told = vi.fn();
  const pages = vi.fn(async () => {
    throw new Error('away');
  });
  const player = new Player(pages, 0, 0, told);
  await taken(player, 0);
  await taken(player, 1_000);
  expect([told.mock.calls.length, pages.mock.calls.length]).toEqual([1, 1]);
  await taken(player, 2_000);
  expect(pages).toHaveBeenCalledTimes(2);
});
