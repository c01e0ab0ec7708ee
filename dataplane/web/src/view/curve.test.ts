// The heat curve is as high as the room was loud, where it was.

import { expect, it } from 'vitest';
import { heightsOf } from './curve';

const range = { startMs: 100_000, endMs: 200_000 };

it('stands where something was said, and is flat elsewhere', () => {
  const points = [
    { atMs: 120_000, danmaku: 20 },
    { atMs: 190_000, danmaku: 40 },
  ];
  expect(heightsOf({ stepMs: 10_000, points }, range, 10)).toEqual([0, 0, 0.5, 0, 0, 0, 0, 0, 0, 1]);
});

it('spreads a long step over the columns that it covers', () => {
  const points = [{ atMs: 100_000, danmaku: 8 }];
  expect(heightsOf({ stepMs: 40_000, points }, range, 10)).toEqual([1, 1, 1, 1, 0, 0, 0, 0, 0, 0]);
});

it('sums short steps in the column that covers them, by the part of each', () => {
  const points = [
    { atMs: 100_000, danmaku: 6 },
    { atMs: 105_000, danmaku: 6 },
    { atMs: 108_000, danmaku: 10 },
  ];
  // Of the last step, two seconds of five are in the first column: 6 + 6 + 4 there, 6 in the next.
  const [first, second, third] = heightsOf({ stepMs: 5_000, points }, range, 10);
  expect([first, third]).toEqual([1, 0]);
  expect(second).toBeCloseTo(6 / 16);
});

it('draws a few words low, and nothing of what is outside', () => {
  expect(heightsOf({ stepMs: 20_000, points: [{ atMs: 140_000, danmaku: 1 }] }, range, 10)[4]).toBe(0.5);
  const outside = [
    { atMs: 10_000, danmaku: 5 },
    { atMs: 500_000, danmaku: 5 },
  ];
  expect(heightsOf({ stepMs: 10_000, points: outside }, range, 10)).toEqual(new Array(10).fill(0));
});

it('is flat where nothing is known, and where no time has passed', () => {
  expect(heightsOf({ stepMs: 1_000, points: [] }, range, 3)).toEqual([0, 0, 0]);
  expect(heightsOf({ stepMs: 1_000, points: [] }, { startMs: 5, endMs: 5 }, 3)).toEqual([0, 0, 0]);
});
