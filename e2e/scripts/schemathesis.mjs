// Asks a `barrage dev` of its own everything that its OpenAPI description allows, and much that it does not: no answer may
// be a server's error, and none may be one that the description does not know.
//
// usage: node schemathesis.mjs [install]     install: only what it needs. BARRAGE_BIN: the server's program.
// SCHEMATHESIS_EXAMPLES: requests for each operation and phase (40).

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const ROOT = resolve(import.meta.dirname, '../..');
const BINARY = process.env.BARRAGE_BIN ?? join(ROOT, 'target/debug/barrage');
const CACHE = process.env.BARRAGE_E2E_CACHE ?? join(homedir(), '.cache/barrage-e2e');
const EXAMPLES = process.env.SCHEMATHESIS_EXAMPLES ?? '40';
/** Fixed, so that a run says of the server what the last one said. */
const VERSION = '4.32.5';
const READY_WITHIN_MS = 30_000;

/** The program, installed once into the cache. */
function schemathesis() {
  const home = join(CACHE, `schemathesis-${VERSION}`);
  const program = join(home, 'bin/schemathesis');
  if (!existsSync(program)) {
    execFileSync('python3', ['-m', 'venv', home], { stdio: 'inherit' });
    execFileSync(join(home, 'bin/pip'), ['--quiet', 'install', `schemathesis==${VERSION}`], {
      stdio: 'inherit',
    });
  }
  return program;
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

async function ready(url, server) {
  for (const end = Date.now() + READY_WITHIN_MS; Date.now() < end; await sleep(100)) {
    if (server.exitCode !== null) throw new Error(`the server ended with ${server.exitCode}`);
    const answer = await fetch(`${url}/readyz`).catch(() => undefined);
    if (answer?.ok) return;
  }
  throw new Error(`no server at ${url} within ${READY_WITHIN_MS} ms`);
}

async function token(url, role) {
  const response = await fetch(`${url}/dev/token`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ room: 'demo', role }),
  });
  return (await response.json()).token;
}

const program = schemathesis();
if (process.argv[2] === 'install') process.exit();

const data = mkdtempSync(join(tmpdir(), 'barrage-schemathesis-'));
const url = `http://127.0.0.1:${await freePort()}`;
const server = spawn(BINARY, ['dev', '--data', data, '--listen', url.slice('http://'.length)], {
  stdio: ['ignore', 'ignore', 'inherit'],
});
let status = 1;
try {
  await ready(url, server);
  const checks = [
    'not_a_server_error',
    'status_code_conformance',
    'content_type_conformance',
    'response_schema_conformance',
  ];
  const run = spawn(
    program,
    [
      'run',
      `${url}/v1/openapi.json`,
      '--header',
      `Authorization: Bearer ${await token(url, 'moderator')}`,
      '--checks',
      checks.join(','),
      '--max-examples',
      EXAMPLES,
      '--generation-deterministic',
      '--no-color',
    ],
    { cwd: data, stdio: 'inherit' },
  );
  [status] = await once(run, 'exit');
} finally {
  server.kill('SIGKILL');
  rmSync(data, { recursive: true, force: true });
}
process.exitCode = status ?? 1;
