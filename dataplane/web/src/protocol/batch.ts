// Rows of a batch: the columns of the wire, turned back into danmaku.

import { type Danmaku, danmakuId, Role } from '../danmaku';
import type { Batch } from './generated/barrage/v2/barrage_pb';

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
  const full = [batch.sentDeltaMs.length, batch.content.length, batch.offsetDelta.length];
  const optional = [batch.index.length, batch.role.length];
  if (
    full.some((length) => length !== count) ||
    optional.some((length) => length !== count && length !== 0)
  ) {
    throw new UnevenColumns(`a batch of ${count} users has columns of ${[...full, ...optional].join(', ')}`);
  }
  let sentMs = 0n;
  let offset = 0n;
  return batch.user.map((user, row) => {
    sentMs = BigInt.asIntN(64, sentMs + (batch.sentDeltaMs[row] ?? 0n));
    offset = BigInt.asUintN(64, offset + (batch.offsetDelta[row] ?? 0n));
    return {
      id: danmakuId(batch.partition, offset, batch.index[row] ?? 0),
      user,
      role: knownRole(batch.role[row]),
      sentMs: Number(sentMs),
      content: batch.content[row] ?? '',
    };
  });
}

/** A role of a newer server is drawn as a viewer. */
function knownRole(role: Role | undefined): Role {
  return role !== undefined && role in Role ? role : Role.VIEWER;
}
