// The page for everybody: keyboard, input methods, a phone, no token, the wrong room.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Server } from './server.js';
import { Browser } from './viewer.js';

const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };

test('by keyboard alone: reach the box, write, send, and go on writing', async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const viewer = await browser.open(server.url);
  await viewer.becomes('live');
  const { keyboard } = viewer.page;
  await keyboard.press('Tab');
  await keyboard.press('Enter');
  await viewer.until(() => document.activeElement?.id === 'message');
  await keyboard.type('no mouse');
  await keyboard.press('Enter');
  await keyboard.type('still no mouse');
  await keyboard.press('Enter');
  await viewer.sees('no mouse');
  await viewer.sees('still no mouse');
  assert.deepEqual(viewer.errors(), []);
});

test('Enter that ends a composition sends nothing', async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const viewer = await browser.open(server.url);
  await viewer.becomes('live');
  const devtools = await viewer.page.context().newCDPSession(viewer.page);
  await viewer.page.locator('#message').focus();
  await devtools.send('Input.imeSetComposition', { text: 'ni hao', selectionStart: 6, selectionEnd: 6 });
  await viewer.page.keyboard.press('Enter');
  await devtools.send('Input.imeSetComposition', { text: '', selectionStart: 0, selectionEnd: 0 });
  await devtools.send('Input.insertText', { text: '你好' });
  assert.equal(await viewer.page.locator('#message').inputValue(), '你好');
  await viewer.page.keyboard.press('Enter');
  await viewer.sees('你好');
  assert.deepEqual(
    (await viewer.chat()).map(({ text }) => text),
    ['你好'],
  );
});

test('on a phone all fits the width, and the box is at hand', async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const viewer = await browser.open(server.url, PHONE);
  await viewer.becomes('live');
  for (const text of [
    '从手机发的',
    'a message that is rather long for such a narrow screen, with words',
    '666',
    '哈哈哈哈哈哈',
  ]) {
    await viewer.send(text);
  }
  await viewer.sees('哈哈哈哈哈哈');
  const widths = await viewer.page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    return { scrollWidth, clientWidth };
  });
  assert.ok(widths.scrollWidth <= widths.clientWidth, JSON.stringify(widths));
  const box = await viewer.page.locator('#message').boundingBox();
  assert.ok(box.y + box.height <= PHONE.viewport.height, `the box ends at ${box.y + box.height} px`);
  await viewer.screenshot('phone');
  const wide = await browser.open(server.url, {
    ...PHONE,
    colorScheme: 'dark',
    viewport: { width: 320, height: 640 },
  });
  await wide.becomes('live');
  assert.ok(
    await wide.page.evaluate(
      () => document.documentElement.scrollWidth <= document.documentElement.clientWidth,
    ),
  );
  await wide.screenshot('phone-small-dark');
  assert.deepEqual([...viewer.errors(), ...wide.errors()], []);
});

test('a token in the fragment is used as it is', async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const response = await fetch(new URL('dev/token', server.url), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ room: 'demo' }),
  });
  const { token, userId } = await response.json();
  const viewer = await browser.open(`${server.url}?room=demo#token=${token}`);
  await viewer.becomes('live');
  assert.equal(await viewer.user(), userId);
});

test('without a token one watches, and is told so', async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const writer = await browser.open(server.url);
  const watcher = await browser.open(server.url, {}, (page) =>
    page.route('**/dev/token', (route) => route.fulfill({ status: 404, body: '{}' })),
  );
  await Promise.all([writer.becomes('live'), watcher.becomes('live')]);
  await writer.send('seen by all');
  await watcher.sees('seen by all');
  assert.equal(await watcher.page.locator('#message').isDisabled(), true);
  await watcher.shows('#self', 'Watching only');
});

test('a room that does not exist is refused with the reason', async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const viewer = await browser.open(`${server.url}?room=nowhere`);
  await viewer.becomes('refused');
  assert.match(await viewer.page.locator('#connection-text').textContent(), /^Refused: .+/);
  await viewer.screenshot('refused');
});
