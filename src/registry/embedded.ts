/** The registry in the data directory: PGlite, PostgreSQL as WebAssembly, in a thread of its own. */
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { packageRoot } from '../base/package-root.js';
import type { BackoffLimits } from './backoff.js';
import type { Session } from './database.js';
import type { Answer, EmbeddedData, Question } from './embedded-worker.js';
import { LastingDatabase } from './lasting-database.js';
import { type Link, runTransaction } from './link.js';
import { unavailable } from './unavailable.js';

/** Opening a database takes a core for a second, and one that is damaged does not mend itself. */
const backoffOfOpening: BackoffLimits = { leastMs: 100, mostMs: 60_000 };
/** Beside the sources as well, so that they can be run without being built. */
const thread = path.join(packageRoot, 'dist', 'registry', 'embedded-worker.js');
/** What a first start begins with; `npm run build` makes it. */
export const registryTemplate = path.join(packageRoot, 'dist', 'registry-template.tar.gz');

export interface EmbeddedTimes {
  /** For the database to be there, a first start included, ms. */
  readonly startMs: number;
  /** For one statement, ms: one that takes longer will never end. */
  readonly statementMs: number;
  /** For all of a transaction, ms. */
  readonly transactionMs: number;
  /** For its end, ms. */
  readonly endMs: number;
  /** Between two times that the log is cut and old rows are swept out, ms: PGlite does neither by itself. */
  readonly upkeepMs: number;
}

export const usualEmbeddedTimes: EmbeddedTimes = {
  startMs: 120_000,
  statementMs: 30_000,
  transactionMs: 30_000,
  endMs: 5000,
  upkeepMs: 60 * 60 * 1000,
};

export interface EmbeddedDatabaseOptions {
  /**
   * Absolute path, made at the first start. Whoever opens it must hold the lock of the data directory: two processes in it would
   * destroy it.
   */
  readonly directory: string;
  /** Archive that a first start begins with; null, or one that is not there: a first start from nothing, which takes longer. */
  readonly template?: string | null | undefined;
  readonly times?: Partial<EmbeddedTimes> | undefined;
  readonly backoff?: BackoffLimits | undefined;
}

/** One thread with one PGlite; statements run one after the other. When PGlite is lost, a new thread opens the directory again. */
export class EmbeddedDatabase extends LastingDatabase {
  constructor({ directory, template = registryTemplate, times, backoff = backoffOfOpening }: EmbeddedDatabaseOptions) {
    if (!path.isAbsolute(directory)) throw new TypeError(`directory: ${directory} is not an absolute path`);
    const all = { ...usualEmbeddedTimes, ...times };
    super({
      kind: 'embedded',
      place: directory,
      backoff,
      connect: (signal) => start({ directory, template }, all, signal),
    });
  }
}

async function start(data: EmbeddedData, times: EmbeddedTimes, signal: AbortSignal): Promise<Link> {
  const link = new EmbeddedLink(data, times);
  const abort = (): void => link.cut(new Error('closed'));
  signal.addEventListener('abort', abort, { once: true });
  const timer = setTimeout(() => link.cut(new Error(`it was not there after ${times.startMs} ms`)), times.startMs);
  try {
    const failed = await Promise.race([link.ready, link.broken]);
    if (failed === undefined) return link;
    await link.end();
    throw failed;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
  }
}

interface Waiting {
  readonly resolve: (answer: Extract<Answer, { kind: 'rows' }>) => void;
  readonly reject: (error: Error) => void;
}

class EmbeddedLink implements Link {
  readonly ready: Promise<undefined>;
  readonly broken: Promise<Error>;
  readonly session: Session;
  readonly #place: string;
  readonly #times: EmbeddedTimes;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #break: (error: Error) => void = () => {};
  #started: () => void = () => {};
  #closed: () => void = () => {};
  #notified: (payload: string) => void = () => {};
  #turn: Promise<unknown> = Promise.resolve();
  #upkeepTimer: NodeJS.Timeout | undefined;
  #next = 0;
  #gone = false;

  constructor(data: EmbeddedData, times: EmbeddedTimes) {
    this.#place = data.directory;
    this.#times = times;
    this.ready = new Promise((resolve) => {
      this.#started = () => resolve(undefined);
    });
    this.broken = new Promise((resolve) => {
      this.#break = resolve;
    });
    this.session = { query: (text, values) => this.#rows(text, values) };
    this.#worker = new Worker(thread, { workerData: data, execArgv: [], stdin: false });
    this.#worker.on('message', (answer: Answer) => this.#hear(answer));
    this.#worker.on('error', (error) => this.cut(error));
    this.#worker.on('messageerror', (error) => this.cut(error));
    this.#worker.on('exit', (code) => {
      this.#closed();
      this.cut(new Error(`its thread has ended (${code})`));
    });
  }

  query<Row extends object>(text: string, values?: readonly unknown[]): Promise<Row[]> {
    return this.#inTurn(() => this.#rows<Row>(text, values));
  }

  transaction<Result>(work: (session: Session) => Promise<Result>): Promise<Result> {
    return this.#inTurn(() =>
      runTransaction(this.session, (text) => this.#ask(text, []), work, {
        limitMs: this.#times.transactionMs,
        place: this.#place,
      }),
    );
  }

  async listen(notified: (payload: string) => void): Promise<void> {
    this.#notified = notified;
    await this.#ask('LISTEN', undefined);
    this.#upkeep();
  }

  /** Ends the thread where it is, as a kill would. */
  cut(cause: Error, next?: string): void {
    const failure = unavailable(this.#place, cause.message, { cause, ...(next === undefined ? {} : { next }) });
    this.#break(failure);
    if (this.#gone) return;
    this.#gone = true;
    this.#giveUp(failure);
    void this.#worker.terminate();
  }

  async end(): Promise<void> {
    if (!this.#gone) {
      this.#gone = true;
      this.#giveUp(unavailable(this.#place, 'it is closed'));
      const closed = new Promise<void>((resolve) => {
        this.#closed = resolve;
      });
      this.#post({ kind: 'close' });
      const timer = setTimeout(this.#closed, this.#times.endMs);
      await closed;
      clearTimeout(timer);
    }
    await this.#worker.terminate();
  }

  #upkeep(): void {
    this.#upkeepTimer = setTimeout(() => {
      this.query('VACUUM')
        .then(() => this.query('CHECKPOINT'))
        .then(
          () => this.#gone || this.#upkeep(),
          (error: Error) => this.cut(error),
        );
    }, this.#times.upkeepMs);
    this.#upkeepTimer.unref();
  }

  #giveUp(error: Error): void {
    clearTimeout(this.#upkeepTimer);
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  #hear(answer: Answer): void {
    if (answer.kind === 'ready') this.#started();
    else if (answer.kind === 'closed') this.#closed();
    else if (answer.kind === 'notified') this.#notified(answer.payload);
    else if (answer.kind === 'lost') this.cut(new Error(answer.message), answer.next);
    else {
      const waiting = this.#waiting.get(answer.id);
      this.#waiting.delete(answer.id);
      if (answer.kind === 'rows') waiting?.resolve(answer);
      else waiting?.reject(Object.assign(new Error(answer.message), answer.facts));
    }
  }

  async #rows<Row extends object>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    return (await this.#ask(text, values)).rows as Row[];
  }

  /** `values` is absent to listen. */
  async #ask(text: string, values: readonly unknown[] | undefined): Promise<Extract<Answer, { kind: 'rows' }>> {
    if (this.#gone) throw unavailable(this.#place, 'its thread has ended');
    const id = ++this.#next;
    const late = setTimeout(
      () => this.cut(new Error(`a statement was not done after ${this.#times.statementMs} ms`)),
      this.#times.statementMs,
    );
    try {
      return await new Promise((resolve, reject) => {
        this.#waiting.set(id, { resolve, reject });
        this.#post(values === undefined ? { kind: 'listen', id } : { kind: 'query', id, text, values });
      });
    } catch (error) {
      this.#waiting.delete(id);
      throw error;
    } finally {
      clearTimeout(late);
    }
  }

  #post(question: Question): void {
    this.#worker.postMessage(question);
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => {});
    return turn;
  }
}
