/** A database that connects by itself again, whatever it is reached by. */
import { setTimeout as wait } from 'node:timers/promises';
import { TenonError } from '../base/errors.js';
import { lookForTracing, tracing } from '../base/tracing.js';
import { Backoff, type BackoffLimits, usualBackoff } from './backoff.js';
import type { Database, DatabaseListener, Session } from './database.js';
import type { Connect, Link } from './link.js';
import { StatementSpans } from './tracing-statements.js';
import { unavailable } from './unavailable.js';

export interface LastingDatabaseOptions {
  readonly kind: Database['kind'];
  /** Where it is, without password. */
  readonly place: string;
  readonly connect: Connect;
  readonly backoff?: BackoffLimits | undefined;
}

/** Opens, keeps and opens again; see `Database`. */
export class LastingDatabase implements Database {
  readonly kind: Database['kind'];
  readonly place: string;
  readonly #connect: Connect;
  readonly #spans: StatementSpans;
  readonly #backoff: Backoff;
  readonly #closing = new AbortController();
  /** What waits for an answer, by how it is told that none comes. */
  readonly #pending = new Set<(error: Error) => void>();
  #link: Link | undefined;
  #why: TenonError;
  #running: Promise<void> | undefined;

  constructor({ kind, place, connect, backoff }: LastingDatabaseOptions) {
    this.kind = kind;
    this.place = place;
    this.#connect = connect;
    this.#spans = new StatementSpans(place);
    this.#backoff = new Backoff(backoff ?? usualBackoff);
    this.#why = unavailable(place, 'it was not opened');
  }

  open(listener: DatabaseListener): void {
    if (this.#running !== undefined) throw new TypeError(`open: ${this.place} is open already`);
    if (this.#closing.signal.aborted) throw new TypeError(`open: ${this.place} is closed`);
    lookForTracing();
    this.#why = unavailable(this.place, 'it is being connected to');
    this.#running = this.#run(listener);
  }

  query<Row extends object>(text: string, values?: readonly unknown[]): Promise<Row[]> {
    const ask = (): Promise<Row[]> => this.#guarded((link) => link.query<Row>(text, values));
    return tracing.on ? this.#spans.statement(text, ask) : ask();
  }

  transaction<Result>(work: (session: Session) => Promise<Result>): Promise<Result> {
    if (!tracing.on) return this.#guarded((link) => link.transaction(work));
    const traced = (session: Session): Promise<Result> => work(this.#spans.session(session));
    return this.#spans.transaction(() => this.#guarded((link) => link.transaction(traced)));
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#lose(unavailable(this.place, 'it is closed'));
    await this.#running;
  }

  async #run(listener: DatabaseListener): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      const { error, link } = await this.#life(listener);
      if (!signal.aborted) this.#lose(error);
      const retryMs = this.#backoff.next();
      this.#tell(() => listener.lost(error, retryMs));
      // Before the next try: two in one directory would destroy it.
      await link?.end();
      await wait(retryMs, undefined, { signal }).catch(() => {}); // closing
    }
  }

  /** Connects and stays so as long as it goes; why it ended, and what is to be ended. */
  async #life(listener: DatabaseListener): Promise<{ error: TenonError; link: Link | undefined }> {
    const { signal } = this.#closing;
    let link: Link | undefined;
    let stop = (): void => {};
    const closed = new Promise<undefined>((resolve) => {
      stop = () => resolve(undefined);
      signal.addEventListener('abort', stop, { once: true });
    });
    try {
      link = await this.#connect(signal);
      const made = this.#prepared(link, listener).then(() => link?.broken);
      return { error: this.#told(await Promise.race([made, link.broken, closed])), link };
    } catch (error) {
      return { error: this.#told(error), link };
    } finally {
      signal.removeEventListener('abort', stop);
      this.#link = undefined;
    }
  }

  async #prepared(link: Link, listener: DatabaseListener): Promise<void> {
    await listener.prepare(tracing.on ? this.#spans.session(link.session) : link.session);
    let told = false;
    await link.listen((payload) => {
      if (told && this.#link === link) this.#tell(() => listener.notified(payload));
    });
    this.#link = link;
    // What comes before `connected` need not be told: everything is read after it.
    told = true;
    this.#backoff.reset();
    this.#tell(() => listener.connected());
  }

  #tell(what: () => void): void {
    setImmediate(() => {
      if (!this.#closing.signal.aborted) what();
    });
  }

  #lose(why: TenonError): void {
    this.#link = undefined;
    this.#why = why;
    for (const fail of this.#pending) fail(this.#away());
    this.#pending.clear();
  }

  #away(): TenonError {
    const { message, next } = this.#why;
    return new TenonError('RegistryUnavailable', message, {
      cause: this.#why,
      ...(next === undefined ? {} : { next }),
    });
  }

  #told(error: unknown): TenonError {
    if (error instanceof TenonError) return error;
    return unavailable(this.place, error instanceof Error ? error.message : 'it is closed', { cause: error });
  }

  #guarded<Result>(ask: (link: Link) => Promise<Result>): Promise<Result> {
    const link = this.#link;
    if (link === undefined) return Promise.reject(this.#away());
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => reject(error);
      this.#pending.add(fail);
      ask(link)
        .finally(() => this.#pending.delete(fail))
        .then(resolve, reject);
    });
  }
}
