/** The door to the database of the registry: the same for one that is embedded and for a server. */

/** Runs statements. Values are given by `$1`, `$2`, …; JSON as text. Times come back as Date, bigint as string, jsonb as it was read. */
export interface Session {
  /** The rows. Rejects with the error of the database: `code` is its SQLSTATE. */
  query<Row extends object>(text: string, values?: readonly unknown[]): Promise<Row[]>;
}

/** What a database tells, each in its own turn of the event loop. */
export interface DatabaseListener {
  /**
   * Run on each new connection before it listens; a rejection ends the connection, which is tried again. Migrations go here.
   */
  prepare: (session: Session) => Promise<void>;
  /** A connection listens from now on: whatever was changed before can be read, whatever is changed later is told. */
  connected: () => void;
  /** No connection any more, or a try to connect has failed; tried again after `retryMs`. */
  lost: (error: Error, retryMs: number) => void;
  /** Something was told on the channel. It may come late, twice, or for nothing: a hint to read. */
  notified: (payload: string) => void;
}

/**
 * One database. `open` begins to connect and returns at once; from then on it connects by itself again, with growing random
 * waits, until it is closed.
 */
export interface Database extends Session {
  readonly kind: 'embedded' | 'server';
  /** Where it is, without password: for people. */
  readonly place: string;
  open(listener: DatabaseListener): void;
  /** Rejects with `RegistryUnavailable` at once while there is no connection, and when it breaks meanwhile. */
  query<Row extends object>(text: string, values?: readonly unknown[]): Promise<Row[]>;
  /** All of `work` or nothing. What `work` rejects with is what this rejects with. Same errors as `query`. */
  transaction<Result>(work: (session: Session) => Promise<Result>): Promise<Result>;
  /** Ends what is under way with `RegistryUnavailable`; twice is fine. */
  close(): Promise<void>;
}
