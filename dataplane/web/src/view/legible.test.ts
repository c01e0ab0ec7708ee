// What is drawn of hostile texts, and that honest ones are drawn whole.

import { expect, it } from 'vitest';
import { legible } from './legible';

it('cuts stacks of marks', () => {
  expect(legible(`${'\u20dd'.repeat(300)}ring`)).toBe('ring');
  expect(legible(`a${'\u0301'.repeat(10_000)}b`)).toBe(`a${'\u0301'.repeat(4)}b`);
});

it('drops floods of the invisible, and what turns direction', () => {
  expect(legible(`a${'\u200b'.repeat(5_000)}b`)).toBe('ab');
  expect(legible('\u202egnp.exe\u202c')).toBe('gnp.exe');
  expect(legible('a\nb\u2028c\u0000d')).toBe('a b c d');
});

it.each(['مرحبا بالجميع', 'שָׁלוֹם', 'ที่นี่', 'Việt Nam', '👨‍👩‍👧‍👦', '🏴󠁧󠁢󠁥󠁮󠁧󠁿', '你好，弹幕！', '<b>&amp;'])(
  'leaves %s alone',
  (text) => expect(legible(text)).toBe(text),
);
