// The viewer's own settings: a dialog whose fields are those of `Settings`, and the switch on the stage.

import type { Style } from '../danmaku';
import { onLanguage, speak, words } from '../i18n/language';
import { keywordsOf, load, RANGES, type Settings, save, stock, validate } from '../settings/settings';
import { byId, make } from './element';

const CALM = matchMedia('(prefers-reduced-motion: reduce)').matches;

export class Preferences {
  readonly #dialog = byId('settings', HTMLDialogElement);
  readonly #form = byId('settings-form', HTMLFormElement);
  readonly #words = byId('keywords', HTMLTextAreaElement);
  readonly #hidden = byId('hidden-users', HTMLUListElement);
  readonly #toggle = byId('flight-toggle', HTMLButtonElement);
  readonly #changed: (settings: Settings) => void;
  #settings = load(localStorage, CALM);
  #spoken: Settings['language'] | undefined;

  /** `changed` is told the settings whenever they are others. */
  constructor(changed: (settings: Settings) => void) {
    this.#changed = changed;
    byId('settings-open', HTMLButtonElement).addEventListener('click', () => this.#open());
    byId('settings-close', HTMLButtonElement).addEventListener('click', () => this.#dialog.close());
    byId('settings-reset', HTMLButtonElement).addEventListener('click', () => {
      this.#set(stock(CALM));
      this.#fill();
    });
    this.#dialog.addEventListener('click', (event) => {
      // Only the backdrop is the dialog itself: what is in it is covered by its children.
      if (event.target === this.#dialog) {
        this.#dialog.close();
      }
    });
    this.#form.addEventListener('input', () => this.#read());
    this.#toggle.addEventListener('click', () =>
      this.#set({ ...this.#settings, flying: !this.#settings.flying }),
    );
    for (const [name, { min, max, step }] of Object.entries(RANGES)) {
      Object.assign(this.#field(name), { min, max, step });
    }
    onLanguage(() => this.#show());
  }

  get settings(): Settings {
    return this.#settings;
  }

  /** Puts the settings to work: theme, language, and whoever is told. */
  apply(): void {
    const { theme, language } = this.#settings;
    document.documentElement.dataset.theme = theme;
    if (this.#spoken !== language) {
      this.#spoken = language;
      speak(language);
    }
    this.#show();
    this.#changed(this.#settings);
  }

  /** From now on this viewer sees nothing of a user. */
  hide(user: bigint): void {
    this.#set(
      validate({ ...this.#settings, hiddenUsers: [...this.#settings.hiddenUsers, String(user)] }, CALM),
    );
  }

  /** What the viewer sends looks like this from now on. */
  setStyle(style: Style): void {
    this.#set({ ...this.#settings, style });
  }

  #open(): void {
    this.#fill();
    this.#dialog.showModal();
  }

  #field(name: string): HTMLInputElement {
    const field = this.#form.elements.namedItem(name);
    if (!(field instanceof HTMLInputElement)) {
      throw new Error(`index.html has no setting called "${name}"`);
    }
    return field;
  }

  /** What the dialog's fields say, checked as anything from outside. */
  #read(): void {
    const fields = new FormData(this.#form);
    const numbers = Object.keys(RANGES).map((name) => [name, Number(fields.get(name))]);
    const chosen = ['density', 'theme', 'language'].map((name) => [name, fields.get(name)]);
    const read = {
      ...Object.fromEntries([...numbers, ...chosen]),
      flying: fields.has('flying'),
      keywords: this.#words.value.split('\n'),
      hiddenUsers: this.#settings.hiddenUsers,
      style: this.#settings.style,
    };
    this.#set(validate(read, CALM));
  }

  #fill(): void {
    this.#field('flying').checked = this.#settings.flying;
    for (const name of Object.keys(RANGES) as (keyof typeof RANGES)[]) {
      this.#field(name).value = String(this.#settings[name]);
    }
    for (const name of ['density', 'theme', 'language'] as const) {
      const choice = this.#form.elements.namedItem(name);
      if (choice instanceof RadioNodeList) {
        choice.value = this.#settings[name];
      }
    }
    this.#words.value = keywordsOf(this.#settings.keywords).join('\n');
    this.#show();
  }

  #set(settings: Settings): void {
    this.#settings = settings;
    save(localStorage, settings);
    this.apply();
  }

  #show(): void {
    const { flying, hiddenUsers } = this.#settings;
    this.#toggle.setAttribute('aria-pressed', String(flying));
    this.#toggle.textContent = flying ? words().danmakuOn : words().danmakuOff;
    for (const name of Object.keys(RANGES) as (keyof typeof RANGES)[]) {
      byId(`${name}-value`, HTMLOutputElement).value = words().percent(this.#settings[name]);
    }
    this.#hidden.replaceChildren(...hiddenUsers.map((user) => this.#hiddenUser(user)));
    byId('nobody-hidden', HTMLElement).hidden = hiddenUsers.length > 0;
  }

  #hiddenUser(user: string): HTMLLIElement {
    const item = make('li', '');
    const button = make('button', 'link-button', words().unhide(user));
    button.type = 'button';
    button.addEventListener('click', () => {
      const hiddenUsers = this.#settings.hiddenUsers.filter((other) => other !== user);
      this.#set({ ...this.#settings, hiddenUsers });
    });
    item.append(button);
    return item;
  }
}
