import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { TableWorlds } from '../src/host/table-world.js';
import { Tables } from '../src/tables/tables.js';
import { type TemporaryStore, temporaryStore } from './tables/temporary-store.js';

describe('seed data that a full disk does not take', () => {
  let folder: string;
  let temporary: TemporaryStore;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'tenon-seed-'));
    temporary = await temporaryStore();
  });
  afterEach(async () => {
    await temporary.remove();
    await rm(folder, { recursive: true, force: true });
  });

  test('is told of, and loaded by the next reload that can', async () => {
    await mkdir(path.join(folder, 'data'));
    await writeFile(path.join(folder, 'data', 'tasks.json'), '{"table":"Task","records":[{"id":"a"}]}');
    let full = true;
    const { store } = temporary;
    const filling = new Proxy(store, {
      get(target, name): unknown {
        if (name === 'write' && full)
          return () => Promise.reject(Object.assign(new Error('no space left'), { code: 'StoreFull' }));
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
    const tables = new Tables({ open: () => Promise.resolve(filling), log: pino({ level: 'silent' }) });
    const worlds = new TableWorlds(tables, () => ({ routes: [], close: () => Promise.resolve() }));
    const schemas = [{ file: 'schema.graphql', text: 'type Task @table { id: ID! @primaryKey }' }];
    const said = { schemas, seeds: ['data/*.json'], surfaces: {}, grants: [], key: 'one' };
    const source = { id: 'todo', prefix: '/todo', folder, tables: said };
    const first = await worlds.prepare(source, undefined);
    expect(first.served.seedErrors).toMatchObject([{ code: 'StoreFull' }]);
    full = false;
    const second = await worlds.prepare(source, first);
    expect(await store.count(second.served.tables[0]?.number ?? -1)).toBe(1);
    expect(await worlds.prepare(source, second)).toBe(second);
    await tables.close();
  });
});
