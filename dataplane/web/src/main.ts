// The page: puts the room, its connection and what is on the screen together.

import type { Danmaku } from './danmaku';
import { words } from './i18n/language';
import { writeHeartbeat } from './protocol/message';
import { diagnose, newestHistory } from './session/api';
import { Connection, type Status, type Verdict } from './session/connection';
import { ANONYMOUS, IdentitySource } from './session/identity';
import type { Pending, Refusal } from './session/outbox';
import { Room } from './session/room';
import { randomSession, subprotocols, webSocketUrl } from './session/url';
import { Blocks } from './settings/blocks';
import { Announcer } from './view/announcer';
import { CHAT_LINES_MAX, Chat } from './view/chat';
import { Composer } from './view/composer';
import { Header } from './view/header';
import { Leaderboard } from './view/leaderboard';
import { type Choice, Menu } from './view/menu';
import { explain, Outgoing } from './view/outgoing';
import { Preferences } from './view/preferences';
import { Stage } from './view/stage';

const NOTICE_MS = 8_000;
const DEFAULT_ROOM = 'demo';
/** The longest page of history: what the chat keeps, and as much again that may come in while it is asked for. */
const GAP_ROWS = 2 * CHAT_LINES_MAX;
/** After so many refusals in a row without a reason to be seen, it may be the cursor. */
const UNCLEAR_MAX = 3;
/** How often the way to the server and back is measured, while somebody looks. */
const LATENCY_MS = 5_000;

const query = new URLSearchParams(location.search);
const roomId = query.get('room') || DEFAULT_ROOM;
const session = randomSession();
const identities = new IdentitySource(roomId, location.hash);
let identity = ANONYMOUS;
let status: Status = { kind: 'connecting' };
let pending: readonly Pending[] = [];
let unclear = 0;
let timer: ReturnType<typeof setTimeout> | undefined;

document.body.dataset.view = query.get('view') === 'streamer' ? 'streamer' : 'room';

const preferences = new Preferences((settings) => {
  blocks = new Blocks(settings);
  stage.set(settings);
  stage.remove((danmaku) => blocks.hides(danmaku));
  chat.remove((danmaku) => blocks.hides(danmaku));
});
let blocks = new Blocks(preferences.settings);
const menu = new Menu();
const stage = new Stage(preferences.settings, (danmaku, at) => openMenu(danmaku, at));
const chat = new Chat((danmaku, opener) => openMenu(danmaku, opener.getBoundingClientRect(), opener));
const outgoing = new Outgoing(() => chat.settle());
const leaderboard = new Leaderboard();
const announcer = new Announcer();
const header = new Header(roomId, () => connection.connect());
const composer = new Composer((content) => {
  room.compose(content, Date.now());
  chat.follow();
  pump();
});

const room = new Room({
  onLive(danmaku) {
    const isOwn = danmaku.user === identity.user;
    if (!isOwn && blocks.hides(danmaku)) {
      return;
    }
    stage.fly(danmaku, isOwn);
    chat.add([danmaku], identity.user);
    if (!isOwn) {
      announcer.hear(danmaku);
    }
  },
  onPast(danmaku, missed) {
    if (missed) {
      chat.addDivider(words().whileAway);
    }
    chat.add(unblocked(danmaku), identity.user);
  },
  onGap(firstKnown, given) {
    if (given < CHAT_LINES_MAX) {
      void fillGap(firstKnown);
    }
  },
  onMerge(id, total) {
    stage.merge(id, total);
    chat.merge(id, total);
  },
  onRanking: (best) => leaderboard.show(best, identity.user),
  onFigures: (viewers, messagesPerSecond) => header.showFigures(viewers, messagesPerSecond),
  onPending(now) {
    pending = now;
    showPending();
  },
  onRefusal: refused,
  onJoined() {
    connection.markLive();
    connection.send(writeHeartbeat(Date.now()));
  },
  onHeartbeat: (sentMs) => header.showLatency(Math.max(0, Date.now() - sentMs)),
  onGoAway: (delayMs) => connection.goAway(delayMs),
  onNotice: (message) => composer.tell(message, NOTICE_MS),
  onUnreadable: (why) => console.warn(`passed over from the server: ${why}`),
});

const connection = new Connection({
  async open() {
    identity = await identities.current();
    room.self = { user: identity.user, role: identity.role };
    header.showIdentity(identity);
    if (identity.canSend) {
      composer.open();
    } else {
      composer.close(() => (identity.token ? words().tokenMayNotSend : words().sendingNeedsToken));
    }
    const url = webSocketUrl(new URL(location.href), { room: roomId, session, cursor: room.cursor });
    return new WebSocket(url, subprotocols(identity));
  },
  diagnose: whyNot,
  heartbeat: () => writeHeartbeat(Date.now()),
  onStatus(now) {
    status = now;
    header.showStatus(now);
    showPending();
  },
  onMessage(bytes) {
    room.receive(bytes, Date.now());
    pump();
  },
  onLost: () => room.lost(),
});

/** Finds out why no connection came to be, and mends what the page can. */
async function whyNot(): Promise<Verdict> {
  const verdict = await diagnose(roomId, identity, () => identities.discard());
  unclear = verdict.kind === 'unclear' ? unclear + 1 : 0;
  if (unclear === UNCLEAR_MAX) {
    room.dropCursor();
  }
  if (verdict.kind === 'refused') {
    identities.reconsider();
  }
  return verdict;
}

/** Sends what may be sent, does what is due, and comes back when more is. */
function pump(): void {
  if (connection.isOpen) {
    for (const frame of room.take(Date.now())) {
      connection.send(frame);
    }
  }
  const wakeAtMs = room.tick(Date.now());
  clearTimeout(timer);
  timer = wakeAtMs === undefined ? undefined : setTimeout(pump, Math.max(0, wakeAtMs - Date.now()));
}

function unblocked(danmaku: readonly Danmaku[]): Danmaku[] {
  return danmaku.filter((one) => one.user === identity.user || !blocks.hides(one));
}

function openMenu(danmaku: Danmaku, at: DOMRect, opener?: HTMLElement): void {
  const copy = () => void navigator.clipboard?.writeText(danmaku.content);
  const choices: Choice[] = [{ text: words().copy, choose: copy }];
  if (danmaku.user !== identity.user) {
    choices.push({ text: words().hideUser, choose: () => preferences.hide(danmaku.user) });
  }
  menu.open(words().user(String(danmaku.user)), choices, at, opener);
}

function showPending(): void {
  outgoing.show(pending, status.kind === 'live');
}

function refused(refusal: Refusal): void {
  composer.tell(
    explain(refusal),
    refusal.givenUp === undefined ? refusal.retryAfterMs + NOTICE_MS / 4 : undefined,
  );
  if (refusal.givenUp !== undefined) {
    composer.giveBack(refusal.givenUp);
  }
}

/** More was missed than came with the join: what of it the chat can show is in the newest page of the HTTP history. */
async function fillGap(firstKnown: string): Promise<void> {
  let newest: Danmaku[];
  try {
    newest = await newestHistory(roomId, identity, GAP_ROWS);
  } catch {
    composer.tell(words().gapUnread);
    return;
  }
  const end = newest.findIndex(({ id }) => id === firstKnown);
  const missed = room.claim(newest.slice(0, Math.max(0, end)), Date.now());
  chat.insertBefore(firstKnown, unblocked(missed), identity.user);
}

addEventListener('online', () => connection.nudge());
addEventListener('offline', () => connection.nudge());
document.addEventListener('visibilitychange', () => document.hidden || connection.nudge());
addEventListener('hashchange', () => location.reload());
setInterval(() => document.hidden || connection.send(writeHeartbeat(Date.now())), LATENCY_MS);
preferences.apply();
connection.connect();
