// However fast somebody taps, the wire sees a frame twice a second.

import { expect, it } from 'vitest';
import { Likes } from './likes';

it('sends the first at once, and what comes after together', () => {
  const likes = new Likes();
  expect([likes.take(1_000), likes.wakeAtMs()]).toEqual([0, undefined]);
  likes.add();
  expect(likes.take(1_000)).toBe(1);
  likes.add();
  likes.add();
  expect([likes.take(1_499), likes.waiting, likes.wakeAtMs()]).toEqual([0, 2, 1_500]);
  expect([likes.take(1_500), likes.waiting]).toEqual([2, 0]);
});

it('never sends more in a frame than the server counts', () => {
  const likes = new Likes();
  for (let i = 0; i < 1_000; i++) {
    likes.add();
  }
  expect(likes.take(0)).toBeLessThanOrEqual(100);
  expect(likes.take(10_000)).toBe(0);
});
