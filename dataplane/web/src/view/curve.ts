// The heat curve's shape: how much was said when, drawn into as many columns as there is room for.

import type { HeatPoint } from '../session/api';

/** Fewer danmaku than this in the highest column are not drawn up to the top: a room that says little is a calm one. */
const LOUD = 1;

/**
 * How high each of `columns` between two moments is, from 0 to 1 for the highest.
 *
 * A step of the heat may be longer or shorter than a column: each column gets the part of it that it covers.
 */
export function heightsOf(
  { stepMs, points }: { readonly stepMs: number; readonly points: readonly HeatPoint[] },
  { startMs, endMs }: { readonly startMs: number; readonly endMs: number },
  columns: number,
): number[] {
  const spanMs = Math.max(1, endMs - startMs);
  const heights = new Array<number>(columns).fill(0);
  const place = (ms: number) => Math.max(0, Math.min(columns, ((ms - startMs) / spanMs) * columns));
  for (const { atMs, danmaku } of points) {
    const [from, to] = [place(atMs), place(atMs + stepMs)];
    for (let column = Math.floor(from); column < to; column++) {
      const part = (Math.min(to, column + 1) - Math.max(from, column)) / (to - from);
      heights[column] = (heights[column] ?? 0) + danmaku * part;
    }
  }
  const highest = Math.max(LOUD, ...heights);
  return heights.map((height) => height / highest);
}
