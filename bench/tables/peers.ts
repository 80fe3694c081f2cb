import path from 'node:path';
import { ClassicLevel } from 'classic-level';
import { open } from 'lmdb';
import type { Store } from '../../src/binding/store.js';

const batch = 10_000;

/** Key and JSON text of a record, as the plugin makes them. */
export function recordOf(number: number): { key: string; json: string } {
  const digits = String(number).padStart(8, '0');
  const key = `item-${digits}`;
  return {
    key,
    json: `{"id":"${key}","title":"Something that ${digits} has to do","rank":1${digits},"done":false,"at":"2026-01-31T12:00:00.000Z"}`,
  };
}

/** Something that JavaScript reads records from. */
export interface Reader {
  /** The record's JSON text; undefined when there is none. */
  now: (key: string) => Uint8Array | null | undefined;
  /** The same by promise; absent when there is no such way. */
  later?: (key: string) => Promise<unknown>;
  close: () => Promise<void>;
}

export function storeReader(store: Store, table: number): Reader {
  return {
    now: (key) => store.getNow(table, key),
    later: (key) => store.get(table, key),
    close: () => Promise.resolve(),
  };
}

export async function levelReader(folder: string, records: number): Promise<Reader> {
  const level = new ClassicLevel<string, Buffer>(path.join(folder, 'level'), {
    valueEncoding: 'buffer',
    cacheSize: 64 * 1024 * 1024,
  });
  await level.open();
  for (let first = 0; first < records; first += batch) {
    const writes = Array.from({ length: Math.min(batch, records - first) }, (_, place) => recordOf(first + place));
    await level.batch(writes.map(({ key, json }) => ({ type: 'put', key, value: Buffer.from(json) })));
  }
  return { now: (key) => level.getSync(key), later: (key) => level.get(key), close: () => level.close() };
}

export async function lmdbReader(folder: string, records: number): Promise<Reader> {
  const lmdb = open<Buffer, string>({ path: path.join(folder, 'lmdb'), encoding: 'binary', noSync: true });
  for (let first = 0; first < records; first += batch)
    await lmdb.batch(() => {
      for (let number = first; number < Math.min(records, first + batch); number++) {
        const { key, json } = recordOf(number);
        void lmdb.put(key, Buffer.from(json));
      }
    });
  return { now: (key) => lmdb.getBinary(key), close: () => lmdb.close() };
}
