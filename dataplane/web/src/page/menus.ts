// What can be done about a danmaku or a user: by every viewer, and by moderators.

import { type Danmaku, moderates } from '../danmaku';
import { words } from '../i18n/language';
import type { Identity } from '../session/identity';
import type { Moderation } from '../session/moderation';
import { type Choice, Menu } from '../view/menu';

const TEN_MINUTES_S = 10 * 60;
const DAY_S = 24 * 60 * 60;

/** What choices need. */
export interface MenuDeps {
  readonly moderation: Moderation;
  identity(): Identity;
  /** Whether there is a send box to answer in. */
  readonly hasComposer: boolean;
  reply(danmaku: Danmaku): void;
  hide(user: bigint): void;
  /** Says how it went. */
  tell(text: string): void;
}

export class Menus {
  readonly #menu = new Menu();
  readonly #deps: MenuDeps;

  constructor(deps: MenuDeps) {
    this.#deps = deps;
  }

  /** About a danmaku and who wrote it. */
  ofDanmaku(danmaku: Danmaku, at: DOMRect, opener?: HTMLElement): void {
    const { reply, identity, hasComposer, moderation } = this.#deps;
    const { canSend, role } = identity();
    const { id, user } = danmaku;
    const copy = () => void navigator.clipboard?.writeText(danmaku.content);
    const choices: Choice[] = [
      ...(canSend && hasComposer ? [{ text: words().reply, choose: () => reply(danmaku) }] : []),
      { text: words().copy, choose: copy },
    ];
    const forModerators: Choice[] = [
      this.#act(words().pin, () => moderation.pin({ danmaku: id, userId: String(user) }), false),
      this.#act(words().remove, () => moderation.remove(user, id)),
    ];
    const all = [
      ...choices,
      ...this.#hide(user),
      ...(moderates(role) ? forModerators : []),
      ...this.#aboutUser(user),
    ];
    this.#menu.open(words().user(String(user)), all, at, opener);
  }

  /** About a user alone. */
  ofUser(user: bigint, opener: HTMLElement): void {
    const choices = [...this.#hide(user), ...this.#aboutUser(user)];
    if (choices.length > 0) {
      this.#menu.open(words().user(String(user)), choices, opener.getBoundingClientRect(), opener);
    }
  }

  #hide(user: bigint): Choice[] {
    const { identity, hide } = this.#deps;
    return user === identity().user ? [] : [{ text: words().hideUser, choose: () => hide(user) }];
  }

  #aboutUser(user: bigint): Choice[] {
    const { identity, moderation } = this.#deps;
    if (!moderates(identity().role)) {
      return [];
    }
    const removeAll = this.#act(words().removeAll, () => moderation.remove(user));
    const others = [
      this.#act(words().muteTenMinutes, () => moderation.mute(user, TEN_MINUTES_S)),
      this.#act(words().muteDay, () => moderation.mute(user, DAY_S)),
      this.#act(words().ban, () => moderation.ban(user)),
    ];
    return user === identity().user ? [removeAll] : [removeAll, ...others];
  }

  #act(text: string, act: () => Promise<void>, grave = true): Choice {
    const { tell } = this.#deps;
    const choose = () => {
      act().then(
        () => tell(words().didIt(text)),
        (error: unknown) => tell(words().notDone(error instanceof Error ? error.message : String(error))),
      );
    };
    return { text, grave, choose };
  }
}
