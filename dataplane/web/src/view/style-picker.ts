// How the next danmaku looks: mode, size and colour, in a popover beside the send box.

import { PLAIN, type Style } from '../danmaku';
import { entry, onLanguage } from '../i18n/language';
import { styleOf } from '../settings/settings';
import { byId, make } from './element';
import { placeBeside } from './placing';
import { hexOf } from './wording';

/** Colours that can be read on a dark moving picture; each has its name in the catalogue. */
const COLOURS = {
  colourWhite: PLAIN.colour,
  colourRed: 0xff6b5e,
  colourOrange: 0xff9a3d,
  colourYellow: 0xffe14d,
  colourGreen: 0x7ee35b,
  colourTeal: 0x3fd8c4,
  colourBlue: 0x6fb6ff,
  colourPurple: 0xc792ff,
} as const;

export class StylePicker {
  readonly #open = byId('style-open', HTMLButtonElement);
  readonly #popover = byId('style', HTMLElement);
  readonly #form = byId('style-form', HTMLFormElement);
  readonly #colours = byId('style-colours', HTMLElement);

  /** Begins with `style`; `changed` is told what is chosen. */
  constructor(style: Style, changed: (style: Style) => void) {
    for (const [name, colour] of Object.entries(COLOURS)) {
      this.#colours.append(swatch(name, colour));
    }
    this.#popover.addEventListener('toggle', (event) => {
      if ((event as ToggleEvent).newState === 'open') {
        placeBeside(this.#popover, this.#open.getBoundingClientRect());
      }
    });
    this.#form.addEventListener('change', () => changed(this.#read()));
    onLanguage(() => this.#name());
    this.show(style);
  }

  /** Marks what is chosen, also on the button. */
  show({ mode, colour, size }: Style): void {
    this.#open.style.setProperty('--chosen', hexOf(colour || 0xffffff));
    this.#open.dataset.mode = mode;
    this.#open.dataset.size = size;
    for (const [name, value] of Object.entries({ mode, size, colour: String(colour) })) {
      const field = this.#form.elements.namedItem(name);
      if (field instanceof RadioNodeList) {
        field.value = value;
      }
    }
  }

  #read(): Style {
    const fields = new FormData(this.#form);
    const chosen = {
      mode: fields.get('mode'),
      size: fields.get('size'),
      colour: Number(fields.get('colour')),
    };
    return styleOf(chosen);
  }

  #name(): void {
    for (const input of this.#colours.querySelectorAll('input')) {
      const name = entry(input.dataset.name ?? '');
      input.setAttribute('aria-label', name);
      input.title = name;
    }
  }
}

function swatch(name: string, colour: number): HTMLLabelElement {
  const label = make('label', 'swatch');
  const input = make('input', '');
  input.type = 'radio';
  input.name = 'colour';
  input.value = String(colour);
  input.dataset.name = name;
  label.style.setProperty('--colour', hexOf(colour || 0xffffff));
  label.append(input);
  return label;
}
