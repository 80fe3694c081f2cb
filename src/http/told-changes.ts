/** What a client of changes is told, whatever carries it: where it stands, records, changes, a reset. */
import { asTenonError } from '../base/errors.js';
import type { Filter, Store, TableChange } from '../binding/store.js';
import type { Changes, Subscription } from '../tables/changes.js';
import type { GoneFields } from '../tables/gone-fields.js';
import type { ServedTable } from '../tables/served.js';
import { withoutGone } from './gone-members.js';
import { changeToken, sequenceOf } from './change-token.js';

/** What a client asks for. */
export interface ChangeWish {
  /** Token of the change after which to go on; from now on when absent. */
  from?: string;
  /** Of one record only. */
  key?: string;
  filter?: Filter;
  /** Unless the client goes on somewhere: the records there are first. */
  snapshot: boolean;
}

export type Told =
  /** All that comes from here on are changes after `resume`. */
  | { kind: 'ready'; resume: string; resumed: boolean }
  /** What the client knows may be wrong: changes are missing, or a snapshot begins. */
  | { kind: 'reset'; reason: string }
  /** A record that is there, of a snapshot. */
  | { kind: 'record'; key: string; json: Buffer }
  | { kind: 'change'; resume: string; change: TableChange };

export interface ChangeSource {
  readonly store: Store;
  readonly changes: Changes;
}

/** Event streams of changes that a host has at one time, and as many sockets. */
export const clientLimit = 1_000;

/** Who is told. */
export interface ChangeListener {
  /** Ends it. */
  readonly signal: AbortSignal;
  /** Called when changes begin to be told: where the client stands is the subscription's `position`. */
  readonly begun: (position: () => string) => void;
  /** Called at once when it has ended because too much waits to be told. */
  readonly tooSlow: () => void;
}

/** Bytes that a page of a snapshot should have about, and records it has at most. */
const portion = { bytes: 1024 * 1024, records: 500, first: 16 } as const;

/** Tells until the listener's signal or the host ends it. Throws what `Changes.subscribe` and its subscriptions throw, `ChangesGone` left out. */
export async function* tellChanges(
  { store, changes }: ChangeSource,
  { number: table, definition, gone }: ServedTable,
  wish: ChangeWish,
  { signal, tooSlow, begun }: ChangeListener,
): AsyncGenerator<Told, undefined, undefined> {
  const begin = (from: string): Subscription => changes.subscribe([table], { ...subscribed, from });
  const subscribed = {
    signal,
    tooSlow,
    ...(wish.key === undefined ? {} : { key: wish.key }),
    ...(wish.filter === undefined ? {} : { filter: wish.filter }),
  };
  let after = wish.from === undefined ? undefined : sequenceOf(store, wish.from);
  let reason = wish.from === undefined ? undefined : 'the id is of another database';
  if (reason === undefined && wish.snapshot) reason = 'all records follow';
  while (!signal.aborted) {
    try {
      const resumed = after !== undefined;
      if (!resumed && reason !== undefined) yield { kind: 'reset', reason };
      after ??= store.sequence();
      if (!resumed && wish.snapshot)
        for await (const { key, json } of snapshot(store, table, definition.primaryKey, wish, signal))
          yield { kind: 'record', key, json: withoutGone(json, gone) };
      const subscription = begin(after);
      await subscription.begun;
      if (signal.aborted) return;
      begun(() => changeToken(store, subscription.position));
      yield { kind: 'ready', resume: changeToken(store, after), resumed };
      for await (const change of subscription)
        yield { kind: 'change', resume: changeToken(store, change.sequence), change: shown(change, gone) };
      return;
    } catch (error) {
      const { code, message } = asTenonError(error);
      if (code !== 'ChangesGone') throw error;
      after = undefined;
      reason = message;
    }
  }
}

interface Snapped {
  key: string;
  json: Buffer;
}

function shown(change: TableChange, gone: GoneFields | undefined): TableChange {
  const { record } = change;
  if (gone === undefined || record === undefined) return change;
  return { ...change, record: { ...record, json: withoutGone(record.json, gone) } };
}

async function* snapshot(
  store: Store,
  table: number,
  primaryKey: string,
  { key, filter }: ChangeWish,
  signal: AbortSignal,
): AsyncGenerator<Snapped, undefined, undefined> {
  if (key !== undefined) {
    const record = await store.get(table, key);
    if (record !== null) yield { key, json: record.json };
    return;
  }
  let after: string | undefined;
  let limit: number = portion.first;
  do {
    const page = await store.query(table, {
      ...(filter === undefined ? {} : { filter }),
      ...(after === undefined ? {} : { after }),
      limit,
      lines: true,
    });
    for (const json of linesOf(page.json)) {
      const record = JSON.parse(json.toString()) as Record<string, string | number>;
      yield { key: String(record[primaryKey]), json };
    }
    after = page.more ? page.last : undefined;
    const average = Math.max(1, page.json.length / Math.max(1, page.count));
    limit = Math.min(portion.records, Math.max(1, Math.floor(portion.bytes / average)));
  } while (after !== undefined && !signal.aborted);
}

function* linesOf(bytes: Buffer): Generator<Buffer, undefined, undefined> {
  let begin = 0;
  while (begin < bytes.length) {
    const end = bytes.indexOf(10, begin);
    const stop = end < 0 ? bytes.length : end;
    if (stop > begin) yield bytes.subarray(begin, stop);
    begin = stop + 1;
  }
}
