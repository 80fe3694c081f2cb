/** One connection to a database, from its making to its end. */
import type { Session } from './database.js';
import { unavailable } from './unavailable.js';

export interface Link extends Session {
  /** As `Database.transaction`. */
  transaction<Result>(work: (session: Session) => Promise<Result>): Promise<Result>;
  /** For what comes before anything is told: migrations. */
  readonly session: Session;
  /** Listens from now on. Rejects when it cannot. */
  listen(notified: (payload: string) => void): Promise<void>;
  /** Resolves with why, once the connection is of no use any more; not after `end`. */
  readonly broken: Promise<Error>;
  /** Gives back what it holds. Never rejects; twice is fine. */
  end(): Promise<void>;
}

/** Makes one. Rejects when that fails, or soon after `signal` is aborted; nothing is left of it then. */
export type Connect = (signal: AbortSignal) => Promise<Link>;

interface Answer {
  /** What the database says it has done. */
  readonly command?: string | undefined;
}

/**
 * `work` between BEGIN and COMMIT of `session`, for `limitMs` at most; `command` runs those. A transaction in which a statement has
 * failed is rolled back by the database, also when `work` has looked away: that rejects too.
 */
export async function runTransaction<Result>(
  session: Session,
  command: (text: string) => Promise<Answer>,
  work: (session: Session) => Promise<Result>,
  { limitMs, place }: { readonly limitMs: number; readonly place: string },
): Promise<Result> {
  let open = true;
  let failure: Error | undefined;
  const inside: Session = {
    async query<Row extends object>(text: string, values?: readonly unknown[]): Promise<Row[]> {
      if (!open) throw new TypeError('query: the transaction has ended');
      try {
        return await session.query<Row>(text, values);
      } catch (error) {
        failure ??= error instanceof Error ? error : new Error(String(error));
        throw error;
      }
    },
  };
  await command('BEGIN');
  try {
    const result = await withinTime(work(inside), limitMs, place);
    open = false;
    const { command: done } = await command('COMMIT');
    if (done !== undefined && done !== 'COMMIT')
      throw failure ?? new Error('the transaction was rolled back by the database');
    return result;
  } catch (error) {
    if (open) {
      open = false;
      await command('ROLLBACK').catch(() => {}); // the error that counts is the first one
    }
    throw error;
  }
}

async function withinTime<Result>(work: Promise<Result>, limitMs: number, place: string): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(unavailable(place, `a transaction was not done after ${limitMs} ms`)), limitMs);
    timer.unref();
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
