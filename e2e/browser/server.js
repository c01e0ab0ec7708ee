// The server under test: the real binary, on a free port and a data directory of its own, killed and started at will.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

const BINARY = resolve(process.env.BARRAGE_BIN ?? join(import.meta.dirname, '../../target/debug/barrage'));
/** How much of the server's own words a failed start shows. */
const LINES_KEPT = 40;

export class Server {
  /** Where it listens, with a slash at the end; the same over restarts. */
  url = '';
  /** The same for TLS and QUIC, where its flags ask for that. */
  tlsUrl = '';
  #data = '';
  #arguments = [];
  #process;
  #lines = [];

  /** Starts a server on new data, with a manifest of rooms or its own default; it ends with the test `t`. */
  static async start(t, manifest, flags = []) {
    const server = new Server();
    server.#data = await mkdtemp(join(tmpdir(), 'barrage-browser-'));
    if (manifest) {
      const file = join(server.#data, 'room.yaml');
      await writeFile(file, manifest);
      server.#arguments = ['-f', file];
    }
    server.#arguments.push(...flags);
    t.after(async () => {
      await server.kill();
      await rm(server.#data, { recursive: true, force: true });
    });
    await server.#spawn('127.0.0.1:0');
    return server;
  }

  /** Ends it as a power cut would. */
  async kill() {
    await this.#end('SIGKILL');
  }

  /** Asks it to stop, and waits until it has. */
  async stop() {
    await this.#end('SIGTERM');
  }

  /** Starts it again on the same port and data. */
  async restart() {
    await this.#spawn(new URL(this.url).host);
  }

  /** GETs JSON from it. */
  async json(path) {
    const response = await fetch(new URL(path, this.url));
    if (!response.ok) {
      throw new Error(`GET ${path}: HTTP ${response.status} ${await response.text()}`);
    }
    return response.json();
  }

  /** The page of a user with a role, as the server's own token says it. */
  async pageOf(claims, query = '') {
    const { token } = await this.token(claims);
    return `${this.url}${query}#token=${token}`;
  }

  /** A token of a user of the room: `role`, `userId`. */
  async token(claims = {}) {
    const response = await fetch(new URL('dev/token', this.url), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ room: 'demo', ...claims }),
    });
    if (!response.ok) {
      throw new Error(`POST dev/token: HTTP ${response.status} ${await response.text()}`);
    }
    return response.json();
  }

  async #spawn(listen) {
    const child = spawn(BINARY, ['dev', ...this.#arguments, '--data', this.#data, '--listen', listen], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process = child;
    const url = new Promise((resolveUrl, reject) => {
      const read = (line) => {
        this.#lines = [...this.#lines, line].slice(-LINES_KEPT);
        this.tlsUrl = /on (https:\/\/\S+)/.exec(line)?.[1] ?? this.tlsUrl;
        const found = /listening on (http:\/\/\S+)/.exec(line);
        if (found) {
          resolveUrl(found[1]);
        }
      };
      createInterface({ input: child.stdout }).on('line', read);
      createInterface({ input: child.stderr }).on('line', read);
      child.on('error', (cause) => {
        reject(
          new Error(`cannot start ${BINARY}: build it (cargo build -p barrage) or set BARRAGE_BIN`, {
            cause,
          }),
        );
      });
      child.on('exit', () =>
        reject(new Error(`${BINARY} ended before it listened:\n${this.#lines.join('\n')}`)),
      );
    });
    this.url = await url;
  }

  async #end(signal) {
    const child = this.#process;
    if (child?.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      const exit = once(child, 'exit');
      child.kill(signal);
      await exit;
    }
  }
}
