/** Who may use the admin API: whoever has a token that allows it, calls it by a name that is known, and does not guess. */
import { timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { TenonError } from '../base/errors.js';
import { sourceOf } from './address.js';
import { isForeign, urlCarriesToken } from './browser.js';
import type { Scope } from './operation.js';
import { aboutPlugin } from './subject.js';
import { digestOf, kindOf } from './token-text.js';
import type { KeptToken } from './tokens-file.js';
import { isExpired, type Tokens } from './tokens.js';
import { isFromSocket } from './unix-socket.js';

/** What a caller must know. */
export interface GuardOptions {
  /** The admin token, which is allowed everything. */
  token: string;
  /** The other ones; nobody else has a token without them. */
  tokens?: Pick<Tokens, 'find' | 'used'>;
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

/** Who has shown a token: one of those that were made, or the one with the admin token. */
type Bearer = KeptToken | 'admin';

/** Name in a `Host` header: without port and brackets, in lower case. */
function nameOf(host: string | undefined): string {
  return (host ?? '')
    .toLowerCase()
    .replace(/:\d*$/, '')
    .replace(/^\[(.*)\]$/, '$1');
}

/**
 * Admits requests to the admin API. After 20 wrong tokens within a minute an address has to wait the minute out. What a request shows is
 * hashed and compared with the hash of every token there is, none of them earlier or later than others: how long that takes
 * tells how many there are, and nothing about them.
 */
export class Guard {
  readonly #admin: Buffer;
  readonly #tokens: GuardOptions['tokens'];
  readonly #names: ReadonlySet<string>;
  /** Wrong tokens by address, the oldest first. */
  readonly #guesses = new Map<string, Guesses>();
  readonly #bearers = new WeakMap<IncomingMessage, Bearer>();

  constructor(options: GuardOptions) {
    this.#admin = digestOf(options.token);
    this.#tokens = options.tokens;
    this.#names = new Set(['localhost', ...options.names.map((name) => name.toLowerCase())]);
  }

  /**
   * Why `request` may not; undefined when it may.
   * @param scope what its token has to be allowed; `any`: any token will do
   */
  deny(request: IncomingMessage, scope: Scope | 'any' = 'read'): Denial | undefined {
    const name = nameOf(request.headers.host);
    // Whoever reaches a unix socket is no page of a browser: there is no name to be taken over.
    const isLocal = isFromSocket(request);
    if (!isLocal && !this.#knows(name)) return { error: strangeName(name), headers: {} };
    if (isForeign(request)) return { error: strangeOrigin(request.headers.origin), headers: {} };
    const source = isLocal ? 'socket' : sourceOf(request.socket.remoteAddress);
    const now = performance.now();
    const wait = this.#wait(source, now);
    if (wait > 0) return { error: tooMany(wait), headers: { 'retry-after': String(wait) } };
    if (urlCarriesToken(request)) return challenge(unauthorized(inUrl));
    const { authorization = [] } = request.headersDistinct;
    if (authorization.length > 1) return challenge(unauthorized(twice));
    const [, given] = /^Bearer +([^\s]+)$/i.exec(authorization[0] ?? '') ?? [];
    const bearer = given === undefined ? undefined : this.#bearerOf(given);
    if (bearer === undefined) {
      if ((authorization[0] ?? '') !== '') this.#count(source, now);
      return challenge(unauthorized(given === undefined ? noToken : wrongToken(given)));
    }
    return this.#denyBearer(request, bearer, scope);
  }

  /** As the audit log names whoever sent `request`, once it was asked whether it may: the address, and the token's name. */
  who(request: IncomingMessage): string {
    const bearer = this.#bearers.get(request) ?? 'admin';
    const address = isFromSocket(request) ? 'socket' : (request.socket.remoteAddress ?? '');
    const place = `api ${address}`.trimEnd();
    return bearer === 'admin' ? place : `${place} token ${bearer.name}`;
  }

  #denyBearer(request: IncomingMessage, bearer: Bearer, scope: Scope | 'any'): Denial | undefined {
    this.#bearers.set(request, bearer);
    if (bearer === 'admin') return undefined;
    if (isExpired(bearer)) return challenge(expired(bearer), 'invalid_token');
    const { scopes, plugins } = bearer;
    if (scope !== 'any' && !scopes.includes(scope) && !scopes.includes('admin'))
      return challenge(scopeMissing(bearer, scope), 'insufficient_scope', scope);
    if (scope !== 'any' && plugins !== undefined) {
      const about = aboutPlugin(request);
      if (about === undefined || !plugins.includes(about))
        return challenge(otherPlugin(bearer, plugins, about), 'insufficient_scope');
    }
    this.#tokens?.used(bearer);
    return undefined;
  }

  #bearerOf(given: string): Bearer | undefined {
    const digest = digestOf(given);
    const found = this.#tokens?.find(digest);
    return timingSafeEqual(digest, this.#admin) ? 'admin' : found;
  }

  /** A page can give its own name any address (DNS rebinding), so a name must be known; an address is what it is. */
  #knows(name: string): boolean {
    return isIP(name) !== 0 || this.#names.has(name) || name.endsWith('.localhost');
  }

  /** Seconds until `source` is listened to again. */
  #wait(source: string, now: number): number {
    const guesses = this.#guesses.get(source);
    if (guesses === undefined || guesses.count < guessLimit || guesses.end <= now) return 0;
    return Math.ceil((guesses.end - now) / 1000);
  }

  #count(source: string, now: number): void {
    const before = this.#guesses.get(source);
    if (before !== undefined && before.end > now) {
      before.count += 1;
      return;
    }
    this.#guesses.delete(source);
    const [oldest] = this.#guesses.keys();
    if (oldest !== undefined && this.#guesses.size >= keptAddresses) this.#guesses.delete(oldest);
    this.#guesses.set(source, { count: 1, end: now + guessWindowMs });
  }
}

/** With the header that says how to do better (RFC 6750). */
function challenge(error: TenonError, reason?: 'invalid_token' | 'insufficient_scope', scope?: Scope): Denial {
  const why = reason === undefined ? '' : `, error="${reason}"`;
  const needed = scope === undefined ? '' : `, scope="${scope}"`;
  return { error, headers: { 'www-authenticate': `Bearer realm="tenon"${why}${needed}` } };
}

function strangeName(name: string): TenonError {
  return new TenonError('HostNotAllowed', `the admin API is not served under the name ${JSON.stringify(name)}`, {
    next: 'call it by an address or by localhost, or add the name to the setting `adminHosts`',
    details: { name },
  });
}

function strangeOrigin(origin: string | undefined): TenonError {
  const page = origin === undefined ? 'another site' : JSON.stringify(origin);
  return new TenonError('OriginNotAllowed', `a page of ${page} may not use the admin API`, {
    next: 'ask from a page of this host, or from a program that is no browser',
    details: origin === undefined ? {} : { origin },
  });
}

function tooMany(seconds: number): TenonError {
  return new TenonError('TooManyAttempts', 'this address has sent too many wrong admin tokens', {
    next: `wait ${seconds} s`,
    details: { seconds },
  });
}

const noToken = 'this call needs the admin token, or another one that allows it';
const twice = 'the request has more than one header `Authorization`';
const inUrl = 'the URL carries a token: what stands in URLs is written into logs, so the token should be revoked';

function wrongToken(given: string): string {
  const kind = kindOf(given);
  if (kind === 'damaged') return 'the token is mistyped or cut: its checksum is wrong';
  if (kind === 'whole') return 'the token is none of this host: it was revoked, or is of another host';
  return 'the token is neither the admin token of this host nor one that was made here';
}

function unauthorized(sentence: string): TenonError {
  return new TenonError('Unauthorized', sentence, {
    next: 'send `Authorization: Bearer TOKEN` with the token of the data directory, or one of `tenon token create`',
  });
}

function expired({ name, expiresAt = '' }: KeptToken): TenonError {
  return new TenonError('Unauthorized', `the token ${name} expired at ${expiresAt}`, {
    next: 'make another one with `tenon token create`',
    details: { token: name, expiresAt },
  });
}

function scopeMissing({ name, scopes }: KeptToken, needed: Scope): TenonError {
  return new TenonError(
    'ScopeMissing',
    `this call needs the scope ${needed}, and the token ${name} has ${scopes.join(', ')}`,
    {
      next: 'use a token that has it',
      details: { token: name, needed, scopes },
    },
  );
}

function otherPlugin({ name, scopes }: KeptToken, plugins: readonly string[], about: string | undefined): TenonError {
  const subject = about === undefined ? 'is about no single plugin' : `is about ${JSON.stringify(about)}`;
  return new TenonError(
    'ScopeMissing',
    `this call ${subject}, and the token ${name} is for ${plugins.join(', ')} only`,
    {
      next: 'use a token that is not limited to plugins',
      details: { token: name, scopes, plugins },
    },
  );
}
