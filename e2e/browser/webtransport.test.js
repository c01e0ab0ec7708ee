// A browser's own WebTransport: joins a room, sends, and receives what a WebSocket client would.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { chromium } from 'playwright-core';

import { Server } from './server.js';

const FLAGS = ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking'];
const HEADER_BYTES = 12;

/** A certificate that browsers take by its hash: P-256, for at most 14 days. */
async function certificate(t) {
  const folder = await mkdtemp(join(tmpdir(), 'barrage-certificate-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  const made = [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-days',
    '10',
  ];
  const names = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'];
  execFileSync('openssl', [...made, ...names, '-keyout', key, '-out', cert], { stdio: 'ignore' });
  const der = new X509Certificate(await readFile(cert)).raw;
  return { cert, key, hash: [...createHash('sha256').update(der).digest()] };
}

test('a page joins by WebTransport, sends and receives', async (t) => {
  const { cert, key, hash } = await certificate(t);
  const flags = ['--tls-listen', '127.0.0.1:0', '--tls-cert-file', cert, '--tls-key-file', key];
  const server = await Server.start(t, undefined, flags);
  const { token } = await server.token();
  const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
  const browser = await chromium.launch({
    executablePath,
    args: FLAGS,
    ignoreDefaultArgs: ['--disable-quic'],
  });
  t.after(() => browser.close());
  const page = await browser.newPage({ ignoreHTTPSErrors: true });
  // Of the same origin: that of the page is looked at, and the page's policy lets it connect nowhere else.
  await page.goto(server.tlsUrl);
  const url = `${server.tlsUrl}v1/rooms/demo/wt?session=7&token=${token}`;
  const heard = await page.evaluate(talk, { url, hash, headerBytes: HEADER_BYTES });
  assert.ok(heard.types.includes(0x25), `no ack among ${heard.types}`);
  assert.ok(heard.text.includes('from a page'), 'its own danmaku does not come back');
  const history = await server.json('/v1/rooms/demo/history');
  assert.ok(JSON.stringify(history).includes('from a page'));
});

/** Runs in the page: sends one danmaku, and reads frames until its ack and itself have come. */
async function talk({ url, hash, headerBytes }) {
  const value = new Uint8Array(hash);
  const session = new WebTransport(url, { serverCertificateHashes: [{ algorithm: 'sha-256', value }] });
  await session.ready;
  const stream = await session.createBidirectionalStream();
  const text = new TextEncoder().encode('from a page');
  // `Send` with seq 1, oldest_pending 1, sent_ms 1 and its content, as Protobuf.
  const payload = [0x08, 1, 0x10, 1, 0x18, 2, 0x22, text.length, ...text];
  const header = [0xab, 0xcd, 2, 0x10, 0, 0, 0, 0, 0, 0, 0, payload.length];
  await stream.writable.getWriter().write(new Uint8Array([...header, ...payload]));
  const [types, reader] = [[], stream.readable.getReader()];
  let [rest, seen] = [new Uint8Array(), ''];
  while (!(types.includes(0x25) && seen.includes('from a page'))) {
    const { value: chunk, done } = await reader.read();
    if (done) break;
    rest = new Uint8Array([...rest, ...chunk]);
    while (rest.length >= headerBytes) {
      const end = headerBytes + new DataView(rest.buffer, rest.byteOffset).getUint32(8);
      if (rest.length < end) break;
      types.push(rest[3]);
      seen += new TextDecoder().decode(rest.subarray(headerBytes, end));
      rest = rest.slice(end);
    }
  }
  session.close();
  return { types, text: seen };
}
