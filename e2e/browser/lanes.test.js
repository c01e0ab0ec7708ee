// Danmaku keep to their lanes: by the boxes that Chromium really draws, frame by frame.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Server } from './server.js';
import { Browser } from './viewer.js';

const GENEROUS = `
apiVersion: barrage.live/v1alpha1
kind: LiveRoom
metadata: { name: demo }
spec:
  rateLimit: { messagesPerSecond: 1000, burst: 1000 }
  viewerBudget: { danmakuPerSecond: 1000 }
`;
/** Short and long, of letters that are narrow and wide. */
const TEXTS = [
  '666',
  '前方高能预警',
  'illi illi illi illi',
  'WWW WWW',
  '这首歌真的太好听了，循环了一整天',
  'ok',
];
const MODES = ['Scroll', 'Reverse', 'Top', 'Bottom'];
const SIZES = ['Normal', 'Large', 'Small'];
const ROUNDS_MAX = 10;

/** Some of each mode and size, mixed, as fast as they can be chosen; `round` tells one call's texts from another's. */
async function chatter(writer, watcher, round) {
  let sent = 0;
  for (const size of [...SIZES, ...SIZES]) {
    for (const mode of MODES) {
      await writer.wear({ mode, size });
      await writer.sendAll([1, 2].map(() => `${TEXTS[sent++ % TEXTS.length]} ${round}`));
    }
  }
  await writer.send(`end of ${round}`);
  await watcher.sees(`end of ${round}`);
}

/** One of each mode and size flies, while there is room for it: what finds no lane in time never does. */
async function oneOfEach(writer, watcher) {
  for (const size of SIZES) {
    for (const mode of MODES) {
      await writer.wear({ mode, size });
      await writer.send(`${mode} ${size}`);
      await watcher.until((text) => window.flights.some((flight) => flight.text === text), `${mode} ${size}`);
    }
  }
}

/** Says so much, in some rounds, that ten fly at once. */
async function fill(writer, watcher) {
  for (let round = 1; round <= ROUNDS_MAX; round++) {
    await chatter(writer, watcher, round);
    if ((await watcher.page.evaluate(() => window.most)) >= 10) {
      return;
    }
  }
  assert.fail(`not ten have flown at once in ${ROUNDS_MAX} rounds`);
}

/** Runs in the page: from now on looks at every frame for danmaku that cover each other. */
function watchOver() {
  window.covered = [];
  window.most = 0;
  const look = () => {
    // What stands fades out before the next one of its lane fades in: at that moment there are both, unseen.
    const isSeen = (one) => Number(getComputedStyle(one).opacity) > 0;
    const stage = document.querySelector('#flight').getBoundingClientRect();
    const boxes = [...document.querySelectorAll('.flying')].filter(isSeen).map((one) => {
      const { left, right, top, bottom } = one.getBoundingClientRect();
      const { mode, size } = one.dataset;
      return {
        // Beside the stage nobody sees them: one may wait there while another one is on its way out.
        left: Math.max(left, stage.left),
        right: Math.min(right, stage.right),
        top,
        bottom,
        what: `${mode} ${size} ${one.textContent}`,
      };
    });
    window.most = Math.max(window.most, boxes.length);
    boxes.forEach((one, i) => {
      for (const other of boxes.slice(i + 1)) {
        const wide = Math.min(one.right, other.right) - Math.max(one.left, other.left);
        const high = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
        if (wide > 1 && high > 1) {
          window.covered.push(`${one.what} / ${other.what}: ${wide.toFixed(1)} x ${high.toFixed(1)} px`);
        }
      }
    });
    requestAnimationFrame(look);
  };
  look();
}

test('danmaku of every mode and size never cover each other, also when settings and window change', async (t) => {
  const server = await Server.start(t, GENEROUS);
  const browser = await Browser.start(t);
  const [writer, watcher] = await Promise.all([browser.open(server.url), browser.open(server.url)]);
  await Promise.all([writer.becomes('live'), watcher.becomes('live')]);
  await watcher.page.evaluate(watchOver);
  await oneOfEach(writer, watcher);
  await fill(writer, watcher);
  await watcher.screenshot('lanes');

  await watcher.page.locator('#settings-open').click();
  await watcher.page.getByText('Dense', { exact: true }).click();
  await watcher.page.locator('#font').fill('150');
  await watcher.page.locator('#speed').fill('60');
  await watcher.page.keyboard.press('Escape');
  await chatter(writer, watcher, 'denser');
  await watcher.page.setViewportSize({ width: 1000, height: 700 });
  await chatter(writer, watcher, 'narrower');
  await watcher.screenshot('lanes-dense');
  assert.deepEqual(await watcher.page.evaluate(() => window.covered.slice(0, 10)), []);
  assert.deepEqual([...writer.errors(), ...watcher.errors()], []);
});
