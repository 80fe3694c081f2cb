/**
 * The native store as TypeScript sees it: the tables of one data directory. Calls that may touch a disk run on threads of the
 * store and answer by promise; nothing of it runs on libuv's pool.
 */
/** What a field, an item of a list or a member of an object may be. */
export interface FieldType {
  kind: 'ID' | 'String' | 'Int' | 'Float' | 'Boolean' | 'Date' | 'Any' | 'Enum' | 'List' | 'Object';
  /** No null. */
  required?: boolean;
  /** Of an Enum. */
  values?: string[];
  /** Of a List. */
  item?: FieldType;
  /** Of an Object. */
  members?: { name: string; type: FieldType; dropped?: boolean }[];
}

/** A stored field of a table. */
export interface FieldDefinition {
  name: string;
  type: FieldType;
  indexed?: boolean;
  role?: 'createdTime' | 'updatedTime' | 'expiresAt';
  /** Was in the schema once: what is stored stays readable. Set by the store. */
  dropped?: boolean;
  /** To `define` only: one of this name that is dropped is another field, which is kept under a name of its own. */
  anew?: boolean;
}

/** A table as the store keeps it. */
export interface TableDefinition {
  database: string;
  name: string;
  primaryKey: string;
  /** Milliseconds after its last write after which a record is gone; 0 or absent: never. */
  expirationMs?: number;
  /** Set by the store; a field's place is its number. */
  revision?: number;
  fields: FieldDefinition[];
}

/** One record: its JSON text, UTF-8, and what its ETag is made of (16 hexadecimal digits). */
export interface StoredRecord {
  json: Buffer;
  revision: string;
}

/** A condition on fields; see docs/tables.md, "Filters". */
export type Filter =
  | { and: Filter[] }
  | { or: Filter[] }
  | { not: Filter }
  | {
      field: string;
      op: 'eq' | 'ne' | 'lt' | 'le' | 'gt' | 'ge' | 'in' | 'nin' | 'contains' | 'starts' | 'ends' | 'like' | 'null';
      value: unknown;
    };

/** What to read of a table, in order. */
export interface TableQuery {
  filter?: Filter;
  /** Then by primary key. */
  order?: { field: string; descending?: boolean }[];
  /** Fields to show, in this order; all by default. */
  fields?: string[];
  /** 1 to 10,000. */
  limit: number;
  offset?: number;
  /** Cursor of an earlier page: go on after it; with `backwards` the page before it. */
  after?: string;
  backwards?: boolean;
  /** One record in a line instead of a list. */
  lines?: boolean;
  /** Give the cursor of every record. */
  cursors?: boolean;
}

export interface TablePage {
  json: Buffer;
  count: number;
  /** Cursors of the first and the last record; absent without records. */
  first?: string;
  last?: string;
  /** Of each record in their order, when they were asked for. */
  cursors?: string[];
  /** Whether more follow in the direction of reading. */
  more: boolean;
  /** What answered it, e.g. `index state` or `scan`. */
  plan: string;
  examined: number;
}

/** One write of a batch. `key` as it stands in a path, percent-decoded. */
export interface TableWrite {
  table: number;
  kind: 'put' | 'create' | 'replace' | 'patch' | 'remove';
  /** May be absent when the record brings its key, or gets a fresh one. */
  key?: string;
  /** JSON text, UTF-8; not touched until the promise settles. */
  json?: Uint8Array;
  /** Revisions of which the present record must have one, or `*` for any. */
  ifMatch?: string[] | '*';
  /** Revisions of which it may have none, or `*`: there may be none. */
  ifNoneMatch?: string[] | '*';
}

export interface TableWritten {
  outcome: 'created' | 'updated' | 'removed' | 'missing' | 'exists' | 'invalid' | 'precondition' | 'undone';
  /** Primary key as text. */
  key: string;
  /** The record as it is now; as it was, with `removed`. */
  record?: StoredRecord;
  /** With `invalid`: the field and what is wrong. */
  field?: string;
  message?: string;
}

export interface TableChange {
  /** Decimal digits; where to resume after it. */
  sequence: string;
  table: number;
  removed: boolean;
  key: string;
  record?: StoredRecord;
}

/** Changes of some tables in the order in which they became true. */
export interface ChangeFeed {
  /**
   * Settles once it is known that what it begins with is kept; rejects with `ChangesGone` when it is not. At most once, before the
   * first `next`, which else has it before it.
   */
  begin(): Promise<void>;
  /**
   * The next changes, at least one unless the feed is closed (then an empty list), at most `most`. Rejects with `ChangesGone` when the
   * reader was so slow that they are not kept any more. One call at a time.
   */
  next(most: number): Promise<TableChange[]>;
  /**
   * Sequence, decimal digits, up to which no change is missing in what `next` has given; moves with the changes of other tables too,
   * while `next` waits. `0` when nothing is known.
   */
  position(): string;
  /** Twice is fine; a waiting `next` resolves to an empty list. */
  close(): void;
}

export interface TableFacts {
  estimate: number;
  bytes: number;
  /** Fields whose index is still being built. */
  building: string[];
}

/** Where the RocksDB in use was found. */
export interface StoreEngine {
  version: string;
  library: string;
}

export interface StoreOptions {
  /** Made 0700 when absent. */
  directory: string;
  /** Files to try as RocksDB, best first; a bare name is looked for by the system. */
  libraries: string[];
  /** Whether each write waits for the disk; else the log is synced once a second. Either way it survives the process. */
  sync: boolean;
  /** Bytes of logs kept for feeds to resume from. */
  feedBytes: number;
  cacheBytes: number;
}

/**
 * The open store. Every promise rejects with an Error whose `code` is one of `StoreFull` (nothing was written; reads go on), `StoreFailed` (a disk
 * error: it has to be opened anew), `StoreClosed`, `QueryInvalid` (field and sentence in the message), `SortTooLarge`,
 * `SchemaIncompatible`, `ChangesGone`, `CursorInvalid`.
 */
export interface Store {
  readonly engine: StoreEngine;
  /** Tells this database from any other, hexadecimal. */
  readonly identity: string;
  /** Revision (high, low 32 bits) of the record that `getNow` just gave. */
  readonly words: Uint32Array;
  /** Make the table or bring it to this definition; its number while the store is open. Rejects with `SchemaIncompatible`. */
  define(definition: TableDefinition): Promise<number>;
  /** What `define` would reject with, or undefined; nothing changes. */
  incompatible(definition: TableDefinition): string | undefined;
  /** The definition as it is kept, with numbers, dropped fields and revision. */
  definition(table: number): TableDefinition;
  /** Tables there are, whether or not an application uses them now. */
  tables(): { number: number; database: string; name: string }[];
  facts(table: number): Promise<TableFacts>;
  drop(table: number): Promise<void>;
  /** The JSON text if it is in memory: null when there is no such record, undefined when a disk has to be asked (use `get`). */
  getNow(table: number, key: string): Buffer | null | undefined;
  /** The same, a short text (below 16 KiB) as a string with one character per byte: cheaper, and as node:http sends it. */
  getNowAsSent(table: number, key: string): string | Buffer | null | undefined;
  get(table: number, key: string): Promise<StoredRecord | null>;
  /** In the order of the keys, at most 10,000. Rejects with `BodyTooLarge` when the records have more than 64 MiB together. */
  getMany(table: number, keys: readonly string[]): Promise<(StoredRecord | null)[]>;
  query(table: number, query: TableQuery): Promise<TablePage>;
  count(table: number, filter?: Filter): Promise<number>;
  /** All of them or none: when one could not be done the others are `undone`. At most 100,000. */
  write(writes: readonly TableWrite[]): Promise<TableWritten[]>;
  /** Sequence of the newest write, decimal digits. */
  sequence(): string;
  /** Changes after `from` (a sequence; from now on when absent). Throws `ChangesGone` when `from` lies ahead of the newest. */
  feed(tables: readonly number[], from?: string): ChangeFeed;
  /** A small value beside the tables. */
  note(name: string): Promise<string | undefined>;
  setNote(name: string, value: string): Promise<void>;
  /** A copy of everything in `directory`, which must not exist yet, made while the store serves. */
  checkpoint(directory: string): Promise<void>;
  metrics(): Promise<Record<string, number>>;
  /** Why writes are refused at this time, if they are. */
  trouble(): { code: 'StoreFull' | 'StoreFailed'; message: string } | undefined;
  /** Try again to write, after a full disk or an error of it. Rejects with what is still wrong. */
  resume(): Promise<void>;
  /**
   * Pending reads by key and writes are finished; queries and counts that are under way reject with `StoreClosed`, feeds end, and
   * generations that still use it are shut out: they have 5 s to leave it and to give back the records they hold. Twice is fine.
   */
  close(): Promise<void>;
}

/** A store as the addon has it: what has a structure crosses as JSON text. */
export interface StoreHandle {
  readonly version: string;
  readonly library: string;
  readonly identity: string;
  readonly words: Uint32Array;
  open(): Promise<void>;
  define(definition: string): Promise<number>;
  incompatible(definition: string): string | undefined;
  definition(table: number): string;
  tables(): { number: number; database: string; name: string }[];
  facts(table: number): Promise<TableFacts>;
  drop(table: number): Promise<void>;
  /** A number: that many bytes of the text are behind the words, in the same memory, until the next call. */
  getNow(table: number, key: string): number | Buffer | null | undefined;
  getNow(table: number, key: string, asString: true): string | Buffer | null | undefined;
  get(table: number, key: string): Promise<StoredRecord | null>;
  getMany(table: number, keys: readonly string[]): Promise<(StoredRecord | null)[]>;
  query(table: number, query: string): Promise<TablePage>;
  count(table: number, filter?: string): Promise<number>;
  write(writes: readonly TableWrite[]): Promise<TableWritten[]>;
  sequence(): string;
  note(name: string): Promise<string | undefined>;
  setNote(name: string, value: string): Promise<void>;
  checkpoint(directory: string): Promise<void>;
  metrics(): Promise<string>;
  trouble(): { code: 'StoreFull' | 'StoreFailed'; message: string } | undefined;
  resume(): Promise<void>;
  close(): Promise<void>;
}

/** The part of the addon that makes stores. */
export interface StoreDoor {
  readonly StoreHandle: new (options: StoreOptions) => StoreHandle;
  readonly FeedHandle: new (store: StoreHandle, tables: readonly number[], from?: string) => ChangeFeed;
}

class OpenedStore implements Store {
  readonly #door: StoreDoor;
  readonly handle: StoreHandle;
  readonly engine: StoreEngine;
  readonly identity: string;
  readonly words: Uint32Array;
  readonly #text: Buffer;

  constructor(door: StoreDoor, handle: StoreHandle) {
    this.#door = door;
    this.handle = handle;
    this.engine = { version: handle.version, library: handle.library };
    this.identity = handle.identity;
    this.words = handle.words;
    this.#text = Buffer.from(handle.words.buffer, handle.words.byteLength);
  }

  define(definition: TableDefinition): Promise<number> {
    return this.handle.define(JSON.stringify(definition));
  }
  incompatible(definition: TableDefinition): string | undefined {
    return this.handle.incompatible(JSON.stringify(definition));
  }
  definition(table: number): TableDefinition {
    return JSON.parse(this.handle.definition(table)) as TableDefinition;
  }
  tables(): { number: number; database: string; name: string }[] {
    return this.handle.tables();
  }
  facts(table: number): Promise<TableFacts> {
    return this.handle.facts(table);
  }
  drop(table: number): Promise<void> {
    return this.handle.drop(table);
  }
  getNow(table: number, key: string): Buffer | null | undefined {
    const found = this.handle.getNow(table, key);
    if (typeof found !== 'number') return found;
    const bytes = Buffer.allocUnsafe(found);
    this.#text.copy(bytes, 0, 0, found);
    return bytes;
  }
  getNowAsSent(table: number, key: string): string | Buffer | null | undefined {
    return this.handle.getNow(table, key, true);
  }
  get(table: number, key: string): Promise<StoredRecord | null> {
    return this.handle.get(table, key);
  }
  getMany(table: number, keys: readonly string[]): Promise<(StoredRecord | null)[]> {
    return this.handle.getMany(table, keys);
  }
  query(table: number, query: TableQuery): Promise<TablePage> {
    return this.handle.query(table, JSON.stringify(query));
  }
  count(table: number, filter?: Filter): Promise<number> {
    return this.handle.count(table, filter === undefined ? undefined : JSON.stringify(filter));
  }
  write(writes: readonly TableWrite[]): Promise<TableWritten[]> {
    return this.handle.write(writes);
  }
  sequence(): string {
    return this.handle.sequence();
  }
  feed(tables: readonly number[], from?: string): ChangeFeed {
    return new this.#door.FeedHandle(this.handle, tables, from);
  }
  note(name: string): Promise<string | undefined> {
    return this.handle.note(name);
  }
  setNote(name: string, value: string): Promise<void> {
    return this.handle.setNote(name, value);
  }
  checkpoint(directory: string): Promise<void> {
    return this.handle.checkpoint(directory);
  }
  async metrics(): Promise<Record<string, number>> {
    return JSON.parse(await this.handle.metrics()) as Record<string, number>;
  }
  trouble(): { code: 'StoreFull' | 'StoreFailed'; message: string } | undefined {
    return this.handle.trouble();
  }
  resume(): Promise<void> {
    return this.handle.resume();
  }
  close(): Promise<void> {
    return this.handle.close();
  }
}

/**
 * Open the store of a data directory. Rejects with an Error with `code` `RocksdbMissing`, `StoreLocked`, `StoreDamaged`
 * (names the file), `StoreFailed`.
 */
export async function openStore(core: StoreDoor, options: StoreOptions): Promise<Store> {
  const handle = new core.StoreHandle(options);
  await handle.open();
  return new OpenedStore(core, handle);
}
