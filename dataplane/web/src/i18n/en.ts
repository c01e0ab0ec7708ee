// The page in English. This catalogue is the type of all others: what it has, they have.

const plural = new Intl.PluralRules('en');
const many = (n: number, one: string, other: string) => (plural.select(n) === 'one' ? one : other);

export const en = {
  htmlLanguage: 'en',
  description: 'Live comments over a stage, with a leaderboard.',

  // The bar.
  skip: 'Skip to the message box',
  viewers: (n: number) => many(n, 'viewer', 'viewers'),
  rate: 'messages/s',
  latency: 'latency',
  latencyTip: 'Time to the server and back',
  milliseconds: (n: string) => `${n} ms`,
  settings: 'Settings',
  watchingOnly: 'Watching only',
  unknownUser: 'Unknown user',
  guest: (user: string) => `Guest ${user}`,
  user: (user: string) => `User ${user}`,

  // The connection.
  connecting: 'Connecting…',
  live: 'Live',
  lost: 'The connection was lost.',
  silent: 'The server has gone silent.',
  unreachable: 'The server does not answer.',
  unclear: 'The server answers, but takes no connection now. It may be full.',
  restarting: 'The server is restarting.',
  refused: (why: string) => `Refused: ${why}`,
  answersHttp: (status: number) => `The server answers HTTP ${status}.`,
  reconnectingIn: (seconds: number) => `Reconnecting in ${seconds} s.`,
  tryingIn: (seconds: number) => `Trying again in ${seconds} s.`,
  tryNow: 'Try now',

  // The stage.
  stage: 'Stage',
  quiet: 'Nothing in flight. Say something.',
  danmakuOn: 'Danmaku on',
  danmakuOff: 'Danmaku off',
  chatOnly: (n: string) => `+${n}/s in chat only`,

  // The send box.
  message: 'Message',
  invitation: 'Send a danmaku',
  send: 'Send',
  tokenMayNotSend: 'This token does not allow sending',
  sendingNeedsToken: 'Watching only: sending needs a token',
  tooManyBytes: (bytes: string, max: string) =>
    `Too long: ${bytes} bytes, and no message may have more than ${max}.`,
  rateLimited: (seconds: number) =>
    `Too fast for this room. Your message goes out by itself in ${seconds} s.`,
  cannotKeep: (seconds: number) =>
    `The server cannot keep messages right now. Yours goes out by itself in ${seconds} s.`,
  blocked: 'Waiting for your earlier message to go out first.',
  unknownOutcome:
    'The connection was away too long to know whether this arrived. If you do not see it in the chat, send it again.',
  tooLong: (why: string) => `Too long for this room. ${why}`,
  mayNotSend: (why: string) => `You may watch here, but not send. ${why}`,
  notTaken: 'The server did not take the message.',
  gapUnread: 'Some messages from while you were away could not be read. Reload the page to see them.',

  // The leaderboard.
  leaderboard: 'Leaderboard',
  nobodyYet: 'Nobody has scored yet.',

  // The chat.
  chat: 'Chat',
  notDelivered: 'Not delivered yet',
  whileAway: 'While you were away',
  newLines: (n: string) => `${n} new ↓`,
  andMore: (n: string) => `and ${n} more`,
  sent: 'sent',
  waitingForConnection: 'waiting for connection',
  sending: 'sending',
  slowingDown: 'slowing down',
  waiting: 'waiting',
  host: 'host',
  moderator: 'mod',
  service: 'service',
  announceMany: (n: string, latest: string) => `${n} new messages, the latest: ${latest}`,

  // The menu of a danmaku.
  menuOf: (user: string) => `What to do about ${user}`,
  copy: 'Copy text',
  hideUser: 'Hide this user for me',

  // Settings.
  close: 'Close',
  flying: 'Let danmaku fly',
  density: 'Density',
  densityRelaxed: 'Relaxed',
  densityNormal: 'Normal',
  densityDense: 'Dense',
  opacity: 'Opacity',
  speed: 'Speed',
  font: 'Font size',
  area: 'Area of the stage',
  percent: (n: number) => `${n} %`,
  keywords: 'Words that you do not want to see',
  keywordsHint: 'One a line. Only you are affected: what has one of them is not shown to you.',
  hiddenUsers: 'Hidden users',
  nobodyHidden: 'Nobody.',
  unhide: (user: string) => `Show ${user} again`,
  theme: 'Theme',
  themeAuto: 'As the system',
  themeLight: 'Light',
  themeDark: 'Dark',
  language: 'Language',
  languageAuto: 'As the browser',
  reset: 'Reset all',
};

/** What a catalogue has: texts, and functions that put values into them. */
export type Messages = {
  readonly [K in keyof typeof en]: (typeof en)[K] extends string ? string : (typeof en)[K];
};
