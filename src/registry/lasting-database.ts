/** A database that connects by itself again, whatever it is reached by. */
import { setTimeout as wait } from 'node:timers/promises';
import { TenonError } from '../base/errors.js';
import { Backoff, type BackoffLimits, usualBackoff } from './backoff.js';
import type { Database, DatabaseListener, Session } from './database.js';
import type { Connect, Link } from './link.js';

export interface LastingDatabaseOptions {
  readonly kind: Database['kind'];
  /** Where it is, without password. */
  readonly place: string;
  readonly connect: Connect;
  readonly backoff?: BackoffLimits | undefined;
  /** Whether an error of a statement means that the connection is of no use for what it is needed for. */
  readonly isFatal?: ((error: Error) => boolean) | undefined;
}

/** Opens, keeps and opens again; see `Database`. */
export class LastingDatabase implements Database {
  readonly kind: Database['kind'];
  readonly place: string;
  readonly #connect: Connect;
  readonly #backoff: Backoff;
  readonly #closing = new AbortController();
  /** What waits for an answer, by how it is told that none comes. */
  readonly #pending = new Set<(error: Error) => void>();
  #link: Link | undefined;
  #why = 'it was not opened';
  #running: Promise<void> | undefined;

  constructor({ kind, place, connect, backoff }: LastingDatabaseOptions) {
    this.kind = kind;
    this.place = place;
    this.#connect = connect;
    this.#backoff = new Backoff(backoff ?? usualBackoff);
  }

  open(listener: DatabaseListener): void {
    if (this.#running !== undefined) throw new TypeError(`open: ${this.place} is open already`);
    if (this.#closing.signal.aborted) throw new TypeError(`open: ${this.place} is closed`);
    this.#why = 'it is being connected to';
    this.#running = this.#run(listener);
  }

  query<Row extends object>(text: string, values?: readonly unknown[]): Promise<Row[]> {
    return this.#guarded((link) => link.query<Row>(text, values));
  }

  transaction<Result>(work: (session: Session) => Promise<Result>): Promise<Result> {
    return this.#guarded((link) => link.transaction(work));
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#lose('it is closed');
    await this.#running;
  }

  async #run(listener: DatabaseListener): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      const error = await this.#connectedOnce(listener);
      if (signal.aborted) return;
      const retryMs = this.#backoff.next();
      this.#lose(error.message);
      this.#tell(() => listener.lost(error, retryMs));
      await wait(retryMs, undefined, { signal }).catch(() => {}); // closing
    }
  }

  /** Connects and stays so as long as it goes; why it ended. */
  async #connectedOnce(listener: DatabaseListener): Promise<Error> {
    const { signal } = this.#closing;
    let link: Link | undefined;
    let stop = (): void => {};
    const closed = new Promise<Error>((resolve) => {
      stop = () => resolve(new Error('closed'));
      signal.addEventListener('abort', stop, { once: true });
    });
    try {
      link = await this.#connect(signal);
      const { broken } = link;
      const made = this.#prepared(link, listener).then(() => undefined, asError);
      const failed = await Promise.race([made, broken, closed]);
      if (failed !== undefined) return failed;
      return await Promise.race([broken, closed]);
    } catch (error) {
      return asError(error);
    } finally {
      signal.removeEventListener('abort', stop);
      this.#link = undefined;
      // Not waited for while a next try is due: what is gone may take its time to say so.
      const ended = link?.end();
      if (signal.aborted) await ended;
    }
  }

  async #prepared(link: Link, listener: DatabaseListener): Promise<void> {
    await listener.prepare(link.session);
    let told = false;
    await link.listen((payload) => {
      if (told && this.#link === link) this.#tell(() => listener.notified(payload));
    });
    this.#link = link;
    // What comes before `connected` need not be told: everything is read after it.
    told = true;
    this.#backoff.reset();
    this.#tell(listener.connected);
  }

  #tell(what: () => void): void {
    setImmediate(() => {
      if (!this.#closing.signal.aborted) what();
    });
  }

  #lose(why: string): void {
    this.#link = undefined;
    this.#why = why;
    const error = this.#unavailable();
    for (const fail of this.#pending) fail(error);
    this.#pending.clear();
  }

  #guarded<Result>(ask: (link: Link) => Promise<Result>): Promise<Result> {
    const link = this.#link;
    if (link === undefined) return Promise.reject(this.#unavailable());
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => reject(error);
      this.#pending.add(fail);
      ask(link)
        .finally(() => this.#pending.delete(fail))
        .then(resolve, reject);
    });
  }

  #unavailable(): TenonError {
    return new TenonError('RegistryUnavailable', `the registry ${this.place} cannot be reached: ${this.#why}`, {
      next: this.kind === 'server' ? 'see that the server runs and can be reached' : 'try again in a moment',
    });
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
