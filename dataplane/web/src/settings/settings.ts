// What a viewer sets for themselves: how danmaku fly, what they do not want to read, theme and language. Kept in the
// browser, read with care: another version of the page, or another page, may have written what is there.

import { MODES, PLAIN, SIZES, type Style } from '../danmaku';

/** How close danmaku follow each other in a lane. */
export const DENSITIES = ['relaxed', 'normal', 'dense'] as const;
export const THEMES = ['auto', 'light', 'dark'] as const;
export const LANGUAGES = ['auto', 'en', 'zh'] as const;

/** Lowest, highest and stock value of what is a number, with the step of its slider. */
export const RANGES = {
  /** How much of the picture shows through, percent of opaque. */
  opacity: { min: 20, max: 100, step: 5, stock: 100 },
  /** Percent of the stock speed. */
  speed: { min: 50, max: 200, step: 10, stock: 100 },
  /** Percent of the stock size of letters. */
  font: { min: 60, max: 200, step: 10, stock: 100 },
  /** Part of the stage's height that danmaku may use, percent. */
  area: { min: 25, max: 100, step: 25, stock: 100 },
} as const;

export const KEYWORDS_MAX = 200;
export const KEYWORD_CHARS_MAX = 64;
/** Users that a viewer has hidden; the oldest go when there are more. */
export const HIDDEN_USERS_MAX = 500;

export interface Settings {
  readonly flying: boolean;
  readonly density: (typeof DENSITIES)[number];
  readonly opacity: number;
  readonly speed: number;
  readonly font: number;
  readonly area: number;
  /** Danmaku with one of these words are not shown to this viewer. */
  readonly keywords: readonly string[];
  /** User IDs in decimal. */
  readonly hiddenUsers: readonly string[];
  /** Of the danmaku that the viewer sends. */
  readonly style: Style;
  readonly theme: (typeof THEMES)[number];
  readonly language: (typeof LANGUAGES)[number];
}

/** Where settings are kept; the browser's `localStorage` is one. */
export type Storage = Pick<globalThis.Storage, 'getItem' | 'setItem'>;

const KEY = 'barrage-settings';

/** The settings of who never set any; `calm` for people who asked their system for less motion. */
export function stock(calm: boolean): Settings {
  return {
    flying: !calm,
    density: 'normal',
    opacity: RANGES.opacity.stock,
    speed: RANGES.speed.stock,
    font: RANGES.font.stock,
    area: RANGES.area.stock,
    keywords: [],
    hiddenUsers: [],
    style: PLAIN,
    theme: 'auto',
    language: 'auto',
  };
}

/** Reads settings out of anything: each field that is missing or out of its bounds is the stock one. */
export function validate(value: unknown, calm: boolean): Settings {
  const found = typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  const fallback = stock(calm);
  const number = (name: keyof typeof RANGES) => within(name, found[name], fallback[name]);
  return {
    flying: typeof found.flying === 'boolean' ? found.flying : fallback.flying,
    density: oneOf(DENSITIES, found.density) ?? fallback.density,
    opacity: number('opacity'),
    speed: number('speed'),
    font: number('font'),
    area: number('area'),
    keywords: keywordsOf(found.keywords),
    hiddenUsers: hiddenUsersOf(found.hiddenUsers),
    style: styleOf(found.style),
    theme: oneOf(THEMES, found.theme) ?? fallback.theme,
    language: oneOf(LANGUAGES, found.language) ?? fallback.language,
  };
}

/** What was kept; stock settings where nothing was, or where the browser keeps nothing for this page. */
export function load(storage: Storage, calm: boolean): Settings {
  try {
    return validate(JSON.parse(storage.getItem(KEY) ?? 'null'), calm);
  } catch {
    return stock(calm);
  }
}

/** Keeps settings; a browser that keeps nothing makes them last as long as the page. */
export function save(storage: Storage, settings: Settings): void {
  try {
    storage.setItem(KEY, JSON.stringify(settings));
  } catch {
    // Full, or forbidden by the user: they still hold until the page is closed.
  }
}

/** Words as somebody writes them, one a line: trimmed, once each, no more and no longer than is allowed. */
export function keywordsOf(value: unknown): string[] {
  const lines = strings(value).map((word) => [...word.trim()].slice(0, KEYWORD_CHARS_MAX).join(''));
  return [...new Set(lines.filter((word) => word !== ''))].slice(0, KEYWORDS_MAX);
}

/** A style as {@link validate} reads it. */
export function styleOf(value: unknown): Style {
  const found = typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  const { colour } = found;
  const isColour =
    typeof colour === 'number' && Number.isInteger(colour) && colour >= 0 && colour <= 0xffffff;
  return {
    mode: oneOf(MODES, found.mode) ?? PLAIN.mode,
    colour: isColour ? colour : PLAIN.colour,
    size: oneOf(SIZES, found.size) ?? PLAIN.size,
  };
}

function hiddenUsersOf(value: unknown): string[] {
  return [...new Set(strings(value).filter((user) => /^[1-9]\d{0,19}$/.test(user)))].slice(-HIDDEN_USERS_MAX);
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
}

function within(name: keyof typeof RANGES, value: unknown, fallback: number): number {
  const { min, max } = RANGES[name];
  return typeof value === 'number' && value >= min && value <= max ? value : fallback;
}

function oneOf<T extends string>(all: readonly T[], value: unknown): T | undefined {
  return all.find((one) => one === value);
}
