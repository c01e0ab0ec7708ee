// Any past moment plays again as it was, while the room goes on.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Server } from './server.js';
import { Browser } from './viewer.js';

test('seek into the past, watch it, and come back to now', async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const [a, b] = await Promise.all([browser.open(server.url), browser.open(server.url)]);
  await Promise.all([a.becomes('live'), b.becomes('live')]);
  await a.send('one');
  await b.sees('one');
  await a.send('two');
  await b.sees('two');
  await b.page.locator('#timeline').waitFor();
  const { danmaku } = await server.json('v1/rooms/demo/history');
  const moment = danmaku.find(({ content }) => content === 'two').receivedMs;
  // What is hardly past yet counts as now.
  await b.until((of) => Date.now() - of > 2_500, moment);
  await b.page.evaluate((to) => {
    window.flights = [];
    const slider = document.querySelector('#seek');
    slider.value = String(to);
    slider.dispatchEvent(new Event('input', { bubbles: true }));
    slider.dispatchEvent(new Event('change', { bubbles: true }));
  }, moment);
  await b.page.locator('#replay-badge').waitFor();
  await b.until(() => window.flights.some(({ text }) => text === 'two'));
  assert.deepEqual(
    (await b.flights()).map(({ text }) => text),
    ['two'],
  );
  await b.page.locator('#replay-lines .chat-text', { hasText: 'two' }).waitFor();
  await b.page.locator('#replay-toggle').click();
  await b.screenshot('replay');
  await a.send('three');
  await a.sees('three');
  await b.page.locator('#go-live').click();
  await b.sees('three');
  assert.equal(await b.page.locator('#replay-badge').isHidden(), true);
  assert.deepEqual(
    (await b.chat()).map(({ text }) => text),
    ['one', 'two', 'three'],
  );
  assert.deepEqual([...a.errors(), ...b.errors()], []);
});
