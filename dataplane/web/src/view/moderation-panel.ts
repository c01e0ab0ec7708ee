// The moderators' dialog: the room's rules and words, its pin, who is muted or banned, and who did what.

import { words } from '../i18n/language';
import type { Act, Moderation, RoomRules, RoomRulesChange, Sanction } from '../session/moderation';
import { byId, make } from './element';
import { legible } from './legible';
import { clock, moment } from './wording';

const NO_RULES: RoomRules = {
  slowModeSeconds: 0,
  moderatorsOnly: false,
  blockedWords: [],
};

export class ModerationPanel {
  readonly #dialog = byId('moderation', HTMLDialogElement);
  readonly #button = byId('moderation-open', HTMLButtonElement);
  readonly #status = byId('moderation-status', HTMLElement);
  readonly #slow = byId('slow-mode', HTMLSelectElement);
  readonly #only = byId('moderators-only', HTMLInputElement);
  readonly #words = byId('blocked-words', HTMLTextAreaElement);
  readonly #pin = byId('pin-content', HTMLInputElement);
  readonly #sanctions = byId('sanctions', HTMLUListElement);
  readonly #acts = byId('acts', HTMLOListElement);
  readonly #moderation: Moderation;
  #rules = NO_RULES;
  /** Words are being written that are not saved yet. */
  #isWriting = false;

  constructor(moderation: Moderation) {
    this.#moderation = moderation;
    this.#button.addEventListener('click', () => {
      this.#dialog.showModal();
      void this.#do(async () => {}, '');
    });
    byId('moderation-close', HTMLButtonElement).addEventListener('click', () => this.#dialog.close());
    this.#slow.addEventListener('change', () => this.#set({ slowModeSeconds: Number(this.#slow.value) }));
    this.#only.addEventListener('change', () => this.#set({ moderatorsOnly: this.#only.checked }));
    this.#words.addEventListener('input', () => {
      this.#isWriting = true;
    });
    this.#on('words-form', async () => {
      await this.#moderation.setRules(this.#changedWords());
      this.#isWriting = false;
    });
    this.#on('pin-form', () => this.#moderation.pin({ content: this.#pin.value }));
    byId('unpin', HTMLButtonElement).addEventListener('click', () =>
      this.#do(() => this.#moderation.unpin()),
    );
  }

  /** Only moderators have the dialog's button. */
  allow(isAllowed: boolean): void {
    this.#button.hidden = !isAllowed;
  }

  #on(form: string, act: () => Promise<void>): void {
    byId(form, HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#do(act);
    });
  }

  #set(change: RoomRulesChange): Promise<void> {
    return this.#do(() => this.#moderation.setRules(change));
  }

  /** Does something, says whether it is done, and shows what is true now. */
  async #do(act: () => Promise<void>, done = words().done): Promise<void> {
    this.#status.textContent = words().working;
    try {
      await act();
      await this.#load();
      this.#status.textContent = done;
    } catch (error) {
      this.#status.textContent = words().notDone(error instanceof Error ? error.message : String(error));
      this.#fill();
    }
  }

  async #load(): Promise<void> {
    const moderation = this.#moderation;
    const [rules, sanctions, acts] = await Promise.all([
      moderation.rules(),
      moderation.sanctions(),
      moderation.acts(),
    ]);
    this.#rules = rules;
    this.#fill();
    this.#sanctions.replaceChildren(...sanctions.map((sanction) => this.#sanction(sanction)));
    byId('no-sanctions', HTMLElement).hidden = sanctions.length > 0;
    this.#acts.replaceChildren(...acts.map(actLine));
  }

  #fill(): void {
    const { slowModeSeconds, moderatorsOnly, blockedWords } = this.#rules;
    const value = String(slowModeSeconds);
    if (![...this.#slow.options].some((option) => option.value === value)) {
      this.#slow.add(new Option(words().everySeconds(slowModeSeconds), value));
    }
    for (const option of this.#slow.options) {
      const seconds = Number(option.value);
      option.text = seconds === 0 ? words().off : words().everySeconds(seconds);
    }
    this.#slow.value = value;
    this.#only.checked = moderatorsOnly;
    if (!this.#isWriting) {
      this.#words.value = blockedWords.join('\n');
    }
  }

  /** The text box against what the room has: what is new is blocked, what is missing is allowed again. */
  #changedWords(): RoomRulesChange {
    const wanted = new Set(linesOf(this.#words.value));
    const known = new Set(this.#rules.blockedWords);
    return {
      blockWords: [...wanted].filter((word) => !known.has(word)),
      allowWords: [...known].filter((word) => !wanted.has(word)),
    };
  }

  #sanction(sanction: Sanction): HTMLLIElement {
    const { userId, kind, untilMs, reason } = sanction;
    const item = make('li', 'sanction');
    const until = untilMs === undefined ? words().forEver : words().until(moment(untilMs));
    const what = kind === 'muted' ? words().muted : words().banned;
    item.append(
      make('span', '', [`${userId}: ${what} ${until}`, legible(reason ?? '')].filter(Boolean).join(' · ')),
    );
    const lift = make('button', 'link-button', words().lift);
    lift.type = 'button';
    lift.addEventListener('click', () => this.#do(() => this.#moderation.lift(sanction)));
    item.append(lift);
    return item;
  }
}

function linesOf(text: string): string[] {
  return [
    ...new Set(
      text
        .split('\n')
        .map((line) => line.trim())
        .filter(Boolean),
    ),
  ];
}

/** What an act is called; that of a newer server as it calls it. */
function wordForAct(act: string): string {
  switch (act) {
    case 'mute':
      return words().muted;
    case 'ban':
      return words().banned;
    case 'lift':
      return words().lifted;
    case 'remove':
      return words().removed;
    case 'removeAll':
      return words().removedAll;
    case 'pin':
      return words().pinnedIt;
    case 'unpin':
      return words().unpinned;
    case 'settings':
      return words().setRules;
    default:
      return act;
  }
}

/** "14:05 8 muted 7 · until … · reason". */
function actLine({ atMs, actorId, act, userId, danmaku, untilMs, reason, detail }: Act): HTMLLIElement {
  const item = make('li', 'act');
  const time = make('time', 'chat-time', clock(atMs));
  time.title = moment(atMs);
  const until = untilMs ? words().until(moment(untilMs)) : undefined;
  const rest = [words().did(actorId, wordForAct(act), userId ?? ''), danmaku, until, reason, detail];
  item.append(time, make('span', '', legible(rest.filter(Boolean).join(' · '))));
  return item;
}
