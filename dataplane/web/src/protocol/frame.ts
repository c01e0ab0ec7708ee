// Framing of wire protocol version 2: the 12 bytes before every payload, and frames one after the other in a message.

const MAGIC = 0xabcd;
const VERSION = 2;
/** Magic 2, version 1, type 1, flags 1, reserved 1, room 2, payload length 4. */
const HEADER_BYTES = 12;

/** The type byte; types that are not listed here are from a newer server and are skipped. */
export const FrameType = {
  heartbeat: 0x02,
  send: 0x10,
  like: 0x11,
  batch: 0x20,
  history: 0x21,
  rankingSnapshot: 0x22,
  rankingDelta: 0x23,
  roomState: 0x24,
  ack: 0x25,
  error: 0x26,
  goAway: 0x27,
  removal: 0x28,
  roomSettings: 0x29,
  highlights: 0x2a,
  notice: 0x2b,
} as const;

/** One frame as it stands on the wire. */
export interface Frame {
  readonly type: number;
  readonly flags: number;
  /** 0 is the room of the URL, the only one that this page joins. */
  readonly room: number;
  readonly payload: Uint8Array;
}

/** Bytes from the server that are no version 2 frame: there is no telling where the next one starts. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
}

/**
 * The frames of a message. Those before a broken one are given out before the error.
 *
 * @throws {FrameError} where the rest of the message is not a frame.
 */
export function* readFrames(message: Uint8Array): Generator<Frame> {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  let at = 0;
  while (at < message.length) {
    const payloadBytes = checkHeader(view, at);
    const start = at + HEADER_BYTES;
    at = start + payloadBytes;
    if (at > message.length) {
      throw new FrameError(
        `a header says ${payloadBytes} bytes of payload, ${message.length - start} follow`,
      );
    }
    yield {
      type: view.getUint8(start - 9),
      flags: view.getUint8(start - 8),
      room: view.getUint16(start - 6),
      payload: message.subarray(start, at),
    };
  }
}

/** A frame for the server: no flags, room 0 (the room of the URL). */
export function writeFrame(type: number, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(HEADER_BYTES + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, MAGIC);
  view.setUint8(2, VERSION);
  view.setUint8(3, type);
  view.setUint32(8, payload.length);
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}

/** Checks the header at `at` and returns its payload length. The more telling error comes first, also in a stump. */
function checkHeader(view: DataView, at: number): number {
  const have = view.byteLength - at;
  if (have >= 2 && view.getUint16(at) !== MAGIC) {
    throw new FrameError(`magic is 0x${view.getUint16(at).toString(16)}, not 0xabcd`);
  }
  if (have >= 3 && view.getUint8(at + 2) !== VERSION) {
    throw new FrameError(
      `the server speaks version ${view.getUint8(at + 2)} on a version ${VERSION} connection`,
    );
  }
  if (have < HEADER_BYTES) {
    throw new FrameError(`a frame has ${have} bytes, a header has ${HEADER_BYTES}`);
  }
  return view.getUint32(at + 8);
}
