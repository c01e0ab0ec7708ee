// Who the viewer is: a token from the URL's fragment, else a guest's from a server in dev mode, else nobody.

import { Role, roleOf } from '../danmaku';

/** Who watches, as far as the page can tell: the server decides. */
export interface Identity {
  readonly token: string | undefined;
  /** 0 without a token. */
  readonly user: bigint;
  readonly role: Role;
  readonly canSend: boolean;
  readonly guest: boolean;
}

/** Nobody: may watch where the room allows it. */
export const ANONYMOUS: Identity = {
  token: undefined,
  user: 0n,
  role: Role.VIEWER,
  canSend: false,
  guest: false,
};

/** A guest's token is renewed when it has less than this to live. */
const RENEW_BEFORE_MS = 60_000;

interface Claims {
  readonly sub?: string;
  readonly role?: string;
  readonly send?: boolean;
}

interface Guest {
  readonly token: string;
  readonly expiresMs: number;
}

/** Finds the viewer's identity for a room and remembers it; a guest stays the same over reloads of its tab. */
export class IdentitySource {
  readonly #room: string;
  readonly #fragmentToken: string | undefined;
  #anonymous = false;

  constructor(room: string, fragment: string) {
    this.#room = room;
    this.#fragmentToken = new URLSearchParams(fragment.replace(/^#/, '')).get('token') ?? undefined;
  }

  /**
   * The identity to connect with.
   *
   * @throws {Error} where the server cannot be asked; ask again later.
   */
  async current(): Promise<Identity> {
    if (this.#fragmentToken !== undefined) {
      return read(this.#fragmentToken, false);
    }
    if (this.#anonymous) {
      return ANONYMOUS;
    }
    const stored = this.#stored();
    if (stored && stored.expiresMs - RENEW_BEFORE_MS > Date.now()) {
      return read(stored.token, true);
    }
    const fresh = await this.#fetchGuest();
    this.#anonymous = fresh === undefined;
    return fresh ? read(fresh.token, true) : ANONYMOUS;
  }

  /** The server did not take the token: true where another one can be had. */
  discard(): boolean {
    const renewable = this.#fragmentToken === undefined && this.#stored() !== undefined;
    sessionStorage.removeItem(this.#key);
    return renewable;
  }

  /** The server refused the viewer: ask anew whether it gives guests a token. */
  reconsider(): void {
    this.#anonymous = false;
  }

  get #key(): string {
    return `barrage-guest/${this.#room}`;
  }

  #stored(): Guest | undefined {
    const text = sessionStorage.getItem(this.#key);
    return text ? (JSON.parse(text) as Guest) : undefined;
  }

  /** A guest's token; undefined where the server gives none (it is not in dev mode). */
  async #fetchGuest(): Promise<Guest | undefined> {
    const response = await fetch('/dev/token', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ room: this.#room }),
    });
    if (response.status === 404) {
      return undefined;
    }
    if (!response.ok) {
      throw new Error(`the server gave no guest token: HTTP ${response.status}`);
    }
    const { token, expiresMs } = (await response.json()) as Guest;
    sessionStorage.setItem(this.#key, JSON.stringify({ token, expiresMs }));
    return { token, expiresMs };
  }
}

/** Reads a JWT's claims without verifying them: only for what the page shows. */
function read(token: string, guest: boolean): Identity {
  try {
    const [, claims = ''] = token.split('.');
    const bytes = Uint8Array.from(atob(claims.replaceAll('-', '+').replaceAll('_', '/')), (c) =>
      c.charCodeAt(0),
    );
    const { sub = '0', role, send = true } = JSON.parse(new TextDecoder().decode(bytes)) as Claims;
    const user = BigInt(sub);
    return { token, user, role: roleOf(role), canSend: send && user !== 0n, guest };
  } catch {
    // Not a JWT of ours: the server will say so, and why.
    return { ...ANONYMOUS, token, guest };
  }
}
