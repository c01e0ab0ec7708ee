// Settings survive whatever stands in the browser's storage.

import { expect, it } from 'vitest';
import { KEYWORDS_MAX, keywordsOf, load, save, stock, validate } from './settings';

function storageWith(text: string | null) {
  let kept = text;
  return {
    getItem: () => kept,
    setItem: (_: string, value: string) => {
      kept = value;
    },
  };
}

it('are read back as they were kept', () => {
  const storage = storageWith(null);
  const mine = {
    ...stock(false),
    opacity: 40,
    density: 'dense' as const,
    keywords: ['剧透'],
    hiddenUsers: ['7'],
  };
  save(storage, mine);
  expect(load(storage, false)).toEqual(mine);
});

it.each([null, '', '{', '[]', '7', '"x"', '{"opacity":"40"}'])('fall back from %s', (text) => {
  expect(load(storageWith(text), false)).toEqual(stock(false));
});

it('take each field alone: one that is out of bounds costs the others nothing', () => {
  const read = validate(
    { opacity: 19, speed: 200, font: Number.NaN, area: 1e9, density: 'odd', theme: 'dark' },
    true,
  );
  expect(read).toEqual({ ...stock(true), speed: 200, theme: 'dark' });
  expect(read.flying).toBe(false);
});

it('hold where the browser keeps nothing', () => {
  const denied = {
    getItem: () => {
      throw new Error('denied');
    },
    setItem: () => {
      throw new Error('full');
    },
  };
  expect(load(denied, false)).toEqual(stock(false));
  expect(() => save(denied, stock(false))).not.toThrow();
});

it('bound the style of what is sent', () => {
  const styled = (style: unknown) => validate({ style }, false).style;
  expect(styled({ mode: 'top', colour: 0xff9a3d, size: 'large' })).toEqual({
    mode: 'top',
    colour: 0xff9a3d,
    size: 'large',
  });
  for (const odd of [
    null,
    'top',
    { mode: 'up', colour: -1, size: 9 },
    { colour: 0x1000000 },
    { colour: 0.5 },
  ]) {
    expect(styled(odd)).toEqual(stock(false).style);
  }
});

it('bound words and users', () => {
  expect(keywordsOf([' a ', 'a', '', 7, 'b'.repeat(100)])).toEqual(['a', 'b'.repeat(64)]);
  expect(keywordsOf(Array.from({ length: 300 }, (_, i) => `w${i}`))).toHaveLength(KEYWORDS_MAX);
  expect(validate({ hiddenUsers: ['1', '0', '-1', 'x', '1'] }, false).hiddenUsers).toEqual(['1']);
});
