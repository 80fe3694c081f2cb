/** Tokens beside the admin token: made, revoked, looked up by what a request shows. Their file has hashes alone. */
import { timingSafeEqual } from 'node:crypto';
import { statSync } from 'node:fs';
import { keepPrivate } from '../base/data-directory.js';
import { TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import { readRegular } from '../base/regular.js';
import { replaceFile } from '../base/replace-file.js';
import type { Audit } from '../bundle/audit.js';
import type { Scope } from './operation.js';
import { digestOf, makeToken } from './token-text.js';
import { type KeptToken, mostTokens, parseTokens, textOf, tokensFileLimit, unusable } from './tokens-file.js';

export interface TokensOptions {
  /** Absolute path; made, 0600, when the first token is. */
  file: string;
  /** Told before anything changes. */
  audit: Pick<Audit, 'write'>;
  log: Log;
}

/** What a token is to be. */
export interface TokenWish {
  name: string;
  scopes: readonly Scope[];
  plugins?: readonly string[] | undefined;
  /** From now on; absent: it does not expire. */
  lifetimeMs?: number | undefined;
  /** For the audit log. */
  by: string;
}

/** A token as it may be shown. */
export interface TokenView extends Omit<KeptToken, 'sha256'> {
  readonly expired: boolean;
}

/** Between two times that the last use of tokens is written down, ms. */
const usesKeptMs = 10 * 60_000;

interface Known extends KeptToken {
  readonly digest: Buffer;
}

/**
 * The tokens of one host. When their file cannot be used, that is logged and told to whoever asks for them, none of them is admitted, and
 * the file stays as it is.
 */
export class Tokens {
  readonly #options: TokensOptions;
  #known: readonly Known[] = [];
  #trouble: TenonError | undefined;
  /** Last uses since the file was written, by id. */
  readonly #uses = new Map<string, string>();
  #usesWritten = performance.now();
  #writing: Promise<unknown> = Promise.resolve();

  private constructor(options: TokensOptions) {
    this.#options = options;
  }

  static async open(options: TokensOptions): Promise<Tokens> {
    const tokens = new Tokens(options);
    await tokens.reload();
    return tokens;
  }

  /** Read the file again: what it says holds from then on. Never rejects. */
  reload(): Promise<void> {
    return this.#alone(() => this.#read());
  }

  /** The token with this digest, expired or not. Each one is compared, whichever it is. */
  find(digest: Buffer): KeptToken | undefined {
    let found: Known | undefined;
    for (const token of this.#known) if (timingSafeEqual(token.digest, digest)) found = token;
    return found;
  }

  /** Somebody was admitted with it. */
  used({ id }: KeptToken): void {
    this.#uses.set(id, new Date().toISOString());
    if (performance.now() - this.#usesWritten < usesKeptMs) return;
    this.#usesWritten = performance.now();
    void this.#keepUses();
  }

  /** By name. Throws `TokensInvalid`. */
  list(): TokenView[] {
    this.#requireUsable();
    return this.#known.map((token) => this.#view(token)).sort((one, other) => (one.name < other.name ? -1 : 1));
  }

  /** Make one; its text is told here, and nowhere again. Rejects with `TokenExists`, `BadRequest` for too many, `TokensInvalid`, `NotRecorded`. */
  create({ name, scopes, plugins, lifetimeMs, by }: TokenWish): Promise<{ token: string; view: TokenView }> {
    return this.#alone(async () => {
      await this.#read();
      this.#requireUsable();
      if (this.#known.some((known) => known.name === name))
        throw new TenonError('TokenExists', `there is a token ${name} already`, {
          next: `revoke it first, or choose another name`,
          details: { name },
        });
      if (this.#known.length >= mostTokens)
        throw new TenonError('BadRequest', `there are ${mostTokens} tokens, which is the limit`, {
          next: 'revoke those that nobody uses',
        });
      const { token, id } = makeToken();
      const digest = digestOf(token);
      const made: Known = {
        name,
        id,
        sha256: digest.toString('hex'),
        scopes,
        ...(plugins === undefined ? {} : { plugins }),
        createdAt: new Date().toISOString(),
        createdBy: by,
        ...(lifetimeMs === undefined ? {} : { expiresAt: new Date(Date.now() + lifetimeMs).toISOString() }),
        digest,
      };
      const message = [
        `${name} (${id}): ${scopes.join(', ')}`,
        ...(plugins === undefined ? [] : [`for ${plugins.join(', ')}`]),
        ...(made.expiresAt === undefined ? [] : [`until ${made.expiresAt}`]),
      ].join(' ');
      await this.#options.audit.write({ action: 'createToken', message, by });
      await this.#write([...this.#known, made]);
      return { token, view: this.#view(made) };
    });
  }

  /** Admit it no more, from the next request on. Rejects with `TokenNotFound`, `TokensInvalid`, `NotRecorded`. */
  revoke(name: string, by: string): Promise<void> {
    return this.#alone(async () => {
      await this.#read();
      this.#requireUsable();
      const gone = this.#known.find((token) => token.name === name);
      if (gone === undefined)
        throw new TenonError('TokenNotFound', `there is no token ${JSON.stringify(name)}`, {
          next: '`tenon token list` has those that are there',
          details: { name, known: this.#known.map((token) => token.name) },
        });
      await this.#options.audit.write({ action: 'revokeToken', message: `${name} (${gone.id})`, by });
      await this.#write(this.#known.filter((token) => token !== gone));
    });
  }

  /** What was used since is written down. */
  async close(): Promise<void> {
    await this.#keepUses();
  }

  #keepUses(): Promise<void> {
    const { log, file } = this.#options;
    return this.#alone(async () => {
      if (this.#uses.size === 0) return;
      await this.#read();
      if (this.#known.some(({ id }) => this.#uses.has(id))) await this.#write(this.#known);
    }).catch((error: unknown) => {
      log.warn({ err: error, path: file }, 'when tokens were last used could not be written');
    });
  }

  /** What somebody has written into the file by hand, or taken out of it, holds: nothing is written over it unread. */
  async #read(): Promise<void> {
    const { log, file } = this.#options;
    try {
      this.#take(await read(this.#options));
      this.#trouble = undefined;
    } catch (error) {
      this.#take([]);
      this.#trouble = error as TenonError;
      log.error({ err: error, path: file }, 'the tokens cannot be read: nobody is admitted but with the admin token');
    }
  }

  #alone<Result>(work: () => Promise<Result>): Promise<Result> {
    const done = this.#writing.then(work);
    this.#writing = done.catch(() => {}); // told to whoever asked for it
    return done;
  }

  #requireUsable(): void {
    if (this.#trouble !== undefined) throw this.#trouble;
  }

  #view({ digest: _digest, sha256: _sha256, ...token }: Known): TokenView {
    const lastUsedAt = this.#uses.get(token.id) ?? token.lastUsedAt;
    return { ...token, ...(lastUsedAt === undefined ? {} : { lastUsedAt }), expired: isExpired(token) };
  }

  async #write(tokens: readonly Known[]): Promise<void> {
    const uses = new Map(this.#uses);
    const next = tokens.map((token) => ({ ...token, ...lastUse(token.id, uses) }));
    const { file } = this.#options;
    await replaceFile(file, textOf(next.map(({ digest: _digest, ...kept }) => kept)), { durable: true }).catch(
      (cause: Error) => {
        throw new TenonError('NotRecorded', `${file} could not be written: ${cause.message}`, {
          next: 'see that its folder has room and may be written',
          details: { file },
          cause,
        });
      },
    );
    for (const [id, at] of uses) if (this.#uses.get(id) === at) this.#uses.delete(id);
    this.#known = next;
  }

  #take(tokens: readonly KeptToken[]): void {
    this.#known = tokens.map((token) => ({ ...token, digest: Buffer.from(token.sha256, 'hex') }));
  }
}

/**
 * Whether its time has come, by the clock of the machine as it stands: nothing is forgotten when it has, so that a clock that was wrong
 * for a while has done no harm once it is right.
 */
export function isExpired({ expiresAt }: Pick<KeptToken, 'expiresAt'>): boolean {
  return expiresAt !== undefined && Date.parse(expiresAt) <= Date.now();
}

function lastUse(id: string, uses: ReadonlyMap<string, string>): { lastUsedAt?: string } {
  const lastUsedAt = uses.get(id);
  return lastUsedAt === undefined ? {} : { lastUsedAt };
}

async function read({ file, log }: TokensOptions): Promise<readonly KeptToken[]> {
  try {
    if (statSync(file, { throwIfNoEntry: false }) === undefined) return [];
    keepPrivate(file, log);
    return parseTokens(await readRegular(file, tokensFileLimit), file);
  } catch (error) {
    throw error instanceof TenonError ? error : unusable(file, (error as Error).message, error);
  }
}
