import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { silentLog } from '../src/base/log.js';
import type { Database } from '../src/registry/database.js';
import { EmbeddedDatabase } from '../src/registry/embedded.js';
import { Registry } from '../src/registry/registry.js';
import type { FoundPlugin } from '../src/registry/rows.js';
import { ServerDatabase } from '../src/registry/server.js';
import { noPostgres, PostgresServer } from './registry/postgres.js';
import { Proxy } from './registry/proxy.js';

const soon = { timeout: 45_000, interval: 20 };
const quick = { backoff: { leastMs: 20, mostMs: 200 } };
const closing: (() => unknown)[] = [];
let directory: string;
let postgres: PostgresServer | undefined;

beforeAll(async () => {
  if (noPostgres === undefined) postgres = await PostgresServer.start();
});
afterAll(() => postgres?.dispose());

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

function makeDirectory(): void {
  directory = mkdtempSync(path.join(os.tmpdir(), 'tenon-registry-'));
  closing.push(() => rmSync(directory, { recursive: true, force: true }));
}

interface Opened {
  readonly registry: Registry;
  readonly told: (string | boolean)[];
}

async function open(database: Database, name = 'north'): Promise<Opened> {
  const registry = new Registry({
    database,
    copyFile: path.join(directory, `${name}.json`),
    host: {
      id: randomUUID(),
      name,
      version: '1.0.0',
      os: 'linux',
      arch: 'x64',
      pid: 42,
      startedAt: '2026-01-01T00:00:00.000Z',
    },
    log: silentLog(),
    waitMs: 60_000,
    reconcileMs: 3_600_000,
  });
  closing.push(() => registry.close());
  const told: (string | boolean)[] = [];
  await registry.open({
    changed: (names, gone) => told.push(...names, ...gone.map((one) => `-${one}`)),
    reached: (connected) => told.push(connected),
  });
  return { registry, told };
}

function found(name: string): FoundPlugin {
  return { name, sourcePath: name, binaryPath: null, type: 'dynamic', version: '1.0.0' };
}

async function code(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'resolved',
    (error: unknown) => (error instanceof Error && 'code' in error ? String(error.code) : String(error)),
  );
}

type Make = () => Database;

function embedded(): Make {
  const data = path.join(directory, 'registry');
  return () => new EmbeddedDatabase({ directory: data });
}

async function server(): Promise<Make> {
  const url = (await postgres?.database()) ?? '';
  return () => new ServerDatabase({ url, ...quick });
}

describe.each<[kind: string, missing: string | undefined, prepare: () => Make | Promise<Make>]>([
  ['embedded', undefined, embedded],
  ['server', noPostgres, server],
])('on a registry that is %s', (kind, missing, prepare) => {
  test.skipIf(missing)(
    'plugins are registered, changed, configured and removed, and hosts tell what they run',
    async () => {
      makeDirectory();
      const make = await prepare();
      const { registry, told } = await open(make());
      expect(registry.status()).toMatchObject({ kind, connected: true, connections: 1 });
      expect(await registry.register(found('todo'))).toMatchObject({
        status: 'active',
        version: '1.0.0',
        pinned: false,
      });
      expect(await registry.register({ ...found('bad'), invalid: 'found: why' })).toMatchObject({
        statusReason: 'found: why',
      });
      expect(await registry.register(found('bad'))).toMatchObject({ status: 'active', statusReason: null });
      const { configRevision } = await registry.setConfig('todo', { limit: [1, { deep: 'ä' }] });
      expect(await code(registry.setConfig('todo', {}, configRevision - 1))).toBe('PreconditionFailed');
      expect(await code(registry.setConfig('todo', { text: '\0' }))).toBe('ConfigInvalid');
      expect(await registry.setStatus('todo', 'disabled', 'asked')).toMatchObject({
        status: 'disabled',
        statusReason: 'asked',
        config: { limit: [1, { deep: 'ä' }] },
      });
      expect(await registry.configs('todo')).toMatchObject([{ revision: configRevision, changedBy: 'north' }]);

      const artifact = {
        version: '2.0.0',
        os: 'linux',
        arch: 'x64',
        libc: 'glibc',
        sha256: 'b'.repeat(64),
        size: 4096,
      };
      const routes = [{ method: 'GET', path: '/', execution: 'pool', auth: null, roles: ['a', 'b'] }];
      registry.serves('todo', '2.0.0', routes, artifact);
      registry.report('todo', { state: 'disabled', revision: 3 });
      registry.report('bad', { state: 'failed', revision: 2, error: { code: 'BuildFailed', message: 'it\0fails' } });
      registry.reloaded({
        id: randomUUID(),
        plugin: 'todo',
        trigger: 'watch',
        outcome: 'failed',
        startedAt: '2026-01-01T00:00:00.000Z',
        totalMs: 12.5,
        phases: { build: 12 },
        attempts: 2,
        error: { code: 'BuildFailed' },
      });
      registry.listens('http://127.0.0.1:9926');
      await expect
        .poll(() => registry.hosts(), soon)
        .toMatchObject([
          {
            name: 'north',
            url: 'http://127.0.0.1:9926',
            plugins: { todo: { state: 'disabled' }, bad: { error: { message: 'it\u{fffd}fails' } } },
          },
        ]);
      await expect.poll(() => registry.desired('todo')?.version, soon).toBe('2.0.0');
      registry.report('bad', undefined);
      await expect.poll(() => registry.desired('bad'), soon).toBeUndefined();
      await registry.remove('todo');
      await registry.reconcile();
      expect(registry.all().size).toBe(0);
      expect(told[0]).toBe(true);
      expect(told.slice(-2)).toEqual(['-bad', '-todo']);
    },
  );

  test.skipIf(missing)('a registry that was closed is found as it was', async () => {
    makeDirectory();
    const make = await prepare();
    const first = await open(make());
    await first.registry.register(found('todo'));
    const disabled = await first.registry.setStatus('todo', 'disabled');
    await first.registry.close();
    const second = await open(make());
    expect(second.registry.desired('todo')).toEqual(disabled);
    expect(second.told).toEqual([true]);
  });
});

describe.skipIf(noPostgres)('several hosts on one server', () => {
  test('each knows what any of them writes, whoever it was and however often', async () => {
    makeDirectory();
    const url = (await postgres?.database()) ?? '';
    const hosts = await Promise.all(
      ['north', 'south', 'west'].map((name) => open(new ServerDatabase({ url, ...quick }), name)),
    );
    await Promise.all(
      hosts.flatMap(({ registry }) => Array.from({ length: 20 }, (_, at) => registry.register(found(`p${at}`)))),
    );
    await Promise.all(
      hosts.map(({ registry }, at) => registry.setStatus(`p${at}`, at === 1 ? 'quarantined' : 'disabled')),
    );
    const expected = await dumped(url);
    for (const { registry } of hosts) {
      await expect.poll(() => statesOf(registry), soon).toEqual(expected);
      expect(registry.all().size).toBe(20);
    }
    expect((await hosts[0]?.registry.hosts())?.map(({ name }) => name)).toEqual(['north', 'south', 'west']);
  });

  test('with 10,000 changes by SQL and cut connections each comes to what the database says', async () => {
    makeDirectory();
    const url = (await postgres?.database()) ?? '';
    const proxy = await Proxy.start(Number(new URL(url).port));
    closing.push(() => proxy.close());
    const through = new URL(url);
    through.port = String(proxy.port);
    const [near, far] = [
      await open(new ServerDatabase({ url, ...quick })),
      await open(new ServerDatabase({ url: through.href, ...quick }), 'south'),
    ];
    const name = new URL(url).pathname.slice(1);
    await postgres?.psql(`INSERT INTO plugins (name) SELECT 'p' || n FROM generate_series(1, 100) AS n`, name);
    for (let round = 0; round < 10; round += 1) {
      const storm = postgres
        ?.psql(
          `DO $$ BEGIN FOR n IN 1..1000 LOOP
             UPDATE plugins SET reload_at = now() + n * interval '1 second', status = (ARRAY['active', 'disabled'])[1 + n % 2]
               WHERE name = 'p' || (1 + (n * 7) % 100);
             IF n % 50 = 0 THEN COMMIT; END IF;
           END LOOP; END $$`,
          name,
        )
        .then(() => postgres?.psql(`DELETE FROM plugins WHERE name = 'p${round * 3 + 1}'`, name))
        .then(() => postgres?.psql(`INSERT INTO plugins (name) VALUES ('new${round}')`, name));
      if (round % 2 === 0) proxy.cut();
      await storm;
    }
    const expected = await dumped(url);
    for (const { registry } of [near, far]) await expect.poll(() => statesOf(registry), soon).toEqual(expected);
    expect(far.registry.status().connections).toBeGreaterThan(1);
    expect(near.registry.status().connections).toBe(1);
  });
});

/** Name, status and revision of all plugins, as the database says. */
async function dumped(url: string): Promise<string> {
  const name = new URL(url).pathname.slice(1);
  return (await postgres?.psql(`SELECT name, status, revision FROM plugins ORDER BY name COLLATE "C"`, name)) ?? '';
}

function statesOf(registry: Registry): string {
  return [...registry.all().values()]
    .toSorted((one, other) => (one.name < other.name ? -1 : 1))
    .map(({ name, status, revision }) => `${name}|${status}|${revision}`)
    .join('\n');
}
