// A viewer's own words are found however they are dressed up.

import { expect, it } from 'vitest';
import { Blocks } from './blocks';

const blocks = new Blocks({ keywords: ['spoiler', '剧透', '\u200b'], hiddenUsers: ['18446744073709551615'] });
const hides = (content: string, user = 1n) => blocks.hides({ user, content });

it.each([
  'spoiler',
  'a SPOILER here',
  'ｓｐｏｉｌｅｒ',
  's p o i l e r',
  's\u200bp\u200do\u2060iler',
  'spo\u0301iler',
  '别剧 透',
])('hides %j', (content) => expect(hides(content)).toBe(true));

it('leaves the rest alone, whatever words say of nothing', () => {
  expect(hides('spoil no more')).toBe(false);
  expect(hides('')).toBe(false);
  expect(new Blocks({ keywords: [' ', '\u200b'], hiddenUsers: [] }).hides({ user: 1n, content: 'x' })).toBe(
    false,
  );
});

it('hides users by their whole ID', () => {
  expect(hides('hello', 2n ** 64n - 1n)).toBe(true);
  expect(hides('hello', 1n)).toBe(false);
});
