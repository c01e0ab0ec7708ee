// A service that states gifts, in version 2 of the protocol: a page of its own in the browser, for its WebSocket.

const SEND = 0x10;
const ACK = 0x25;
const ERROR = 0x26;
const WAIT_MS = 30_000;

export class Service {
  #page;
  #url;
  #token;
  #seq = 0n;

  /** Opens a connection's worth of a service, or of whoever `claims` say. */
  static async start(browser, server, claims = { role: 'service', userId: '900' }) {
    const service = new Service();
    const { token } = await server.token(claims);
    service.#token = token;
    service.#url = new URL('v1/rooms/demo/ws?session=77', server.url).href.replace(/^http/, 'ws');
    // Any page of the server's own origin that runs no script.
    service.#page = await browser.bare(new URL('v1/rooms/demo', server.url).href);
    return service;
  }

  /** Gives, and returns the reason why that was refused: 0 where it was not. */
  async give({ content, user, value, name = '', count = 1, superChat = false }) {
    this.#seq += 1n;
    const gift = [
      varint(1, user),
      varint(2, value),
      bytes(3, name),
      varint(4, count),
      varint(5, superChat ? 1 : 0),
    ];
    const payload = Buffer.concat([
      varint(1, this.#seq),
      varint(2, this.#seq),
      varint(3, BigInt(Date.now()) * 2n),
      bytes(4, content),
      bytes(10, Buffer.concat(gift)),
    ]);
    const header = Buffer.from([0xab, 0xcd, 2, SEND, 0, 0, 0, 0, 0, 0, 0, 0]);
    header.writeUInt32BE(payload.length, 8);
    const frame = [...header, ...payload];
    return this.#page.evaluate(exchange, {
      url: this.#url,
      protocols: ['barrage.v2', `bearer.${this.#token}`],
      frame,
      ACK,
      ERROR,
      WAIT_MS,
    });
  }
}

/** Runs in the page: sends one frame on a new connection, and resolves with the answer's reason. */
function exchange({ url, protocols, frame, ACK, ERROR, WAIT_MS }) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, protocols);
    const end = (done, value) => {
      socket.close();
      done(value);
    };
    setTimeout(() => end(reject, new Error('no answer')), WAIT_MS);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => socket.send(new Uint8Array(frame));
    socket.onclose = () => reject(new Error('the connection ended without an answer'));
    socket.onmessage = ({ data }) => {
      const view = new DataView(data);
      for (let at = 0; at < data.byteLength; at += 12 + view.getUint32(at + 8)) {
        const type = view.getUint8(at + 3);
        if (type === ACK) {
          end(resolve, 0);
        } else if (type === ERROR) {
          // The reason is the first field of an Error, a varint below 128.
          end(resolve, view.getUint8(at + 12 + 1));
        }
      }
    };
  });
}

/** A Protobuf field of a whole number. */
function varint(field, value) {
  let rest = BigInt.asUintN(64, BigInt(value));
  const out = [field << 3];
  while (rest > 0x7fn) {
    out.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  return Buffer.from([...out, Number(rest)]);
}

/** A Protobuf field of bytes, text or a message. */
function bytes(field, value) {
  const content = Buffer.from(value);
  // The tag of wire type 2 stands where the length's own field would have wire type 0.
  return Buffer.concat([Buffer.from([(field << 3) | 2]), varint(0, content.length).subarray(1), content]);
}
