// zstd payloads (RFC 8878), with a limit that holds before a byte is decompressed.

import { decompress } from 'fzstd';

/** What a server's payload may grow to: 4 MiB, the protocol's own limit. */
export const PAYLOAD_BYTES_MAX = 4 * 1024 * 1024;

const MAGIC = 0xfd2fb528;
/** Bytes of the dictionary ID by the low two bits of the frame header descriptor. */
const DICTIONARY_BYTES = [0, 1, 2, 4] as const;

/** A payload that is flagged as zstd and is not, or grows past the limit. */
export class CompressionError extends Error {
  override readonly name = 'CompressionError';
}

/**
 * Decompresses one zstd frame that states its content size.
 *
 * @throws {CompressionError} for anything else, and for more than `limit` bytes.
 */
export function inflate(payload: Uint8Array, limit = PAYLOAD_BYTES_MAX): Uint8Array {
  const size = contentSize(payload);
  if (size === undefined || size > limit) {
    throw new CompressionError(`payload is no zstd frame of a stated size up to ${limit} bytes`);
  }
  let plain: Uint8Array;
  try {
    plain = decompress(payload);
  } catch (cause) {
    throw new CompressionError('payload is damaged', { cause });
  }
  if (plain.length !== size) {
    throw new CompressionError(`payload has ${plain.length} bytes where its header says ${size}`);
  }
  return plain;
}

/** The content size that a frame header states (RFC 8878, 3.1.1.1), or undefined. */
function contentSize(payload: Uint8Array): number | undefined {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  if (payload.length < 6 || view.getUint32(0, true) !== MAGIC) {
    return undefined;
  }
  const descriptor = view.getUint8(4);
  const singleSegment = (descriptor & 0b0010_0000) !== 0;
  const sizeFlag = descriptor >> 6;
  const at = 5 + (singleSegment ? 0 : 1) + (DICTIONARY_BYTES[descriptor & 0b11] ?? 0);
  const sizeBytes = sizeFlag === 0 ? (singleSegment ? 1 : 0) : 1 << sizeFlag;
  if (sizeBytes === 0 || at + sizeBytes > payload.length) {
    return undefined;
  }
  switch (sizeBytes) {
    case 1:
      return view.getUint8(at);
    case 2:
      return view.getUint16(at, true) + 256;
    case 4:
      return view.getUint32(at, true);
    default:
      return Number(view.getBigUint64(at, true));
  }
}
