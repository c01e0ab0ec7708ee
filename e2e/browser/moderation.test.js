// A moderator and two viewers in one room: what the moderator does holds on every screen at once.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { Server } from './server.js';
import { Browser, PHONE } from './viewer.js';

const MODERATOR = { role: 'moderator', userId: '8' };

/** A server with a moderator at a desk, a viewer at a desk and one on a phone. */
async function scene(t) {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const [moderator, a, b] = await Promise.all([
    browser.open(await server.pageOf(MODERATOR)),
    browser.open(server.url),
    browser.open(server.url, { ...PHONE, colorScheme: 'dark' }),
  ]);
  await Promise.all([moderator, a, b].map((one) => one.becomes('live')));
  return { server, browser, moderator, a, b, all: [moderator, a, b] };
}

const errorsOf = (all) => all.flatMap((one) => one.errors());

test('a deleted danmaku vanishes from every screen, and from what is read later', async (t) => {
  const { server, browser, moderator, a, b, all } = await scene(t);
  await a.send('fine');
  await a.send('not fine');
  for (const one of all) {
    await one.sees('not fine');
    await one.page.locator('.flying', { hasText: 'not fine' }).waitFor();
  }
  await moderator.lineOf('not fine').locator('.chat-user').click();
  await moderator.screenshot('moderator-menu');
  await moderator.page.getByRole('menuitem', { name: 'Delete', exact: true }).click();
  for (const one of all) {
    await one.missing('not fine');
    await one.sees('fine');
  }
  await moderator.until(() => document.querySelector('#notice').textContent === 'Done: Delete');
  const late = await browser.open(server.url);
  await late.becomes('live');
  await late.sees('fine');
  await late.missing('not fine');

  await t.test('all of a user goes the same way; what they say later is shown', async () => {
    await b.send('by the other');
    await moderator.sees('by the other');
    await moderator.choose('fine', 'Delete all of this user');
    for (const one of [...all, late]) {
      await one.until(
        () => ![...document.querySelectorAll('.chat-text')].some((text) => text.textContent === 'fine'),
      );
      await one.sees('by the other');
    }
    await a.send('sorry');
    await b.sees('sorry');
  });
  assert.deepEqual(errorsOf([...all, late]), []);
});

test('a muted user is told and cannot send; lifted, they can', async (t) => {
  const { moderator, a, b, all } = await scene(t);
  await a.send('before the mute');
  await moderator.sees('before the mute');
  await moderator.choose('before the mute', 'Mute for 10 minutes');
  await a.until(() => document.querySelector('#message').placeholder.startsWith('You are muted until'));
  assert.equal(await a.page.locator('#message').isDisabled(), true);
  assert.match(await a.page.getByRole('alert').textContent(), /^You are muted until \d\d:\d\d\.$/);
  await a.screenshot('muted');
  await a.page.reload();
  await a.becomes('live');
  await a.until(() => document.querySelector('#message').disabled);

  await moderator.page.locator('#moderation-open').click();
  const sanction = moderator.page.locator('.sanction', { hasText: await a.user() });
  await sanction.waitFor();
  await moderator.screenshot('moderation');
  await sanction.getByRole('button', { name: 'Lift' }).click();
  await moderator.page.locator('#no-sanctions').waitFor();
  await a.until(() => !document.querySelector('#message').disabled);
  await a.shows('#notice', 'You may send again.');
  await a.send('after the mute');
  await b.sees('after the mute');
  assert.deepEqual(errorsOf(all), []);
});

test('a banned user is shown out, and does not come back by themselves', async (t) => {
  const { moderator, a, b } = await scene(t);
  await a.send('last words');
  await moderator.sees('last words');
  await moderator.choose('last words', 'Ban');
  await a.becomes('banned');
  await a.shows('#connection-text', 'Moderators have banned you from this room.');
  await a.screenshot('banned');
  await b.shows('#viewers', '2');
  assert.deepEqual(errorsOf([moderator, b]), []);
});

test('a danmaku in flight has the moderator’s menu, also in the streamer’s view, which says how it went', async (t) => {
  const { server, browser, moderator, a, b } = await scene(t);
  await a.send('catch me');
  const flying = moderator.page.locator('.flying', { hasText: 'catch me' });
  await flying.waitFor();
  // It moves: a hand follows it, the test presses where it is.
  await moderator.until(
    () => document.querySelector('.flying').getBoundingClientRect().right < innerWidth * 0.6,
  );
  const { x, y, height } = await flying.boundingBox();
  await moderator.page.mouse.click(x + 20, y + height / 2);
  await moderator.page.getByRole('menuitem', { name: 'Delete', exact: true }).click();
  for (const one of [moderator, a, b]) {
    await one.missing('catch me');
  }

  const streamer = await browser.open(await server.pageOf({ role: 'host', userId: '1' }, '?view=streamer'));
  await streamer.becomes('live');
  await b.send('seen from afar');
  await streamer.sees('seen from afar');
  await streamer.lineOf('seen from afar').locator('.chat-user').click();
  // There is no send box to answer in.
  assert.equal(await streamer.page.getByRole('menuitem', { name: 'Reply' }).count(), 0);
  await streamer.page.getByRole('menuitem', { name: 'Pin', exact: true }).click();
  await streamer.page.getByText('Done: Pin', { exact: true }).waitFor({ state: 'visible' });
  await streamer.screenshot('streamer-pin');
  assert.deepEqual(errorsOf([moderator, a, b, streamer]), []);
});

test('a pin stands above the chat for all, now and later, until it is taken down', async (t) => {
  const { server, browser, moderator, a, all } = await scene(t);
  await a.send('the answer is 42');
  await moderator.sees('the answer is 42');
  await moderator.choose('the answer is 42', 'Pin');
  for (const one of all) {
    await one.page.locator('#pin', { hasText: 'the answer is 42' }).waitFor();
  }
  const late = await browser.open(server.url);
  await late.page.locator('#pin', { hasText: 'the answer is 42' }).waitFor();
  await moderator.page.locator('#moderation-open').click();
  await moderator.page.locator('#pin-content').fill('the break is 5 minutes');
  await moderator.page.locator('#pin-form').getByRole('button', { name: 'Pin', exact: true }).click();
  for (const one of [...all, late]) {
    await one.page.locator('#pin', { hasText: 'the break is 5 minutes' }).waitFor();
  }
  await moderator.page.locator('#unpin').click();
  for (const one of [...all, late]) {
    await one.page.locator('#pin').waitFor({ state: 'hidden' });
  }
  assert.deepEqual(errorsOf([...all, late]), []);
});

test('rules change live: slow mode, words, moderators only; the list says who did it', async (t) => {
  const { moderator, a, b, all } = await scene(t);
  await moderator.page.locator('#moderation-open').click();
  await moderator.page.locator('#slow-mode').selectOption('3');
  await a.shows('#rule', 'Slow mode: one message every 3 s.');
  await moderator.shows('#moderation-status', 'Done.');
  await a.send('first');
  await a.send('second');
  await a.until(() => document.querySelector('#notice').textContent.startsWith('The room is in slow mode.'));
  await b.sees('second');
  await moderator.page.locator('#slow-mode').selectOption('0');
  await a.shows('#rule', '');

  await moderator.page.locator('#blocked-words').fill('spoiler\n剧透');
  await moderator.page.getByRole('button', { name: 'Save words' }).click();
  await moderator.until(() => document.querySelector('#acts').children.length >= 3);
  await a.send('ｓ p o i L e r ahead');
  await a.until(() => document.querySelector('#notice').textContent.includes('does not want'));
  assert.equal(await a.page.locator('#message').inputValue(), 'ｓ p o i L e r ahead');

  await moderator.page.locator('#blocked-words').fill('not saved yet');
  await moderator.page.locator('#moderators-only').check();
  for (const one of [a, b]) {
    await one.until(() => document.querySelector('#message').placeholder === 'Only moderators may send now.');
  }
  assert.equal(await moderator.page.locator('#message').isDisabled(), false);
  assert.equal(await moderator.page.locator('#blocked-words').inputValue(), 'not saved yet');
  const acts = await moderator.page.locator('.act').allTextContents();
  assert.ok(
    acts.every((act) => act.includes('8: changed the rules')),
    acts.join('\n'),
  );
  assert.deepEqual(await moderator.barriers(), []);
  assert.deepEqual(errorsOf(all), []);
});

/** An outside moderator: `judge` says what the service answers about a text. Ends with the test, or by what this returns. */
async function outsideModerator(t, judge) {
  const service = createServer(async (request, response) => {
    const parts = await request.toArray();
    const { content } = JSON.parse(Buffer.concat(parts).toString());
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(judge(content)));
  });
  await new Promise((listening) => service.listen(0, '127.0.0.1', listening));
  const end = () => {
    service.closeAllConnections();
    service.close();
  };
  t.after(end);
  return { url: `http://127.0.0.1:${service.address().port}/`, end };
}

test('an outside moderator hides and replaces; when it is away, the writer is told', async (t) => {
  const outside = await outsideModerator(t, (content) => {
    if (content.includes('spoiler')) {
      return { verdict: 'hide' };
    }
    return content.includes('idiot')
      ? { verdict: 'replace', content: content.replace('idiot', '*****') }
      : { verdict: 'allow' };
  });
  const server = await Server.start(
    t,
    `
apiVersion: barrage.live/v1alpha1
kind: LiveRoom
metadata: { name: demo }
spec:
  moderation: { verdict: { url: "${outside.url}", timeoutMilliseconds: 2000, failurePolicy: Refuse } }
`,
  );
  const browser = await Browser.start(t);
  const [a, b] = await Promise.all([browser.open(server.url), browser.open(server.url, PHONE)]);
  await Promise.all([a.becomes('live'), b.becomes('live')]);
  await a.send('you idiot');
  for (const one of [a, b]) {
    await one.sees('you *****');
  }
  await a.send('a spoiler');
  await a.shows('#notice', 'The room’s moderation does not want this message.');
  assert.equal(await a.page.locator('#message').inputValue(), 'a spoiler');
  await a.send('fine');
  await b.sees('fine');
  outside.end();
  await a.send('anybody there?');
  await a.shows('#notice', 'The room’s moderation does not answer. Send the message again later.');
  assert.equal(await a.page.locator('#message').inputValue(), 'anybody there?');
  for (const one of [a, b]) {
    assert.deepEqual(
      (await one.chat()).map(({ text }) => text),
      ['you *****', 'fine'],
    );
  }
  await a.until(() => document.querySelector('#chat-pending').children.length === 0);
  assert.deepEqual(errorsOf([a, b]), []);
});

test('moderators have their choices on every user, viewers have not', async (t) => {
  const { moderator, a, b } = await scene(t);
  await a.send('hello');
  await b.sees('hello');
  await b.lineOf('hello').locator('.chat-user').click();
  assert.deepEqual(await b.page.getByRole('menuitem').allTextContents(), [
    'Reply',
    'Copy text',
    'Hide this user for me',
  ]);
  assert.equal(await b.page.locator('#moderation-open').isHidden(), true);
  assert.equal(await moderator.page.locator('#moderation-open').isVisible(), true);
  const rank = (viewer) => viewer.page.locator('.rank-user').first();
  await b.page.keyboard.press('Escape');
  await rank(b).click();
  assert.deepEqual(await b.page.getByRole('menuitem').allTextContents(), ['Hide this user for me']);
  await rank(moderator).click();
  assert.deepEqual(await moderator.page.getByRole('menuitem').allTextContents(), [
    'Hide this user for me',
    'Delete all of this user',
    'Mute for 10 minutes',
    'Mute for 24 hours',
    'Ban',
  ]);
  await moderator.page.getByRole('menuitem', { name: 'Mute for 10 minutes' }).click();
  await a.until(() => document.querySelector('#message').disabled);
});
