// Calls of a room's HTTP API, with the viewer's token, and errors as the server words them (RFC 9457).

import { words } from '../i18n/language';

/** The server did not do what it was asked; its message says why, in its words. */
export class Refused extends Error {
  override readonly name = 'Refused';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

interface Problem {
  readonly title?: string;
  readonly detail?: string;
}

export class RoomHttp {
  readonly #base: string;
  readonly #token: () => string | undefined;

  /** `token` is asked for the viewer's at every call: it may be renewed. */
  constructor(room: string, token: () => string | undefined) {
    this.#base = `/v1/rooms/${encodeURIComponent(room)}`;
    this.#token = token;
  }

  /**
   * GETs JSON; `path` is behind the room's own, parameters that are undefined are left out.
   *
   * @throws {Refused} where the server answers with an error.
   * @throws {TypeError} where it does not answer.
   */
  async get<T>(path: string, parameters: Record<string, string | number | undefined> = {}): Promise<T> {
    const given = Object.entries(parameters).filter(([, value]) => value !== undefined);
    const query = new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
    const response = await this.fetch('GET', given.length > 0 ? `${path}?${query}` : path);
    return (await checked(response).then((answer) => answer.json())) as T;
  }

  /**
   * Asks for a change, and waits until it is done.
   *
   * @throws as {@link get} does.
   */
  async change(method: 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body?: object): Promise<void> {
    await checked(await this.fetch(method, path, body));
  }

  /** The bare call. */
  fetch(method: string, path: string, body?: object): Promise<Response> {
    const token = this.#token();
    return fetch(this.#base + path, {
      method,
      headers: {
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(body && { 'content-type': 'application/json' }),
      },
      ...(body && { body: JSON.stringify(body) }),
    });
  }
}

/** What an error says, for a person. */
export async function wordingOf(response: Response): Promise<string> {
  const { detail, title } = (await response.json().catch(() => ({}))) as Problem;
  return detail ?? title ?? words().answersHttp(response.status);
}

async function checked(response: Response): Promise<Response> {
  if (!response.ok) {
    throw new Refused(response.status, await wordingOf(response));
  }
  return response;
}
