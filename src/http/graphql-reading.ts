/** What one request reads: records by key are asked for together, however many fields want one. */
import type { TenonError } from '../base/errors.js';
import type { Store, StoredRecord } from '../binding/store.js';
import type { Access } from './access.js';

/** A record as resolvers see it. */
export type RecordObject = { readonly [field: string]: unknown };

/** The record in its JSON text. */
export function parseRecord(json: Buffer): RecordObject {
  return JSON.parse(json.toString()) as RecordObject;
}

interface Wanted {
  readonly promise: Promise<RecordObject | null>;
  resolve(record: RecordObject | null): void;
  reject(error: unknown): void;
}

/** The reads of one request, and whether anybody still waits for them. */
export class Reading {
  readonly store: Store;
  /** What whoever asks may do. */
  readonly access: Access;
  /** By table, then by key; what was wanted since the last round. */
  readonly #wanted = new Map<number, Map<string, Wanted>>();
  #abandoned: TenonError | undefined;

  constructor(store: Store, access: Access) {
    this.store = store;
    this.access = access;
  }

  /** Nothing more is read or written for this request: whatever begins from now on throws `reason`. */
  abandon(reason: TenonError): void {
    this.#abandoned = reason;
  }

  /** Throws when the request was abandoned. */
  check(): void {
    if (this.#abandoned !== undefined) throw this.#abandoned;
  }

  /** The record with this key, null when there is none; at once when it is in memory. */
  get(table: number, key: string): RecordObject | null | Promise<RecordObject | null> {
    this.check();
    const now = this.store.getNow(table, key);
    if (now === undefined) return this.load(table, key);
    return now === null ? null : parseRecord(now);
  }

  /** The same, asked for together with all others that are wanted until the promises at hand are done. */
  load(table: number, key: string): Promise<RecordObject | null> {
    this.check();
    if (this.#wanted.size === 0) afterPromises(() => this.#round());
    let keys = this.#wanted.get(table);
    if (keys === undefined) this.#wanted.set(table, (keys = new Map<string, Wanted>()));
    let wanted = keys.get(key);
    if (wanted === undefined) keys.set(key, (wanted = makeWanted()));
    return wanted.promise;
  }

  #round(): void {
    const round = [...this.#wanted];
    this.#wanted.clear();
    for (const [table, keys] of round) {
      this.store.getMany(table, [...keys.keys()]).then(
        (records) => settle([...keys.values()], records),
        (error: unknown) => {
          for (const wanted of keys.values()) wanted.reject(error);
        },
      );
    }
  }
}

function settle(wanted: readonly Wanted[], records: readonly (StoredRecord | null)[]): void {
  wanted.forEach((one, index) => {
    try {
      const record = records[index] ?? null;
      one.resolve(record === null ? null : parseRecord(record.json));
    } catch (error) {
      one.reject(error);
    }
  });
}

function makeWanted(): Wanted {
  let resolve: Wanted['resolve'] = () => {};
  let reject: Wanted['reject'] = () => {};
  const promise = new Promise<RecordObject | null>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

/** Once the promises that are settled now, and those that they settle, have told whoever waits for them. */
function afterPromises(run: () => void): void {
  void Promise.resolve().then(() => process.nextTick(run));
}
