// The server goes away and comes back while pages are open: nothing is missing, nothing is doubled.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Server } from './server.js';
import { Browser } from './viewer.js';

const textsOf = (lines) => lines.map(({ text }) => text);

/** What the server has, oldest first. */
async function kept(server) {
  const { danmaku } = await server.json('v1/rooms/demo/history?limit=1000');
  return danmaku.map(({ content }) => content);
}

test('pages come back by themselves after a kill', async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const [a, b] = await Promise.all([browser.open(server.url), browser.open(server.url)]);
  await Promise.all([a.becomes('live'), b.becomes('live')]);
  await a.send('before 1');
  await b.send('before 2');
  await Promise.all([a.sees('before 2'), b.sees('before 1')]);

  await server.kill();
  await Promise.all([a.becomes('waiting'), b.becomes('waiting')]);
  await a.send('typed while away 1');
  await a.send('typed while away 2');
  await a.page.locator('#chat-pending .chat-line').nth(1).waitFor();
  await a.screenshot('reconnecting');
  await server.restart();
  const third = await browser.open(server.url);
  await third.becomes('live');
  await third.send('from a third');

  await Promise.all([a.becomes('live'), b.becomes('live')]);
  for (const viewer of [a, b, third]) {
    await viewer.sees('typed while away 2');
    await viewer.sees('from a third');
  }
  await b.send('after');
  for (const viewer of [a, b, third]) {
    await viewer.sees('after');
  }

  const all = await kept(server);
  assert.deepEqual([...all].sort(), [
    'after',
    'before 1',
    'before 2',
    'from a third',
    'typed while away 1',
    'typed while away 2',
  ]);
  for (const viewer of [a, b, third]) {
    const lines = await viewer.chat();
    assert.deepEqual(textsOf(lines).sort(), [...all].sort());
    assert.equal(new Set(lines.map(({ id }) => id)).size, all.length);
  }
  const own = textsOf((await a.chat()).filter((line) => line.own));
  assert.deepEqual(own, ['before 1', 'typed while away 1', 'typed while away 2']);
  await a.until(() => document.querySelector('#chat-pending').children.length === 0);
  await Promise.all([a, b].map((viewer) => viewer.shows('#viewers', '3')));
  await a.screenshot('reconnected');
  assert.deepEqual([...a.errors({ outage: true }), ...b.errors({ outage: true }), ...third.errors()], []);
});

test('kills in the middle of sending lose and double nothing', async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const [a, b] = await Promise.all([browser.open(server.url), browser.open(server.url)]);
  await Promise.all([a.becomes('live'), b.becomes('live')]);
  const texts = [];
  for (let round = 0; round < 3; round++) {
    texts.push(`round ${round}, typed`);
    await a.send(texts.at(-1));
    const burst = [1, 2, 3, 4].map((i) => `round ${round}, message ${i}`);
    texts.push(...burst);
    await a.sendAll(burst);
    // No waiting here: the first is acknowledged, the others are on their way.
    await server.kill();
    await server.restart();
    await Promise.all([a.becomes('live'), b.becomes('live')]);
  }
  await a.until(() => document.querySelector('#chat-pending').children.length === 0);
  await Promise.all([a.sees(texts.at(-1)), b.sees(texts.at(-1))]);
  assert.deepEqual(await kept(server), texts);
  for (const viewer of [a, b]) {
    assert.deepEqual(textsOf(await viewer.chat()).sort(), [...texts].sort());
  }
});

test('a server that stops in order says so, and pages come back when it asked them to', async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const viewer = await browser.open(server.url);
  await viewer.becomes('live');
  await viewer.send('before');
  await viewer.sees('before');
  await viewer.page.evaluate(() => {
    window.states = [];
    const connection = document.querySelector('#connection');
    new MutationObserver(() => window.states.push(connection.dataset.connection)).observe(connection, {
      attributes: true,
    });
  });
  await server.stop();
  await viewer.send('meanwhile');
  await server.restart();
  await viewer.sees('meanwhile');
  const states = await viewer.page.evaluate(() => window.states);
  assert.ok(states.includes('goingAway'), states.join());
  assert.deepEqual(await kept(server), ['before', 'meanwhile']);
  assert.deepEqual(textsOf(await viewer.chat()), ['before', 'meanwhile']);
});

/** A room in which one viewer may send without end. */
const GENEROUS = `
apiVersion: barrage.live/v1alpha1
kind: LiveRoom
metadata: { name: demo }
spec:
  rateLimit: { messagesPerSecond: 1000, burst: 1000 }
  viewerBudget: { danmakuPerSecond: 10000 }
`;

test('who was cut off for long has the same chat in the end as who was not', async (t) => {
  const server = await Server.start(t, GENEROUS);
  const browser = await Browser.start(t);
  let isCut = false;
  let cut = () => {};
  const away = await browser.open(server.url, {}, (page) =>
    page.routeWebSocket(/./, (socket) => {
      if (isCut) {
        socket.close();
      } else {
        socket.connectToServer();
        cut = () => socket.close();
      }
    }),
  );
  const writer = await browser.open(server.url);
  await Promise.all([away.becomes('live'), writer.becomes('live')]);
  const sent = [];
  // Cut off once before the page has a cursor to resume from, most likely, and once after.
  for (const round of [1, 2]) {
    sent.push(`seen by both ${round}`);
    await writer.send(sent.at(-1));
    await away.sees(sent.at(-1));
    isCut = true;
    await cut();
    await away.becomes('waiting');

    // More than the chat keeps: what both show in the end came to one of them all at once.
    const missed = Array.from({ length: 700 }, (_, i) => `round ${round}, missed ${i}`);
    await writer.sendAll(missed);
    await writer.sees(missed.at(-1));
    isCut = false;
    await away.becomes('live');
    sent.push(...missed, `live again ${round}`);
    await writer.send(sent.at(-1));
    for (const viewer of [away, writer]) {
      await viewer.sees(sent.at(-1));
      assert.deepEqual(textsOf(await viewer.chat()), sent.slice(-500));
    }
  }
});
