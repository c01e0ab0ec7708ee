// What viewers and moderators write is text, wherever it is shown: it runs nowhere and stays in its place.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Server } from './server.js';
import { Service } from './service.js';
import { Browser } from './viewer.js';

const MARKUP = [
  '<script>window.pwned = 1</script>',
  '<img src=x onerror="window.pwned = 1">',
  '"><svg onload=window.pwned=1>',
  'javascript:window.pwned=1',
  '{{constructor.constructor("window.pwned=1")()}}',
];

test('script and markup in every text field are text', async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const moderator = await browser.open(await server.pageOf({ role: 'moderator', userId: '8' }));
  const viewer = await browser.open(server.url);
  await Promise.all([moderator.becomes('live'), viewer.becomes('live')]);
  for (const text of MARKUP) {
    await viewer.send(text);
    await moderator.sees(text);
    await moderator.until((what) => window.flights.some((flight) => flight.text === what), text);
  }
  const service = await Service.start(browser, server);
  const [script, image] = MARKUP;
  assert.equal(await service.give({ content: script, user: 4242, value: 300, superChat: true }), 0);
  assert.equal(await service.give({ content: 'gift', user: 4242, value: 3, name: image, count: 2 }), 0);
  await viewer.page.locator('.super-chat', { hasText: script }).waitFor();
  await viewer.sees('gift');
  await moderator.choose(image, 'Pin');
  await viewer.page.locator('#pin', { hasText: image }).waitFor();
  await moderator.page.locator('#moderation-open').click();
  await moderator.page.locator('#blocked-words').fill(MARKUP.join('\n'));
  await moderator.page.getByRole('button', { name: 'Save words' }).click();
  await moderator.shows('#moderation-status', 'Done.');
  await moderator.page.keyboard.press('Escape');
  await viewer.lineOf(script).locator('.chat-user').click();
  await viewer.page.getByRole('menuitem', { name: 'Reply' }).click();
  await viewer.shows('#reply-text', script);
  await viewer.page.locator('#settings-open').click();
  await viewer.page.locator('#keywords').fill(MARKUP.join('\n'));
  await viewer.page.keyboard.press('Escape');
  const room = await browser.open(`${server.url}?room=${encodeURIComponent(image)}`);
  await room.becomes('refused');

  for (const one of [moderator, viewer, room]) {
    assert.equal(await one.page.evaluate(() => window.pwned), undefined);
    assert.equal(await one.page.locator('main script, main img, header img').count(), 0);
  }
  assert.deepEqual([...moderator.errors(), ...viewer.errors()], []);

  await t.test('and markup is not even possible: the browser refuses it', async () => {
    const refusal = await viewer.page.evaluate(() => {
      try {
        document.querySelector('#quiet').innerHTML = '<b>x</b>';
        return 'taken';
      } catch (error) {
        return error.name;
      }
    });
    assert.equal(refusal, 'TypeError');
  });
});

test('floods of marks, of the invisible and of turned direction stay within their lane and line', async (t) => {
  const server = await Server.start(t, ROOMY);
  const browser = await Browser.start(t);
  const [a, b] = await Promise.all([browser.open(server.url), browser.open(server.url)]);
  await Promise.all([a.becomes('live'), b.becomes('live')]);
  // The server refuses some of these; what it lets through, and the writer's own waiting line, must stay in place.
  const floods = {
    marks: `zalgo${'\u0301'.repeat(10_000)}`,
    enclosing: `${'\u20dd'.repeat(300)}ring`,
    invisible: `wide${'\u200b'.repeat(5_000)}gap`,
    direction: `${'\u202e'.repeat(300)}turned around`,
    arabic: 'ﷺ'.repeat(300),
    long: 'W'.repeat(4_000),
  };
  for (const text of Object.values(floods)) {
    await a.send(text);
  }
  await a.send('after the flood');
  for (const one of [a, b]) {
    await one.sees('after the flood');
    assert.deepEqual(await one.page.evaluate(strays), []);
  }
  await b.page.locator('#settings-open').click();
  await b.page.locator('#keywords').fill(floods.marks);
  await b.page.keyboard.press('Escape');
  await b.screenshot('flood');
  assert.deepEqual(
    await b.page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth),
    false,
  );
  assert.deepEqual([...a.errors(), ...b.errors()], []);
});

/** Longer texts than a room allows by itself, so that they reach the screens. */
const ROOMY = `
apiVersion: barrage.live/v1alpha1
kind: LiveRoom
metadata: { name: demo }
spec:
  rateLimit: { messagesPerSecond: 1000, burst: 1000 }
`;

/** Runs in the page: flights that are higher than their lane or may paint outside it, and lines that may. */
function strays() {
  const flights = [...document.querySelectorAll('.flying')].filter((one) => {
    const { overflowX, fontSize } = getComputedStyle(one);
    return overflowX !== 'hidden' || one.offsetHeight > Number.parseFloat(fontSize) * 1.6 + 1;
  });
  const lines = [...document.querySelectorAll('.chat-line')].filter(
    (one) => getComputedStyle(one).overflowY !== 'clip' || one.scrollWidth > one.clientWidth + 1,
  );
  return [...flights, ...lines].map((one) => one.textContent.slice(0, 40));
}
