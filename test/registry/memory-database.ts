import { PGlite } from '@electric-sql/pglite';
import { TenonError } from '../../src/base/errors.js';
import type { Database, DatabaseListener, Session } from '../../src/registry/database.js';
import { channel } from '../../src/registry/migrations.js';

/** One registry in memory, as a server that several hosts reach, each by its own {@link MemoryDatabase}. */
export class MemoryServer {
  readonly pg = new PGlite();
  #preparing: Promise<void> = Promise.resolve();

  /** Statements of somebody who is no host. */
  async sql(text: string, values?: unknown[]): Promise<Record<string, unknown>[]> {
    if (values !== undefined) return (await this.pg.query<Record<string, unknown>>(text, values)).rows;
    return (await this.pg.exec(text)).at(-1)?.rows ?? [];
  }

  prepare(work: () => Promise<void>): Promise<void> {
    this.#preparing = this.#preparing.then(work, work);
    return this.#preparing;
  }
}

/** A connection that a test cuts, holds up and counts. */
export class MemoryDatabase implements Database {
  readonly kind = 'embedded';
  readonly place = 'memory';
  /** Statements outside of transactions and in them, as they came. */
  readonly statements: string[] = [];
  readonly #server: MemoryServer;
  #listener: DatabaseListener | undefined;
  #stopListening: (() => Promise<void>) | undefined;
  #connected = false;
  #losses = 0;
  #reachable: boolean;
  closed = false;
  /** Transactions that are under way. */
  transactions = 0;
  /** Whether it is told of changes. */
  deaf = false;
  #held: { beginning: string; promise: Promise<void> } | undefined;
  readonly #letGo: (() => void)[] = [];

  constructor(server: MemoryServer, { reachable = true } = {}) {
    this.#server = server;
    this.#reachable = reachable;
  }

  open(listener: DatabaseListener): void {
    this.#listener = listener;
    void this.#connect();
  }

  /** Reads of plugins so far. */
  get reads(): number {
    return this.statements.filter((text) => text.startsWith('SELECT name, source_path')).length;
  }

  /** The connection breaks, and none is made until {@link back}. */
  cut(): void {
    this.#reachable = false;
    this.#drop();
  }

  back(): void {
    this.#reachable = true;
    void this.#connect();
  }

  /** The answer to the next statement that begins so comes when what this gives is called. */
  holdNext(beginning = ''): () => void {
    const { promise, resolve } = withResolvers();
    this.#held = { beginning, promise };
    this.#letGo.push(resolve);
    return resolve;
  }

  async query<Row extends object>(text: string, values?: readonly unknown[]): Promise<Row[]> {
    return this.#run(text, () => this.#session(this.#server.pg).query<Row>(text, values));
  }

  async transaction<Result>(work: (session: Session) => Promise<Result>): Promise<Result> {
    this.transactions += 1;
    try {
      return await this.#run('BEGIN', () =>
        this.#server.pg.transaction((transaction) => work(this.#session(transaction))),
      );
    } finally {
      this.transactions -= 1;
    }
  }

  async close(): Promise<void> {
    this.closed = true;
    this.#drop();
    for (const letGo of this.#letGo) letGo();
    await this.#stopListening?.();
  }

  async #connect(): Promise<void> {
    if (!this.#reachable) {
      setImmediate(() => this.#listener?.lost(new Error('connection refused'), 1000));
      return;
    }
    const losses = this.#losses;
    const session = this.#session(this.#server.pg);
    await this.#server.prepare(async () => this.#listener?.prepare(session));
    this.#stopListening ??= await this.#server.pg.listen(channel, (payload) => {
      if (this.#connected && !this.deaf) setImmediate(() => this.#listener?.notified(payload));
    });
    setImmediate(() => {
      // A loss that came meanwhile is told first, and the connection after it is another.
      if (this.closed || !this.#reachable || this.#connected || losses !== this.#losses) return;
      this.#connected = true;
      this.#listener?.connected();
    });
  }

  #drop(): void {
    if (!this.#connected) return;
    this.#connected = false;
    this.#losses += 1;
    if (!this.closed) setImmediate(() => this.#listener?.lost(new Error('connection terminated'), 1000));
  }

  async #run<Result>(text: string, work: () => Promise<Result>): Promise<Result> {
    if (!this.#connected) throw unavailable();
    const held = this.#held !== undefined && text.startsWith(this.#held.beginning) ? this.#held.promise : undefined;
    if (held !== undefined) this.#held = undefined;
    const result = await work();
    await held;
    if (!this.#connected) throw unavailable();
    return result;
  }

  #session(connection: Pick<PGlite, 'query' | 'exec'>): Session {
    return {
      query: async <Row extends object>(text: string, values?: readonly unknown[]): Promise<Row[]> => {
        this.statements.push(text);
        if (values === undefined) return ((await connection.exec(text)).at(-1)?.rows ?? []) as Row[];
        return (await connection.query<Row>(text, [...values])).rows;
      },
    };
  }
}

function unavailable(): TenonError {
  return new TenonError('RegistryUnavailable', 'there is no connection to the registry');
}

function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
