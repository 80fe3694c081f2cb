// What tables cost: from plugin code beside RocksDB itself, from JavaScript beside other stores, over HTTP beside an answer that never changes.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Case, interleave, numberFlag, report } from '../rounds.js';
import { type Cost, type Engine, openEngine, type Side, type Work } from './engine.js';
import { levelReader, lmdbReader, type Reader, recordOf, storeReader } from './peers.js';

const quick = process.argv.includes('--quick');
const rounds = numberFlag('rounds', quick ? 1 : 7);
const records = numberFlag('records', quick ? 20_000 : 1_000_000);
const calls = quick ? 10_000 : 200_000;
const hot = 10_000;
const listed = Math.min(records, 100_000);
const groups = 1000;
const recordSize = recordOf(0).json.length;

const shown = ({ elapsed, used }: Cost): Record<string, number> => ({ 'ops/s': 1e9 / elapsed, 'ns CPU/op': used });

/** What each of `count` operations of JavaScript takes; the processor time is that of all threads. */
async function costOf(count: number, task: () => unknown): Promise<Cost> {
  const before = process.cpuUsage();
  const begin = process.hrtime.bigint();
  await task();
  const elapsed = Number(process.hrtime.bigint() - begin);
  const { user, system } = process.cpuUsage(before);
  return { elapsed: elapsed / count, used: ((user + system) * 1000) / count };
}

function native(engine: Engine, name: string, work: Work, count: number, spread: number): Case[] {
  const measure = (side: Side) => async () => shown(await engine.work(side, work, count, spread));
  const peer = `RocksDB, ${name}`;
  return [
    { name: peer, measure: measure('rocks') },
    { name: `table, ${name}`, peer, measure: measure('tables') },
  ];
}

/** Keys of records that are there, in an order without meaning. */
function drawn(count: number, spread: number): string[] {
  return Array.from({ length: count }, () => recordOf(Math.floor(Math.random() * spread)).key);
}

async function readNow({ now, later }: Reader): Promise<Cost> {
  const keys = drawn(calls, hot);
  // What is in no memory yet.
  for (const key of keys) if (now(key) === undefined) await later?.(key);
  return costOf(calls, () => {
    for (const key of keys) if (now(key)?.length !== recordSize) throw new Error(`there is no ${key}`);
  });
}

async function readLater({ later }: Reader): Promise<Cost> {
  if (later === undefined) throw new TypeError('this store has no such way');
  const keys = drawn(calls / 4, hot);
  return costOf(keys.length, async () => {
    for (let first = 0; first < keys.length; first += 64)
      for (const found of await Promise.all(keys.slice(first, first + 64).map(later)))
        if (found === undefined || found === null) throw new Error('a record is missing');
  });
}

/** What the other stores of JavaScript are loaded with. */
async function fillLoaded({ store, table }: Engine): Promise<void> {
  for (let first = 0; first < records; first += 1000)
    await store.write(
      Array.from({ length: Math.min(1000, records - first) }, (_, place) => {
        const { json } = recordOf(first + place);
        return { table: table('Loaded'), kind: 'put' as const, json: Buffer.from(json) };
      }),
    );
}

/** Records of which 1 in `groups` is in each group, which is in two fields: one with an index. */
async function fillListed({ store, table }: Engine): Promise<void> {
  for (let first = 0; first < listed; first += 1000)
    await store.write(
      Array.from({ length: Math.min(1000, listed - first) }, (_, place) => {
        const number = first + place;
        const group = number % groups;
        const record = { id: recordOf(number).key, title: `Title ${number}`, rank: number, group, indexedGroup: group };
        return { table: table('Listed'), kind: 'put' as const, json: Buffer.from(JSON.stringify(record)) };
      }),
    );
}

function list({ store, table }: Engine, field: string): Promise<Cost> {
  const times = field === 'indexedGroup' ? 100 : 3;
  const wanted = Math.min(100, listed / groups);
  return costOf(times, async () => {
    for (let time = 0; time < times; time++) {
      const filter = { field, op: 'eq' as const, value: Math.floor(Math.random() * groups) };
      const { count, plan } = await store.query(table('Listed'), { filter, limit: wanted });
      if (count !== wanted) throw new Error(`${plan} gave ${count} records of ${wanted}`);
    }
  });
}

async function main(folder: string): Promise<void> {
  const engine = await openEngine(folder);
  const loads: string[] = [];
  for (const side of ['rocks', 'tables'] as const) {
    const { elapsed, used } = await engine.work(side, 'load', records, 1);
    const [whole, own] = [elapsed, used].map((each) => `${((each * records) / 1e9).toFixed(1)} s`);
    loads.push(`${side === 'rocks' ? 'RocksDB' : 'table'} ${whole}, ${own} of the processor`);
  }
  const level = await levelReader(folder, records);
  const lmdb = await lmdbReader(folder, records);
  const own = storeReader(engine.store, engine.table('Loaded'));
  await fillLoaded(engine);
  await fillListed(engine);

  const timed = (measure: () => Promise<Cost>) => async () => shown(await measure());
  const rows = await interleave(
    [
      ...native(engine, `get of ${hot}`, 'get', calls, Math.min(hot, records)),
      ...native(engine, `get of ${records}`, 'get', calls, records),
      ...native(engine, 'put', 'put', calls / 2, records),
      ...native(engine, 'put in batches of 1000', 'batch', calls, records),
      ...native(engine, 'scan', 'scan', 0, 1),
      { name: 'lmdb, get', measure: timed(() => readNow(lmdb)) },
      { name: 'classic-level, getSync', measure: timed(() => readNow(level)) },
      { name: 'table, getNow', peer: 'classic-level, getSync', measure: timed(() => readNow(own)) },
      { name: 'classic-level, get', measure: timed(() => readLater(level)) },
      { name: 'table, get by promise', peer: 'classic-level, get', measure: timed(() => readLater(own)) },
      { name: `list of ${listed}, full scan`, measure: timed(() => list(engine, 'group')) },
      {
        name: `list of ${listed}, index`,
        peer: `list of ${listed}, full scan`,
        measure: timed(() => list(engine, 'indexedGroup')),
      },
    ],
    rounds,
  );
  report('tables', rounds, rows, [
    `${records} records loaded in batches of 1000: ${loads.join('; ')}`,
    'a ratio above 1 is better for ops/s, below 1 for CPU; scan counts records, lists count lists',
    'CPU in C is that of the thread, in JavaScript that of all threads',
  ]);
  await Promise.all([level.close(), lmdb.close()]);
  await engine.close();
}

const folder = await mkdtemp(path.join(tmpdir(), 'tenon-bench-'));
try {
  await main(folder);
} finally {
  await rm(folder, { recursive: true, force: true });
}
