// Sending, resending and drawing own danmaku: what the protocol asks of a client.

import { create } from '@bufbuild/protobuf';
import { beforeEach, describe, expect, it } from 'vitest';
import { type Danmaku, PLAIN, Role } from '../danmaku';
import { AckSchema, ErrorSchema, Reason } from '../protocol/generated/barrage/v2/barrage_pb';
import { type Draft, Outbox } from './outbox';

let outbox: Outbox;

beforeEach(() => {
  outbox = new Outbox();
  outbox.ready();
});

function ack(seq: bigint, offset: bigint) {
  return create(AckSchema, { seq: [seq], partition: 3, offset, index: [0] });
}

function error(seq: bigint, reason: Reason, retryAfterMs = 0) {
  return create(ErrorSchema, { seq, reason, retryAfterMs, message: 'why' });
}

function row(content: string, sentMs: number, id: string): Danmaku {
  return { id, user: 7n, role: Role.VIEWER, sentMs, content, style: PLAIN };
}

function plainly(content: string): Draft {
  return { content, style: PLAIN };
}

function seqs(nowMs: number): bigint[] {
  return outbox.take(nowMs).map(({ seq }) => seq);
}

describe('sending', () => {
  it('numbers danmaku 1, 2, 3 and sends each once', () => {
    outbox.compose(plainly('a'), 100);
    outbox.compose(plainly('b'), 100);
    expect(outbox.take(100)).toEqual([
      { seq: 1n, oldestPending: 1n, sentMs: 100, content: 'a', style: PLAIN, retryAgeMs: 0 },
      { seq: 2n, oldestPending: 1n, sentMs: 101, content: 'b', style: PLAIN, retryAgeMs: 0 },
    ]);
    expect(outbox.take(100)).toEqual([]);
  });

  it('waits for a connection that holds the room', () => {
    outbox.lost();
    outbox.compose(plainly('a'), 100);
    expect(seqs(200)).toEqual([]);
    outbox.ready();
    expect(outbox.take(90_000)[0]).toMatchObject({ seq: 1n, retryAgeMs: 0 });
  });

  it('tells the server what is acknowledged', () => {
    outbox.compose(plainly('a'), 100);
    outbox.compose(plainly('b'), 101);
    outbox.take(101);
    outbox.acknowledged(ack(1n, 5n), 110);
    outbox.compose(plainly('c'), 120);
    expect(outbox.take(120)[0]).toMatchObject({ seq: 3n, oldestPending: 2n });
  });
});

describe('resending', () => {
  it('sends what has no answer again on the next connection: in order, same numbers, with its age', () => {
    outbox.compose(plainly('a'), 100);
    outbox.compose(plainly('b'), 100);
    outbox.take(100);
    outbox.lost();
    outbox.compose(plainly('c'), 300);
    outbox.ready();
    const again = outbox.take(2_100).map(({ seq, retryAgeMs }) => [seq, retryAgeMs]);
    expect(again).toEqual([
      [1n, 2_000],
      [2n, 2_000],
      [3n, 0],
    ]);
  });

  it('never calls a retry a first try, however quick it is', () => {
    outbox.compose(plainly('a'), 100);
    outbox.take(100);
    outbox.lost();
    outbox.ready();
    expect(outbox.take(100)[0]?.retryAgeMs).toBe(1);
  });

  it('sends nothing again that the history showed', () => {
    outbox.compose(plainly('a'), 100);
    outbox.take(100);
    outbox.lost();
    expect(outbox.arrived(row('a', 100, '3-5-0'), 900)).toBe(true);
    outbox.ready();
    expect(seqs(900)).toEqual([]);
    expect(outbox.pending).toEqual([]);
  });
});

describe('refusals', () => {
  it('tries again after the time that the server asks for', () => {
    outbox.compose(plainly('a'), 100);
    outbox.take(100);
    const refusal = outbox.refused(error(1n, Reason.RATE_LIMITED, 700), 110);
    expect(refusal).toMatchObject({ givenUp: undefined, retryAfterMs: 700 });
    expect(seqs(809)).toEqual([]);
    expect(outbox.wakeAtMs(809)).toBe(810);
    expect(outbox.take(810)[0]).toMatchObject({ seq: 1n, retryAgeMs: 0 });
  });

  it('keeps the order: nothing passes a refused one, and answers on the way are awaited', () => {
    for (const content of ['a', 'b', 'c']) {
      outbox.compose(plainly(content), 100);
    }
    outbox.take(100);
    outbox.refused(error(1n, Reason.RATE_LIMITED, 50), 110);
    outbox.compose(plainly('d'), 120);
    outbox.refused(error(2n, Reason.BLOCKED), 130);
    expect(seqs(500)).toEqual([]);
    outbox.refused(error(3n, Reason.BLOCKED), 510);
    expect(seqs(510)).toEqual([1n, 2n, 3n, 4n]);
  });

  it('gives up what cannot pass, hands the text back and moves on', () => {
    outbox.compose(plainly('long'), 100);
    outbox.compose(plainly('b'), 101);
    outbox.take(101);
    expect(outbox.refused(error(1n, Reason.CONTENT_TOO_LONG), 110)).toMatchObject({
      givenUp: plainly('long'),
    });
    outbox.refused(error(2n, Reason.BLOCKED), 111);
    expect(outbox.take(5_000)[0]).toMatchObject({ seq: 2n, oldestPending: 2n, retryAgeMs: 0 });
  });

  it('sends nothing past a given up one before all below it are answered', () => {
    for (const content of ['a', 'long', 'c']) {
      outbox.compose(plainly(content), 100);
    }
    outbox.take(100);
    outbox.refused(error(2n, Reason.CONTENT_TOO_LONG), 110);
    outbox.refused(error(3n, Reason.BLOCKED), 111);
    expect(seqs(5_000)).toEqual([]);
    outbox.acknowledged(ack(1n, 5n), 5_001);
    expect(outbox.take(5_001)).toMatchObject([{ seq: 3n, oldestPending: 3n }]);
  });

  it('stays a retry after a refusal whose original may have been kept', () => {
    outbox.compose(plainly('a'), 100);
    outbox.take(100);
    outbox.lost();
    outbox.ready();
    outbox.take(1_100);
    outbox.refused(error(1n, Reason.RATE_LIMITED, 100), 1_200);
    expect(outbox.take(1_300)[0]?.retryAgeMs).toBe(1_200);
  });

  it('says nothing of an unknown outcome that the room has shown', () => {
    outbox.compose(plainly('a'), 100);
    outbox.take(100);
    outbox.arrived(row('a', 100, '3-5-0'), 120);
    expect(outbox.refused(error(1n, Reason.UNKNOWN_OUTCOME), 130)).toBeUndefined();
    expect(outbox.pending).toEqual([]);
  });

  it('passes over errors that are about none of its danmaku', () => {
    expect(outbox.refused(error(0n, Reason.BAD_PAYLOAD), 100)).toBeUndefined();
    expect(outbox.refused(error(9n, Reason.BLOCKED), 100)).toBeUndefined();
  });
});

describe('drawing', () => {
  it('leaves a first try to the room, whether its row comes before the acknowledgement or after', () => {
    outbox.compose(plainly('a'), 100);
    outbox.compose(plainly('b'), 101);
    outbox.take(101);
    expect(outbox.arrived(row('a', 100, '3-5-0'), 110)).toBe(true);
    outbox.acknowledged(ack(1n, 5n), 111);
    outbox.acknowledged(ack(2n, 6n), 112);
    expect(outbox.arrived(row('b', 101, '3-6-0'), 113)).toBe(true);
    expect(outbox.pending).toEqual([]);
    expect(outbox.due(1e9)).toEqual([]);
  });

  it('draws a first try itself where no row comes', () => {
    outbox.compose(plainly('a'), 100);
    outbox.take(100);
    outbox.acknowledged(ack(1n, 5n), 110);
    expect(outbox.due(110)).toEqual([]);
    const at = outbox.wakeAtMs(110) ?? Number.NaN;
    expect(outbox.due(at)).toEqual([{ id: '3-5-0', content: 'a', style: PLAIN, sentMs: 100 }]);
    expect(outbox.due(at)).toEqual([]);
  });

  it('draws a retry at its acknowledgement, and its late original not again', () => {
    outbox.compose(plainly('a'), 100);
    outbox.take(100);
    outbox.lost();
    outbox.ready();
    outbox.take(1_000);
    outbox.acknowledged(ack(1n, 9n), 1_100);
    expect(outbox.due(1_100)).toEqual([{ id: '3-9-0', content: 'a', style: PLAIN, sentMs: 100 }]);
    expect(outbox.arrived(row('a', 100, '3-5-0'), 1_200)).toBe(false);
  });

  it('does not draw a retry whose original the room has shown', () => {
    outbox.compose(plainly('a'), 100);
    outbox.take(100);
    outbox.lost();
    outbox.ready();
    outbox.take(1_000);
    outbox.arrived(row('a', 100, '3-5-0'), 1_050);
    outbox.acknowledged(ack(1n, 9n), 1_100);
    expect(outbox.due(1e9)).toEqual([]);
    expect(outbox.pending).toEqual([]);
  });
});
