// What a WebSocket message from the server says, and the bytes of what the page says to it.

import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { inflate } from './compression';
import { type Frame, FrameError, FrameType, readFrames, writeFrame } from './frame';
import * as pb from './generated/barrage/v2/barrage_pb';

const FLAG_ZSTD = 0b0000_0001;
/** Flags that a receiver must understand or skip the frame. */
const FLAGS_CRITICAL = 0b0000_1111;

/** One thing that the server said. */
export type ServerMessage =
  | { readonly kind: 'heartbeat'; readonly body: pb.Heartbeat }
  | { readonly kind: 'batch'; readonly body: pb.Batch }
  | { readonly kind: 'history'; readonly body: pb.History }
  | { readonly kind: 'rankingSnapshot'; readonly body: pb.RankingSnapshot }
  | { readonly kind: 'rankingDelta'; readonly body: pb.RankingDelta }
  | { readonly kind: 'roomState'; readonly body: pb.RoomState }
  | { readonly kind: 'ack'; readonly body: pb.Ack }
  | { readonly kind: 'error'; readonly body: pb.Error }
  | { readonly kind: 'goAway'; readonly body: pb.GoAway }
  | { readonly kind: 'removal'; readonly body: pb.Removal }
  | { readonly kind: 'roomSettings'; readonly body: pb.RoomSettings }
  | { readonly kind: 'highlights'; readonly body: pb.Highlights }
  | { readonly kind: 'notice'; readonly body: pb.Notice }
  /** Not from the server: a frame, or the rest of the message, that could not be read and is passed over. */
  | { readonly kind: 'unreadable'; readonly why: string };

/**
 * What a message says, in order. What is for others is skipped: other rooms, and what only newer pages know (types,
 * critical flags). What cannot be read is named and passed over, as the protocol asks: the connection goes on.
 */
export function* readMessage(bytes: Uint8Array): Generator<ServerMessage> {
  try {
    for (const frame of readFrames(bytes)) {
      const isForUs = frame.room === 0 && (frame.flags & FLAGS_CRITICAL & ~FLAG_ZSTD) === 0;
      const message = isForUs ? tryReadFrame(frame) : undefined;
      if (message) {
        yield message;
      }
    }
  } catch (error) {
    if (!(error instanceof FrameError)) {
      throw error;
    }
    yield { kind: 'unreadable', why: error.message };
  }
}

/** The frame of one danmaku to send. */
export function writeSend(send: MessageInitShape<typeof pb.SendSchema>): Uint8Array<ArrayBuffer> {
  return writeFrame(FrameType.send, toBinary(pb.SendSchema, create(pb.SendSchema, send)));
}

/** The frame of so many likes, 1 to 100. */
export function writeLike(count: number): Uint8Array<ArrayBuffer> {
  return writeFrame(FrameType.like, toBinary(pb.LikeSchema, create(pb.LikeSchema, { count })));
}

/** A heartbeat, which the server answers. */
export function writeHeartbeat(nowMs: number): Uint8Array<ArrayBuffer> {
  const body = create(pb.HeartbeatSchema, { clientMs: BigInt(nowMs) });
  return writeFrame(FrameType.heartbeat, toBinary(pb.HeartbeatSchema, body));
}

function tryReadFrame(frame: Frame): ServerMessage | undefined {
  try {
    return readFrame(frame);
  } catch (error) {
    return { kind: 'unreadable', why: `frame of type 0x${frame.type.toString(16)}: ${String(error)}` };
  }
}

function readFrame(frame: Frame): ServerMessage | undefined {
  const read = <D extends DescMessage>(schema: D): MessageShape<D> =>
    fromBinary(schema, frame.flags & FLAG_ZSTD ? inflate(frame.payload) : frame.payload);
  switch (frame.type) {
    case FrameType.heartbeat:
      return { kind: 'heartbeat', body: read(pb.HeartbeatSchema) };
    case FrameType.batch:
      return { kind: 'batch', body: read(pb.BatchSchema) };
    case FrameType.history:
      return { kind: 'history', body: read(pb.HistorySchema) };
    case FrameType.rankingSnapshot:
      return { kind: 'rankingSnapshot', body: read(pb.RankingSnapshotSchema) };
    case FrameType.rankingDelta:
      return { kind: 'rankingDelta', body: read(pb.RankingDeltaSchema) };
    case FrameType.roomState:
      return { kind: 'roomState', body: read(pb.RoomStateSchema) };
    case FrameType.ack:
      return { kind: 'ack', body: read(pb.AckSchema) };
    case FrameType.error:
      return { kind: 'error', body: read(pb.ErrorSchema) };
    case FrameType.goAway:
      return { kind: 'goAway', body: read(pb.GoAwaySchema) };
    case FrameType.removal:
      return { kind: 'removal', body: read(pb.RemovalSchema) };
    case FrameType.roomSettings:
      return { kind: 'roomSettings', body: read(pb.RoomSettingsSchema) };
    case FrameType.highlights:
      return { kind: 'highlights', body: read(pb.HighlightsSchema) };
    case FrameType.notice:
      return { kind: 'notice', body: read(pb.NoticeSchema) };
    default:
      return undefined;
  }
}
