/** Who may use the admin API: whoever has the token, calls it by a name that is known, and does not guess. */
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { TenonError } from '../base/errors.js';
import type { Scope } from './operation.js';
import { TokenCheck } from './token.js';

/** What a caller must know. */
export interface GuardOptions {
  token: string;
  /** Names the host may be called by, beside localhost and addresses. */
  names: readonly string[];
}

/** Why a request may not use the admin API. */
export interface Denial {
  readonly error: TenonError;
  readonly headers: Record<string, string>;
}

const guessLimit = 20;
const guessWindowMs = 60_000;
const keptAddresses = 1024;

interface Guesses {
  count: number;
  readonly end: number;
}

/** Name in a `Host` header: without port and brackets, in lower case. */
function nameOf(host: string | undefined): string {
  return (host ?? '')
    .toLowerCase()
    .replace(/:\d*$/, '')
    .replace(/^\[(.*)\]$/, '$1');
}

/** Admits requests to the admin API. After 20 wrong tokens within a minute an address has to wait the minute out. */
export class Guard {
  readonly #token: TokenCheck;
  readonly #names: ReadonlySet<string>;
  /** Wrong tokens by address, the oldest first. */
  readonly #guesses = new Map<string, Guesses>();

  constructor(options: GuardOptions) {
    this.#token = new TokenCheck(options.token);
    this.#names = new Set(['localhost', ...options.names.map((name) => name.toLowerCase())]);
  }

  /** Why `request` may not; undefined when it may. @param _scope what its token has to be allowed */
  deny(request: IncomingMessage, _scope: Scope = 'read'): Denial | undefined {
    const name = nameOf(request.headers.host);
    if (!this.#knows(name)) return { error: strangeName(name), headers: {} };
    const address = request.socket.remoteAddress ?? '';
    const now = performance.now();
    const wait = this.#wait(address, now);
    if (wait > 0) return { error: tooMany(wait), headers: { 'retry-after': String(wait) } };
    const { authorization } = request.headers;
    if (this.#token.accepts(authorization)) return undefined;
    if (authorization !== undefined) this.#count(address, now);
    return { error: unauthorized(), headers: { 'www-authenticate': 'Bearer realm="tenon"' } };
  }

  /** As the audit log names whoever sent `request`. */
  who({ socket }: IncomingMessage): string {
    return `api ${socket.remoteAddress ?? ''}`.trimEnd();
  }

  /** A page can give its own name any address (DNS rebinding), so a name must be known; an address is what it is. */
  #knows(name: string): boolean {
    return isIP(name) !== 0 || this.#names.has(name) || name.endsWith('.localhost');
  }

  /** Seconds until `address` is listened to again. */
  #wait(address: string, now: number): number {
    const guesses = this.#guesses.get(address);
    if (guesses === undefined || guesses.count < guessLimit || guesses.end <= now) return 0;
    return Math.ceil((guesses.end - now) / 1000);
  }

  #count(address: string, now: number): void {
    const before = this.#guesses.get(address);
    if (before !== undefined && before.end > now) {
      before.count += 1;
      return;
    }
    this.#guesses.delete(address);
    const [oldest] = this.#guesses.keys();
    if (oldest !== undefined && this.#guesses.size >= keptAddresses) this.#guesses.delete(oldest);
    this.#guesses.set(address, { count: 1, end: now + guessWindowMs });
  }
}

function strangeName(name: string): TenonError {
  return new TenonError('HostNotAllowed', `the admin API is not served under the name ${JSON.stringify(name)}`, {
    next: 'call it by an address or by localhost, or add the name to the setting `adminHosts`',
    details: { name },
  });
}

function tooMany(seconds: number): TenonError {
  return new TenonError('TooManyAttempts', 'this address has sent too many wrong admin tokens', {
    next: `wait ${seconds} s`,
    details: { seconds },
  });
}

function unauthorized(): TenonError {
  return new TenonError('Unauthorized', 'this call needs the admin token', {
    next: 'send `Authorization: Bearer TOKEN` with the token of the data directory',
  });
}
