// Lanes are given out so that nothing on the stage touches.

import { expect, it } from 'vitest';
import { Lanes } from './lanes';

const STAGE_PX = 1_000;
const FLIGHT_MS = 10_000;

function lanesOf(count: number): Lanes {
  const lanes = new Lanes();
  lanes.resize(count, STAGE_PX, FLIGHT_MS);
  return lanes;
}

it('gives each lane once at a time', () => {
  const lanes = lanesOf(3);
  expect([1, 2, 3, 4].map(() => lanes.take(100, 0))).toEqual([true, true, true, false]);
});

it('frees a lane when the one ahead has entered the stage', () => {
  const lanes = lanesOf(1);
  lanes.take(250, 0);
  // 1,250 px in 10 s: 250 px take 2 s.
  expect(lanes.take(250, 1_999)).toBe(false);
  expect(lanes.take(250, 2_000)).toBe(true);
});

it('holds a wide one, which is faster, until it cannot catch up', () => {
  const lanes = lanesOf(1);
  lanes.take(0, 0);
  // The wide one reaches the far edge after 5 s; the one ahead leaves there after 10 s.
  expect(lanes.take(1_000, 4_999)).toBe(false);
  expect(lanes.take(1_000, 5_000)).toBe(true);
});

it('keeps at least one lane on a stage without height', () => {
  expect(lanesOf(0).take(100, 0)).toBe(true);
});
