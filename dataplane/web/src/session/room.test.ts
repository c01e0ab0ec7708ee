// What a room's messages become for the listener: live or past, once each, whatever overlaps.

import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { beforeEach, expect, it } from 'vitest';
import { type Danmaku, Role } from '../danmaku';
import { FrameType, readFrames, writeFrame } from '../protocol/frame';
import * as pb from '../protocol/generated/barrage/v2/barrage_pb';
import { Room } from './room';

type Row = readonly [offset: number, user: number, content: string];

let told: string[];
let room: Room;

const tell =
  (what: string) =>
  (...values: unknown[]) => {
    told.push(`${what} ${values.join(' ')}`.trim());
  };
const contents = (danmaku: readonly Danmaku[]) => danmaku.map(({ content }) => content).join(',');

beforeEach(() => {
  told = [];
  room = new Room({
    onLive: ({ content }) => tell('live')(content),
    onPast: (danmaku, missed) => tell(missed ? 'missed' : 'past')(contents(danmaku)),
    onGap: (firstKnown) => tell('gap before')(firstKnown),
    onMerge: tell('merge'),
    onRanking: (best) => tell('ranking')(best.map(({ user, score }) => `${user}:${score}`).join(',')),
    onFigures: tell('figures'),
    onPending: () => {},
    onRefusal: ({ givenUp }) => tell('refusal')(givenUp),
    onJoined: tell('joined'),
    onHeartbeat: tell('heartbeat'),
    onGoAway: tell('go away'),
    onNotice: tell('notice'),
    onUnreadable: tell('unreadable'),
  });
  room.self = { user: 7n, role: Role.VIEWER };
});

function batch(rows: readonly Row[], fields: MessageInitShape<typeof pb.BatchSchema> = {}): pb.Batch {
  let before = 0;
  return create(pb.BatchSchema, {
    partition: 3,
    user: rows.map(([, user]) => BigInt(user)),
    content: rows.map(([, , content]) => content),
    sentDeltaMs: rows.map(() => 0n),
    offsetDelta: rows.map(([offset]) => {
      const delta = BigInt(offset - before);
      before = offset;
      return delta;
    }),
    ...fields,
  });
}

function hearBatch(rows: readonly Row[], fields?: MessageInitShape<typeof pb.BatchSchema>): void {
  room.receive(writeFrame(FrameType.batch, toBinary(pb.BatchSchema, batch(rows, fields))), 0);
}

function hearHistory(rows: readonly Row[], truncated = false): void {
  const history = create(pb.HistorySchema, { batch: batch(rows), truncated });
  room.receive(writeFrame(FrameType.history, toBinary(pb.HistorySchema, history)), 0);
}

it('shows history and overlapping live danmaku once', () => {
  hearHistory([
    [1, 1, 'a'],
    [2, 2, 'b'],
  ]);
  hearBatch([
    [2, 2, 'b'],
    [3, 1, 'c'],
  ]);
  expect(told).toEqual(['past a,b', 'joined', 'live c']);
});

it('tells missed from past, and names the gap of a truncated resume', () => {
  hearBatch([], { cursor: new Uint8Array([4]) });
  hearHistory([[1, 1, 'a']]);
  room.lost();
  hearHistory([[8, 1, 'h']], true);
  hearHistory([[9, 1, 'i']]);
  expect(told).toEqual(['past a', 'joined', 'missed h', 'gap before 3-8-0', 'joined', 'past i', 'joined']);
});

it('joins anew without a cursor that the server does not take, and fills what that leaves open', () => {
  hearBatch([[1, 1, 'a']], { cursor: new Uint8Array([4]) });
  hearHistory([]);
  room.lost();
  room.dropCursor();
  expect(room.cursor).toHaveLength(0);
  hearHistory([[8, 1, 'h']]);
  expect(told.slice(2)).toEqual(['missed h', 'gap before 3-8-0', 'joined']);
});

it('needs no gap filled after a whole resume', () => {
  hearBatch([], { cursor: new Uint8Array([4]) });
  hearHistory([[1, 1, 'a']]);
  room.lost();
  hearHistory([[2, 1, 'b']]);
  expect(told).toEqual(['past a', 'joined', 'missed b', 'joined']);
});

it('names the gap where it was lost before it had a cursor to resume from', () => {
  hearHistory([[1, 1, 'a']]);
  room.lost();
  hearHistory([[8, 1, 'h']]);
  expect(told).toEqual(['past a', 'joined', 'missed h', 'gap before 3-8-0', 'joined']);
});

it('passes over what it cannot read', () => {
  hearBatch([[1, 1, 'a']], { user: [] });
  room.receive(new Uint8Array([1, 2, 3]), 0);
  hearBatch([[2, 1, 'b']]);
  expect(told.map((line) => line.split(' ')[0])).toEqual(['unreadable', 'unreadable', 'live']);
});

it('is not alarmed by a truncated first history: there is always something older', () => {
  hearHistory([[8, 1, 'h']], true);
  expect(told).toEqual(['past h', 'joined']);
});

it('fills a gap only with what was not shown', () => {
  hearHistory([[1, 1, 'a']]);
  const row = (id: string) => ({ id, user: 1n, role: Role.VIEWER, sentMs: 0, content: id });
  expect(room.claim([row('3-1-0'), row('3-2-0'), row('3-2-0')], 0).map(({ id }) => id)).toEqual(['3-2-0']);
});

it('remembers the newest cursor that is not empty', () => {
  hearBatch([[1, 1, 'a']], { cursor: new Uint8Array([4]) });
  hearBatch([[2, 1, 'b']]);
  expect([...room.cursor]).toEqual([4]);
});

it('passes merges, figures, go-away and notices on', () => {
  hearBatch([], { merge: [{ partition: 3, offset: 1n, index: 0, total: 1234 }] });
  const state = create(pb.RoomStateSchema, { viewers: 2, messagesPerSecond: 3 });
  room.receive(writeFrame(FrameType.roomState, toBinary(pb.RoomStateSchema, state)), 0);
  const goAway = create(pb.GoAwaySchema, { reconnectAfterMs: 900 });
  room.receive(writeFrame(FrameType.goAway, toBinary(pb.GoAwaySchema, goAway)), 0);
  const error = create(pb.ErrorSchema, { reason: pb.Reason.BAD_PAYLOAD, message: 'odd' });
  room.receive(writeFrame(FrameType.error, toBinary(pb.ErrorSchema, error)), 0);
  expect(told).toEqual(['merge 3-1-0 1234', 'figures 2 3', 'go away 900', 'notice odd']);
});

it('keeps the ranking by snapshot and deltas', () => {
  const snapshot = create(pb.RankingSnapshotSchema, { user: [1n, 2n], score: [5n, 4n] });
  room.receive(writeFrame(FrameType.rankingSnapshot, toBinary(pb.RankingSnapshotSchema, snapshot)), 0);
  const delta = create(pb.RankingDeltaSchema, { user: [2n, 3n], score: [6n, 5n], removed: [] });
  room.receive(writeFrame(FrameType.rankingDelta, toBinary(pb.RankingDeltaSchema, delta)), 0);
  expect(told).toEqual(['ranking 1:5,2:4', 'ranking 2:6,1:5,3:5']);
});

it('sends only after the history, and draws an own retry at its acknowledgement', () => {
  room.compose('mine', 1_000);
  expect(room.take(1_000)).toEqual([]);
  hearHistory([]);
  expect(room.take(1_001)).toHaveLength(1);
  room.lost();
  hearHistory([]);
  const [frame] = [...readFrames(room.take(2_000)[0] ?? new Uint8Array())];
  expect(frame?.type).toBe(FrameType.send);
  const ack = create(pb.AckSchema, { seq: [1n], partition: 3, offset: 9n, index: [0] });
  room.receive(writeFrame(FrameType.ack, toBinary(pb.AckSchema, ack)), 2_100);
  room.tick(2_100);
  hearBatch([[9, 7, 'mine']]);
  expect(told).toEqual(['joined', 'joined', 'live mine']);
});
