// Coming back after drops, by a clock that the test turns.

import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Connection, type Socket, type Status, type Verdict } from './connection';

/** A socket whose server is the test. */
class FakeSocket {
  readyState = 0;
  binaryType: BinaryType = 'blob';
  readonly sent: unknown[] = [];
  onopen: ((event: Event) => void) | null = null;
  onmessage: ((event: MessageEvent) => void) | null = null;
  onclose: ((event: CloseEvent) => void) | null = null;

  send(data: unknown): void {
    this.sent.push(data);
  }

  close(): void {
    this.readyState = 3;
  }

  open(): void {
    this.readyState = 1;
    this.onopen?.(new Event('open'));
  }

  say(...bytes: number[]): void {
    this.onmessage?.({ data: Uint8Array.from(bytes).buffer } as MessageEvent);
  }

  drop(reason = '', code = 1006): void {
    this.readyState = 3;
    this.onclose?.({ reason, code } as CloseEvent);
  }
}

let sockets: FakeSocket[];
let statuses: Status[];
let heard: number[][];
let lost: number;
let verdict: Verdict;
let connection: Connection;

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
  sockets = [];
  statuses = [];
  heard = [];
  lost = 0;
  verdict = { kind: 'unreachable' };
  connection = new Connection({
    async open() {
      const socket = new FakeSocket();
      sockets.push(socket);
      return socket as unknown as Socket;
    },
    diagnose: async () => verdict,
    heartbeat: () => new Uint8Array([2]),
    onStatus: (status) => statuses.push(status),
    onMessage: (bytes) => heard.push([...bytes]),
    onLost: () => {
      lost += 1;
    },
  });
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

function latest(): FakeSocket {
  const socket = sockets.at(-1);
  if (!socket) {
    throw new Error('no socket was opened');
  }
  return socket;
}

async function goLive(): Promise<FakeSocket> {
  connection.connect();
  await vi.advanceTimersByTimeAsync(0);
  latest().open();
  connection.markLive();
  return latest();
}

async function pass(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}

it('connects, hears and speaks', async () => {
  const socket = await goLive();
  socket.say(1, 2);
  expect(connection.send(new Uint8Array([9]))).toBe(true);
  expect([heard, socket.sent, statuses.map(({ kind }) => kind)]).toEqual([
    [[1, 2]],
    [new Uint8Array([9])],
    ['connecting', 'live'],
  ]);
});

it('tries soon after a drop, then on the beat of five seconds', async () => {
  const socket = await goLive();
  await pass(10_000);
  socket.drop();
  expect(lost).toBe(1);
  expect(statuses.at(-1)).toMatchObject({ kind: 'waiting', untilMs: Date.now() + 600 });
  await pass(600);
  expect(sockets).toHaveLength(2);
  latest().drop();
  await pass(0);
  expect(statuses.at(-1)).toMatchObject({ kind: 'waiting', untilMs: Date.now() + 5_000 });
  await pass(4_999);
  expect(sockets).toHaveLength(2);
  await pass(1);
  expect(sockets).toHaveLength(3);
});

it('does not hurry where connections open and die', async () => {
  (await goLive()).drop();
  await pass(600);
  latest().open();
  connection.markLive();
  latest().drop();
  expect(statuses.at(-1)).toMatchObject({ kind: 'waiting', untilMs: Date.now() + 5_000 });
});

it('honours the delay of a go-away, whether or not the socket ends before', async () => {
  const socket = await goLive();
  connection.goAway(7_000);
  expect(connection.send(new Uint8Array([1]))).toBe(false);
  await pass(1_000);
  socket.drop();
  expect(statuses.at(-1)).toEqual({ kind: 'goingAway', untilMs: 1_007_000 });
  await pass(5_999);
  expect(sockets).toHaveLength(1);
  await pass(1);
  expect(sockets).toHaveLength(2);
  latest().open();
  connection.markLive();
  connection.goAway(3_000);
  await pass(3_000);
  expect([sockets.length, lost]).toEqual([3, 2]);
});

it('says why it was refused, and asks again slowly', async () => {
  verdict = { kind: 'refused', why: 'There is no such room.' };
  connection.connect();
  await pass(0);
  latest().drop();
  await pass(0);
  expect(statuses.at(-1)).toMatchObject({ kind: 'refused', why: 'There is no such room.' });
  await pass(29_999);
  expect(sockets).toHaveLength(1);
  await pass(1);
  expect(sockets).toHaveLength(2);
});

it('comes back at once with a new token, but not in a loop', async () => {
  verdict = { kind: 'mended' };
  connection.connect();
  await pass(0);
  for (let attempt = 0; attempt < 4; attempt++) {
    latest().drop();
    await pass(0);
    await pass(0);
  }
  expect(sockets).toHaveLength(3);
});

it('asks a silent server, and leaves one that does not answer', async () => {
  const socket = await goLive();
  await pass(15_000);
  expect(socket.sent).toEqual([new Uint8Array([2])]);
  socket.say(2);
  await pass(20_000);
  expect(socket.sent).toHaveLength(2);
  expect(lost).toBe(0);
  await pass(5_000);
  expect(lost).toBe(1);
  expect(statuses.at(-1)).toMatchObject({ kind: 'waiting', trouble: 'silent' });
});

it('gives up a server that opens and never shows the room', async () => {
  connection.connect();
  await pass(0);
  latest().open();
  await pass(10_000);
  expect(statuses.at(-1)).toMatchObject({ kind: 'waiting' });
});

it('does not come back where moderators keep the viewer out', async () => {
  const socket = await goLive();
  socket.drop('', 4403);
  connection.nudge();
  await pass(600_000);
  expect([statuses.at(-1), sockets.length, lost]).toEqual([{ kind: 'banned' }, 1, 1]);
});

it('hears nothing of a socket that it has left', async () => {
  const old = await goLive();
  connection.goAway(600);
  await pass(600);
  old.say(1);
  old.drop();
  expect(heard).toEqual([]);
  expect([lost, sockets.length]).toEqual([1, 2]);
});
