// Which catalogue the page speaks, and the texts of index.html, which name their entry: `data-text`, `data-label`
// (aria-label), `data-tip` (title) and `data-placeholder`.

import { en, type Messages } from './en';
import { zh } from './zh';

/** Entries without values to put in. */
export type Plain = { [K in keyof Messages]: Messages[K] extends string ? K : never }[keyof Messages];

const CATALOGUES = { en, zh } as const;
const ATTRIBUTES = { label: 'aria-label', tip: 'title', placeholder: 'placeholder' } as const;

let current: Messages = en;
const listeners: (() => void)[] = [];

/** The catalogue in use. */
export function words(): Messages {
  return current;
}

/** Is told after the language changed: whoever put a text on the page puts it there again. */
export function onLanguage(changed: () => void): void {
  listeners.push(changed);
}

/** Speaks a language from now on; `auto` is the first of the browser's that the page has. */
export function speak(choice: 'auto' | keyof typeof CATALOGUES): void {
  current = CATALOGUES[choice === 'auto' ? preferred(navigator.languages) : choice];
  document.documentElement.lang = current.htmlLanguage;
  translate(document);
  for (const changed of listeners) {
    changed();
  }
}

/** The first of these languages that there is a catalogue of; else English. */
export function preferred(languages: readonly string[]): keyof typeof CATALOGUES {
  const known = languages.map((tag) => tag.toLowerCase().split('-')[0] ?? '');
  return known.find((tag): tag is keyof typeof CATALOGUES => tag in CATALOGUES) ?? 'en';
}

/** The text of an entry that a page names; a name that is no such entry shows itself. */
export function entry(key: string, messages = current): string {
  const text = messages[key as Plain];
  return typeof text === 'string' ? text : key;
}

function translate(root: ParentNode): void {
  for (const element of root.querySelectorAll<HTMLElement>('[data-text]')) {
    element.textContent = entry(element.dataset.text ?? '');
  }
  for (const [name, attribute] of Object.entries(ATTRIBUTES)) {
    for (const element of root.querySelectorAll<HTMLElement>(`[data-${name}]`)) {
      element.setAttribute(attribute, entry(element.dataset[name] ?? ''));
    }
  }
}
