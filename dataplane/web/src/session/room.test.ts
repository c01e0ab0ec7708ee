// What a room's messages become for the listener: live or past, once each, whatever overlaps.

import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { beforeEach, expect, it } from 'vitest';
import { type Danmaku, PLAIN, Role } from '../danmaku';
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
    onFigures: ({ viewers, messagesPerSecond, likes, heat }) =>
      tell('figures')(viewers, messagesPerSecond, likes, heat),
    onRules: ({ slowModeS, moderatorsOnly }) => tell('rules')(slowModeS, moderatorsOnly),
    onHighlights: ({ pin, superChats }) =>
      tell('highlights')(
        pin?.content,
        ...superChats.map(({ danmaku, untilMs }) => `${danmaku.content}@${untilMs}`),
      ),
    onRemoval: (isGone) => {
      const known = ['3-1-0', '3-2-0', '3-3-0'].map((id, i) => ({ id, user: BigInt(i + 1) }));
      tell('removal')(known.filter(isGone).map(({ id }) => id));
    },
    onSanction: ({ kind, untilMs }) => tell('sanction')(kind, untilMs),
    onPending: () => {},
    onRefusal: ({ givenUp }) => tell('refusal')(givenUp?.content),
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
  const row = (id: string) => ({ id, user: 1n, role: Role.VIEWER, sentMs: 0, content: id, style: PLAIN });
  expect(room.claim([row('3-1-0'), row('3-2-0'), row('3-2-0')], 0).map(({ id }) => id)).toEqual(['3-2-0']);
});

it('remembers the newest cursor that is not empty', () => {
  hearBatch([[1, 1, 'a']], { cursor: new Uint8Array([4]) });
  hearBatch([[2, 1, 'b']]);
  expect([...room.cursor]).toEqual([4]);
});

it('passes merges, figures, go-away and notices on', () => {
  hearBatch([], { merge: [{ partition: 3, offset: 1n, index: 0, total: 1234 }] });
  const state = create(pb.RoomStateSchema, { viewers: 2, messagesPerSecond: 3, likes: 4n, heat: 5 });
  room.receive(writeFrame(FrameType.roomState, toBinary(pb.RoomStateSchema, state)), 0);
  const goAway = create(pb.GoAwaySchema, { reconnectAfterMs: 900 });
  room.receive(writeFrame(FrameType.goAway, toBinary(pb.GoAwaySchema, goAway)), 0);
  const error = create(pb.ErrorSchema, { reason: pb.Reason.BAD_PAYLOAD, message: 'odd' });
  room.receive(writeFrame(FrameType.error, toBinary(pb.ErrorSchema, error)), 0);
  expect(told).toEqual(['merge 3-1-0 1234', 'figures 2 3 4 5', 'go away 900', 'notice odd']);
});

it('keeps the ranking by snapshot and deltas', () => {
  const snapshot = create(pb.RankingSnapshotSchema, { user: [1n, 2n], score: [5n, 4n] });
  room.receive(writeFrame(FrameType.rankingSnapshot, toBinary(pb.RankingSnapshotSchema, snapshot)), 0);
  const delta = create(pb.RankingDeltaSchema, { user: [2n, 3n], score: [6n, 5n], removed: [] });
  room.receive(writeFrame(FrameType.rankingDelta, toBinary(pb.RankingDeltaSchema, delta)), 0);
  expect(told).toEqual(['ranking 1:5,2:4', 'ranking 2:6,1:5,3:5']);
});

it('sends only after the history, and draws an own retry at its acknowledgement', () => {
  room.compose({ content: 'mine', style: PLAIN }, 1_000);
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

function hear(type: number, bytes: Uint8Array): void {
  room.receive(writeFrame(type, bytes), 0);
}

it('takes away what moderators took away, and shows none of it later', () => {
  const gone = { partition: 3, offset: 1n, index: 0 };
  hear(
    FrameType.removal,
    toBinary(pb.RemovalSchema, create(pb.RemovalSchema, { danmaku: [gone], user: [3n] })),
  );
  expect(told).toEqual(['removal 3-1-0,3-3-0']);
  hearBatch([
    [1, 1, 'deleted'],
    [4, 3, 'said after'],
  ]);
  expect(told.slice(1)).toEqual(['live said after']);
});

it('passes rules, highlights and decisions about the viewer on', () => {
  hear(
    FrameType.roomSettings,
    toBinary(pb.RoomSettingsSchema, create(pb.RoomSettingsSchema, { slowModeS: 9 })),
  );
  const superChat = batch([[5, 2, 'thanks']], { gift: [{ row: 0, value: 500n, count: 1, stayS: 60 }] });
  const highlights = create(pb.HighlightsSchema, {
    pin: { content: 'read this', user: 8n },
    superChats: [superChat],
    untilMs: [70_000n],
  });
  hear(FrameType.highlights, toBinary(pb.HighlightsSchema, highlights));
  const notice = create(pb.NoticeSchema, { kind: pb.NoticeKind.MUTED, untilMs: 5n });
  hear(FrameType.notice, toBinary(pb.NoticeSchema, notice));
  expect(told).toEqual(['rules 9 false', 'highlights read this thanks@70000', 'sanction 1 5']);
});

it('sends style, reply and likes', () => {
  hearHistory([]);
  const style = { mode: 'bottom', colour: 0x112233, size: 'large' } as const;
  room.compose({ content: 'mine', style, reply: { to: '3-1042-7', user: 9n } }, 0);
  room.like();
  const [send, like] = room.take(0).map((bytes) => [...readFrames(bytes)][0]);
  const sent = fromBinary(pb.SendSchema, send?.payload ?? new Uint8Array());
  expect(sent).toMatchObject({
    mode: pb.Mode.BOTTOM,
    colour: 0x112233,
    size: pb.Size.LARGE,
    replyTo: { partition: 3, offset: 1042n, index: 7 },
  });
  expect(fromBinary(pb.LikeSchema, like?.payload ?? new Uint8Array()).count).toBe(1);
  expect(room.take(100)).toEqual([]);
});
