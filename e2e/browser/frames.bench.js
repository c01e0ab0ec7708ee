// How smooth the page is: frames per second at 200 danmaku/s beside the same page at one a second, by Chromium's own
// trace, in one run. `npm run bench`; SECONDS_EACH (10) says how long each is traced.

import { readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Server } from './server.js';
import { Browser } from './viewer.js';

const RATE = 200;
/** Of the baseline: something always flies, so that there are frames to show. */
const RATE_LOW = 1;
const SECONDS = Number(process.env.SECONDS_EACH ?? 10);
/** Until the stage is as full as it gets: the longest flight. */
const FILL_MS = 8_000;
/** How often what is due is sent. */
const BEAT_MS = 50;
const TEXTS = [
  '666666',
  '前方高能预警',
  '这首歌真的好听！！！',
  'no way',
  '哈哈哈哈',
  'the camera never misses',
  '妙啊',
  'lol',
];

const ROOM = `
apiVersion: barrage.live/v1alpha1
kind: LiveRoom
metadata: { name: demo }
spec:
  rateLimit: { messagesPerSecond: 1000, burst: 1000 }
  viewerBudget: { danmakuPerSecond: 1000 }
`;

/** Stands for a test: what is started ends in reverse order. */
const ends = [];
const run = { after: (end) => ends.unshift(end) };

try {
  const server = await Server.start(run, ROOM);
  const browser = await Browser.start(run);
  const viewer = await browser.open(server.url);
  await viewer.becomes('live');
  const rows = [];
  for (const rate of [RATE_LOW, RATE]) {
    const stop = await chatter(browser, server, rate);
    await sleep(FILL_MS);
    rows.push([`${rate} danmaku/s`, await trace(browser, viewer)]);
    await viewer.screenshot(`frames-${rate}`);
    await stop();
  }
  print(rows);
} finally {
  for (const end of ends) {
    await end();
  }
}

/** Sends danmaku as version 1 frames, from a page in a browser context of its own, until what it returns is called. */
async function chatter(browser, server, rate) {
  const { token, userId } = await server.token();
  const page = await browser.bare(new URL('v1/rooms/demo', server.url).href);
  const url = new URL(`v1/rooms/demo/ws?token=${token}`, server.url).href.replace(/^http/, 'ws');
  await page.evaluate(
    ([address, user, texts, rate, beatMs]) => {
      const socket = new WebSocket(address);
      const frame = (text) => {
        const content = new TextEncoder().encode(text);
        const bytes = new Uint8Array(22 + content.length);
        const view = new DataView(bytes.buffer);
        view.setUint32(0, 0xabcd0101);
        view.setBigInt64(4, BigInt(Date.now()));
        view.setBigUint64(12, BigInt(user));
        view.setUint16(20, content.length);
        bytes.set(content, 22);
        return bytes;
      };
      let sent = 0;
      const startMs = Date.now();
      window.timer = setInterval(() => {
        const due = ((Date.now() - startMs) * rate) / 1000 - sent;
        if (socket.readyState === WebSocket.OPEN && due >= 1) {
          const frames = Array.from({ length: Math.floor(due) }, () => frame(texts[sent++ % texts.length]));
          socket.send(new Blob(frames));
        }
      }, beatMs);
    },
    [url, userId, TEXTS, rate, BEAT_MS],
  );
  return () => page.evaluate(() => clearInterval(window.timer));
}

/** Frames of the viewer's page over SECONDS, as its compositor reports them, and its main thread's share of time. */
async function trace(browser, { page }) {
  const path = join(tmpdir(), `barrage-frames-${process.pid}.json`);
  const busyMs = async () => {
    const devtools = await page.context().newCDPSession(page);
    await devtools.send('Performance.enable');
    const { metrics } = await devtools.send('Performance.getMetrics');
    await devtools.detach();
    return metrics.find(({ name }) => name === 'TaskDuration').value * 1000;
  };
  const shown = () => page.evaluate(() => window.flights.length);
  const [busyBefore, shownBefore] = [await busyMs(), await shown()];
  await browser.startTrace(page, path);
  const startMs = performance.now();
  await sleep(SECONDS * 1000);
  const tookMs = performance.now() - startMs;
  await browser.stopTrace();
  const [busyAfter, shownAfter] = [await busyMs(), await shown()];
  const { traceEvents } = JSON.parse(await readFile(path, 'utf8'));
  await rm(path);
  return {
    ...framesOf(traceEvents, tookMs),
    busy: (busyAfter - busyBefore) / tookMs,
    tookOff: ((shownAfter - shownBefore) * 1000) / tookMs,
  };
}

/**
 * What became of each frame of the page's compositor: the renderer that reports the most is the page's, the other one
 * only sends. A frame that nothing changed for is neither shown nor missed.
 */
function framesOf(events, tookMs) {
  const byProcess = new Map();
  for (const { name, pid, args } of events) {
    if (name === 'PipelineReporter' && args?.chrome_frame_reporter) {
      byProcess.set(pid, [...(byProcess.get(pid) ?? []), args.chrome_frame_reporter.state]);
    }
  }
  const renderers = new Set(
    events
      .filter(({ name, args }) => name === 'process_name' && args.name === 'Renderer')
      .map(({ pid }) => pid),
  );
  const [states = []] = [...byProcess]
    .filter(([pid]) => renderers.has(pid))
    .map(([, reported]) => reported)
    .sort((x, y) => y.length - x.length);
  const shown = states.filter((state) => state.startsWith('STATE_PRESENTED')).length;
  const dropped = states.filter((state) => state === 'STATE_DROPPED').length;
  return { perSecond: (shown * 1000) / tookMs, dropped: dropped / Math.max(1, shown + dropped) };
}

function print(rows) {
  const share = (part) => `${(part * 100).toFixed(1)} %`;
  console.log('| page | frames/s shown | dropped | main thread busy | danmaku/s that took off |');
  console.log('|---|---|---|---|---|');
  for (const [what, { perSecond, dropped, busy, tookOff }] of rows) {
    console.log(
      `| ${what} | ${perSecond.toFixed(1)} | ${share(dropped)} | ${share(busy)} | ${tookOff.toFixed(0)} |`,
    );
  }
}

function sleep(ms) {
  return new Promise((done) => setTimeout(done, ms));
}
