// A menu at a place on the page: by pointer, touch and keyboard (arrows, Home, End, Escape), one open at a time.

import { byId, make } from './element';
import { placeBeside } from './placing';

/** One thing that can be chosen. */
export interface Choice {
  readonly text: string;
  /** Changes the room for others: set apart, and in another colour. */
  readonly grave?: boolean;
  choose(): void;
}

export class Menu {
  readonly #element = byId('menu', HTMLElement);
  readonly #title = byId('menu-title', HTMLElement);
  readonly #list = byId('menu-choices', HTMLElement);
  #opener: HTMLElement | undefined;

  constructor() {
    this.#list.addEventListener('keydown', (event) => this.#move(event));
    this.#element.addEventListener('toggle', (event) => {
      if ((event as ToggleEvent).newState === 'closed') {
        this.#opener?.focus();
        this.#opener = undefined;
      }
    });
  }

  /** Opens beside `at`; `opener` gets the focus back. */
  open(title: string, choices: readonly Choice[], at: DOMRect, opener?: HTMLElement): void {
    this.#title.textContent = title;
    this.#list.setAttribute('aria-label', title);
    this.#list.replaceChildren(...choices.map((choice) => this.#button(choice)));
    this.#element.showPopover();
    this.#opener = opener;
    placeBeside(this.#element, at);
    this.#buttons()[0]?.focus();
  }

  #button({ text, grave = false, choose }: Choice): HTMLButtonElement {
    const button = make('button', 'menu-choice', text);
    button.type = 'button';
    button.tabIndex = -1;
    button.setAttribute('role', 'menuitem');
    button.toggleAttribute('data-grave', grave);
    button.addEventListener('click', () => {
      // The focus goes back first: what is chosen may want it elsewhere.
      this.#opener?.focus();
      this.#opener = undefined;
      this.#element.hidePopover();
      choose();
    });
    return button;
  }

  #buttons(): HTMLButtonElement[] {
    return [...this.#list.querySelectorAll('button')];
  }

  #move(event: KeyboardEvent): void {
    const buttons = this.#buttons();
    const now = buttons.findIndex((button) => button === document.activeElement);
    const next = { ArrowDown: now + 1, ArrowUp: now - 1, Home: 0, End: -1 }[event.key];
    if (next === undefined) {
      if (event.key === 'Tab') {
        this.#element.hidePopover();
      }
      return;
    }
    event.preventDefault();
    buttons.at(next % buttons.length)?.focus();
  }
}
