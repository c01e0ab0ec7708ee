// Opens and closes the send box by who the viewer is, the room's rules and what moderators decided, and says why.

import { create } from '@bufbuild/protobuf';
import { onLanguage, words } from '../i18n/language';
import { type Notice, NoticeKind as Kind, NoticeSchema } from '../protocol/generated/barrage/v2/barrage_pb';
import type { Identity } from '../session/identity';
import type { Rules } from '../session/room';
import { type Silence, silenceOf } from '../session/speech';
import type { Composer } from '../view/composer';
import { byId } from '../view/element';
import { legible } from '../view/legible';
import { clock } from '../view/wording';

const BEAT_MS = 1_000;
const NOTICE_MS = 8_000;
const OPEN: Rules = { slowModeS: 0, moderatorsOnly: false };

export class Speech {
  readonly #composer: Composer;
  readonly #identity: () => Identity;
  readonly #rule = byId('rule', HTMLElement);
  #rules = OPEN;
  #notice: Notice | undefined;
  #silence: Silence | undefined;

  constructor(composer: Composer, identity: () => Identity) {
    this.#composer = composer;
    this.#identity = identity;
    setInterval(() => this.#show(), BEAT_MS);
    onLanguage(() => this.#show());
  }

  /** A connection begins: the server says what is not the default. */
  begin(): void {
    this.#rules = OPEN;
    this.#notice = undefined;
    this.#silence = undefined;
    this.#show();
  }

  setRules(rules: Rules): void {
    this.#rules = rules;
    this.#show();
  }

  /** Moderators decided something about this viewer. */
  sanction(notice: Notice): void {
    this.#notice = notice;
    this.#show();
    if (notice.kind !== Kind.LIFTED) {
      const reason = legible(notice.reason);
      // Of a closed box a screen reader says nothing; of a ban the connection's state says it.
      const what = this.#silence?.kind === 'muted' ? wordFor(this.#silence) : '';
      this.#composer.tell([what, reason && words().because(reason)].filter(Boolean).join(' '));
    }
  }

  /** A message was refused because its writer is muted: for so long, or for ever where that is 0. */
  refusedAsMuted(forMs: number): void {
    const untilMs = BigInt(forMs > 0 ? Date.now() + forMs : 0);
    this.#notice = create(NoticeSchema, { kind: Kind.MUTED, untilMs });
    this.#show();
  }

  #show(): void {
    const silence = silenceOf(this.#identity(), this.#rules, this.#notice, Date.now());
    this.#composer.allow(silence && (() => wordFor(silence)));
    if (this.#silence?.kind === 'muted' && !silence) {
      this.#composer.tell(words().mayWriteAgain, NOTICE_MS);
    }
    this.#silence = silence;
    const { slowModeS } = this.#rules;
    this.#rule.textContent = slowModeS > 0 ? words().slowModeIs(slowModeS) : '';
  }
}

function wordFor(silence: Silence): string {
  switch (silence.kind) {
    case 'noToken':
      return words().sendingNeedsToken;
    case 'tokenForbids':
      return words().tokenMayNotSend;
    case 'moderatorsOnly':
      return words().moderatorsOnlyNow;
    case 'banned':
      return words().youAreBanned;
    case 'muted':
      return silence.untilMs === 0 ? words().mutedForEver : words().mutedUntil(clock(silence.untilMs));
  }
}
