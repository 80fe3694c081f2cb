import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { silentLog } from '../src/base/log.js';
import { Registry } from '../src/registry/registry.js';
import type { DesiredPlugin } from '../src/registry/rows.js';
import { MemoryDatabase, MemoryServer } from './registry/memory-database.js';

const soon = { timeout: 45_000, interval: 5 };
let server: MemoryServer;
let directory: string;

beforeAll(async () => {
  server = new MemoryServer();
  directory = await mkdtemp(path.join(os.tmpdir(), 'tenon-registry-'));
});
afterAll(async () => {
  await server.pg.close();
  await rm(directory, { recursive: true, force: true });
});

interface World {
  readonly registry: Registry;
  readonly database: MemoryDatabase;
  readonly writes: Promise<unknown>[];
  release: (() => void) | undefined;
}

type Step = readonly [kind: string, name: string];

const statuses = ['active', 'disabled', 'quarantined'] as const;
const kinds = ['insert', 'update', 'delete', 'truncate', 'register', 'status', 'config', 'remove', 'reconcile'];
const faults = ['cut', 'back', 'hold', 'release', 'deaf', 'turn', 'turn'];
const steps = fc.array(
  fc.tuple(fc.constantFrom(...kinds, ...faults, ...faults), fc.constantFrom('one', 'two', 'three')),
  { minLength: 5, maxLength: 40 },
);

async function take(world: World, [kind, name]: Step, at: number): Promise<void> {
  const { registry, database, writes } = world;
  const status = statuses[at % statuses.length] ?? 'active';
  const refused = (write: Promise<unknown>): void => void writes.push(write.catch((error: unknown) => error));
  const found = { name, sourcePath: name, binaryPath: null, type: 'dynamic', version: '1.0.0' } as const;
  if (kind === 'insert') await server.sql('INSERT INTO plugins (name) VALUES ($1) ON CONFLICT DO NOTHING', [name]);
  else if (kind === 'update') await server.sql('UPDATE plugins SET status = $2 WHERE name = $1', [name, status]);
  else if (kind === 'delete') await server.sql('DELETE FROM plugins WHERE name = $1', [name]);
  else if (kind === 'truncate') await server.sql('TRUNCATE plugins CASCADE');
  else if (kind === 'register') refused(registry.register(found));
  else if (kind === 'status') refused(registry.setStatus(name, status));
  else if (kind === 'config') refused(registry.setConfig(name, { at }));
  else if (kind === 'remove') refused(registry.remove(name));
  else if (kind === 'reconcile') refused(registry.reconcile());
  else if (kind === 'cut') database.cut();
  else if (kind === 'back') database.back();
  else if (kind === 'hold' && world.release === undefined) {
    world.release = database.holdNext('SELECT name, source_path');
    refused(registry.reconcile());
    await new Promise((resolve) => setTimeout(resolve, 2)); // so that it is read before what comes next
  } else if (kind === 'release') {
    world.release?.();
    world.release = undefined;
  } else if (kind === 'deaf') database.deaf = !database.deaf;
  else await new Promise((resolve) => setTimeout(resolve, at % 3));
}

test('whatever is written, lost, late or cut: what is known never goes back, and comes to what the database says', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (given) => {
      const database = new MemoryDatabase(server);
      const registry = new Registry({
        database,
        copyFile: path.join(directory, `${randomUUID()}.json`),
        host: {
          id: randomUUID(),
          name: 'north',
          version: '1',
          os: 'linux',
          arch: 'x64',
          pid: 1,
          startedAt: '2026-01-01',
        },
        log: silentLog(),
        waitMs: 20_000,
        reconcileMs: 3_600_000,
      });
      const newest = new Map<string, number>();
      const told = new Map<string, DesiredPlugin>();
      const older: string[] = [];
      await registry.open({
        changed: (names, gone) => {
          for (const name of names) {
            const plugin = registry.desired(name);
            if (plugin === undefined) continue;
            if (plugin.revision <= (newest.get(name) ?? 0)) older.push(`${name} ${plugin.revision}`);
            newest.set(name, plugin.revision);
            told.set(name, plugin);
          }
          for (const name of gone) told.delete(name);
        },
        reached: () => {},
      });
      const world: World = { registry, database, writes: [], release: undefined };
      try {
        for (const [at, step] of given.entries()) await take(world, step, at);
        world.release?.();
        database.deaf = false;
        database.back();
        await Promise.all(world.writes);
        const isRead = (): Promise<boolean> =>
          registry.reconcile().then(
            () => true,
            () => false,
          );
        await expect.poll(isRead, soon).toBe(true);
        const rows = await server.sql('SELECT name, status, revision::int AS revision FROM plugins ORDER BY name');
        const known = [...registry.all().values()].map(({ name, status, revision }) => ({ name, status, revision }));
        expect(known).toEqual(rows);
        expect(Object.fromEntries(told)).toEqual(Object.fromEntries(registry.all()));
        expect(older).toEqual([]);
      } finally {
        await registry.close();
        await server.sql('TRUNCATE plugins, hosts CASCADE');
      }
    }),
    { numRuns: 60 },
  );
});
