// How users, numbers, times and texts are written on the page.

import { Role } from '../danmaku';
import { onLanguage, words } from '../i18n/language';

interface Formats {
  readonly number: Intl.NumberFormat;
  readonly short: Intl.NumberFormat;
  readonly clock: Intl.DateTimeFormat;
  readonly seconds: Intl.DateTimeFormat;
  readonly moment: Intl.DateTimeFormat;
}

let formats = formatsFor('en');
onLanguage(() => {
  formats = formatsFor(words().htmlLanguage);
});

/** 12,345. */
export function count(value: number | bigint): string {
  return formats.number.format(value);
}

/** 12.3K: for what grows large and is looked at in passing. */
export function short(value: number | bigint): string {
  return formats.short.format(value);
}

/** 14:05, in the viewer's own time zone; a sender's clock may say anything. */
export function clock(ms: number): string {
  return isDate(ms) ? formats.clock.format(ms) : '';
}

/** 14:05:09. */
export function clockSeconds(ms: number): string {
  return isDate(ms) ? formats.seconds.format(ms) : '';
}

/** The same with date and seconds. */
export function moment(ms: number): string {
  return isDate(ms) ? formats.moment.format(ms) : '';
}

/** How many repeats a danmaku stands for; from 10,000 on shortened, so that it stays within its room on the stage. */
export function times(total: number): string {
  return `×${total < 10_000 ? total : formats.short.format(total)}`;
}

/** A user's colour, as a hue that neighbours in ID do not share. */
export function hueOf(user: bigint): number {
  // 0x9e37… is 2^64 divided by the golden ratio (Knuth, TAOCP 3, 6.4): it spreads what is close together.
  return Number((BigInt.asUintN(64, user * 0x9e3779b97f4a7c15n) >> 32n) % 360n);
}

/** 0xRRGGBB as CSS writes it. */
export function hexOf(colour: number): string {
  return `#${colour.toString(16).padStart(6, '0')}`;
}

/** What stands beside the name of a user with a role. */
export function badgeOf(role: Role): string | undefined {
  switch (role) {
    case Role.HOST:
      return words().host;
    case Role.MODERATOR:
      return words().moderator;
    case Role.SERVICE:
      return words().service;
    default:
      return undefined;
  }
}

/** The language to shape a text by: Han characters without kana get Chinese forms, not those of the reader's system. */
export function languageOf(text: string): string {
  if (/[\p{Script=Hiragana}\p{Script=Katakana}]/u.test(text)) {
    return 'ja';
  }
  return /\p{Script=Han}/u.test(text) ? 'zh-Hans' : '';
}

function formatsFor(language: string): Formats {
  return {
    number: new Intl.NumberFormat(language),
    short: new Intl.NumberFormat(language, { notation: 'compact', maximumSignificantDigits: 3 }),
    clock: new Intl.DateTimeFormat(language, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }),
    seconds: new Intl.DateTimeFormat(language, { timeStyle: 'medium', hourCycle: 'h23' }),
    moment: new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'medium', hourCycle: 'h23' }),
  };
}

function isDate(ms: number): boolean {
  return Math.abs(ms) <= 8.64e15;
}
