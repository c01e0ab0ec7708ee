// What viewers see of each other beyond text: styles, replies, likes, gifts, super chats, on desktop and phone.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Server } from './server.js';
import { Service } from './service.js';
import { Browser, PHONE } from './viewer.js';

test('styles: mode, size and colour arrive, are remembered, and stay in their lanes', async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const [a, b] = await Promise.all([browser.open(server.url), browser.open(server.url, PHONE)]);
  await Promise.all([a.becomes('live'), b.becomes('live')]);
  for (const [mode, size, colour] of [
    ['Top', 'Large', 'Yellow'],
    ['Bottom', 'Small', 'Red'],
    ['Reverse', 'Normal', 'Teal'],
  ]) {
    await a.wear({ mode, size, colour });
    await a.send(`${mode} ${size}`);
    for (const viewer of [a, b]) {
      await viewer.until((text) => window.flights.some((flight) => flight.text === text), `${mode} ${size}`);
      const flight = (await viewer.flights()).find(({ text }) => text === `${mode} ${size}`);
      assert.deepEqual([flight.mode, flight.size], [mode.toLowerCase(), size.toLowerCase()]);
    }
  }
  const colour = await b.page
    .locator('.flying', { hasText: 'Reverse Normal' })
    .evaluate((element) => getComputedStyle(element).color);
  assert.equal(colour, 'rgb(63, 216, 196)');
  await a.page.reload();
  await a.becomes('live');
  assert.equal(await a.page.locator('#style-open').getAttribute('data-mode'), 'reverse');
  await a.page.locator('#style-open').click();
  assert.deepEqual(await a.barriers(), []);
  await a.screenshot('style');
  assert.deepEqual([...a.errors(), ...b.errors()], []);
});

test('a reply says whom it answers', async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const [a, b] = await Promise.all([browser.open(server.url), browser.open(server.url)]);
  await Promise.all([a.becomes('live'), b.becomes('live')]);
  await a.send('who wins tonight?');
  await b.sees('who wins tonight?');
  await b.choose('who wins tonight?', 'Reply');
  await b.shows('#reply-text', 'who wins tonight?');
  await b.screenshot('reply');
  await b.send('we do');
  const mark = a.lineOf('we do').locator('.chat-reply');
  await mark.waitFor();
  assert.equal(await mark.textContent(), `↪ ${await a.user()}`);
  assert.equal(await b.page.locator('#reply').isHidden(), true);
  const late = await browser.open(server.url);
  await late.becomes('live');
  assert.equal(await late.lineOf('we do').locator('.chat-reply').textContent(), `↪ ${await a.user()}`);
  assert.deepEqual([...a.errors(), ...b.errors()], []);
});

test('likes count for everybody, and cost two frames a second at the most', async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const [a, b] = await Promise.all([browser.open(server.url), browser.open(server.url, PHONE)]);
  await Promise.all([a.becomes('live'), b.becomes('live')]);
  await a.page.evaluate(() => {
    window.likeFrames = 0;
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (data) {
      window.likeFrames += new Uint8Array(data)[3] === 0x11 ? 1 : 0;
      return send.call(this, data);
    };
  });
  await a.page.evaluate(() => {
    for (let i = 0; i < 30; i++) {
      document.querySelector('#like').click();
    }
  });
  await Promise.all([a.shows('#likes', '30'), b.shows('#likes', '30')]);
  assert.ok((await a.page.evaluate(() => window.likeFrames)) <= 2);
  await b.page.locator('#like').tap();
  await Promise.all([a.shows('#likes', '31'), b.shows('#likes', '31')]);
  assert.deepEqual([...a.errors(), ...b.errors()], []);
});

test('gifts and super chats are seen by all, count in the ranking, and lead the streamer’s view', async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const [viewer, phone, streamer] = await Promise.all([
    browser.open(server.url, { colorScheme: 'dark' }),
    browser.open(server.url, PHONE),
    browser.open(await server.pageOf({ role: 'host', userId: '1' }, '?view=streamer'), {
      viewport: { width: 1920, height: 1080 },
    }),
  ]);
  const all = [viewer, phone, streamer];
  await Promise.all(all.map((one) => one.becomes('live')));
  const service = await Service.start(browser, server);
  assert.equal(
    await service.give({ content: 'Rocket', user: 4242, value: 600, name: 'Rocket', count: 3 }),
    0,
  );
  assert.equal(await service.give({ content: '祝直播顺利！', user: 4243, value: 5000, superChat: true }), 0);
  for (const one of all) {
    await one.sees('祝直播顺利！');
    await one.sees('Rocket');
  }
  for (const one of [viewer, phone]) {
    const card = one.page.locator('.super-chat', { hasText: '祝直播顺利！' });
    await card.waitFor();
    assert.match(await card.textContent(), /5,000/);
    await one.until(() => document.querySelector('.rank')?.dataset.user === '4243');
  }
  assert.match(await viewer.lineOf('Rocket').textContent(), /Rocket ×3 · 600/);
  const cards = await streamer.page.locator('.support-card').allTextContents();
  assert.deepEqual(
    cards.map((text) => /祝直播顺利|Rocket/.exec(text)[0]),
    ['祝直播顺利', 'Rocket'],
  );
  const far = await streamer.page
    .locator('.support-card')
    .first()
    .evaluate((card) => Number.parseFloat(getComputedStyle(card).fontSize) / innerWidth);
  assert.ok(far >= 0.026, `letters are ${far} of the screen's width`);
  for (const one of all) {
    assert.deepEqual(await one.barriers(), []);
  }
  await viewer.screenshot('gifts-dark');
  await phone.screenshot('gifts-phone');
  await streamer.screenshot('streamer');

  await t.test('a super chat that lasts is there for who joins later', async () => {
    const late = await browser.open(server.url);
    await late.becomes('live');
    await late.page.locator('.super-chat', { hasText: '祝直播顺利！' }).waitFor();
  });

  await t.test('a viewer cannot forge one, nor a service a negative or a huge one', async () => {
    const forger = await Service.start(browser, server, { role: 'viewer', userId: '666' });
    assert.equal(await forger.give({ content: 'forged', user: 666, value: 1e6, name: 'Castle' }), 24);
    assert.equal(await service.give({ content: 'negative', user: 4242, value: -5, name: 'Debt' }), 25);
    assert.equal(await service.give({ content: 'huge', user: 4242, value: 2n ** 63n, name: 'Moon' }), 25);
    await viewer.send('after');
    await streamer.sees('after');
    assert.deepEqual(
      (await streamer.chat()).map(({ text }) => text).filter((text) => /forged|negative|huge/.test(text)),
      [],
    );
  });
  assert.deepEqual(
    all.flatMap((one) => one.errors()),
    [],
  );
});

test('repeats become one with a number, on stage and in the chat', async (t) => {
  const server = await Server.start(
    t,
    `
apiVersion: barrage.live/v1alpha1
kind: LiveRoom
metadata: { name: demo }
spec:
  rateLimit: { messagesPerSecond: 1000, burst: 1000 }
  viewerBudget: { danmakuPerSecond: 5 }
`,
  );
  const browser = await Browser.start(t);
  const [a, b] = await Promise.all([browser.open(server.url), browser.open(server.url)]);
  await Promise.all([a.becomes('live'), b.becomes('live')]);
  await a.sendAll(new Array(60).fill('666'));
  await b.until(() => /^×\d+$/.test(document.querySelector('#chat-lines .chat-count')?.textContent ?? ''));
  await b.until(() => /^×\d+$/.test(document.querySelector('.flying .flying-count')?.textContent ?? ''));
  await b.screenshot('repeats');
  assert.deepEqual(b.errors(), []);
});
