import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Front, loadCore, Outcome, Word } from '../../src/binding/core.js';
import { openLibrary } from '../../src/binding/library.js';
import { openStore, type Store } from '../../src/binding/store.js';
import { readSchema } from '../../src/tables/schema.js';

const deadlineMs = 10_000;
const workMs = 3_600_000;
const cacheBytes = 64 * 1024 * 1024;
const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..');
const application = path.join(root, 'bench', 'tables', 'applications', 'records');

/** RocksDB as it is committed for this machine. */
export const rocksdb = path.join(
  root,
  'prebuilds',
  `${process.platform}-${process.arch}`,
  `librocksdb.${process.platform === 'darwin' ? 'dylib' : 'so'}`,
);

/** What is worked on: a table through tenon.tables/1, or RocksDB through its C interface. */
export type Side = 'tables' | 'rocks';
export type Work = 'load' | 'get' | 'put' | 'batch' | 'scan';

/** What one operation takes, ns: on the clock, and of the processor. */
export interface Cost {
  elapsed: number;
  used: number;
}

export interface Engine {
  readonly store: Store;
  /** Number of a table of the records application. */
  table: (name: string) => number;
  /** Does `count` operations, with keys below `spread`, in one call of a route of the plugin. */
  work: (side: Side, work: Work, count: number, spread: number) => Promise<Cost>;
  close: () => Promise<void>;
}

async function compile(folder: string): Promise<string> {
  const file = path.join(folder, 'records.so');
  const resources = path.join(application, 'resources');
  const sources = (await readdir(resources)).filter((name) => name.endsWith('.c'));
  await promisify(execFile)('cc', [
    '-std=gnu11',
    '-O2',
    '-shared',
    '-fPIC',
    '-fvisibility=hidden',
    '-Wl,-Bsymbolic',
    `-I${path.join(root, 'native', 'include')}`,
    '-o',
    file,
    ...sources.map((name) => path.join(resources, name)),
    '-ldl',
  ]);
  return file;
}

/** The tables of the records application in `store`: name to number. */
export async function defineTables(store: Store): Promise<Map<string, number>> {
  const file = 'schema.graphql';
  const text = await readFile(path.join(application, file), 'utf8');
  const numbers = new Map<string, number>();
  for (const { definition } of readSchema([{ file, text }], 'records').tables)
    numbers.set(definition.name, await store.define(definition));
  return numbers;
}

/** A store in `folder` and the plugin of the records application on it, live in the core without a host around it. */
export async function openEngine(folder: string): Promise<Engine> {
  const core = loadCore();
  const directory = path.join(folder, 'tables');
  const settings = { directory, libraries: [rocksdb], sync: false, feedBytes: 64 * 1024 * 1024, cacheBytes };
  const store = await openStore(core, settings);
  const numbers = await defineTables(store);
  let onReady = (): void => {};
  const front: Front = new core.Front({ onReady: () => onReady(), onLog: () => {} });
  const pointer = new core.PluginPointer(front, { id: 'records', queueLimit: 1000 });
  const library = openLibrary(await compile(folder));
  const generation = new core.GenerationHandle(pointer, {
    number: 1,
    descriptor: library.descriptor.address,
    root: '',
    prefix: '/records',
    deadlineMs: workMs,
    bodyLimit: 2 ** 20,
    concurrency: 1,
    store,
    database: 'records',
    grants: [],
  });
  await generation.create(deadlineMs);
  await generation.initialize(deadlineMs);
  for (const { method, pattern, index } of await generation.routes(deadlineMs))
    generation.bind(pointer.slot(method, `/records${pattern}`), index);
  await generation.ready(deadlineMs);
  pointer.swap(generation);

  const { result } = front;
  const ask = (side: Side, target: string): Promise<string> =>
    new Promise((resolve, reject) => {
      onReady = () => {
        const body = front.next();
        if (result[Word.Outcome] === Outcome.None) return;
        const text = body === undefined ? '' : Buffer.from(body).toString();
        if (result[Word.Outcome] === Outcome.Response && result[Word.Status] === 200) resolve(text);
        else reject(new Error(`${target}: ${result.join(' ')} ${text}`));
      };
      front.call(pointer.slot('GET', `/records/${side}/:work`), target, '');
    });

  let random = 1;
  const work = async (side: Side, name: string, query: Record<string, string | number>): Promise<Cost> => {
    random += 1;
    const words = Object.entries({ ...query, random }).map(([key, value]) => `${key}=${encodeURIComponent(value)}`);
    const answer = await ask(side, `/records/${side}/${name}?${words.join('&')}`);
    const [elapsed = 0, used = 0, done = 1] = answer.split(' ').map(Number);
    return { elapsed: elapsed / done, used: used / done };
  };
  await work('rocks', 'open', { library: rocksdb, directory: path.join(folder, 'rocks'), cache: cacheBytes });

  return {
    store,
    table: (name) => numbers.get(name) ?? -1,
    work: (side, name, count, spread) => work(side, name, { count, spread }),
    close: async () => {
      pointer.swap(null);
      await generation.drain(deadlineMs);
      await generation.shutdown(deadlineMs);
      await generation.destroy(deadlineMs);
      await generation.stop(deadlineMs);
      generation.close();
      pointer.close();
      front.close();
      library.close();
      await store.close();
    },
  };
}
