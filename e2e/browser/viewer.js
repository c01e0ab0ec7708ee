// A viewer: one page in a browser context of its own, what it shows, and what went wrong in it.

import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const ARTIFACTS = join(import.meta.dirname, 'artifacts');
/** Categories of a trace that tell each frame's fate. */
const TRACED = ['cc', 'benchmark', 'viz', 'devtools.timeline', 'disabled-by-default-devtools.timeline.frame'];
/** Nothing that is waited for takes this long; a busy machine may come near. */
const WAIT_MS = 30_000;
/** How long Chromium waits for the next test. */
const UNUSED_MS = 300;
/** What a browser logs by itself while a server is away. */
const OUTAGE =
  /net::ERR_(CONNECTION_REFUSED|CONNECTION_RESET|EMPTY_RESPONSE|INCOMPLETE_CHUNKED_ENCODING)|WebSocket connection to .* failed/;

/** A phone, as Playwright's options of a context. */
export const PHONE = {
  viewport: { width: 390, height: 844 },
  deviceScaleFactor: 2,
  isMobile: true,
  hasTouch: true,
};

/** One Chromium for all tests of a process, with its users; it ends when it has had none for a moment. */
const shared = { launching: undefined, users: 0 };

function launch() {
  return chromium.launch({
    executablePath: CHROMIUM,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

async function endUnused() {
  const { launching, users } = shared;
  if (users > 0 || !launching) return;
  shared.launching = undefined;
  await (await launching).close();
}

export class Browser {
  #browser;
  #contexts = [];

  /** Chromium for a test `t`; what it opens ends with the test. */
  static async start(t) {
    if (!existsSync(CHROMIUM)) {
      throw new Error(`no Chromium at ${CHROMIUM}: apt-get install chromium, or set CHROMIUM to one`);
    }
    shared.users += 1;
    const browser = new Browser();
    t.after(() => browser.#end());
    shared.launching ??= launch();
    browser.#browser = await shared.launching;
    return browser;
  }

  async #end() {
    await Promise.all(this.#contexts.map((context) => context.close()));
    shared.users -= 1;
    setTimeout(endUnused, UNUSED_MS);
  }

  /** Writes what Chromium's compositors do into a file, until {@link stopTrace}. */
  async startTrace(page, path) {
    await this.#browser.startTracing(page, { path, categories: TRACED });
  }

  async stopTrace() {
    await this.#browser.stopTracing();
  }

  async #newContext(options) {
    const context = await this.#browser.newContext(options);
    this.#contexts.push(context);
    return context;
  }

  /** A page that shows `url` and is nobody's view. */
  async bare(url) {
    const context = await this.#newContext();
    const page = await context.newPage();
    await page.goto(url);
    return page;
  }

  /** Opens the page as a new viewer. `options` are Playwright's for a context, `prepare` runs before the page loads. */
  async open(url, options = {}, prepare = async () => {}) {
    const context = await this.#newContext({ viewport: { width: 1280, height: 800 }, ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(WAIT_MS);
    const viewer = new Viewer(page);
    await viewer.watch(new URL(url).origin);
    await prepare(page);
    viewer.response = await page.goto(url);
    return viewer;
  }
}

export class Viewer {
  /** Of the page itself. */
  response;
  #errors = [];

  constructor(page) {
    this.page = page;
  }

  /** Notes errors, violations of the content security policy, requests to elsewhere, and every danmaku that flies. */
  async watch(origin) {
    const { page } = this;
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') {
        this.#errors.push(`console ${message.type()}: ${message.text()}`);
      }
    });
    page.on('pageerror', (error) => this.#errors.push(`exception: ${error.stack}`));
    page.on('request', (request) => {
      if (!request.url().startsWith(origin) && !request.url().startsWith('data:')) {
        this.#errors.push(`request to elsewhere: ${request.url()}`);
      }
    });
    await page.exposeFunction('reportViolation', (text) =>
      this.#errors.push(`content security policy: ${text}`),
    );
    await page.addInitScript(() => {
      window.flights = [];
      document.addEventListener('securitypolicyviolation', (event) => {
        window.reportViolation(`${event.violatedDirective} ${event.blockedURI}`);
      });
      new MutationObserver((mutations) => {
        for (const { addedNodes } of mutations) {
          for (const node of addedNodes) {
            if (node instanceof Element && node.matches('.flying')) {
              const { id, own, mode, size } = node.dataset;
              window.flights.push({ id, text: node.firstChild.data, own: own !== undefined, mode, size });
            }
          }
        }
      }).observe(document, { childList: true, subtree: true });
    });
  }

  /** What went wrong so far; with `outage`, without what a browser says of a server that is away. */
  errors({ outage = false } = {}) {
    return this.#errors.filter((error) => !(outage && OUTAGE.test(error)));
  }

  /** Waits until the connection is in this state. */
  async becomes(state) {
    await this.page.locator(`[data-connection="${state}"]`).waitFor();
  }

  /** The user ID that the page shows. */
  async user() {
    return this.page.locator('#self').getAttribute('data-user');
  }

  /** Types a text and sends it with Enter. */
  async send(text) {
    await this.page.locator('#message').fill(text);
    await this.page.locator('#message').press('Enter');
  }

  /** Sends texts faster than anybody could type them. */
  async sendAll(texts) {
    await this.page.evaluate((all) => {
      const input = document.querySelector('#message');
      for (const text of all) {
        input.value = text;
        input.form.requestSubmit();
      }
    }, texts);
  }

  /** Chooses how what is sent from now on looks, by the names on the page. */
  async wear(style) {
    await this.page.locator('#style-open').click();
    for (const name of Object.values(style)) {
      await this.page.locator('#style').getByRole('radio', { name, exact: true }).check({ force: true });
    }
    await this.page.keyboard.press('Escape');
  }

  /** Chooses from the menu of the newest line with exactly this text. */
  async choose(text, choice) {
    await this.lineOf(text).locator('.chat-user').click();
    await this.page.getByRole('menuitem', { name: choice, exact: true }).click();
  }

  /** The newest line of the chat with exactly this text. */
  lineOf(text) {
    const exact = this.page.locator('.chat-text').getByText(text, { exact: true });
    return this.page.locator('#chat-lines .chat-line').filter({ has: exact }).last();
  }

  /** Waits until no part of the page shows this text. */
  async missing(text) {
    await this.until((gone) => !document.body.textContent.includes(gone), text);
  }

  /** Waits until the chat shows a line with exactly this text. */
  async sees(text) {
    await this.page.locator('#chat-lines .chat-text').getByText(text, { exact: true }).first().waitFor();
  }

  /** The lines of the chat, oldest first. */
  async chat() {
    return this.page.locator('#chat-lines .chat-line').evaluateAll((lines) =>
      lines.map((line) => ({
        id: line.dataset.id,
        own: 'own' in line.dataset,
        text: line.querySelector('.chat-text').textContent,
      })),
    );
  }

  /** Danmaku that have flown over the stage, in the order of take-off. */
  async flights() {
    return this.page.evaluate(() => window.flights);
  }

  /** The leaderboard as `user:score`, best first. */
  async ranking() {
    return this.page
      .locator('#ranks .rank')
      .evaluateAll((ranks) =>
        ranks.map((rank) => `${rank.dataset.user}:${rank.querySelector('.rank-score').textContent}`),
      );
  }

  /** Waits until `predicate`, run in the page, is true of `argument`. */
  async until(predicate, argument) {
    await this.page.waitForFunction(predicate, argument, { timeout: WAIT_MS });
  }

  /** Waits until an element shows exactly this text. */
  async shows(selector, text) {
    await this.until(([where, what]) => document.querySelector(where).textContent === what, [selector, text]);
  }

  /** What axe finds that keeps people out: its rules of WCAG 2.2 A and AA, serious and critical ones. */
  async barriers() {
    await this.page.evaluate(await readFile(AXE, 'utf8'));
    const { violations } = await this.page.evaluate(() =>
      window.axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }),
    );
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .flatMap(({ id, nodes }) =>
        nodes.map(({ html, failureSummary }) => `${id}: ${html}: ${failureSummary}`),
      );
  }

  /** Keeps a picture of the page as an artifact of the test run. */
  async screenshot(name) {
    await mkdir(ARTIFACTS, { recursive: true });
    await this.page.screenshot({ path: join(ARTIFACTS, `${name}.png`) });
  }
}
