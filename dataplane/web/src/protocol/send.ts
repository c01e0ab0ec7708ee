// A danmaku of the page's own, as it goes to the server.

import { MODES, placeOf, SIZES } from '../danmaku';
import type { Try } from '../session/outbox';
import { writeSend } from './message';

/** The frame of one try. */
export function writeTry({ style, reply, sentMs, ...fields }: Try): Uint8Array<ArrayBuffer> {
  return writeSend({
    ...fields,
    sentMs: BigInt(sentMs),
    mode: MODES.indexOf(style.mode),
    colour: style.colour,
    size: SIZES.indexOf(style.size),
    ...(reply && { replyTo: placeOf(reply.to) }),
  });
}
