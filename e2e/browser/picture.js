// Makes the README's picture of the page: a room in full swing. `npm run picture` writes dataplane/web/docs/room.png.

import { join } from 'node:path';
import { Server } from './server.js';
import { Service } from './service.js';
import { Browser } from './viewer.js';

const PICTURE = join(import.meta.dirname, '../../dataplane/web/docs/room.png');
/** Between two rounds of talk: the stage is full when the first danmaku have crossed it. */
const ROUND_MS = 450;
/** What the talkers say, round by round. */
const ROUNDS = [
  ['来了来了！', 'good evening from Lisbon', '第一次看现场'],
  ['声音真好', 'that bass line', '这首歌我循环了一整天'],
  ['哈哈哈哈哈', 'here it comes', '前排前排'],
  ['灯光绝了', 'who is on drums tonight?', '鸡皮疙瘩起来了'],
  ['妙啊', 'no way, they changed the ending', '好家伙'],
  ['泪目', 'louder!', '吉他手今天状态太好了'],
  ['再来一首', 'the camera never misses', '666666'],
  ['这转音', 'best show of the year', '请收下我的膝盖'],
  ['单曲循环预定', 'I was there in 2019', '现场一定很震撼'],
  ['安可！安可！', 'encore!', '安可！'],
  ['想去看下一场', 'the drummer is on fire', '全场大合唱'],
  ['太会唱了', 'goosebumps', '前方高能'],
];
/** How each talker's danmaku look; the last two stand, and say something at the beginning and at the end only. */
const STYLES = [
  { mode: 'Scroll', size: 'Normal', colour: 'White' },
  { mode: 'Scroll', size: 'Normal', colour: 'Blue' },
  { mode: 'Scroll', size: 'Large', colour: 'Orange' },
  { mode: 'Top', size: 'Normal', colour: 'Yellow' },
  { mode: 'Bottom', size: 'Normal', colour: 'Teal' },
];
const LIKES = 8;
const FIRST = ['开演啦！', 'front row, let’s go'];
const LAST = ['前方高能预警', '字幕组辛苦了'];

/** Stands for a test: what is started ends in reverse order. */
const ends = [];
const run = { after: (end) => ends.unshift(end) };
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

try {
  const server = await Server.start(run);
  const browser = await Browser.start(run);
  const host = await browser.open(await server.pageOf({ role: 'host', userId: '1001' }));
  const talkers = [];
  for (const userId of ['52077', '880421', '3391', '70215', '4096']) {
    talkers.push(await browser.open(await server.pageOf({ userId })));
  }
  const viewer = await browser.open(await server.pageOf({ userId: '61803' }));
  await Promise.all([host, viewer, ...talkers].map((one) => one.becomes('live')));
  const service = await Service.start(browser, server);
  await host.send('今晚的第二首歌：想听什么？ Second song: your choice');
  await host.sees('今晚的第二首歌：想听什么？ Second song: your choice');
  await host.choose('今晚的第二首歌：想听什么？ Second song: your choice', 'Pin');
  await service.give({ content: '生日快乐，永远支持你！', user: 3391, value: 3000, superChat: true });
  await service.give({ content: 'Thank you for the music', user: 880421, value: 500, superChat: true });
  await service.give({ content: 'Rocket', user: 52077, value: 600, name: 'Rocket', count: 3 });
  await Promise.all(talkers.map((talker, i) => talker.wear(STYLES[i])));
  const say = (some, texts) => Promise.all(some.map((talker, i) => talker.send(texts[i])));
  const standing = talkers.slice(ROUNDS[0].length);
  await say(standing, FIRST);
  // Three times: by the third one the timeline has read how the first one went.
  for (const round of [...ROUNDS, ...ROUNDS, ...ROUNDS]) {
    await say(talkers.slice(0, round.length), round);
    await sleep(ROUND_MS);
  }
  await host.page.locator('#like').click({ clickCount: LIKES });
  await Promise.all([say(standing, LAST), viewer.send('太好听了')]);
  await Promise.all(LAST.map((text) => viewer.sees(text)));
  await sleep(ROUND_MS);
  await viewer.page.screenshot({ path: PICTURE });
} finally {
  for (const end of ends) {
    await end();
  }
}
