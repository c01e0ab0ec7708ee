// Lanes are given out so that nothing on the stage touches.

import { expect, it } from 'vitest';
import type { Mode } from '../danmaku';
import { Lanes } from './lanes';

const STAGE_PX = 1_000;
const FLIGHT_MS = 10_000;
const STAND_MS = 4_000;

function lanesOf(count: number): Lanes {
  const lanes = new Lanes();
  lanes.resize({ count, stagePx: STAGE_PX, flightMs: FLIGHT_MS, standMs: STAND_MS });
  return lanes;
}

it('gives each lane once at a time, from the top', () => {
  const lanes = lanesOf(3);
  expect([1, 2, 3, 4].map(() => lanes.take('scroll', 100, 1, 0))).toEqual([0, 1, 2, undefined]);
});

it('frees a lane when the one ahead has entered the stage', () => {
  const lanes = lanesOf(1);
  lanes.take('scroll', 250, 1, 0);
  // 1,250 px in 10 s: 250 px take 2 s.
  expect(lanes.take('scroll', 250, 1, 1_999)).toBeUndefined();
  expect(lanes.take('scroll', 250, 1, 2_000)).toBe(0);
});

it('holds a wide one, which is faster, until it cannot catch up', () => {
  const lanes = lanesOf(1);
  lanes.take('scroll', 0, 1, 0);
  // The wide one reaches the far edge after 5 s; the one ahead leaves there after 10 s.
  expect(lanes.take('scroll', 1_000, 1, 4_999)).toBeUndefined();
  expect(lanes.take('scroll', 1_000, 1, 5_000)).toBe(0);
});

it('lets nobody meet who flies the other way', () => {
  const lanes = lanesOf(1);
  lanes.take('scroll', 10, 1, 0);
  expect(lanes.take('reverse', 10, 1, FLIGHT_MS - 1)).toBeUndefined();
  expect(lanes.take('reverse', 10, 1, FLIGHT_MS)).toBe(0);
});

it('puts who stands at the edges, alone in a lane', () => {
  const lanes = lanesOf(3);
  expect(lanes.take('top', 10, 1, 0)).toBe(0);
  expect(lanes.take('bottom', 10, 1, 0)).toBe(2);
  expect(lanes.take('scroll', 10, 1, 0)).toBe(1);
  expect(lanes.take('top', 10, 1, 0)).toBeUndefined();
  expect(lanes.take('top', 10, 1, STAND_MS)).toBe(0);
});

it('gives large ones lanes side by side', () => {
  const lanes = lanesOf(4);
  lanes.take('top', 10, 1, 0);
  expect(lanes.take('scroll', 10, 2, 0)).toBe(1);
  expect(lanes.take('scroll', 10, 2, 0)).toBeUndefined();
  expect(lanes.take('scroll', 10, 1, 0)).toBe(3);
});

it('keeps the edges for who stands, while there are some', () => {
  const lanes = lanesOf(20);
  const starts = (nowMs: number) => Array.from({ length: 20 }, () => lanes.take('scroll', 10, 1, nowMs));
  expect(starts(0).filter((lane) => lane !== undefined)).toHaveLength(20);
  expect(lanes.take('top', 10, 1, 1_000)).toBeUndefined();
  expect(starts(2_000).filter((lane) => lane !== undefined)).toEqual(
    Array.from({ length: 18 }, (_, i) => i + 2),
  );
  expect(lanes.take('top', 10, 1, FLIGHT_MS)).toBe(0);
  expect(lanes.take('scroll', 10, 1, FLIGHT_MS + 20_000)).toBe(0);
});

it('never lets two share a place, whatever comes', () => {
  const lanes = lanesOf(8);
  const modes: Mode[] = ['scroll', 'reverse', 'top', 'bottom'];
  let seed = 7;
  const random = (below: number) => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % below;
  };
  const placed: { mode: Mode; top: number; span: number; widthPx: number; startMs: number }[] = [];
  const edges = ({ mode, widthPx, startMs }: (typeof placed)[number], nowMs: number) => {
    const flown = ((STAGE_PX + widthPx) * (nowMs - startMs)) / FLIGHT_MS;
    const left = mode === 'scroll' ? STAGE_PX - flown : mode === 'reverse' ? flown - widthPx : 0;
    return mode === 'top' || mode === 'bottom' ? [0, STAGE_PX] : [left, left + widthPx];
  };
  let overlaps = 0;
  for (let nowMs = 0; nowMs < 60_000; nowMs += 50) {
    const one = {
      mode: modes[random(4)] ?? 'scroll',
      span: 1 + random(2),
      widthPx: 20 + random(600),
      startMs: nowMs,
    };
    const top = lanes.take(one.mode, one.widthPx, one.span, nowMs);
    if (top !== undefined) {
      placed.push({ ...one, top });
    }
    const alive = placed.filter(
      ({ mode, startMs }) => nowMs - startMs < (mode === 'top' || mode === 'bottom' ? STAND_MS : FLIGHT_MS),
    );
    const boxes = alive.map((each) => ({ ...each, edges: edges(each, nowMs) }));
    for (const [i, a] of boxes.entries()) {
      for (const b of boxes.slice(i + 1)) {
        const [[leftA = 0, rightA = 0], [leftB = 0, rightB = 0]] = [a.edges, b.edges];
        const sameRows = a.top < b.top + b.span && b.top < a.top + a.span;
        overlaps += Number(sameRows && leftA < rightB - 1e-6 && leftB < rightA - 1e-6);
      }
    }
  }
  expect(overlaps).toBe(0);
  expect(placed.length).toBeGreaterThan(100);
});

it('holds what is taken for longer when all stood still', () => {
  const lanes = lanesOf(2);
  lanes.take('top', 10, 1, 0);
  lanes.take('scroll', 500, 1, 0);
  lanes.delay(60_000);
  expect(lanes.take('top', 10, 1, 60_000 + STAND_MS - 1)).toBeUndefined();
  expect(lanes.take('top', 10, 1, 60_000 + STAND_MS)).toBe(0);
});

it('keeps at least one lane on a stage without height', () => {
  expect(lanesOf(0).take('scroll', 100, 1, 0)).toBe(0);
});
