// The page for everybody: keyboard, input methods, a phone, no token, the wrong room.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Server } from './server.js';
import { Browser, PHONE } from './viewer.js';

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
  const { token, userId } = await server.token();
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

test('axe finds no serious barrier, light and dark, on a desk and a phone, in both languages', async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const writer = await browser.open(server.url);
  await writer.becomes('live');
  await writer.send('something to read');
  for (const options of [
    { colorScheme: 'light' },
    { colorScheme: 'dark', locale: 'zh-CN' },
    { ...PHONE, colorScheme: 'dark' },
    { ...PHONE, colorScheme: 'light', locale: 'zh-CN' },
  ]) {
    for (const query of ['', '?view=streamer']) {
      const viewer = await browser.open(`${server.url}${query}`, options);
      await viewer.becomes('live');
      await viewer.sees('something to read');
      assert.deepEqual(await viewer.barriers(), [], JSON.stringify({ ...options, query }));
      if (query === '') {
        await viewer.lineOf('something to read').locator('.chat-user').click();
        assert.deepEqual(await viewer.barriers(), []);
      }
    }
  }
});

test('whatever a user’s colour is, the name is read on every ground, light and dark', async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  for (const colorScheme of ['light', 'dark']) {
    const viewer = await browser.open(server.url, { colorScheme });
    await viewer.becomes('live');
    await viewer.send('mine');
    await viewer.sees('mine');
    const { weakest, grounds } = await viewer.page.evaluate(weakestName);
    assert.equal(new Set(grounds).size, 6, grounds.join());
    assert.ok(weakest.contrast >= 4.5, JSON.stringify({ colorScheme, ...weakest }));
  }
});

/** Runs in the page: the least contrast of any name on any ground of a line, by WCAG 2.2, as Chromium paints both. */
function weakestName() {
  const brush = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const luminance = (colour) => {
    brush.fillStyle = colour;
    brush.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...brush.getImageData(0, 0, 1, 1).data.slice(0, 3)].map((byte) => {
      const part = byte / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const line = document.querySelector('.chat-line');
  const name = line.querySelector('.chat-user');
  const panel = getComputedStyle(line.closest('.panel')).backgroundColor;
  const grounds = [panel, getComputedStyle(line).backgroundColor];
  line.removeAttribute('data-own');
  for (const tier of ['1', '2', '3', '4']) {
    line.dataset.tier = tier;
    grounds.push(getComputedStyle(line).backgroundColor);
  }
  let weakest = { contrast: Number.POSITIVE_INFINITY };
  for (let hue = 0; hue < 360; hue++) {
    name.style.setProperty('--hue', String(hue));
    const colour = luminance(getComputedStyle(name).color);
    for (const ground of grounds) {
      const other = luminance(ground);
      const contrast = (Math.max(colour, other) + 0.05) / (Math.min(colour, other) + 0.05);
      weakest = contrast < weakest.contrast ? { contrast, hue, ground } : weakest;
    }
  }
  return { weakest, grounds };
}

test('the keyboard reaches the menu of any line, and comes back', async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const [a, b] = await Promise.all([browser.open(server.url), browser.open(server.url)]);
  await Promise.all([a.becomes('live'), b.becomes('live')]);
  for (const text of ['first', 'second', 'third']) {
    await a.send(text);
  }
  await b.sees('third');
  // Lines have one stop of Tab together; arrows go from line to line.
  assert.equal(await b.page.locator('#chat-lines .chat-user[tabindex="0"]').count(), 1);
  await b.page.locator('#chat-lines .chat-user[tabindex="0"]').focus();
  await b.page.keyboard.press('ArrowUp');
  await b.page.keyboard.press('ArrowUp');
  await b.page.keyboard.press('Enter');
  await b.until(() => document.activeElement?.getAttribute('role') === 'menuitem');
  await b.page.keyboard.press('Enter');
  await b.shows('#reply-text', 'first');
  await b.until(() => document.activeElement?.id === 'message');
  await b.page.keyboard.press('Escape');
  assert.equal(await b.page.locator('#reply').isHidden(), true);
  await b.lineOf('second').locator('.chat-user').focus();
  await b.page.keyboard.press('Enter');
  await b.until(() => document.activeElement?.getAttribute('role') === 'menuitem');
  await b.page.keyboard.press('Escape');
  await b.until(() => document.activeElement?.classList.contains('chat-user'));
  assert.deepEqual([...a.errors(), ...b.errors()], []);
});

test('a screen reader hears the chat now and then, however fast it goes', async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const [a, b] = await Promise.all([browser.open(server.url), browser.open(server.url)]);
  await Promise.all([a.becomes('live'), b.becomes('live')]);
  await b.page.evaluate(() => {
    window.spoken = [];
    const region = document.querySelector('#announcer');
    new MutationObserver(() => window.spoken.push(region.textContent)).observe(region, { childList: true });
  });
  for (let i = 1; i <= 8; i++) {
    await a.send(`message ${i}`);
  }
  await b.sees('message 8');
  await b.until(() => window.spoken.join().includes('message 8'));
  const spoken = await b.page.evaluate(() => window.spoken);
  assert.ok(spoken.length <= 2, spoken.join(' / '));
  assert.match(spoken.at(-1), /^(\d+ new messages, the latest: )?message 8$/);
});
