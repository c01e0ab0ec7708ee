// The page: puts the room, its connection and what is on the screen together.

import { type Danmaku, moderates } from './danmaku';
import { words } from './i18n/language';
import { Menus } from './page/menus';
import { Replaying } from './page/replaying';
import { Speech } from './page/speech';
import { Reason } from './protocol/generated/barrage/v2/barrage_pb';
import { writeHeartbeat } from './protocol/message';
import { diagnose, newestHistory } from './session/api';
import { Connection, type Status, type Verdict } from './session/connection';
import { RoomHttp } from './session/http';
import { ANONYMOUS, IdentitySource } from './session/identity';
import { Moderation } from './session/moderation';
import type { Pending, Refusal } from './session/outbox';
import { Room } from './session/room';
import { randomSession, subprotocols, webSocketUrl } from './session/url';
import { Blocks } from './settings/blocks';
import { Announcer } from './view/announcer';
import { CHAT_LINES_MAX, Chat } from './view/chat';
import { Composer } from './view/composer';
import { Header } from './view/header';
import { HighlightBar } from './view/highlights';
import { Leaderboard } from './view/leaderboard';
import { LikeButton } from './view/likes';
import { ModerationPanel } from './view/moderation-panel';
import { explain, Outgoing } from './view/outgoing';
import { Preferences } from './view/preferences';
import { Stage } from './view/stage';
import { StylePicker } from './view/style-picker';
import { Support } from './view/support';

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

/** Reads from far away and writes nothing. */
const isStreamer = query.get('view') === 'streamer';
document.body.dataset.view = isStreamer ? 'streamer' : 'room';

const http = new RoomHttp(roomId, () => identity.token);
const moderation = new Moderation(http);
const preferences = new Preferences((settings) => {
  blocks = new Blocks(settings);
  stage.set(settings);
  stylePicker.show(settings.style);
  vanish(isBlocked);
  highlights.hide(isBlocked);
});
let blocks = new Blocks(preferences.settings);
const menus = new Menus({
  moderation,
  identity: () => identity,
  hasComposer: !isStreamer,
  reply: (danmaku) => composer.answer(danmaku),
  hide: (user) => preferences.hide(user),
  tell: (text) => composer.tell(text, NOTICE_MS),
});
const openMenu = (danmaku: Danmaku, opener: HTMLElement) =>
  menus.ofDanmaku(danmaku, opener.getBoundingClientRect(), opener);
const stage = new Stage(preferences.settings, (danmaku, at) => menus.ofDanmaku(danmaku, at));
const chat = new Chat('chat', openMenu);
const replayChat = new Chat('replay', openMenu);
const support = new Support(openMenu);
const highlights = new HighlightBar(openMenu);
const outgoing = new Outgoing(() => chat.settle());
const leaderboard = new Leaderboard((user, opener) => menus.ofUser(user, opener));
const announcer = new Announcer();
const header = new Header(roomId, () => connection.connect());
const moderationPanel = new ModerationPanel(moderation);
const stylePicker = new StylePicker(preferences.settings.style, (style) => preferences.setStyle(style));
const likes = new LikeButton(() => {
  room.like();
  pump();
});
const composer = new Composer((content, reply) => {
  room.compose({ content, style: preferences.settings.style, ...(reply && { reply }) }, Date.now());
  chat.follow();
  pump();
});
const speech = new Speech(composer, () => identity);

const replaying = new Replaying(http, {
  onSeek() {
    stage.clear();
    replayChat.remove(() => true);
    chat.reveal(false);
    replayChat.reveal(true);
  },
  onDanmaku(danmaku) {
    if (!isBlocked(danmaku)) {
      stage.fly(danmaku, isOwn(danmaku));
      replayChat.add([danmaku], identity.user);
    }
  },
  onPause: (isPaused) => (isPaused ? stage.pause() : stage.resume()),
  onLive() {
    stage.clear();
    replayChat.reveal(false);
    chat.reveal(true);
  },
  onTrouble: (text) => composer.tell(text, NOTICE_MS),
});

const room = new Room({
  onLive(danmaku) {
    if (isBlocked(danmaku)) {
      return;
    }
    if (!replaying.isOn) {
      stage.fly(danmaku, isOwn(danmaku));
    }
    chat.add([danmaku], identity.user);
    support.add([danmaku]);
    if (!isOwn(danmaku)) {
      announcer.hear(danmaku);
    }
  },
  onPast(danmaku, missed) {
    if (missed) {
      chat.addDivider(words().whileAway);
    }
    chat.add(unblocked(danmaku), identity.user);
    support.add(unblocked(danmaku));
  },
  onGap(firstKnown, given) {
    if (given < CHAT_LINES_MAX) {
      void fillGap(firstKnown);
    }
  },
  onMerge(id, total) {
    if (!replaying.isOn) {
      stage.merge(id, total);
    }
    chat.merge(id, total);
  },
  onRanking: (best) => leaderboard.show(best, identity.user),
  onFigures(figures) {
    header.showFigures(figures);
    likes.show(figures.likes, room.likesWaiting);
  },
  onRules: (rules) => speech.setRules(rules),
  onHighlights(now) {
    highlights.show(now);
    support.add(unblocked(now.superChats.map(({ danmaku }) => danmaku)));
  },
  onRemoval(isGone) {
    vanish(isGone);
    replaying.remove(isGone);
    highlights.remove(isGone);
    composer.forget(isGone);
  },
  onSanction: (notice) => speech.sanction(notice),
  onPending(now) {
    pending = now;
    showPending();
  },
  onRefusal: refused,
  onJoined() {
    connection.markLive();
    connection.send(writeHeartbeat(Date.now()));
    replaying.readHeat();
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
    moderationPanel.allow(moderates(identity.role));
    likes.allow(identity.user !== 0n);
    speech.begin();
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
  const verdict = await diagnose(http, () => identities.discard());
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

function isOwn({ user }: Pick<Danmaku, 'user'>): boolean {
  return user === identity.user && user !== 0n;
}

function isBlocked(danmaku: Danmaku): boolean {
  return !isOwn(danmaku) && blocks.hides(danmaku);
}

function unblocked(danmaku: readonly Danmaku[]): Danmaku[] {
  return danmaku.filter((one) => !isBlocked(one));
}

/** Takes off every part of the page, at once, what this says so of. */
function vanish(isGone: (danmaku: Danmaku) => boolean): void {
  for (const part of [stage, chat, replayChat, support]) {
    part.remove(isGone);
  }
}

function showPending(): void {
  outgoing.show(pending, status.kind === 'live');
}

function refused(refusal: Refusal): void {
  if (refusal.reason === Reason.MUTED) {
    speech.refusedAsMuted(refusal.retryAfterMs);
  }
  const passes = refusal.givenUp === undefined;
  composer.tell(explain(refusal), passes ? refusal.retryAfterMs + NOTICE_MS / 4 : undefined);
  if (refusal.givenUp) {
    composer.giveBack(refusal.givenUp.content);
  }
}

/** More was missed than came with the join: what of it the chat can show is in the newest page of the HTTP history. */
async function fillGap(firstKnown: string): Promise<void> {
  let newest: Danmaku[];
  try {
    newest = await newestHistory(http, GAP_ROWS);
  } catch {
    composer.tell(words().gapUnread);
    return;
  }
  const end = newest.findIndex(({ id }) => id === firstKnown);
  const missed = unblocked(room.claim(newest.slice(0, Math.max(0, end)), Date.now()));
  chat.insertBefore(firstKnown, missed, identity.user);
  support.add(missed);
}

addEventListener('online', () => connection.nudge());
addEventListener('offline', () => connection.nudge());
document.addEventListener('visibilitychange', () => document.hidden || connection.nudge());
addEventListener('hashchange', () => location.reload());
setInterval(() => document.hidden || connection.send(writeHeartbeat(Date.now())), LATENCY_MS);
preferences.apply();
connection.connect();
