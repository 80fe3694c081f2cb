import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { loadCore } from '../src/binding/core.js';
import {
  openStore,
  type Store,
  type StoreOptions,
  type TableDefinition,
  type TableWrite,
} from '../src/binding/store.js';
import { until } from './load/world.js';

const core = loadCore();
const root = path.resolve(import.meta.dirname, '..');
const addon = path.join(root, 'build', 'Release', 'tenon.node');
const library = path.join(
  root,
  'prebuilds',
  `${process.platform}-${process.arch}`,
  process.platform === 'darwin' ? 'librocksdb.dylib' : 'librocksdb.so',
);
const task: TableDefinition = {
  database: 'todo',
  name: 'Task',
  primaryKey: 'id',
  fields: [
    { name: 'id', type: { kind: 'ID', required: true } },
    { name: 'title', type: { kind: 'String', required: true } },
    { name: 'state', type: { kind: 'Enum', values: ['open', 'done'] }, indexed: true },
    { name: 'rank', type: { kind: 'Int' } },
  ],
};

let folder: string;
let store: Store;
let table: number;

function options(name = 'tables'): StoreOptions {
  const feedBytes = 64 * 1024 * 1024;
  return { directory: path.join(folder, name), libraries: [library], sync: false, feedBytes, cacheBytes: feedBytes };
}
function put(record: Record<string, unknown>, more: Partial<TableWrite> = {}): TableWrite {
  return { table, kind: 'put', json: Buffer.from(JSON.stringify(record)), ...more };
}
async function outcomes(...writes: TableWrite[]): Promise<string[]> {
  return (await store.write(writes)).map(({ outcome }) => outcome);
}
function records(page: { json: Buffer }): { id: string }[] {
  return JSON.parse(page.json.toString()) as { id: string }[];
}

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'tenon-store-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  store = await openStore(core, options());
  table = await store.define(task);
});
afterEach(async () => {
  await store.close();
  await rm(options().directory, { recursive: true, force: true });
});

describe('a store', () => {
  test('is one per directory, and says who has it', async () => {
    await expect(openStore(core, options())).rejects.toMatchObject({ code: 'StoreLocked' });
    const script = `
      const core = require(process.argv[1]);
      const store = new core.StoreHandle(JSON.parse(process.argv[2]));
      store.open().catch((error) => console.log(error.code, error.message));`;
    const { stdout } = spawnSync(process.execPath, ['-e', script, addon, JSON.stringify(options())], {
      encoding: 'utf8',
      timeout: 60_000,
    });
    expect(stdout).toMatch(new RegExp(`^StoreLocked .*${process.pid}`));
  });

  test('needs a RocksDB, the first of several that is there', async () => {
    const missing = path.join(folder, 'nothing.so');
    await expect(openStore(core, { ...options('other'), libraries: [missing] })).rejects.toMatchObject({
      code: 'RocksdbMissing',
      message: expect.stringContaining(missing) as string,
    });
    const second = await openStore(core, { ...options('other'), libraries: [missing, library] });
    expect(second.engine.library).toBe(library);
    expect(second.engine.version).toMatch(/^\d+\.\d+/);
    expect(second.identity).toMatch(/^[0-9a-f]{32}$/);
    expect(second.identity).not.toBe(store.identity);
    await second.close();
  });

  test('keeps definitions, lets them grow, and refuses what stored records would not fit', async () => {
    expect(store.tables()).toEqual([{ number: table, database: 'todo', name: 'Task' }]);
    expect(store.definition(table).fields).toEqual(
      task.fields.map((field) => expect.objectContaining(field) as object),
    );
    const grown = { ...task, fields: [...task.fields, { name: 'late', type: { kind: 'Boolean' as const } }] };
    expect(store.incompatible(grown)).toBeUndefined();
    expect(await store.define(grown)).toBe(table);
    expect(store.definition(table).fields.map(({ name }) => name)).toEqual(['id', 'title', 'state', 'rank', 'late']);
    const [id, title] = task.fields as [TableDefinition['fields'][0], TableDefinition['fields'][0]];
    const changed = { ...task, fields: [id, { ...title, type: { kind: 'Int' as const } }] };
    expect(store.incompatible(changed)).toMatch(/title/);
    await expect(store.define(changed)).rejects.toMatchObject({ code: 'SchemaIncompatible' });
    await expect(store.define({} as TableDefinition)).rejects.toMatchObject({ code: 'SchemaIncompatible' });
  });

  test('keeps notes, and everything else, over its closing', async () => {
    const { identity } = store;
    await store.setNote('seed', 'sha');
    await store.write([put({ id: 'a', title: 'Bread' })]);
    await store.close();
    store = await openStore(core, options());
    expect(store.identity).toBe(identity);
    expect(await store.note('seed')).toBe('sha');
    expect(await store.note('nothing')).toBeUndefined();
    expect((await store.get(await store.define(task), 'a'))?.json.toString()).toBe('{"id":"a","title":"Bread"}');
  });

  test('is copied while it serves', async () => {
    await store.write([put({ id: 'a', title: 'Bread' })]);
    await store.checkpoint(path.join(folder, 'copy'));
    const copy = await openStore(core, options('copy'));
    expect(await copy.count(await copy.define(task))).toBe(1);
    await copy.close();
    await expect(store.checkpoint(path.join(folder, 'copy'))).rejects.toMatchObject({ code: 'StoreFailed' });
  });

  test('forgets a table that is dropped', async () => {
    await store.drop(table);
    expect(store.tables()).toEqual([]);
    expect(() => store.getNow(table, 'a')).toThrow(/table/);
    table = await store.define(task);
    expect(await store.count(table)).toBe(0);
  });

  test('finishes what was asked before it was closed, and refuses what is asked later', async () => {
    const last = Array.from({ length: 50 }, (_, index) => store.write([put({ id: `n${index}`, title: 'x' })]));
    const feed = store.feed([table]);
    const waiting = feed.next(1).then((changes) => changes.length);
    await Promise.all([store.close(), store.close()]);
    for (const written of await Promise.all(last)) expect(written[0]?.outcome).toBe('created');
    expect(await waiting).toBeLessThan(2);
    expect(await feed.next(1)).toEqual([]);
    feed.close();
    await expect(store.get(table, 'a')).rejects.toMatchObject({ code: 'StoreClosed' });
    await expect(store.write([])).rejects.toMatchObject({ code: 'StoreClosed' });
    for (const ask of [() => store.getNow(table, 'a'), () => store.sequence(), () => store.feed([table])])
      expect(ask).toThrow(/open store|closed/);
  });

  test('that is closed ends what goes through many records', async () => {
    const many = Array.from({ length: 2000 }, (_, index) => put({ id: `n${index}`, title: 'x', rank: index }));
    await store.write(many);
    const counts = Array.from({ length: 50 }, () => store.count(table, { field: 'rank', op: 'ge', value: 0 }));
    const [, ...settled] = await Promise.allSettled([store.close(), ...counts]);
    expect(settled.at(-1)).toMatchObject({ status: 'rejected', reason: { code: 'StoreClosed' } });
  });

  test('tells of its sizes, and that nothing is wrong', async () => {
    expect(await store.facts(table)).toMatchObject({ building: [] });
    expect(Object.values(await store.metrics()).every((value) => typeof value === 'number')).toBe(true);
    expect(store.trouble()).toBeUndefined();
  });

  test('takes nothing with it when its process or its Worker ends', () => {
    const script = `
      const core = require(process.argv[1]);
      const given = JSON.parse(process.argv[2]);
      const { Worker, isMainThread, workerData } = require('node:worker_threads');
      const source = \`
        const { workerData, parentPort } = require('node:worker_threads');
        const core = require(workerData.addon);
        const store = new core.StoreHandle(workerData.given);
        store.open().then(async () => {
          const table = await store.define(workerData.task);
          const feed = new core.FeedHandle(store, [table]);
          feed.next(10).catch(() => {});
          for (let n = 0; n < 20; n++) store.write([{ table, kind: 'put', json: Buffer.from('{"title":"x"}') }]);
          parentPort.postMessage('up');
          setInterval(() => {}, 1000);
        });\`;
      (async () => {
        for (let round = 0; round < 3; round++) {
          const worker = new Worker(source, { eval: true, workerData: { addon: process.argv[1], given, task: process.argv[3] } });
          await new Promise((resolve) => worker.once('message', resolve));
          await worker.terminate();
        }
        const store = new core.StoreHandle(given);
        await store.open();
        const table = await store.define(process.argv[3]);
        store.write([{ table, kind: 'put', json: Buffer.from('{"title":"y"}') }]);
        if (process.argv[4] === 'exit') process.exit(0);
      })();`;
    for (const how of ['exit', 'leave']) {
      const words = ['-e', script, addon, JSON.stringify(options('ends')), JSON.stringify(task), how];
      const { status, signal, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8', timeout: 60_000 });
      expect([how, status, signal, stderr]).toEqual([how, 0, null, '']);
    }
  });
});

describe('records', () => {
  test('are written under the conditions that are set, and reported with their revision', async () => {
    const [first] = await store.write([put({ title: 'Bread' }, { key: 'a', kind: 'create' })]);
    expect(first).toMatchObject({ outcome: 'created', key: 'a' });
    const revision = first?.record?.revision as string;
    expect(revision).toMatch(/^[0-9a-f]{16}$/);
    expect(await outcomes(put({ title: 'b' }, { key: 'a', kind: 'create' }))).toEqual(['exists']);
    expect(await outcomes(put({ title: 'b' }, { key: 'z', kind: 'replace' }))).toEqual(['missing']);
    expect(await outcomes(put({ title: 'b' }, { key: 'a', ifMatch: ['0000000000000001', 'odd'] }))).toEqual([
      'precondition',
    ]);
    expect(await outcomes(put({ title: 'b' }, { key: 'a', ifMatch: [revision] }))).toEqual(['updated']);
    expect(await outcomes(put({ title: 'c' }, { key: 'a', ifMatch: [revision] }))).toEqual(['precondition']);
    expect(await outcomes(put({ title: 'c' }, { key: 'a', ifNoneMatch: '*' }))).toEqual(['precondition']);
    expect(await outcomes(put({ title: 'c' }, { key: 'z', ifMatch: '*' }))).toEqual(['precondition']);
    expect(await outcomes(put({ rank: 4 }, { key: 'a', kind: 'patch' }))).toEqual(['updated']);
    expect(await outcomes({ table, kind: 'remove', key: 'a' }, { table, kind: 'remove', key: 'b' })).toEqual([
      'undone',
      'missing',
    ]);
    const [removed] = await store.write([{ table, kind: 'remove', key: 'a' }]);
    expect(removed?.record?.json.toString()).toBe('{"id":"a","title":"b","rank":4}');
    expect(removed?.outcome).toBe('removed');
  });

  test('may be none', async () => {
    expect(await store.write([])).toEqual([]);
    expect(await store.getMany(table, [])).toEqual([]);
  });

  test('get a key of their own when they bring none', async () => {
    const [written] = await store.write([put({ title: 'Bread' })]);
    expect(written).toMatchObject({ outcome: 'created', key: expect.stringMatching(/^[0-9a-f-]{36}$/) as string });
    expect(await store.get(table, written?.key as string)).toEqual(written?.record);
  });

  test('that break their definition are refused with the field, and so is all that was to be written with them', async () => {
    const written = await store.write([put({ id: 'a', title: 'Bread' }), put({ id: 'b', title: 5 })]);
    expect(written).toEqual([
      expect.objectContaining({ outcome: 'undone' }),
      expect.objectContaining({
        outcome: 'invalid',
        field: 'title',
        message: expect.stringMatching(/String/) as string,
      }),
    ]);
    expect(written[1]).not.toHaveProperty('record');
    expect(await outcomes(put({ title: 'x' }, { key: 'k'.repeat(1025) }))).toEqual(['invalid']);
    expect(await outcomes({ table, kind: 'remove', key: 'k'.repeat(1025) })).toEqual(['missing']);
    expect(await store.count(table)).toBe(0);
  });

  // Around the sizes from which on a text comes from the addon in another way.
  test.for([4072, 4074, 4076, 16_360, 16_362, 16_364])('of %i bytes are read whole', async (size) => {
    const title = 'é'.repeat(size / 2);
    await store.write([put({ id: 'a', title })]);
    const json = `{"id":"a","title":"${title}"}`;
    expect(store.getNow(table, 'a')?.toString()).toBe(json);
    const sent = store.getNowAsSent(table, 'a') ?? '';
    expect((typeof sent === 'string' ? Buffer.from(sent, 'latin1') : sent).toString()).toBe(json);
  });

  test('that are in memory are read at once, the others by asking', async () => {
    const [written] = await store.write([put({ id: 'a', title: 'Bread é' }), put({ id: 'b', title: 'Milk' })]);
    expect(store.getNow(table, 'a')?.toString()).toBe('{"id":"a","title":"Bread é"}');
    expect(Buffer.from(store.getNowAsSent(table, 'a') as string, 'latin1').toString()).toBe(
      '{"id":"a","title":"Bread é"}',
    );
    const words = [...store.words].map((word) => word.toString(16).padStart(8, '0')).join('');
    expect(words).toBe(written?.record?.revision);
    const first = store.getNow(table, 'a');
    expect(store.getNow(table, 'b')?.toString()).toBe('{"id":"b","title":"Milk"}');
    expect(first?.toString()).toBe('{"id":"a","title":"Bread é"}');
    expect(store.getNow(table, 'nothing')).toBeNull();
    expect(store.getNow(table, 'k'.repeat(5000))).toBeNull();
    expect(await store.get(table, 'nothing')).toBeNull();
    const several = await store.getMany(table, ['b', 'x', 'a', 'b']);
    expect(several.map((record) => record?.json.toString().slice(7, 8))).toEqual(['b', undefined, 'a', 'b']);
  });

  test('are found by filter, in order, page by page', async () => {
    await store.write(
      Array.from({ length: 10 }, (_, n) => put({ id: `r${n}`, title: `T${9 - n}`, state: n % 2 ? 'done' : 'open' })),
    );
    const page = await store.query(table, { filter: { field: 'state', op: 'eq', value: 'open' }, limit: 3 });
    expect(page).toMatchObject({ count: 3, more: true, plan: 'index state' });
    const rest = await store.query(table, {
      filter: { field: 'state', op: 'eq', value: 'open' },
      limit: 3,
      after: page.last as string,
      fields: ['id'],
    });
    expect([...records(page), ...records(rest)].map(({ id }) => id)).toEqual(['r0', 'r2', 'r4', 'r6', 'r8']);
    expect(rest).toMatchObject({ more: false, json: Buffer.from('[{"id":"r6"},{"id":"r8"}]') });
    const ordered = await store.query(table, {
      order: [{ field: 'title', descending: true }],
      limit: 2,
      offset: 1,
      lines: true,
      fields: ['title'],
    });
    expect(ordered.json.toString()).toBe('{"title":"T8"}\n{"title":"T7"}\n');
    expect(await store.count(table, { field: 'title', op: 'gt', value: 'T4' })).toBe(5);
    expect(await store.count(table)).toBe(10);
  });

  test('are read by their keys up to 64 MiB at a time', async () => {
    await outcomes(put({ id: 'a', title: 'x'.repeat(1024 * 1024) }));
    const few = await store.getMany(
      table,
      Array.from({ length: 3 }, () => 'a'),
    );
    expect(few.map((record) => record !== null)).toEqual([true, true, true]);
    await expect(
      store.getMany(
        table,
        Array.from({ length: 64 }, () => 'a'),
      ),
    ).rejects.toMatchObject({ code: 'BodyTooLarge' });
  });

  test('are not looked for by a query that is none', async () => {
    const wrong: [Record<string, unknown>, RegExp][] = [
      [{ limit: 0 }, /limit/],
      [{ limit: 10_001 }, /limit/],
      [{ limit: 1.5 }, /limit/],
      [{ limit: 1, order: [{ field: 'nothing' }] }, /nothing/],
      [{ limit: 1, order: [{ descending: true }] }, /order/],
      [{ limit: 1, order: 'title' }, /./],
      [{ limit: 1, fields: ['nothing'] }, /nothing/],
      [{ limit: 1, offset: -1 }, /offset/],
      [{ limit: 1, more: true }, /more/],
      [{ limit: 1, filter: { field: 'rank', op: 'like', value: {} } }, /rank/],
      [{ limit: 1, filter: { field: 'x'.repeat(300_000), op: 'eq', value: 1 } }, /bytes/],
    ];
    for (const [query, message] of wrong)
      await expect(store.query(table, query as never), JSON.stringify(query).slice(0, 80)).rejects.toMatchObject({
        code: 'QueryInvalid',
        message: expect.stringMatching(message) as string,
      });
    await expect(store.query(table, { limit: 1, after: 'nonsense' })).rejects.toMatchObject({ code: 'CursorInvalid' });
    await expect(store.count(table, {} as never)).rejects.toMatchObject({ code: 'QueryInvalid' });
  });

  test('whose answer cannot be made reject their own promise only', async () => {
    await outcomes(put({ id: 'a', title: 'First' }));
    const refused = { configurable: true, set: () => expect.fail('a property of every object') };
    Object.defineProperty(Object.prototype, 'examined', refused);
    try {
      const asked = [store.query(table, { limit: 1 }), store.count(table), store.get(table, 'a')];
      const [page, count, record] = await Promise.allSettled(asked);
      expect(page).toMatchObject({ status: 'rejected', reason: { message: 'a property of every object' } });
      expect(count).toMatchObject({ status: 'fulfilled', value: 1 });
      expect(record?.status).toBe('fulfilled');
    } finally {
      delete (Object.prototype as { examined?: unknown }).examined;
    }
  });

  test('are not touched by a call that is misused', () => {
    const wrong: [() => unknown, RegExp][] = [
      [() => store.getNow(9, 'a'), /table/],
      [() => store.getNow(table, 7 as never), /key/],
      [() => store.get('0' as never, 'a'), /table/],
      [() => store.getMany(table, [1] as never), /keys/],
      [() => store.write('all' as never), /writes/],
      [() => store.write([7] as never), /writes/],
      [() => store.write([{ table, kind: 'destroy' }] as never), /kind/],
      [() => store.write([{ table, kind: 'put' }]), /json/],
      [() => store.write([{ table, kind: 'patch', json: Buffer.from('{}') }]), /key/],
      [() => store.write([put({}, { ifMatch: [] })]), /ifMatch/],
      [() => store.write([put({}, { ifNoneMatch: 'some' as never })]), /ifNoneMatch/],
      [() => store.feed('all' as never), /tables/],
      [() => store.feed([table], 'now'), /from/],
      [() => new core.StoreHandle({} as never), /options/],
      [() => new core.FeedHandle({} as never, [table]), /store/],
    ];
    for (const [call, message] of wrong) expect(call, String(call)).toThrow(message);
    for (const [call] of wrong) expect(call).toThrow(TypeError);
  });
});

describe('a feed', () => {
  test('gives changes in order, each once, and waits for the next', async () => {
    await store.write([put({ id: 'before', title: 'x' })]);
    const from = store.sequence();
    const feed = store.feed([table]);
    const waiting = feed.next(10);
    await store.write([put({ id: 'a', title: 'Bread' }), { table, kind: 'remove', key: 'before' }]);
    const changes = await waiting;
    expect(changes).toMatchObject([
      { table, removed: false, key: 'a' },
      { table, removed: true, key: 'before' },
    ]);
    expect(changes[0]?.record).toEqual(await store.get(table, 'a'));
    expect(BigInt(changes[1]?.sequence as string)).toBeGreaterThan(BigInt(changes[0]?.sequence as string));
    const again = store.feed([table], from);
    expect(await again.next(1)).toEqual([changes[0]]);
    expect(await again.next(9)).toEqual([changes[1]]);
    again.close();
    again.close();
    expect(await again.next(1)).toEqual([]);
    feed.close();
  });

  test('is of the tables that were asked for', async () => {
    const other = await store.define({ ...task, name: 'Other' });
    const feed = store.feed([other]);
    await store.write([put({ id: 'a', title: 'x' }), { ...put({ id: 'b', title: 'y' }), table: other }]);
    expect(await feed.next(10)).toMatchObject([{ table: other, key: 'b' }]);
    feed.close();
  });

  test('is refused where its begin is not known, and read by one at a time', async () => {
    expect(() => store.feed([table], '999999')).toThrow(expect.objectContaining({ code: 'ChangesGone' }));
    const feed = store.feed([table]);
    const waiting = feed.next(1);
    expect(() => feed.next(1)).toThrow(TypeError);
    expect(() => feed.begin()).toThrow(TypeError);
    expect(() => feed.next(0)).toThrow(TypeError);
    feed.close();
    expect(await waiting).toEqual([]);
  });

  test('says before its first change whether its begin is kept', async () => {
    await store.write([put({ id: 'before', title: 'x' })]);
    const kept = store.feed([table], '0');
    await kept.begin();
    expect(await kept.next(1)).toMatchObject([{ key: 'before' }]);
    kept.close();
    await kept.begin();
    await store.close();
    store = await openStore(core, options());
    table = await store.define(task);
    await rm(path.join(folder, 'tables', 'archive'), { recursive: true });
    const gone = store.feed([table], '0');
    await expect(gone.begin()).rejects.toMatchObject({ code: 'ChangesGone' });
    expect(await gone.next(1)).toEqual([]);
    const unasked = store.feed([table], '0');
    await expect(unasked.next(1)).rejects.toMatchObject({ code: 'ChangesGone' });
    const now = store.feed([table]);
    await now.begin();
    now.close();
  });

  test('serves many readers with one thread', async () => {
    const feeds = Array.from({ length: 40 }, () => store.feed([table]));
    const all = Promise.all(
      feeds.map(async (feed) => {
        const keys: string[] = [];
        while (keys.length < 100) for (const { key } of await feed.next(7)) keys.push(key);
        return keys;
      }),
    );
    for (let n = 0; n < 100; n++) await store.write([put({ id: `n${n}`, title: 'x' })]);
    const wanted = Array.from({ length: 100 }, (_, n) => `n${n}`);
    for (const keys of await all) expect(keys).toEqual(wanted);
    for (const feed of feeds) feed.close();
    let ended = false;
    void store
      .feed([table])
      .next(1)
      .then(() => (ended = true));
    await store.close();
    await until('it has ended', () => ended);
  });
});
