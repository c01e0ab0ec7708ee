// Who may speak, and what they are told if not.

import { expect, it } from 'vitest';
import { Role } from '../danmaku';
import { NoticeKind as Kind } from '../protocol/generated/barrage/v2/barrage_pb';
import { ANONYMOUS } from './identity';
import { silenceOf } from './speech';

const viewer = { token: 'x', user: 7n, role: Role.VIEWER, canSend: true, guest: true };
const open = { slowModeS: 5, moderatorsOnly: false };
const closed = { slowModeS: 0, moderatorsOnly: true };

it('lets viewers speak in an open room', () => {
  expect(silenceOf(viewer, open, undefined, 0)).toBeUndefined();
});

it('needs a token that allows it', () => {
  expect(silenceOf(ANONYMOUS, open, undefined, 0)).toEqual({ kind: 'noToken' });
  expect(silenceOf({ ...viewer, canSend: false }, open, undefined, 0)).toEqual({ kind: 'tokenForbids' });
});

it('keeps a muted one silent until the time is over, or for ever', () => {
  const muted = { kind: Kind.MUTED, untilMs: 5_000n };
  expect(silenceOf(viewer, open, muted, 4_999)).toEqual({ kind: 'muted', untilMs: 5_000 });
  expect(silenceOf(viewer, open, muted, 5_000)).toBeUndefined();
  expect(silenceOf(viewer, open, { ...muted, untilMs: 0n }, 1e15)).toEqual({ kind: 'muted', untilMs: 0 });
  expect(silenceOf(viewer, open, { kind: Kind.LIFTED, untilMs: 0n }, 0)).toBeUndefined();
});

it('leaves a room for moderators to moderators and hosts', () => {
  expect(silenceOf(viewer, closed, undefined, 0)).toEqual({ kind: 'moderatorsOnly' });
  for (const role of [Role.MODERATOR, Role.HOST]) {
    expect(silenceOf({ ...viewer, role }, closed, undefined, 0)).toBeUndefined();
  }
});
