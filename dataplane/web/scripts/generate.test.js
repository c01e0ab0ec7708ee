// The committed code is what the protocol's .proto file makes today.

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { GENERATED, generate } from './generate.js';

it('has not drifted from barrage.proto; if it has, run: npm run generate', () => {
  expect(readFileSync(GENERATED, 'utf8')).toBe(generate());
});
