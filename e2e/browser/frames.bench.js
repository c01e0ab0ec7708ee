// How smooth the page is: frames per second at 200 danmaku/s beside the same page at one a second, by Chromium's own
// trace, in one run; once as the page comes, and once set to let as many fly as can. `npm run bench`; SECONDS_EACH (10)
// says how long each is traced.

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

/** What lets the most danmaku over the stage at once. */
const DENSEST = { density: 'dense', font: 60, speed: 200, area: 100 };
const CASES = [
  { what: '1 danmaku/s', rate: RATE_LOW, settings: {} },
  { what: '200 danmaku/s', rate: RATE, settings: {} },
  { what: '200 danmaku/s, small, fast and dense', rate: RATE, settings: DENSEST },
];

/** Stands for a test: what is started ends in reverse order. */
const ends = [];
const run = { after: (end) => ends.unshift(end) };

try {
  const server = await Server.start(run, ROOM);
  const browser = await Browser.start(run);
  const rows = [];
  for (const { what, rate, settings } of CASES) {
    const kept = JSON.stringify(settings);
    const viewer = await browser.open(server.url, {}, (page) =>
      page.addInitScript((text) => localStorage.setItem('barrage-settings', text), kept),
    );
    await viewer.becomes('live');
    const stop = await chatter(browser, server, rate);
    await sleep(FILL_MS);
    rows.push([what, await trace(browser, viewer)]);
    await viewer.screenshot(`frames-${rows.length}`);
    await stop();
    await viewer.page.context().close();
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
      setInterval(() => {
        const due = ((Date.now() - startMs) * rate) / 1000 - sent;
        if (socket.readyState === WebSocket.OPEN && due >= 1) {
          const frames = Array.from({ length: Math.floor(due) }, () => frame(texts[sent++ % texts.length]));
          socket.send(new Blob(frames));
        }
      }, beatMs);
    },
    [url, userId, TEXTS, rate, BEAT_MS],
  );
  return () => page.context().close();
}

/** Frames of the viewer's page over SECONDS, as its compositor reports them, and its main thread's share of time. */
async function trace(browser, { page }) {
  const path = join(tmpdir(), `barrage-frames-${process.pid}.json`);
  const devtools = await page.context().newCDPSession(page);
  // Times count from here.
  await devtools.send('Performance.enable');
  const busyMs = async () => {
    const { metrics } = await devtools.send('Performance.getMetrics');
    return metrics.find(({ name }) => name === 'TaskDuration').value * 1000;
  };
  const shown = () =>
    page.evaluate(() => [window.flights.length, document.querySelectorAll('.flying').length]);
  const [busyBefore, [shownBefore]] = [await busyMs(), await shown()];
  await browser.startTrace(page, path);
  const startMs = performance.now();
  await sleep(SECONDS * 1000);
  const [busyAfter, [shownAfter, flying]] = [await busyMs(), await shown()];
  const tookMs = performance.now() - startMs;
  await browser.stopTrace();
  const { traceEvents } = JSON.parse(await readFile(path, 'utf8'));
  await rm(path);
  return {
    ...framesOf(traceEvents),
    busy: (busyAfter - busyBefore) / tookMs,
    flying,
    tookOff: ((shownAfter - shownBefore) * 1000) / tookMs,
  };
}

/**
 * What became of each frame of the page's compositor: the renderer that reports the most is the page's, the other one
 * only sends. A frame has two reports where the main thread's part came later, and is shown if either was; one that
 * nothing changed for is neither shown nor dropped.
 */
function framesOf(events) {
  const renderers = new Map(
    events
      .filter(({ name, args }) => name === 'process_name' && args.name === 'Renderer')
      .map(({ pid }) => [pid, []]),
  );
  for (const { name, pid, ts, args } of events) {
    // Chromium has called it either.
    const report = args?.chrome_frame_reporter ?? args?.frame_reporter;
    if (name === 'PipelineReporter' && report) {
      renderers.get(pid)?.push({ atUs: ts, frame: report.frame_sequence, state: report.state });
    }
  }
  const [reports = []] = [...renderers.values()].sort((x, y) => y.length - x.length);
  const framesThat = (state) =>
    new Set(reports.filter((report) => report.state.startsWith(state)).map(({ frame }) => frame));
  const shown = framesThat('STATE_PRESENTED');
  const dropped = [...framesThat('STATE_DROPPED')].filter((frame) => !shown.has(frame)).length;
  if (shown.size === 0) {
    throw new Error('the trace tells of no frame: this Chromium words it otherwise');
  }
  const times = reports.map(({ atUs }) => atUs);
  const seconds = (Math.max(...times) - Math.min(...times)) / 1e6;
  return { perSecond: shown.size / seconds, dropped: dropped / (shown.size + dropped) };
}

function print(rows) {
  const share = (part) => `${(part * 100).toFixed(1)} %`;
  console.log('| page | frames/s shown | dropped | main thread busy | in flight | took off a second |');
  console.log('|---|---|---|---|---|---|');
  for (const [what, { perSecond, dropped, busy, flying, tookOff }] of rows) {
    const cells = [what, perSecond.toFixed(1), share(dropped), share(busy), flying, tookOff.toFixed(0)];
    console.log(`| ${cells.join(' | ')} |`);
  }
}

function sleep(ms) {
  return new Promise((done) => setTimeout(done, ms));
}
