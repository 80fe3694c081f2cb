/** The registry on a PostgreSQL server. */
import { Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { Client, type ClientConfig, DatabaseError, Pool, type PoolClient, type QueryResult } from 'pg';
import { TenonError } from '../base/errors.js';
import type { BackoffLimits } from './backoff.js';
import type { Session } from './database.js';
import { LastingDatabase } from './lasting-database.js';
import { type Link, runTransaction } from './link.js';
import { channel } from './migrations.js';
import { unavailable } from './unavailable.js';

export interface ServerTimes {
  /** To connect, and for a query to get a connection, ms. */
  readonly connectMs: number;
  /** For one statement, ms. */
  readonly statementMs: number;
  /** For all of a transaction, ms. */
  readonly transactionMs: number;
  /** Between two looks whether the server still answers, ms. */
  readonly keepAliveMs: number;
  /** For the answer to that, ms. */
  readonly answerMs: number;
}

export const usualServerTimes: ServerTimes = {
  connectMs: 5000,
  statementMs: 15_000,
  transactionMs: 30_000,
  keepAliveMs: 5000,
  answerMs: 5000,
};

export interface ServerDatabaseOptions {
  /**
   * `postgresql://user:password@host:port/database`, as pg reads it; what is not in it comes from PGHOST, PGUSER and so on.
   * Without `sslmode` nothing is encrypted. `?sslmode=verify-full` encrypts and checks the certificate and the name of the server;
   * `&sslrootcert=FILE` names the authority it must come from, instead of those that Node knows; `&sslcert=` and `&sslkey=` are the
   * host's own. `no-verify` encrypts and checks nothing. The other modes are as `verify-full`, with a warning.
   */
  readonly url: string;
  readonly times?: Partial<ServerTimes> | undefined;
  readonly backoff?: BackoffLimits | undefined;
}

const poolSize = 4;
const idleMs = 30_000;
const goodbyeMs = 500;
const graceMs = 100;
const readOnly = '25006';
/** Of the connection, not of the statement: it ends, or the statement took too long. */
const endings = /^(?:08|57P0|57014)/;

/**
 * One connection that listens, looked at every few seconds, and a pool of four for queries. All of them end together with the
 * one that listens. Throws `SettingsInvalid`, without the password, for a URL that cannot be read.
 */
export class ServerDatabase extends LastingDatabase {
  constructor({ url, times, backoff }: ServerDatabaseOptions) {
    const place = placeOf(url);
    const all = { ...usualServerTimes, ...times };
    super({ kind: 'server', place, backoff, connect: (signal) => connectTo(url, place, all, signal) });
  }
}

function placeOf(url: string): string {
  try {
    const { host, port, user, database } = new Client({ connectionString: url });
    const at = host.startsWith('/') ? `${host}:${port}` : `${host.includes(':') ? `[${host}]` : host}:${port}`;
    return `postgresql://${user === undefined ? '' : `${user}@`}${at}/${database ?? ''}`;
  } catch (error) {
    // Not as its cause: it may hold the URL.
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === 'ERR_INVALID_URL' ? '' : message;
    throw new TenonError('SettingsInvalid', `registry.url cannot be read${reason === '' ? '' : `: ${reason}`}`, {
      next: 'write it as postgresql://user:password@host:5432/database, special characters of the password as %xx',
    });
  }
}

async function connectTo(url: string, place: string, times: ServerTimes, signal: AbortSignal): Promise<Link> {
  const link = new ServerLink(url, place, times);
  const abort = (): void => link.cut(new Error('closed'));
  signal.addEventListener('abort', abort, { once: true });
  try {
    await link.connect();
    return link;
  } catch (error) {
    await link.end();
    throw error;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

class ServerLink implements Link {
  readonly broken: Promise<Error>;
  readonly session: Session;
  readonly #place: string;
  readonly #times: ServerTimes;
  readonly #listening: Client;
  readonly #pool: Pool;
  readonly #sockets = new Set<Socket>();
  #break: (error: Error) => void = () => {};
  #keepAlive: NodeJS.Timeout | undefined;
  #ended = false;

  constructor(url: string, place: string, times: ServerTimes) {
    this.#place = place;
    this.#times = times;
    this.broken = new Promise((resolve) => {
      this.#break = resolve;
    });
    const config: ClientConfig = {
      connectionString: url,
      fallback_application_name: 'tenon',
      connectionTimeoutMillis: times.connectMs,
      statement_timeout: times.statementMs,
      // The server's own limit comes first, where it can still be heard.
      query_timeout: times.statementMs + times.answerMs,
      // A host that vanishes in a transaction holds up the others for so long.
      idle_in_transaction_session_timeout: times.statementMs,
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
      stream: () => this.#socket(),
    };
    this.#listening = new Client(config);
    this.#listening.on('error', (error) => this.cut(error));
    this.#listening.on('end', () => this.cut(new Error('the server ended the connection')));
    this.#pool = new Pool({ ...config, max: poolSize, idleTimeoutMillis: idleMs });
    // The pool drops such a client by itself; without a listener it would end the process.
    this.#pool.on('error', () => {});
    this.session = { query: (text, values) => this.#ask(this.#listening, text, values) };
  }

  async connect(): Promise<void> {
    try {
      await this.#listening.connect();
      const [row] = await this.session.query<{ read_only: string }>(
        "SELECT current_setting('transaction_read_only') AS read_only",
      );
      if (row?.read_only === 'on') throw unavailable(this.#place, 'the server is read-only (25006), a standby perhaps');
    } catch (error) {
      throw this.#told(error);
    }
  }

  async query<Row extends object>(text: string, values?: readonly unknown[]): Promise<Row[]> {
    return this.#withClient((client) => this.#ask<Row>(client, text, values));
  }

  transaction<Result>(work: (session: Session) => Promise<Result>): Promise<Result> {
    return this.#withClient((client, spoil) =>
      runTransaction(
        { query: (text, values) => this.#ask(client, text, values) },
        async (text) => {
          try {
            return await client.query(text);
          } catch (error) {
            spoil();
            throw this.#told(error);
          }
        },
        work,
        { limitMs: this.#times.transactionMs, place: this.#place },
      ),
    );
  }

  async listen(notified: (payload: string) => void): Promise<void> {
    this.#listening.on('notification', (message) => notified(message.payload ?? ''));
    await this.#ask(this.#listening, `LISTEN ${channel}`);
    this.#lookAgain();
  }

  /** Ends all connections at once, also those that nobody answers on; it is broken by `error` when it was not before. */
  cut(error: Error): void {
    this.#break(this.#told(error));
    this.#ended = true;
    clearTimeout(this.#keepAlive);
    for (const socket of this.#sockets) socket.destroy();
  }

  async end(): Promise<void> {
    const first = !this.#ended;
    this.#ended = true;
    clearTimeout(this.#keepAlive);
    const goodbye = Promise.allSettled([first ? this.#listening.end() : undefined, this.#endPool()]);
    // Nobody is left to say goodbye to when it was cut.
    if (first) await Promise.race([goodbye, wait(goodbyeMs, undefined, { ref: false })]);
    for (const socket of this.#sockets) socket.destroy();
  }

  async #endPool(): Promise<void> {
    if (!this.#pool.ending) await this.#pool.end();
  }

  #socket(): Socket {
    const socket = new Socket();
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    // Not before it has begun to connect: that would bring it back to life.
    if (this.#ended) setImmediate(() => socket.destroy());
    return socket;
  }

  #lookAgain(): void {
    this.#keepAlive = setTimeout(() => {
      const give = (): void => this.cut(new Error(`no answer within ${this.#times.answerMs} ms`));
      // Twice: after a time in which nothing ran here, the answer is here and not yet read.
      let late = setTimeout(() => {
        late = setTimeout(give, graceMs);
      }, this.#times.answerMs);
      this.#listening
        .query('SELECT 1')
        .then(
          () => this.#ended || this.#lookAgain(),
          (error: Error) => this.cut(error),
        )
        .finally(() => clearTimeout(late));
    }, this.#times.keepAliveMs);
  }

  async #withClient<Result>(work: (client: PoolClient, spoil: () => void) => Promise<Result>): Promise<Result> {
    let client: PoolClient;
    try {
      client = await this.#pool.connect();
    } catch (error) {
      throw this.#told(error);
    }
    let spoilt = false;
    const ignore = (): void => {
      spoilt = true;
    };
    client.on('error', ignore);
    try {
      return await work(client, ignore);
    } catch (error) {
      if (error instanceof TenonError && error.code === 'RegistryUnavailable') spoilt = true;
      throw error;
    } finally {
      client.off('error', ignore);
      client.release(spoilt);
    }
  }

  async #ask<Row extends object>(
    client: Client | PoolClient,
    text: string,
    values: readonly unknown[] = [],
  ): Promise<Row[]> {
    try {
      const asked = values.length === 0 ? client.query<Row>(text) : client.query<Row>(text, [...values]);
      // Of several statements in one text there are as many results.
      const result = (await asked) as QueryResult<Row> | QueryResult<Row>[];
      const last = [result].flat().at(-1);
      return last?.rows ?? [];
    } catch (error) {
      throw this.#told(error);
    }
  }

  /** What the database says of a statement stays as it is; all else means that it cannot be reached. */
  #told(error: unknown): Error {
    if (error instanceof TenonError) return error;
    const reason = error instanceof Error ? reasonOf(error) : String(error);
    const failure = unavailable(this.#place, reason, { cause: error });
    if (!(error instanceof DatabaseError)) return failure;
    const { code = '' } = error;
    // Another server behind the same address has to be found; that one connection has ended says nothing of the others.
    if (code === readOnly) this.#break(failure);
    return code === readOnly || endings.test(code) ? failure : error;
  }
}

/** The first of several tries (IPv6 and IPv4) says more than that there were several. */
function reasonOf(error: Error): string {
  if (error instanceof AggregateError) return error.errors.map((each: Error) => each.message).join(', ');
  return error.message;
}
