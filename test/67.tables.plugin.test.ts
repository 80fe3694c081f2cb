import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type GenerationHandle, loadCore, Outcome, type PluginPointer, Word } from '../src/binding/core.js';
import { openStore, type Store, type TableDefinition } from '../src/binding/store.js';
import { readApplication } from '../src/compiler/application.js';
import { compile } from '../src/compiler/build.js';
import { Trial } from '../src/plugin/trial.js';
import { openBenchLibrary } from './load/bench-library.js';
import { inProcessOnly, isIsolated } from './load/isolation.js';
import { until } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

const core = loadCore();
const rocksdb = path.resolve(import.meta.dirname, '..', 'prebuilds', `${process.platform}-${process.arch}`);

function definition(database: string, name: string): TableDefinition {
  return {
    database,
    name,
    primaryKey: 'id',
    fields: [
      { name: 'id', type: { kind: name === 'Counter' ? 'Int' : 'ID', required: true } },
      { name: 'title', type: { kind: 'String', required: true } },
      { name: 'state', type: { kind: 'Enum', values: ['open', 'done'] }, indexed: true },
      { name: 'notes', type: { kind: 'Any' } },
    ],
  };
}

const note: TableDefinition = {
  database: 'todo',
  name: 'Task',
  primaryKey: 'id',
  fields: [
    ...definition('todo', 'Task').fields.slice(0, 3),
    { name: 'rank', type: { kind: 'Int' } },
    { name: 'price', type: { kind: 'Float' } },
    { name: 'done', type: { kind: 'Boolean' } },
    { name: 'at', type: { kind: 'Date' }, indexed: true },
    { name: 'tags', type: { kind: 'List', item: { kind: 'String', required: true } } },
  ],
};

/** One call and what has come back of it. */
interface Exchange {
  text: string;
  done: boolean;
}

/** A front, a store, and generations of the plugin `tables.c`, wherever plugins run. */
class Bench {
  readonly #calls = new Map<number, Exchange>();
  readonly front = new core.Front({ onReady: () => this.#pump(), onLog: () => {} });
  readonly #pointers = new Map<string, PluginPointer>();
  #number = 0;

  /** A generation that is live. */
  async start(options: {
    store?: Store;
    id?: string;
    database?: string;
    grants?: string[];
    defines?: Record<string, string>;
    /** A library that is built already. */
    file?: string;
  }): Promise<{ generation: GenerationHandle; end: () => Promise<void> }> {
    const { store, id = 'tables', database = 'todo', grants = [] } = options;
    let plugin = this.#pointers.get(id);
    if (plugin === undefined)
      this.#pointers.set(id, (plugin = new core.PluginPointer(this.front, { id, queueLimit: 100 })));
    const pointer = plugin;
    const file =
      options.file ?? (await buildPlugin('tables', { defines: { PLUGIN_ID: `"${id}"`, ...options.defines } }));
    const number = ++this.#number;
    const library = openBenchLibrary(file, { id, generation: number, lifecycleMs: 5000 });
    const generation = new core.GenerationHandle(pointer, {
      number,
      ...library.source,
      root: '',
      prefix: `/${id}`,
      deadlineMs: 20_000,
      bodyLimit: 1_000_000,
      concurrency: 4,
      ...(store === undefined ? {} : { store, database, grants }),
    });
    await generation.create(5000);
    await generation.initialize(5000);
    for (const { method, pattern, index } of await generation.routes(5000))
      generation.bind(pointer.slot(method, `/${id}${pattern}`), index);
    await generation.ready(5000);
    pointer.swap(generation);
    const end = async (): Promise<void> => {
      pointer.swap(null);
      generation.retire();
      expect(await generation.drain(5000)).toBe(true);
      await generation.shutdown(5000);
      await generation.destroy(5000);
      expect(await generation.stop(5000)).toBe(0);
      generation.close();
      library.close();
    };
    return { generation, end };
  }

  pointer(id = 'tables'): PluginPointer {
    return this.#pointers.get(id) as PluginPointer;
  }

  /** Send, and see what comes. */
  send(route: 'pool' | 'main' | 'life', query: Record<string, string> = {}, body = '', id = 'tables'): Exchange {
    const url = `/${id}/${route}?${new URLSearchParams(query).toString()}`;
    return this.#call(this.pointer(id).slot('POST', `/${id}/${route}`), url, body);
  }

  /** What create, initialize and ready were answered. */
  async life(): Promise<string> {
    const exchange = this.send('life');
    await until('it tells of its life', () => exchange.done);
    return exchange.text;
  }

  /** The whole answer of a route of the application in C++. */
  async fetch(method: string, route: string, url = route, body = ''): Promise<string> {
    const exchange = this.begin(method, route, url, body);
    await until(`${method} ${url} is answered`, () => exchange.done);
    return exchange.text;
  }
  begin(method: string, route: string, url = route, body = ''): Exchange {
    return this.#call(this.pointer('notebook').slot(method, `/notebook${route}`), `/notebook${url}`, body);
  }

  #call(slot: number, url: string, body: string): Exchange {
    const answer = this.front.call(slot, url, '', Buffer.from(body));
    if (this.front.result[Word.Outcome] !== Outcome.Pending) return { text: textOf(answer), done: true };
    const exchange = { text: '', done: false };
    this.#calls.set(this.front.result[Word.Call] as number, exchange);
    return exchange;
  }

  /** The whole answer on a thread. */
  async ask(query: Record<string, string>, body = '', id = 'tables'): Promise<string> {
    const exchange = this.send('pool', { table: 'Task', ...query }, body, id);
    await until(`${JSON.stringify(query)} is answered`, () => exchange.done);
    return exchange.text;
  }

  close(): void {
    for (const pointer of this.#pointers.values()) pointer.close();
    this.front.close();
  }

  #pump(): void {
    for (;;) {
      const bytes = this.front.next();
      const outcome = this.front.result[Word.Outcome];
      if (outcome === Outcome.None) return;
      const call = this.front.result[Word.Call] as number;
      const exchange = this.#calls.get(call);
      if (exchange === undefined) continue;
      exchange.text += textOf(bytes);
      if (outcome === Outcome.Head || outcome === Outcome.Chunk) {
        this.front.acknowledge(call, bytes?.length ?? 0);
      } else {
        exchange.done = true;
        this.#calls.delete(call);
      }
    }
  }
}

/** An answer that is a string has one character for each byte. */
function textOf(bytes: string | Uint8Array | undefined): string {
  return (typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : Buffer.from(bytes ?? [])).toString();
}

let directory: string;
let store: Store;
let task: number;
let bench: Bench;

async function open(): Promise<Store> {
  return openStore(core, {
    directory: path.join(directory, 'tables'),
    libraries: [path.join(rocksdb, process.platform === 'darwin' ? 'librocksdb.dylib' : 'librocksdb.so')],
    sync: false,
    feedBytes: 64 * 1024 * 1024,
    cacheBytes: 8 * 1024 * 1024,
  });
}

async function put(table: number, ...records: Record<string, unknown>[]): Promise<void> {
  const written = await store.write(
    records.map((record) => ({ table, kind: 'put' as const, json: Buffer.from(JSON.stringify(record)) })),
  );
  for (const { outcome } of written) expect(outcome).toMatch(/created|updated/);
}

beforeAll(async () => {
  directory = await mkdtemp(path.join(os.tmpdir(), 'tenon-tables-'));
});
afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

beforeEach(async () => {
  store = await open();
  task = await store.define(definition('todo', 'Task'));
  bench = new Bench();
});
afterEach(async () => {
  bench.close();
  await store.drop(task);
  await store.close();
});

describe('a plugin with tables that uses them early, or on the event loop,', () => {
  test('finds them in its trial, where they may not be used yet', async () => {
    const trial = new Trial();
    const library = await buildPlugin('tables', { defines: { NEEDS_TABLES: '1' } });
    await expect(trial.try(library, { id: 'tables' })).resolves.toMatchObject({ more: 0 });
    await trial.close();
  });

  test('may read on the event loop what is in memory, and nothing else', async () => {
    inProcessOnly('no route of a process of its own runs on the event loop');
    const { end } = await bench.start({ store });
    await put(task, { id: 'a', title: 'Bread' });
    const main = (query: Record<string, string>, body = ''): string =>
      bench.send('main', { table: 'Task', ...query }, body).text;
    expect(main({ op: 'get', key: 'a' })).toBe('OK {"id":"a","title":"Bread"}');
    for (const op of ['put', 'patch', 'remove', 'batch', 'scan', 'count'])
      expect([op, main({ op, key: 'a' }, op === 'batch' || op === 'scan' ? '' : '{"id":"a","title":"b"}')]).toEqual([
        op,
        expect.stringMatching(/^AGAIN/),
      ]);
    expect(main({ op: 'follow', most: '1' })).toBe('AGAIN');
    expect(await bench.ask({ op: 'get', key: 'a', field: 'title' })).toBe('OK Bread');
    await end();
  });
});

describe('a plugin with tables', () => {
  test('has them from ready on', async () => {
    const { end } = await bench.start({ store });
    expect(await bench.life()).toBe('STATE STATE OK ');
    await end();
  });

  test('is not offered them by a host that has none', async () => {
    const { end } = await bench.start({});
    expect(await bench.life()).toBe('UNSUPPORTED UNSUPPORTED UNSUPPORTED ');
    await end();
  });

  test('reads, writes, changes and removes records, which the host sees and the schema checks', async () => {
    const { end } = await bench.start({ store });
    expect(await bench.ask({ op: 'get', key: 'a' })).toBe('NOT_FOUND');
    expect(await bench.ask({ op: 'put' }, '{"title":"Bread","id":"a"}')).toBe('OK');
    expect(await bench.ask({ op: 'get', key: 'a' })).toBe('OK {"id":"a","title":"Bread"}');
    expect(await bench.ask({ op: 'get', key: 'a', field: 'title' })).toBe('OK Bread');
    expect(await bench.ask({ op: 'put', mode: 'create' }, '{"id":"a","title":"Milk"}')).toBe(
      'EXISTS [] there is a record with this key',
    );
    expect(await bench.ask({ op: 'put', mode: 'replace' }, '{"id":"b","title":"Milk"}')).toMatch(/^NOT_FOUND/);
    expect(await bench.ask({ op: 'put' }, '{"id":"a","title":7}')).toMatch(/^INVALID \[title\] /);
    expect(await bench.ask({ op: 'patch', key: 'a' }, '{"state":"open","notes":{"deep":[1,2]}}')).toBe('OK');
    expect((await store.get(task, 'a'))?.json.toString()).toBe(
      '{"id":"a","title":"Bread","state":"open","notes":{"deep":[1,2]}}',
    );
    expect(await bench.ask({ op: 'patch', key: 'a' }, '{"state":"lost"}')).toMatch(/^INVALID \[state\] /);
    expect(await bench.ask({ op: 'patch', key: 'b' }, '{}')).toMatch(/^NOT_FOUND/);
    expect(await bench.ask({ op: 'remove', key: 'a' })).toBe('OK');
    expect(await bench.ask({ op: 'remove', key: 'a' })).toMatch(/^NOT_FOUND/);
    expect(await store.get(task, 'a')).toBeNull();
    await end();
  });

  test('knows the fields of a table by number, and keys that are whole numbers', async () => {
    const counter = await store.define(definition('todo', 'Counter'));
    const { end } = await bench.start({ store });
    expect(await bench.ask({ op: 'field', field: 'state' })).toBe('2');
    expect(await bench.ask({ op: 'field', field: 'nothing' })).toBe('-1');
    expect(await bench.ask({ op: 'put', table: 'Counter' }, '{"id":-7,"title":"Seven"}')).toBe('OK');
    expect(await bench.ask({ op: 'get', table: 'Counter', key: '#-7', field: 'id' })).toBe('OK -7');
    expect(await bench.ask({ op: 'get', table: 'Counter', key: 'seven' })).toBe('ARGUMENT');
    expect(await bench.ask({ op: 'get', table: 'Nothing', key: 'a' })).toBe('NOT_FOUND');
    await end();
    await store.drop(counter);
  });

  test('writes several records together or none of them', async () => {
    const { end } = await bench.start({ store });
    await put(task, { id: 'old', title: 'Old' }, { id: 'done', title: 'Done' });
    const lines = ['put Task {"id":"new","title":"New"}', 'patch Task old {"title":"Older"}', 'remove Task done'];
    expect(await bench.ask({ op: 'batch' }, lines.join('\n'))).toBe('OK');
    expect(await bench.ask({ op: 'scan' })).toBe(' {"id":"new","title":"New"} {"id":"old","title":"Older"} END');
    expect(await bench.ask({ op: 'batch' }, 'remove Task old\ncreate Task {"id":"new","title":"Again"}')).toMatch(
      /^EXISTS/,
    );
    expect(await bench.ask({ op: 'batch' }, 'remove Task old\nput Task {"id":"x"}')).toMatch(/^INVALID \[title\]/);
    expect(await bench.ask({ op: 'count', exact: 'yes' })).toBe('OK 2');
    expect(await bench.ask({ op: 'batch' })).toBe('OK');
    await end();
  });

  test('goes through records by key and by index, within bounds, backwards, filtered', async () => {
    const { end } = await bench.start({ store });
    await put(
      task,
      ...['a1', 'a2', 'b1', 'b2'].map((id, index) => ({
        id,
        title: `T${index}`,
        state: index % 2 ? 'done' : 'open',
      })),
    );
    const ids = async (query: Record<string, string>, filter = ''): Promise<string[]> =>
      [...(await bench.ask({ op: 'scan', ...query }, filter)).matchAll(/"id":"(\w+)"/g)].map(([, id]) => id as string);
    expect(await ids({})).toEqual(['a1', 'a2', 'b1', 'b2']);
    expect(await ids({ reverse: 'yes' })).toEqual(['b2', 'b1', 'a2', 'a1']);
    expect(await ids({ prefix: 'a' })).toEqual(['a1', 'a2']);
    expect(await ids({ lower: 'a2', above: 'yes', upper: 'b2', below: 'yes' })).toEqual(['b1']);
    expect(await ids({ field: 'state', lower: 'done', upper: 'done' })).toEqual(['a2', 'b2']);
    expect(await ids({ field: 'state', reverse: 'yes' })).toHaveLength(4);
    expect(await ids({ field: 'id', lower: 'b1' })).toEqual(['b1', 'b2']);
    expect(await ids({}, '{"field":"title","op":"ends","value":"2"}')).toEqual(['b1']);
    expect(await bench.ask({ op: 'scan', field: 'title' })).toMatch(/^INVALID/);
    expect(await bench.ask({ op: 'scan' }, '{"field":"title","op":"has","value":1}')).toMatch(/^INVALID/);
    expect(await bench.ask({ op: 'count' })).toMatch(/^OK \d+$/);
    await end();
  });

  test('is told of every misuse', async () => {
    const { end } = await bench.start({ store });
    expect(await bench.ask({ op: 'misuse' })).toBe('0 others');
    await end();
  });

  test('writes until its shutdown has returned', async () => {
    const { end } = await bench.start({ store, defines: { WRITES_IN_SHUTDOWN: '1' } });
    await end();
    expect((await store.get(task, 'last'))?.json.toString()).toContain('Last words');
  });
});

describe('tables of another application', () => {
  test('are open to a plugin as far as it was granted them', async () => {
    const shelf = await store.define(definition('library', 'Shelf'));
    const reader = await store.define(definition('library', 'Reader'));
    const other = await store.define(definition('shop', 'Order'));
    const grants = ['read:library.*', 'write:library.Shelf', 'read:shop', 'shop.Order', 'write:shopping.Order'];
    const { end } = await bench.start({ store, grants });
    await put(reader, { id: 'a', title: 'Ada' });
    expect(await bench.ask({ op: 'put', table: 'library.Shelf' }, '{"id":"s","title":"Poems"}')).toBe('OK');
    expect(await bench.ask({ op: 'get', table: 'library.Shelf', key: 's', field: 'title' })).toBe('OK Poems');
    expect(await bench.ask({ op: 'get', table: 'library.Reader', key: 'a', field: 'title' })).toBe('OK Ada');
    expect(await bench.ask({ op: 'put', table: 'library.Reader' }, '{"id":"b","title":"Bo"}')).toMatch(/^DENIED/);
    expect(await bench.ask({ op: 'remove', table: 'library.Reader', key: 'a' })).toMatch(/^DENIED/);
    expect(await bench.ask({ op: 'batch' }, 'put library.Reader {"id":"b","title":"Bo"}')).toBe('DENIED');
    expect(await bench.ask({ op: 'get', table: 'library.Nothing', key: 'a' })).toBe('NOT_FOUND');
    // What it may not see it does not learn to be there.
    expect(await bench.ask({ op: 'get', table: 'shop.Order', key: 'a' })).toBe('DENIED');
    expect(await bench.ask({ op: 'get', table: 'shop.Nothing', key: 'a' })).toBe('DENIED');
    expect(await bench.ask({ op: 'put', table: 'todo.Task' }, '{"id":"own","title":"Own"}')).toBe('OK');
    await end();
    for (const table of [shelf, reader, other]) await store.drop(table);
  });
});

describe('changes of a table', () => {
  test('come to a plugin in order, whoever writes, from where it wants', async () => {
    const { end } = await bench.start({ store });
    await put(task, { id: 'before', title: 'Before' });
    const from = store.sequence();
    const following = bench.send('pool', { op: 'follow', table: 'Task', most: '3' });
    await until('it follows', () => following.text.startsWith('OK'));
    await put(task, { id: 'a', title: 'Host' });
    expect(await bench.ask({ op: 'put' }, '{"id":"b","title":"Plugin"}')).toBe('OK');
    expect(await bench.ask({ op: 'remove', key: 'a' })).toBe('OK');
    await until('all have come', () => following.done);
    const changes = following.text
      .split('\n')
      .slice(1)
      .map((line) => line.replace(/^\d+ /, ''));
    const wanted = ['now a {"id":"a","title":"Host"}', 'now b {"id":"b","title":"Plugin"}', 'gone a'];
    expect(changes).toEqual(wanted);
    const again = await bench.ask({ op: 'follow', most: '3', from });
    expect(again.split('\n').slice(1)).toEqual(following.text.split('\n').slice(1));
    expect(await bench.ask({ op: 'follow', most: '1', from: '99999999' })).toBe('VERSION');
    expect(await bench.ask({ op: 'follow', most: '1', wait: '1' })).toBe('OK\nAGAIN');
    await end();
  });

  test('that nobody makes do not hold a generation that is replaced', async () => {
    const first = await bench.start({ store });
    const following = bench.send('pool', { op: 'follow', table: 'Task', most: '9' });
    await until('it follows', () => following.text === 'OK');
    const second = await bench.start({ store });
    expect(await first.generation.drain(10_000)).toBe(true);
    await until('it is answered', () => following.done);
    expect(following.text).toBe('OK\nCANCELLED');
    await first.end();
    await bench.start({ store }).then(({ end }) => end());
    await second.end();
  });

  test('can be followed again when a generation that was asked to hand over goes on', async () => {
    const { generation, end } = await bench.start({ store });
    bench.pointer().swap(null);
    expect(await generation.drain(5000)).toBe(true);
    bench.pointer().swap(generation);
    const following = bench.send('pool', { op: 'follow', table: 'Task', most: '1' });
    await until('it follows', () => following.text === 'OK');
    await put(task, { id: 'a', title: 'Bread' });
    await until('it has come', () => following.done);
    expect(following.text).toMatch(/now a \{/);
    await end();
  });
});

describe('what a plugin leaves behind', () => {
  test('is taken back when it ends, so that the store can be closed', async () => {
    await put(task, { id: 'a', title: 'Bread' });
    const { end } = await bench.start({ store });
    expect(await bench.ask({ op: 'get', key: 'a', keep: 'yes', field: 'title' })).toBe('OK Bread');
    expect(await bench.ask({ op: 'batch', keep: 'yes' }, 'put Task {"id":"b","title":"Milk"}')).toBe('OK');
    expect(await bench.ask({ op: 'scan', keep: 'yes' })).toMatch(/END$/);
    expect(await bench.ask({ op: 'follow', keep: 'yes', most: '1', wait: '1' })).toBe('OK\nAGAIN');
    await end();
    await store.close();
    store = await open();
    expect(await store.count((task = await store.define(definition('todo', 'Task'))))).toBe(1);
  });

  test('does not keep a store open, and a generation that goes on is told that it is closed', async () => {
    await put(task, { id: 'a', title: 'Bread' });
    const { end } = await bench.start({ store });
    expect(await bench.ask({ op: 'get', key: 'a', keep: 'yes', field: 'title' })).toBe('OK Bread');
    const following = bench.send('pool', { op: 'follow', table: 'Task', most: '9' });
    await until('it follows', () => following.text === 'OK');
    await store.close();
    await until('it is answered', () => following.done);
    expect(following.text).toBe('OK\nCANCELLED');
    expect(await bench.ask({ op: 'get', key: 'a' })).toBe('STATE');
    await end();
    store = await open();
    task = await store.define(definition('todo', 'Task'));
    expect((await store.get(task, 'a'))?.json.toString()).toContain('Bread');
  });
});

describe('tables in C++', () => {
  let file: string;
  let end: () => Promise<void>;
  beforeAll(async () => {
    const application = path.join(import.meta.dirname, 'sdk', 'notebook');
    const dataDirectory = path.join(directory, 'data');
    file = (await compile(await readApplication(application), { dataDirectory, env: process.env })).library;
  });
  beforeEach(async () => {
    task = await store.define(note);
    ({ end } = await bench.start({ store, id: 'notebook', file }));
  });
  afterEach(() => end());

  test('read every kind of value, and tell what a write was refused for', async () => {
    const full = {
      id: 'a',
      title: 'Br\u00e9ad "and"\n\ud83e\uddc0 \\',
      state: 'open',
      rank: 7,
      price: 2.5,
      done: true,
      at: 1000,
      tags: ['x', 'y'],
    };
    expect(JSON.parse(await bench.fetch('PUT', '/notes/:id', '/notes/a', JSON.stringify(full)))).toMatchObject({
      status: 0,
    });
    const read = JSON.parse(await bench.fetch('GET', '/notes/:id', '/notes/a')) as Record<string, unknown>;
    expect(read).toMatchObject({ title: full.title, rank: 7, price: 2.5, done: true, at: 1000, tags: '["x","y"]' });
    expect(read).toMatchObject({
      nothing: true,
      'no rank': false,
      whole: { ...full, at: '1970-01-01T00:00:01.000Z' },
    });
    expect(JSON.parse(`"${String(read.raw)}"`)).toBe(full.title);
    const refused = JSON.parse(await bench.fetch('POST', '/notes/:id', '/notes/a', 'Again')) as Record<string, unknown>;
    expect(refused).toEqual({ status: 12, field: '', message: 'there is a record with this key' });
    expect(await bench.fetch('PATCH', '/notes/:id', '/notes/a', '{"rank":"high"}')).toMatch(
      /"status":13,"field":"rank"/,
    );
    expect(await bench.fetch('DELETE', '/notes/:id', '/notes/a')).toMatch(/"status":0/);
    expect(await bench.fetch('GET', '/notes/:id', '/notes/a')).toBe('none');
    // What the extension wrote in ready: the status of a table in initialize.
    expect(await bench.fetch('GET', '/now', '/now?id=ready')).toBe('3');
    expect(await bench.fetch('PUT', '/now')).toMatch(isIsolated ? /"status":13/ : /"status":8/);
  });

  test('are gone through with and without an index', async () => {
    await store.write([{ table: task, kind: 'remove', key: 'ready' }]);
    await put(
      task,
      { id: 'a', title: 'One', state: 'open', rank: 1, at: 500 },
      { id: 'b', title: 'Two', state: 'done', rank: 2, price: 2.5, at: 1000 },
      { id: 'c', title: 'Three', state: 'open', rank: 3, done: true, at: 2000, tags: ['x'] },
      { id: 'd', title: 'Four', at: 3000 },
    );
    const lists = async (): Promise<string> => bench.fetch('GET', '/lists');
    await until('the indexes are complete', async () => !(await lists()).includes('not complete yet'));
    expect((await lists()).split('\n')).toEqual([
      'a b c d ',
      'd c ',
      'a c ',
      'c ',
      'c ',
      'b ',
      'd ',
      'b c ',
      'a c ',
      'b c ',
      'd ',
      'c ',
      expect.stringMatching(/^! .*title/),
      '! the table has no field nothing',
      '! ',
      '4 about',
    ]);
  });

  test('are written together or not at all', async () => {
    expect(await bench.fetch('POST', '/several', '/several?missing')).toMatch(/"status":6/);
    expect(await bench.fetch('POST', '/several', '/several?wrong')).toMatch(/"status":6/);
    expect(await bench.fetch('POST', '/several', '/several?forget')).toBe('forgotten');
    expect(await store.get(task, 'm2')).toBeNull();
    expect(await bench.fetch('POST', '/several')).toMatch(/"status":0/);
    expect((await store.get(task, 'm1'))?.json.toString()).toBe('{"id":"m1","title":"One","rank":7}');
  });

  test('are followed until the application is replaced', async () => {
    const following = bench.begin('POST', '/follow');
    await until('it follows', () => following.text === 'following');
    await put(task, { id: 'a', title: 'One' });
    await store.write([{ table: task, kind: 'remove', key: 'a' }]);
    await until('both have come', () => following.text.endsWith('gone'));
    await end();
    expect(following).toEqual({ text: 'following\na One\na gone\nended 9', done: true });
    ({ end } = await bench.start({ store, id: 'notebook', file }));
  });
});
