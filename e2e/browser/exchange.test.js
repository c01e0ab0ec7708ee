// Two browsers, one room: danmaku fly from one to the other, and both see the same room.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Server } from './server.js';
import { Browser } from './viewer.js';

test('two viewers exchange danmaku', async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const a = await browser.open(server.url);
  const b = await browser.open(server.url, { colorScheme: 'dark' });
  await Promise.all([a.becomes('live'), b.becomes('live')]);

  const policy = a.response.headers()['content-security-policy'] ?? '';
  assert.match(policy, /default-src 'self'/);
  assert.match(policy, /require-trusted-types-for 'script'; trusted-types 'none'/);
  assert.doesNotMatch(policy, /unsafe/);

  const [userA, userB] = await Promise.all([a.user(), b.user()]);
  assert.notEqual(userA, userB);
  assert.match(userA, /^[1-9]\d*$/);
  await Promise.all([a.shows('#viewers', '2'), b.shows('#viewers', '2')]);

  await a.send('你好，弹幕！');
  await b.sees('你好，弹幕！');
  await b.send('Hello from the other window 🎉');
  await a.send('前方高能');
  await Promise.all([a.sees('Hello from the other window 🎉'), b.sees('前方高能'), a.sees('前方高能')]);

  await t.test('each sees each danmaku once, own ones marked', async () => {
    for (const [viewer, own] of [
      [a, [true, false, true]],
      [b, [false, true, false]],
    ]) {
      const lines = await viewer.chat();
      assert.equal(new Set(lines.map(({ id }) => id)).size, 3);
      const expected = ['你好，弹幕！', 'Hello from the other window 🎉', '前方高能'];
      const shown = expected.map((text) => lines.filter((line) => line.text === text));
      assert.deepEqual(
        shown.map((same) => same.map((line) => line.own)),
        own.map((isOwn) => [isOwn]),
      );
      await viewer.until(() => window.flights.length >= 3);
      const flights = await viewer.flights();
      assert.deepEqual(flights.map(({ id }) => id).sort(), lines.map(({ id }) => id).sort());
      await viewer.until(() => document.querySelector('#chat-pending').children.length === 0);
    }
  });

  await t.test('danmaku move to the left', async () => {
    await b.send('飞');
    const flying = a.page.locator('.flying', { hasText: '飞' });
    await flying.waitFor();
    const before = await flying.boundingBox();
    await a.until(
      (x) =>
        [...document.querySelectorAll('.flying')].some(
          (one) => one.textContent === '飞' && one.getBoundingClientRect().x < x,
        ),
      before.x,
    );
  });

  await t.test('the leaderboard has both, best first', async () => {
    // Scores are equal: the lower user ID comes first.
    const expected = [userA, userB]
      .sort((x, y) => (BigInt(x) < BigInt(y) ? -1 : 1))
      .map((user) => `${user}:2`);
    for (const viewer of [a, b]) {
      await viewer.until(
        (want) =>
          [...document.querySelectorAll('.rank')]
            .map((rank) => `${rank.dataset.user}:${rank.querySelector('.rank-score').textContent}`)
            .join() === want,
        expected.join(),
      );
    }
    await a.send('领先');
    await b.until((first) => {
      const rank = document.querySelector('.rank');
      return `${rank?.dataset.user}:${rank?.querySelector('.rank-score').textContent}` === first;
    }, `${userA}:3`);
    assert.deepEqual(await b.ranking(), [`${userA}:3`, `${userB}:2`]);
    const { ranking } = await server.json('v1/rooms/demo/ranking');
    assert.deepEqual(
      ranking.map(({ userId, score }) => `${userId}:${score}`),
      await b.ranking(),
    );
  });

  await t.test('messages per second move', async () => {
    await a.until(() => Number(document.querySelector('#rate').textContent) === 0);
    for (const text of ['一', '二', '三', '四', '五']) {
      await b.send(text);
    }
    await a.until(() => Number(document.querySelector('#rate').textContent) > 0);
  });

  await a.screenshot('exchange-light');
  await b.screenshot('exchange-dark');

  await t.test('who joins later reads the history, and it does not fly', async () => {
    const late = await browser.open(server.url);
    await late.becomes('live');
    await late.sees('五');
    const texts = async (viewer) => (await viewer.chat()).map(({ text }) => text);
    assert.deepEqual(await texts(late), await texts(a));
    assert.deepEqual(await late.flights(), []);
    await a.shows('#viewers', '3');
    await late.page.close();
    await a.shows('#viewers', '2');
  });

  assert.deepEqual([...a.errors(), ...b.errors()], []);
});

test('a burst over the rate limit arrives whole and in order, and says why it takes time', async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const viewer = await browser.open(server.url);
  await viewer.becomes('live');
  const texts = Array.from({ length: 25 }, (_, i) => `第${i + 1}条`);
  await viewer.page.evaluate((all) => {
    const input = document.querySelector('#message');
    window.notices = [];
    new MutationObserver(() => window.notices.push(document.querySelector('#notice').textContent)).observe(
      document.querySelector('#notice'),
      { childList: true },
    );
    for (const text of all) {
      input.value = text;
      input.form.requestSubmit();
    }
  }, texts);
  await viewer.sees('第25条');
  assert.deepEqual(
    (await viewer.chat()).map(({ text }) => text),
    texts,
  );
  const notices = await viewer.page.evaluate(() => window.notices);
  assert.ok(
    notices.some((notice) => notice.startsWith('Too fast')),
    notices.join('\n'),
  );
  assert.deepEqual(viewer.errors(), []);
});

test('a message that is too long is handed back, and the next one passes', async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const viewer = await browser.open(server.url);
  await viewer.becomes('live');
  const long = '长'.repeat(400);
  await viewer.send(long);
  await viewer.until(() => document.querySelector('#notice').textContent.startsWith('Too long'));
  assert.equal(await viewer.page.locator('#message').inputValue(), long);
  await viewer.send('短');
  await viewer.sees('短');
  assert.deepEqual(
    (await viewer.chat()).map(({ text }) => text),
    ['短'],
  );
  await viewer.until(() => document.querySelector('#chat-pending').children.length === 0);
});
