// Every text of the page is in both languages, and index.html names entries that there are.

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { en } from './en';
import { entry, preferred } from './language';
import { zh } from './zh';

const page = readFileSync(new URL('../../index.html', import.meta.url), 'utf8');
const named = [...page.matchAll(/data-(?:text|label|tip|placeholder)="([^"]*)"/g)].map(([, key = '']) => key);

it('knows every entry that index.html names', () => {
  expect(named.length).toBeGreaterThan(20);
  expect(named.filter((key) => typeof en[key as keyof typeof en] !== 'string')).toEqual([]);
});

it('says everything in Chinese, in Chinese', () => {
  expect(Object.keys(zh).sort()).toEqual(Object.keys(en).sort());
  const english = Object.entries(zh).filter(
    ([key, text]) => typeof text === 'string' && key !== 'htmlLanguage' && !/\p{Script=Han}/u.test(text),
  );
  expect(english).toEqual([]);
});

it('puts the same values into both', () => {
  for (const [key, text] of Object.entries(en)) {
    if (typeof text === 'function') {
      const put = (entryOf: unknown) => (entryOf as (...values: unknown[]) => string)('«1»', '«2»');
      const values = (said: string) => [...said.matchAll(/«\d»/g)].map(([value]) => value).sort();
      expect([key, values(put(zh[key as keyof typeof zh]))]).toEqual([key, values(put(text))]);
    }
  }
});

it('takes the first of the browser’s languages that there is', () => {
  expect(preferred(['fr-FR', 'zh-TW', 'en'])).toBe('zh');
  expect(preferred(['EN-gb', 'zh'])).toBe('en');
  expect(preferred(['fr'])).toBe('en');
  expect(preferred([])).toBe('en');
});

it('shows the name of an entry that there is not', () => {
  expect(entry('nothing')).toBe('nothing');
  expect(entry('viewers')).toBe('viewers');
});
