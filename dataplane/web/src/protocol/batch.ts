// Rows of a batch: the columns of the wire, turned back into danmaku.

import { type Danmaku, danmakuId, type Gift, MODES, PLAIN, Role, type Reply, SIZES } from '../danmaku';
import type { Batch, Gift as WireGift, Reply as WireReply } from './generated/barrage/v2/barrage_pb';

/** A batch whose columns do not make rows. */
export class UnevenColumns extends Error {
  override readonly name = 'UnevenColumns';
}

/**
 * The danmaku of a batch, in its order.
 *
 * @throws {UnevenColumns} where the columns have different lengths: the server's mistake.
 */
export function rowsOf(batch: Batch): Danmaku[] {
  const count = batch.user.length;
  checkColumns(batch, count);
  const replies = new Map(batch.reply.map((reply) => [reply.row, replyOf(reply)]));
  const gifts = new Map(batch.gift.map((gift) => [gift.row, giftOf(gift)]));
  let sentMs = 0n;
  let offset = 0n;
  return batch.user.map((user, row) => {
    sentMs = BigInt.asIntN(64, sentMs + (batch.sentDeltaMs[row] ?? 0n));
    offset = BigInt.asUintN(64, offset + (batch.offsetDelta[row] ?? 0n));
    const reply = replies.get(row);
    const gift = gifts.get(row);
    return {
      id: danmakuId(batch.partition, offset, batch.index[row] ?? 0),
      user,
      role: knownRole(batch.role[row]),
      sentMs: Number(sentMs),
      content: batch.content[row] ?? '',
      style: {
        // What a newer server knows and this page does not is drawn plainly.
        mode: MODES[batch.mode[row] ?? 0] ?? PLAIN.mode,
        colour: (batch.colour[row] ?? 0) & 0xffffff,
        size: SIZES[batch.size[row] ?? 0] ?? PLAIN.size,
      },
      ...(reply && { reply }),
      ...(gift && { gift }),
    };
  });
}

function checkColumns(batch: Batch, count: number): void {
  const full = [batch.sentDeltaMs, batch.content, batch.offsetDelta].map(({ length }) => length);
  const optional = [batch.index, batch.role, batch.mode, batch.colour, batch.size].map(
    ({ length }) => length,
  );
  const isEven =
    full.every((length) => length === count) && optional.every((length) => length === count || length === 0);
  if (!isEven || ![batch.reply, batch.gift].every((sparse) => rises(sparse, count))) {
    throw new UnevenColumns(`a batch of ${count} users has columns of ${[...full, ...optional].join(', ')}`);
  }
}

/** Whether these name rows that are, each once, in their order. */
function rises(sparse: readonly { row: number }[], count: number): boolean {
  return sparse.every(({ row }, i) => row < count && row > (sparse[i - 1]?.row ?? -1));
}

function replyOf({ to, user }: WireReply): Reply {
  return { to: to ? danmakuId(to.partition, to.offset, to.index) : '', user };
}

function giftOf({ value, name, count, stayS }: WireGift): Gift {
  return { value, name, count, isSuperChat: stayS > 0 };
}

/** A role of a newer server is drawn as a viewer. */
function knownRole(role: Role | undefined): Role {
  return role !== undefined && role in Role ? role : Role.VIEWER;
}
