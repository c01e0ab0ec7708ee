// Any past moment plays again as it was, while the room goes on.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Server } from './server.js';
import { Service } from './service.js';
import { Browser, PHONE } from './viewer.js';

/** What is hardly past yet counts as now; between two danmaku this far apart there is time to pause. */
const PAST_MS = 2_500;

/** Waits until a danmaku is past, and returns when the server received it. */
async function pastOf(server, viewer, text) {
  const { danmaku } = await server.json('v1/rooms/demo/history');
  const moment = danmaku.find(({ content }) => content === text).receivedMs;
  await viewer.until(([of, ms]) => Date.now() - of > ms, [moment, PAST_MS]);
  return moment;
}

/** Plays from a moment on, as a hand on the timeline's slider would. */
async function seek(viewer, moment) {
  await viewer.page.locator('#timeline').waitFor();
  await viewer.page.evaluate((to) => {
    window.flights = [];
    const slider = document.querySelector('#seek');
    slider.value = String(to);
    slider.dispatchEvent(new Event('input', { bubbles: true }));
    slider.dispatchEvent(new Event('change', { bubbles: true }));
  }, moment);
  await viewer.page.locator('#replay-badge').waitFor();
}

const textsOf = (lines) => lines.map(({ text }) => text);

test('seek into the past, watch it as it was, and come back to now', async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const [a, desk, phone] = await Promise.all([
    browser.open(server.url),
    browser.open(server.url, { colorScheme: 'dark' }),
    browser.open(server.url, PHONE),
  ]);
  const all = [a, desk, phone];
  await Promise.all(all.map((one) => one.becomes('live')));
  await a.send('one');
  await desk.sees('one');
  await a.wear({ mode: 'Top', size: 'Large', colour: 'Yellow' });
  await a.send('two');
  await desk.sees('two');
  const service = await Service.start(browser, server);
  assert.equal(
    await service.give({ content: 'Rocket', user: 4242, value: 600, name: 'Rocket', count: 3 }),
    0,
  );
  await desk.sees('Rocket');
  const moment = await pastOf(server, desk, 'two');
  await Promise.all([desk, phone].map((one) => seek(one, moment)));
  for (const viewer of [desk, phone]) {
    await viewer.until(() => window.flights.some(({ text }) => text === 'Rocket'));
    const flights = await viewer.flights();
    assert.deepEqual(textsOf(flights), ['two', 'Rocket']);
    assert.deepEqual([flights[0].mode, flights[0].size], ['top', 'large']);
    const line = viewer.page.locator('#replay-lines .chat-line', { hasText: 'Rocket' });
    assert.deepEqual(
      [await line.isVisible(), await viewer.page.locator('#chat-panel').isVisible()],
      [true, false],
    );
    assert.match(await line.textContent(), /Rocket ×3 · 600/);
    await viewer.page.locator('#replay-toggle').click();
    assert.deepEqual(await viewer.barriers(), []);
  }
  await desk.screenshot('replay');
  await phone.screenshot('replay-phone');
  await a.send('three');
  await a.sees('three');
  for (const viewer of [desk, phone]) {
    await viewer.page.locator('#go-live').click();
    await viewer.sees('three');
    assert.equal(await viewer.page.locator('#replay-badge').isHidden(), true);
    assert.deepEqual(textsOf(await viewer.chat()), ['one', 'two', 'Rocket', 'three']);
  }
  assert.deepEqual(
    all.flatMap((one) => one.errors()),
    [],
  );
});

test('the heat curve stands where something was said', async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const writer = await browser.open(server.url);
  await writer.becomes('live');
  await writer.sendAll(['many', 'words', 'at', 'once']);
  // The curve is read when a viewer comes: all that was said must be in it by then.
  await writer.until(async () => {
    const { points } = await (await fetch('/v1/rooms/demo/heat')).json();
    return points.reduce((sum, { danmaku }) => sum + danmaku, 0) === 4;
  });
  const viewer = await browser.open(server.url);
  await viewer.until(() => {
    const points =
      document
        .querySelector('#heat-curve')
        .getAttribute('d')
        ?.match(/L[\d.]+ [\d.]+/g) ?? [];
    window.heights = points.map((point) => 40 - Number(point.split(' ')[1]));
    return window.heights.some((height) => height > 1);
  });
  // A minute in 240 columns; the server counts in steps of seconds, so that it is the end of it, whatever the step.
  const heights = await viewer.page.evaluate(() => window.heights);
  assert.ok(heights.findIndex((height) => height > 1) > heights.length / 2, heights.join());
  assert.deepEqual([...writer.errors(), ...viewer.errors()], []);
});

test('the keyboard steps through the past', async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const viewer = await browser.open(server.url);
  await viewer.becomes('live');
  await viewer.send('said once');
  await viewer.sees('said once');
  await pastOf(server, viewer, 'said once');
  await viewer.page.evaluate(() => {
    window.flights = [];
  });
  await viewer.page.locator('#seek').focus();
  await viewer.page.keyboard.press('ArrowLeft');
  await viewer.until(() => window.flights.some(({ text }) => text === 'said once'));
  await viewer.page.keyboard.press('ArrowRight');
  await viewer.page.locator('#replay-badge').waitFor({ state: 'hidden' });
  assert.deepEqual(viewer.errors(), []);
});

test('where the server has no heat curve to give, the past plays all the same', async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const viewer = await browser.open(server.url, {}, (page) =>
    page.route('**/heat*', (route) => route.fulfill({ status: 503, body: '{}' })),
  );
  await viewer.becomes('live');
  await viewer.send('kept');
  await viewer.sees('kept');
  await seek(viewer, await pastOf(server, viewer, 'kept'));
  await viewer.until(() => window.flights.some(({ text }) => text === 'kept'));
});

test('what a moderator deletes is not played, though it was read before', async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const [moderator, a, b] = await Promise.all([
    browser.open(await server.pageOf({ role: 'moderator', userId: '8' })),
    browser.open(server.url),
    browser.open(server.url),
  ]);
  await Promise.all([moderator, a, b].map((one) => one.becomes('live')));
  await a.send('first');
  await moderator.sees('first');
  const moment = await pastOf(server, b, 'first');
  for (const text of ['deleted later', 'last']) {
    await a.send(text);
    await moderator.sees(text);
  }
  await pastOf(server, b, 'last');
  await seek(b, moment);
  await b.until(() => window.flights.some(({ text }) => text === 'first'));
  await b.page.locator('#replay-toggle').click();
  await moderator.choose('deleted later', 'Delete');
  await b.missing('deleted later');
  await b.page.locator('#replay-toggle').click();
  await b.until(() => window.flights.some(({ text }) => text === 'last'));
  assert.deepEqual(textsOf(await b.flights()), ['first', 'last']);
  await b.missing('deleted later');
  assert.deepEqual([...moderator.errors(), ...a.errors(), ...b.errors()], []);
});
