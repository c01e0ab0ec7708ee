// What a viewer sets for themselves holds at once, after a reload, and whatever stood in the browser's storage before.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Server } from './server.js';
import { Service } from './service.js';
import { Browser, PHONE } from './viewer.js';

/** Moves a slider to a value as a hand would: the page hears of each step. */
async function slide(viewer, name, value) {
  await viewer.page.locator(`#${name}`).fill(String(value));
}

test('density, opacity, speed, size and area change the stage, and are kept', async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const viewer = await browser.open(server.url);
  await viewer.becomes('live');
  await viewer.send('before');
  const sizeOf = (text) =>
    viewer.page
      .locator('.flying', { hasText: text })
      .evaluate((one) => Number.parseFloat(getComputedStyle(one).fontSize));
  const before = await sizeOf('before');
  await viewer.page.locator('#settings-open').click();
  await slide(viewer, 'opacity', 40);
  await slide(viewer, 'speed', 50);
  await slide(viewer, 'font', 150);
  await slide(viewer, 'area', 25);
  await viewer.page.getByText('Dense', { exact: true }).click();
  await viewer.screenshot('settings');
  assert.deepEqual(await viewer.barriers(), []);
  await viewer.page.keyboard.press('Escape');
  for (const round of [1, 2]) {
    const text = `round ${round}`;
    await viewer.send(text);
    const flight = viewer.page.locator('.flying', { hasText: text });
    await flight.waitFor();
    assert.equal(Math.round(((await sizeOf(text)) / before) * 100), 150);
    const { opacity, duration, top, height } = await flight.evaluate((one) => ({
      opacity: getComputedStyle(one.parentElement).opacity,
      duration: one.getAnimations()[0].effect.getTiming().duration,
      top: one.offsetTop + one.offsetHeight,
      height: one.parentElement.clientHeight,
    }));
    assert.deepEqual([opacity, duration], ['0.4', 16_000]);
    assert.ok(top <= height / 4 + 1, `${top} of ${height} px`);
    await viewer.page.reload();
    await viewer.becomes('live');
  }
  await viewer.page.locator('#settings-open').click();
  await viewer.page.getByRole('button', { name: 'Reset all' }).click();
  assert.equal(await viewer.page.locator('#opacity').inputValue(), '100');
  assert.deepEqual(viewer.errors(), []);
});

test('own words and hidden users: gone for this viewer, there for the others', async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const [a, b] = await Promise.all([browser.open(server.url), browser.open(server.url)]);
  await Promise.all([a.becomes('live'), b.becomes('live')]);
  await a.send('the butler did it');
  await b.sees('the butler did it');
  await b.page.locator('#settings-open').click();
  await b.page.locator('#keywords').fill('BUTLER\n凶手');
  await b.page.keyboard.press('Escape');
  await b.until(() => !document.querySelector('#chat-lines').textContent.includes('butler'));
  await a.send('it was the b u t l e r');
  await a.send('凶 手是管家');
  await a.send('no names');
  await b.sees('no names');
  assert.deepEqual(
    (await b.chat()).map(({ text }) => text),
    ['no names'],
  );
  assert.equal((await a.chat()).length, 4);
  await b.choose('no names', 'Hide this user for me');
  await b.until(() => document.querySelectorAll('#chat-lines .chat-line').length === 0);
  await a.send('anybody there?');
  await b.send('own words fly: butler');
  await b.sees('own words fly: butler');
  assert.deepEqual(
    (await b.chat()).map(({ text }) => text),
    ['own words fly: butler'],
  );
  await b.page.locator('#settings-open').click();
  await b.page.getByRole('button', { name: `Show ${await a.user()} again` }).click();
  await b.page.keyboard.press('Escape');
  await a.send('back');
  await b.sees('back');
  assert.deepEqual([...a.errors(), ...b.errors()], []);
});

test('own words hold for super chats, too, and no longer than they stand there', async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const viewer = await browser.open(server.url);
  await viewer.becomes('live');
  const service = await Service.start(browser, server);
  assert.equal(await service.give({ content: 'buy Acme', user: 4242, value: 500, superChat: true }), 0);
  assert.equal(await service.give({ content: 'well played', user: 4243, value: 500, superChat: true }), 0);
  const cards = viewer.page.locator('.super-chat .chat-text');
  await cards.nth(1).waitFor();
  await viewer.page.locator('#settings-open').click();
  await viewer.page.locator('#keywords').fill('acme');
  await viewer.until(() => document.querySelectorAll('.super-chat').length === 1);
  assert.deepEqual(await cards.allTextContents(), ['well played']);
  await viewer.page.locator('#keywords').fill('');
  await viewer.until(() => document.querySelectorAll('.super-chat').length === 2);
  assert.deepEqual(viewer.errors(), []);
});

test('theme and language: of the system and the browser, or as chosen', async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const viewer = await browser.open(server.url, { ...PHONE, locale: 'zh-TW', colorScheme: 'dark' });
  await viewer.becomes('live');
  await viewer.shows('#connection-text', '直播中');
  const ground = () => viewer.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await ground();
  await viewer.page.locator('#settings-open').click();
  await viewer.screenshot('settings-phone-zh');
  await viewer.page.getByText('浅色', { exact: true }).click();
  assert.notEqual(await ground(), dark);
  await viewer.page.getByText('English', { exact: true }).click();
  await viewer.shows('#connection-text', 'Live');
  assert.equal(await viewer.page.evaluate(() => document.documentElement.lang), 'en');
  await viewer.page.reload();
  await viewer.becomes('live');
  await viewer.shows('#connection-text', 'Live');
  assert.notEqual(await ground(), dark);
  assert.deepEqual(viewer.errors(), []);
});

test('whatever stands in the browser’s storage, the page comes up', async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  for (const text of [
    '{',
    'null',
    '{"opacity":-1,"font":1e9,"keywords":{"a":1},"theme":"<b>","style":{"mode":"up"}}',
  ]) {
    const viewer = await browser.open(server.url, {}, (page) =>
      page.addInitScript((kept) => localStorage.setItem('barrage-settings', kept), text),
    );
    await viewer.becomes('live');
    await viewer.send('up');
    await viewer.until(() => window.flights.length === 1);
    assert.deepEqual(viewer.errors(), []);
  }
});
