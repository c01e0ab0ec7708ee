// Whether this viewer may speak now, and if not, why: token, room and moderators each may forbid it.

import { moderates } from '../danmaku';
import { type Notice, NoticeKind as Kind } from '../protocol/generated/barrage/v2/barrage_pb';
import type { Identity } from './identity';
import type { Rules } from './room';

/** Why somebody may not speak. */
export type Silence =
  | { readonly kind: 'noToken' | 'tokenForbids' | 'moderatorsOnly' | 'banned' }
  /** `untilMs` is Unix ms, 0 for ever. */
  | { readonly kind: 'muted'; readonly untilMs: number };

/** What stands against speaking; undefined where nothing does. */
export function silenceOf(
  identity: Identity,
  rules: Rules,
  sanction: Pick<Notice, 'kind' | 'untilMs'> | undefined,
  nowMs: number,
): Silence | undefined {
  if (!identity.canSend) {
    return { kind: identity.token ? 'tokenForbids' : 'noToken' };
  }
  if (sanction?.kind === Kind.BANNED) {
    return { kind: 'banned' };
  }
  const untilMs = Number(sanction?.untilMs ?? 0n);
  if (sanction?.kind === Kind.MUTED && (untilMs === 0 || untilMs > nowMs)) {
    return { kind: 'muted', untilMs };
  }
  return rules.moderatorsOnly && !moderates(identity.role) ? { kind: 'moderatorsOnly' } : undefined;
}
