// The protocol's own test vectors (proto/vectors), read by this page's code.

import { readFileSync } from 'node:fs';
import { fromBinary, fromJson, type JsonValue, toJson } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { type Danmaku, danmakuId, type Mode, Role, type Size } from '../danmaku';
import { rowsOf } from './batch';
import { CompressionError, inflate } from './compression';
import { FrameError, readFrames } from './frame';
import * as pb from './generated/barrage/v2/barrage_pb';
import { readMessage, writeHeartbeat, writeSend } from './message';

interface Vector {
  readonly name: string;
  readonly kind: string;
  readonly bytes: string;
  readonly [field: string]: unknown;
}

function vectorsOf(file: string, kind: string): Vector[] {
  const path = new URL(`../../../../proto/vectors/${file}.json`, import.meta.url);
  const { vectors } = JSON.parse(readFileSync(path, 'utf8')) as { vectors: Vector[] };
  return vectors.filter((vector) => vector.kind === kind);
}

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(hex.replaceAll(' ', '').match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** A row as the vectors write it: what is the default is left out. */
interface RowVector {
  readonly id: string;
  readonly userId: string;
  readonly sentMs: string;
  readonly role: string;
  readonly content: string;
  readonly mode?: string;
  readonly colour?: number;
  readonly size?: string;
  readonly reply?: { readonly to: string; readonly userId: string };
  readonly gift?: {
    readonly value: string;
    readonly name: string;
    readonly count: number;
    readonly stayS: number;
  };
}

function danmakuOf({
  id,
  userId,
  sentMs,
  role,
  content,
  mode,
  colour,
  size,
  reply,
  gift,
}: RowVector): Danmaku {
  return {
    id,
    user: BigInt(userId),
    sentMs: Number(sentMs),
    role: Role[role.replace('ROLE_', '') as keyof typeof Role],
    content,
    style: {
      mode: (mode ?? 'MODE_SCROLL').replace('MODE_', '').toLowerCase() as Mode,
      colour: colour ?? 0,
      size: (size ?? 'SIZE_NORMAL').replace('SIZE_', '').toLowerCase() as Size,
    },
    ...(reply && { reply: { to: reply.to, user: BigInt(reply.userId) } }),
    ...(gift && {
      gift: { value: BigInt(gift.value), name: gift.name, count: gift.count, isSuperChat: gift.stayS > 0 },
    }),
  };
}

const schemas = new Map(pb.file_barrage_v2_barrage.messages.map((schema) => [schema.name, schema]));

function schemaOf(vector: Vector) {
  const schema = schemas.get(String(vector.message));
  if (!schema) {
    throw new Error(`the protocol has no message ${vector.message}`);
  }
  return schema;
}

/** What the page reads, tests only: it never receives a Send, so readMessage passes over it. */
function payloadOf(vector: Vector, limit?: number): JsonValue {
  const [frame] = [...readFrames(bytesOf(vector.bytes))];
  if (!frame) {
    throw new Error('no frame');
  }
  const payload = frame.flags & 1 ? inflate(frame.payload, limit) : frame.payload;
  return toJson(schemaOf(vector), fromBinary(schemaOf(vector), payload));
}

/** What only clients send. */
const SENT = new Set(['Send', 'Like']);

describe('frames', () => {
  it.each(vectorsOf('v2', 'v2-frame'))('$name is read', (vector) => {
    const [frame] = [...readFrames(bytesOf(vector.bytes))];
    const { type, flags, room } = vector.header as Record<string, number>;
    expect(frame).toMatchObject({ type, flags, room });
    expect(payloadOf(vector)).toEqual(vector.payload);
  });

  it.each(vectorsOf('v2', 'v2-frame').filter(({ message }) => !SENT.has(String(message))))(
    '$name reaches the page, if it is for its room',
    (vector) => {
      const kind = String(vector.message).replace(/^./, (first) => first.toLowerCase());
      const kinds = [...readMessage(bytesOf(vector.bytes))].map((message) => message.kind);
      expect(kinds).toEqual(vector.name === 'v2-other-room' ? [] : [kind]);
    },
  );

  it.each(vectorsOf('v2-invalid', 'v2-frame-error').filter(({ bytes }) => bytes !== ''))(
    '$name is refused',
    ({ bytes }) => {
      expect(() => [...readFrames(bytesOf(bytes))]).toThrow(FrameError);
    },
  );

  it('are read up to a broken one, which is named', () => {
    const ack = vectorsOf('v2', 'v2-frame').find(({ name }) => name === 'v2-ack');
    const kinds = [...readMessage(bytesOf(`${ack?.bytes} abce`))].map(({ kind }) => kind);
    expect(kinds).toEqual(['ack', 'unreadable']);
  });

  it('are read behind one whose payload is broken', () => {
    const ack = vectorsOf('v2', 'v2-frame').find(({ name }) => name === 'v2-ack');
    const kinds = [...readMessage(bytesOf(`abcd 02 25 00 00 0000 00000001 ff ${ack?.bytes}`))].map(
      ({ kind }) => kind,
    );
    expect(kinds).toEqual(['unreadable', 'ack']);
  });
});

describe('payloads', () => {
  /** The page trusts its server further than a server trusts clients: TCP has checksums, a second frame does no harm. */
  const taken = ['v2-zstd-bad-checksum', 'v2-zstd-two-frames'];
  const errors = vectorsOf('v2-invalid', 'v2-payload-error').filter(({ name }) => !taken.includes(name));
  const kindOf = (vector: Vector) => (vector.error as { kind: string }).kind;

  it.each(errors.filter((vector) => kindOf(vector) !== 'UnsupportedFlags' && kindOf(vector) !== 'TooLarge'))(
    '$name is refused',
    (vector) => {
      expect(() => payloadOf(vector, Number(vector.limit))).toThrow();
    },
  );

  it.each(errors.filter(({ name }) => /zstd-(bomb|one-over-limit|size-not-stated)/.test(name)))(
    '$name is refused before it grows',
    (vector) => {
      const [frame] = [...readFrames(bytesOf(vector.bytes))];
      expect(() => inflate(frame?.payload ?? new Uint8Array(), Number(vector.limit))).toThrow(
        CompressionError,
      );
    },
  );

  it.each(errors.filter((vector) => kindOf(vector) === 'UnsupportedFlags'))(
    '$name is skipped',
    ({ bytes }) => {
      expect([...readMessage(bytesOf(bytes))]).toEqual([]);
    },
  );
});

describe('rows', () => {
  it.each(vectorsOf('batch', 'batch-rows'))('$name is read', ({ bytes, rows }) => {
    const read = rowsOf(fromBinary(pb.BatchSchema, bytesOf(bytes)));
    expect(read).toEqual((rows as RowVector[]).map(danmakuOf));
  });

  it.each(vectorsOf('batch', 'batch-error'))('$name is refused', ({ bytes }) => {
    expect(() => rowsOf(fromBinary(pb.BatchSchema, bytesOf(bytes)))).toThrow('columns');
  });

  it.each(vectorsOf('id', 'id'))('$name is written', ({ text, id }) => {
    const { partition, offset, index } = id as { partition: number; offset: string; index: number };
    expect(danmakuId(partition, BigInt(offset), index)).toBe(text);
  });
});

describe('what the page sends', () => {
  it.each(vectorsOf('v2', 'v2-frame').filter((vector) => vector.message === 'Send' && !vector.decodeOnly))(
    '$name is written to the byte',
    (vector) => {
      const bytes = writeSend(fromJson(pb.SendSchema, vector.payload as JsonValue));
      expect(bytes).toEqual(bytesOf(vector.bytes));
    },
  );

  it('is a heartbeat that can be read back', () => {
    const [message] = [...readMessage(writeHeartbeat(1_696_118_400_000))];
    expect(message).toMatchObject({
      kind: 'heartbeat',
      body: { clientMs: 1_696_118_400_000n, serverMs: 0n },
    });
  });
});
