import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { logLevels, type LogRecord, silentLog, tapLog } from '../src/base/log.js';
import type { ReloadRow } from '../src/registry/door.js';
import type { FoundPlugin } from '../src/registry/rows.js';
import { Registry } from '../src/registry/registry.js';
import { MemoryDatabase, MemoryServer } from './registry/memory-database.js';

let server: MemoryServer;
let directory: string;
let log: LogRecord[];
const opened: Registry[] = [];

beforeAll(async () => {
  server = new MemoryServer();
  const { registry } = await connect();
  await registry.close();
});

afterAll(() => server.pg.close());

beforeEach(async () => {
  directory = await mkdtemp(path.join(os.tmpdir(), 'tenon-registry-'));
  log = [];
  await server.sql('TRUNCATE plugins, hosts, reloads CASCADE');
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((registry) => registry.close()));
  await rm(directory, { recursive: true, force: true });
});

interface Told {
  readonly registry: Registry;
  readonly database: MemoryDatabase;
  readonly id: string;
  /** What the listener was told, in order. */
  readonly told: (string | boolean)[];
}

interface Wanted {
  readonly reachable?: boolean;
  readonly database?: MemoryDatabase;
  readonly name?: string;
  readonly id?: string;
  readonly waitMs?: number;
  readonly reconcileMs?: number;
}

/** For what comes in the end. */
const soon = { timeout: 45_000, interval: 10 };

/** A registry whose `open` was called. */
async function connect(wanted: Wanted = {}): Promise<Told> {
  const { reachable = true, name = 'north', id = randomUUID(), waitMs = 20_000, reconcileMs = 3_600_000 } = wanted;
  const database = wanted.database ?? new MemoryDatabase(server, { reachable });
  const registry = new Registry({
    database,
    copyFile: path.join(directory ?? os.tmpdir(), 'registry.json'),
    host: { id, name, version: '1.0.0', os: 'linux', arch: 'x64', pid: 42, startedAt: '2026-01-01T00:00:00.000Z' },
    log: tapLog(
      silentLog(),
      (record) => log?.push(record),
      () => logLevels.warn,
    ),
    waitMs,
    reconcileMs,
  });
  opened.push(registry);
  const told: (string | boolean)[] = [];
  await registry.open({
    changed: (names, gone) => told.push(...names, ...gone.map((one) => `-${one}`)),
    reached: (connected) => told.push(connected),
  });
  return { registry, database, id, told };
}

function found(name: string, wanted: Partial<FoundPlugin> = {}): FoundPlugin {
  return { name, sourcePath: name, binaryPath: null, type: 'dynamic', version: '1.0.0', ...wanted };
}

async function rowOf(name: string): Promise<Record<string, unknown> | undefined> {
  return (await server.sql('SELECT * FROM plugins WHERE name = $1', [name]))[0];
}

/** What the one host that there is runs. */
async function plugins(): Promise<Record<string, unknown>> {
  const [host] = await server.sql('SELECT plugins FROM hosts');
  return (host?.['plugins'] ?? {}) as Record<string, unknown>;
}

async function copied(): Promise<unknown> {
  const text = await readFile(path.join(directory, 'registry.json'), 'utf8').catch(() => '{}');
  return (JSON.parse(text) as { plugins?: unknown }).plugins;
}

function reload(id: string): ReloadRow {
  return {
    id,
    plugin: 'todo',
    trigger: 'watch',
    outcome: 'succeeded',
    from: { generation: 1 },
    startedAt: '2026-01-01T00:00:00.000Z',
    totalMs: 1.5,
    phases: { build: 1 },
    attempts: 1,
  };
}

async function code(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'resolved',
    (error: unknown) => (error instanceof Error && 'code' in error ? String(error.code) : String(error)),
  );
}

describe('writes', () => {
  test('a plugin that is found is registered once, and known when that resolves', async () => {
    const { registry } = await connect();
    const first = await registry.register(found('todo'));
    expect(first).toMatchObject({
      name: 'todo',
      status: 'active',
      version: '1.0.0',
      pinned: false,
      sourcePath: 'todo',
    });
    expect(registry.desired('todo')).toEqual(first);
    expect(await registry.register(found('todo', { version: '2.0.0', invalid: 'broken' }))).toEqual(first);
  });

  test('one that somebody has registered by its name alone gets the version that is found', async () => {
    const { registry } = await connect();
    await server.sql(`INSERT INTO plugins (name) VALUES ('todo')`);
    expect(await registry.register(found('todo'))).toMatchObject({ version: '1.0.0', pinned: false, sourcePath: null });
  });

  test('one that is invalid says why, and is active when it is mended', async () => {
    const { registry } = await connect();
    expect(await registry.register(found('todo', { invalid: 'found: it does not compile' }))).toMatchObject({
      status: 'invalid',
      statusReason: 'found: it does not compile',
    });
    expect(await registry.register(found('todo', { invalid: 'found: it still does not' }))).toMatchObject({
      statusReason: 'found: it still does not',
    });
    expect(registry.desired('todo')?.statusReason).toBe('found: it still does not');
    const mended = await registry.register(found('todo'));
    expect(mended).toMatchObject({ status: 'active', statusReason: null });
    expect(registry.desired('todo')).toEqual(mended);
  });

  test.each(['it gives wrong answers', null])('one that somebody has made invalid stays so: %s', async (reason) => {
    const { registry } = await connect();
    const values = reason === null ? 'NULL' : `'${reason}'`;
    await server.sql(`INSERT INTO plugins (name, status, status_reason) VALUES ('todo', 'invalid', ${values})`);
    const kept = { status: 'invalid', statusReason: reason };
    expect(await registry.register(found('todo'))).toMatchObject(kept);
    expect(await registry.register(found('todo', { invalid: 'found: it does not compile' }))).toMatchObject(kept);
  });

  test('a status is set, and kept from a host that registers', async () => {
    const { registry } = await connect();
    await registry.register(found('todo'));
    const disabled = await registry.setStatus('todo', 'disabled', 'asked for');
    expect(disabled).toMatchObject({ status: 'disabled', statusReason: 'asked for' });
    expect(registry.desired('todo')).toEqual(disabled);
    expect(await registry.register(found('todo'))).toEqual(disabled);
    expect(await code(registry.setStatus('nobody', 'active'))).toBe('PluginNotFound');
  });

  test('a config is set on condition, and has a history', async () => {
    const { registry } = await connect({ name: 'north' });
    await registry.register(found('todo'));
    const first = await registry.setConfig('todo', { limit: 1 });
    expect(first.config).toEqual({ limit: 1 });
    expect(await code(registry.setConfig('todo', { limit: 2 }, first.configRevision - 1))).toBe('PreconditionFailed');
    expect(await code(registry.setConfig('nobody', {}, 1))).toBe('PluginNotFound');
    const second = await registry.setConfig('todo', { limit: 2 }, first.configRevision);
    await registry.setConfig('todo', null);
    expect(registry.desired('todo')?.config).toBeNull();
    expect(await registry.configs('todo')).toMatchObject([
      { config: null, changedBy: 'north' },
      { config: { limit: 2 }, changedBy: 'north', revision: second.configRevision },
      { config: { limit: 1 }, changedBy: 'north', revision: first.configRevision },
    ]);
  });

  test('of two that set the same config the first one has changed it, whatever they know', async () => {
    const [one, other] = [await connect(), await connect({ name: 'south' })];
    await one.registry.register(found('todo'));
    await other.registry.reconcile();
    other.database.deaf = true;
    const first = await one.registry.setConfig('todo', { limit: 1 });
    const second = await other.registry.setConfig('todo', { limit: 1 });
    expect([first.changed, second.changed, second.configRevision]).toEqual([true, false, first.configRevision]);
    expect(other.registry.desired('todo')).not.toHaveProperty('changed');
  });

  test('of two that change one config on the same condition, one is refused', async () => {
    const [one, other] = [await connect(), await connect({ name: 'south' })];
    const { configRevision } = await one.registry.register(found('todo'));
    const codes = await Promise.all([
      code(one.registry.setConfig('todo', { by: 'one' }, configRevision)),
      code(other.registry.setConfig('todo', { by: 'other' }, configRevision)),
    ]);
    expect(codes.toSorted()).toEqual(['PreconditionFailed', 'resolved']);
  });

  test.each<[string, Record<string, unknown>]>([
    ['is too large', { text: 'x'.repeat(262_145) }],
    ['is too large as the database counts', { list: Array.from({ length: 120_000 }, () => 1) }],
    ['is nested too deeply', JSON.parse(`{"deep":${'['.repeat(80)}${']'.repeat(80)}}`)],
    ['has a character that cannot be stored', { text: 'a\0b' }],
    ['has a number that JSON has not', { limit: Number.POSITIVE_INFINITY }],
    ['has half a character', { text: '\u{d800}' }],
  ])('a config that %s is refused, and nothing is changed', async (_, config) => {
    const { registry } = await connect();
    const before = await registry.register(found('todo'));
    expect(await code(registry.setConfig('todo', config))).toBe('ConfigInvalid');
    expect(registry.desired('todo')).toEqual(before);
  });

  test('a name that cannot be is refused', async () => {
    const { registry } = await connect();
    expect(await code(registry.register(found('../etc')))).toBe('RegistryInvalid');
  });

  test('a plugin that is removed is not known any more', async () => {
    const { registry, told } = await connect();
    await registry.register(found('todo'));
    await registry.remove('todo');
    await registry.remove('todo');
    expect(registry.desired('todo')).toBeUndefined();
    expect(told).toEqual([true, 'todo', '-todo']);
  });

  test('are refused while the registry is away, and after it is closed', async () => {
    const { registry, database } = await connect();
    await registry.register(found('todo'));
    database.cut();
    for (const write of [
      registry.register(found('other')),
      registry.setStatus('todo', 'disabled'),
      registry.setConfig('todo', {}),
      registry.remove('todo'),
      registry.configs('todo'),
      registry.hosts(),
      registry.reconcile(),
    ])
      expect(await code(write)).toBe('RegistryUnavailable');
    await registry.close();
    expect(await code(registry.setStatus('todo', 'disabled'))).toBe('RegistryUnavailable');
    expect(registry.desired('todo')).toBeDefined();
  });

  test('one that is written when the connection breaks is known', async () => {
    const { registry, database } = await connect();
    await registry.register(found('todo'));
    const letGo = database.holdNext('SELECT name, source_path');
    const reading = code(registry.reconcile());
    const writing = registry.setStatus('todo', 'disabled');
    await expect.poll(() => rowOf('todo'), soon).toMatchObject({ status: 'disabled' });
    await expect.poll(() => database.transactions, soon).toBe(0);
    database.cut();
    letGo();
    expect(await reading).toBe('RegistryUnavailable');
    expect(await writing).toMatchObject({ status: 'disabled' });
    expect(registry.desired('todo')).toMatchObject({ status: 'disabled' });
  });
});

describe('what somebody else writes', () => {
  test('is told once, by name', async () => {
    const { registry, told } = await connect();
    await server.sql(`INSERT INTO plugins (name) VALUES ('one'), ('two'), ('three')`);
    await expect.poll(() => registry.all().size, soon).toBe(3);
    await server.sql(
      `UPDATE plugins SET status = 'disabled' WHERE name = 'two'; DELETE FROM plugins WHERE name = 'one'`,
    );
    await expect.poll(() => registry.desired('one'), soon).toBeUndefined();
    await expect.poll(() => registry.desired('two')?.status, soon).toBe('disabled');
    await registry.reconcile();
    expect(told.filter((name) => name === 'three')).toHaveLength(1);
    expect(told.filter((name) => name === '-one')).toHaveLength(1);
    expect(told.filter((name) => name === 'two')).toHaveLength(2);
  });

  test('is known to every host', async () => {
    const [one, other] = [await connect(), await connect({ name: 'south' })];
    await one.registry.register(found('todo'));
    await expect.poll(() => other.registry.desired('todo'), soon).toEqual(one.registry.desired('todo'));
    const disabled = await other.registry.setStatus('todo', 'disabled');
    await expect.poll(() => one.registry.desired('todo'), soon).toEqual(disabled);
    await one.registry.remove('todo');
    await expect.poll(() => other.registry.desired('todo'), soon).toBeUndefined();
    expect(other.told).toEqual([true, 'todo', 'todo', '-todo']);
  });

  test('a plugin that gets another name is gone under the old one', async () => {
    const { registry } = await connect();
    await registry.register(found('todo'));
    await server.sql(`UPDATE plugins SET name = 'tasks'`);
    await expect.poll(() => [...registry.all().keys()], soon).toEqual(['tasks']);
  });

  test('all gone at once', async () => {
    const { registry, told } = await connect();
    await registry.register(found('one'));
    await registry.register(found('two'));
    await server.sql('TRUNCATE plugins CASCADE');
    await expect.poll(() => registry.all().size, soon).toBe(0);
    expect(told).toEqual([true, 'one', 'two', '-one', '-two']);
  });

  test('10,000 notifications are few reads, and the last state is known', async () => {
    const { registry, database } = await connect();
    await server.sql(`INSERT INTO plugins (name) SELECT 'p' || n FROM generate_series(1, 40) AS n`);
    await expect.poll(() => registry.all().size, soon).toBe(40);
    const before = database.reads;
    await server.sql(`
      SELECT pg_notify('plugin_changes', json_build_object('op', 'UPDATE', 'name', 'p' || n % 40, 'revision', 1e9 + n)::text)
      FROM generate_series(1, 10000) AS n;
      UPDATE plugins SET status = 'disabled'`);
    await expect.poll(() => [...registry.all().values()].every(({ status }) => status === 'disabled'), soon).toBe(true);
    await registry.reconcile();
    expect(database.reads - before).toBeLessThan(60);
  });

  test.each([
    ['no JSON', 'hello'],
    ['no object', '[]'],
    ['a name that cannot be', '{"op":"UPDATE","name":"../etc","revision":1}'],
    ['another kind of change', '{"op":"DROP","name":"todo","revision":1}'],
  ])('a notification that is %s has everything read', async (_, payload) => {
    const { registry, database } = await connect();
    database.deaf = true;
    await server.sql(`INSERT INTO plugins (name) VALUES ('todo')`);
    database.deaf = false;
    await server.sql(`SELECT pg_notify('plugin_changes', $1)`, [payload]);
    await expect.poll(() => registry.desired('todo'), soon).toBeDefined();
  });

  test('a notification of what is known already reads nothing', async () => {
    const { registry, database } = await connect();
    const { revision } = await registry.register(found('todo'));
    await registry.reconcile();
    const before = database.reads;
    const payload = JSON.stringify({ op: 'UPDATE', name: 'todo', revision });
    await server.sql(`SELECT pg_notify('plugin_changes', $1)`, [payload]);
    await server.sql(`INSERT INTO plugins (name) VALUES ('later')`);
    await expect.poll(() => registry.desired('later'), soon).toBeDefined();
    expect(database.reads - before).toBe(1);
  });

  test('what was not told is found by the next full read', async () => {
    const { registry, database } = await connect({ reconcileMs: 100 });
    database.deaf = true;
    await server.sql(`INSERT INTO plugins (name) VALUES ('todo')`);
    await expect.poll(() => registry.desired('todo'), soon).toBeDefined();
    await server.sql('DELETE FROM plugins');
    await expect.poll(() => registry.desired('todo'), soon).toBeUndefined();
  });

  test('a late answer puts nothing older in the place of something newer', async () => {
    const { registry, database, told } = await connect();
    await registry.register(found('todo'));
    const [letGo, before] = [database.holdNext('SELECT name, source_path'), database.reads];
    const late = registry.reconcile();
    await expect.poll(() => database.reads, soon).toBe(before + 1);
    const disabled = registry.setStatus('todo', 'disabled');
    const added = registry.register(found('other'));
    await expect.poll(() => rowOf('other'), soon).toBeDefined();
    letGo();
    const [, ...written] = await Promise.all([late, disabled, added]);
    await registry.reconcile();
    expect([registry.desired('todo'), registry.desired('other')]).toEqual(written);
    expect(told).toEqual([true, 'todo', 'todo', 'other']);
  });

  test('a removal is not undone by an answer that was on its way', async () => {
    const { registry, database, told } = await connect();
    await registry.register(found('todo'));
    const [letGo, before] = [database.holdNext('SELECT name, source_path'), database.reads];
    const late = registry.reconcile();
    await expect.poll(() => database.reads, soon).toBe(before + 1);
    const removed = registry.remove('todo');
    await expect.poll(() => rowOf('todo'), soon).toBeUndefined();
    letGo();
    await Promise.all([late, removed]);
    await registry.reconcile();
    expect(told).toEqual([true, 'todo', '-todo']);
  });

  test.each([
    ['source_path', `source_path = '../../etc'`],
    ['source_path', `source_path = ''`],
    ['reload_at', `reload_at = 'infinity'`],
    ['config', `config = '{"limit": [1e400]}'`],
  ])('a row whose %s cannot be is told once, and what was known before holds', async (column, assignment) => {
    const { registry } = await connect();
    const before = await registry.register(found('todo'));
    await server.sql(
      `UPDATE plugins SET ${assignment} WHERE name = 'todo'; INSERT INTO plugins (name) VALUES ('other')`,
    );
    await expect.poll(() => registry.desired('other'), soon).toBeDefined();
    await registry.reconcile();
    await registry.reconcile();
    expect(registry.desired('todo')).toEqual(before);
    expect(log.filter(({ level }) => level === 'error')).toMatchObject([
      {
        fields: { plugin: 'todo', code: 'RegistryInvalid' },
        message: expect.stringContaining(`plugins.${column} of todo`),
      },
    ]);
    await server.sql(`UPDATE plugins SET source_path = 'todo', reload_at = NULL, config = NULL`);
    await expect.poll(() => registry.desired('todo')?.revision, soon).toBeGreaterThan(before.revision);
  });

  test('of more than are read at once those after them are not gone, and that is told once', async () => {
    const { registry, told } = await connect();
    const last = await registry.register(found('zz'));
    await server.sql(`INSERT INTO plugins (name) SELECT 'p' || n FROM generate_series(1, 10000) AS n`);
    await registry.reconcile();
    await registry.reconcile();
    expect([registry.all().size, registry.desired('zz')]).toEqual([10_001, last]);
    expect(told).not.toContain('-zz');
    expect(log.filter(({ level }) => level === 'error').map(({ message }) => message)).toEqual([
      expect.stringContaining('more than 10000 plugins'),
    ]);
  });

  test('configs of more than 64 MiB in all are told, and what was known of those after them holds', async () => {
    const { registry, told } = await connect();
    await server.sql(`INSERT INTO plugins (name) SELECT 'p' || n FROM generate_series(100, 359) AS n`);
    await expect.poll(() => registry.all().size, soon).toBe(260);
    await server.sql(`UPDATE plugins SET config = jsonb_build_object('text', repeat('x', 262000))`);
    await registry.reconcile();
    const read = [...registry.all().values()].filter(({ config }) => config !== null);
    expect([registry.all().size, read.length, registry.desired('p359')?.config]).toEqual([260, 256, null]);
    expect(log.filter(({ level }) => level === 'error').map(({ fields }) => fields?.['plugin'])).toEqual(
      [356, 357, 358, 359].map((n) => `p${n}`),
    );
    expect(told.filter((name) => String(name).startsWith('-'))).toEqual([]);
  });

  test('a table that was taken away is found again when it is back', async () => {
    const { registry } = await connect();
    await registry.register(found('todo'));
    await server.sql('ALTER TABLE plugins RENAME TO elsewhere');
    expect(await code(registry.reconcile())).toBe('RegistryUnavailable');
    expect(registry.status()).toMatchObject({ connected: false, error: expect.stringContaining('plugins') });
    expect(registry.desired('todo')).toBeDefined();
    await server.sql(`ALTER TABLE elsewhere RENAME TO plugins; UPDATE plugins SET status = 'disabled'`);
    await expect.poll(() => registry.desired('todo')?.status, soon).toBe('disabled');
    expect(registry.status().connected).toBe(true);
  });
});

test('it is counted what was done to know what the registry says', async () => {
  const { registry } = await connect();
  expect(registry.figures()).toMatchObject({ reads: 1, notifications: 0 });
  await registry.reconcile();
  await registry.reconcile();
  const { reads, readSeconds, readAt = 0 } = registry.figures();
  expect(reads).toBe(3);
  expect(readSeconds).toBeGreaterThan(0);
  expect(Math.abs(Date.now() / 1000 - readAt)).toBeLessThan(60);
  await registry.register(found('todo'));
  await server.sql(`UPDATE plugins SET status = 'disabled'`);
  await expect.poll(() => registry.desired('todo')?.status, soon).toBe('disabled');
  expect(registry.figures().notifications).toBeGreaterThan(0);
});

describe('the registry away', () => {
  test('at the start: what the copy on disk says holds until it can be read', async () => {
    const first = await connect();
    const todo = await first.registry.register(found('todo'));
    await first.registry.setStatus('todo', 'disabled');
    const gone = await first.registry.register(found('gone'));
    await first.registry.close();
    expect((await stat(path.join(directory, 'registry.json'))).mode & 0o777).toBe(0o600);

    const { registry, database, told } = await connect({ reachable: false });
    expect(registry.desired('todo')).toMatchObject({ status: 'disabled' });
    expect(registry.desired('gone')).toEqual(gone);
    expect(registry.status()).toMatchObject({ connected: false, error: 'connection refused', connections: 0 });
    await server.sql(`DELETE FROM plugins WHERE name = 'gone'; UPDATE plugins SET status = 'active'`);
    database.back();
    await expect.poll(() => registry.status(), soon).toMatchObject({ connected: true, connections: 1 });
    expect(registry.status().error).toBeUndefined();
    expect(registry.desired('todo')).toMatchObject({ status: 'active', version: todo.version });
    expect(told).toEqual([false, 'todo', '-gone', true]);
  });

  test('at the start: what was removed meanwhile is not told as gone, for nothing runs yet', async () => {
    const first = await connect();
    await first.registry.register(found('todo'));
    await first.registry.close();
    await server.sql('DELETE FROM plugins');
    const { registry, told } = await connect();
    expect(registry.desired('todo')).toBeUndefined();
    expect(told).toEqual(['todo', true]);
  });

  test('another registry in its place has removed nothing', async () => {
    const { registry, database, told } = await connect();
    await registry.register(found('todo'));
    await registry.register(found('kept'));
    database.cut();
    await expect.poll(() => told.at(-1), soon).toBe(false);
    await server.sql(`
      DELETE FROM plugins WHERE name = 'todo';
      UPDATE tenon_migrations SET applied_at = applied_at + interval '1 day'`);
    database.back();
    await expect.poll(() => told.at(-1), soon).toBe(true);
    expect(told).toEqual([true, 'todo', 'kept', false, 'todo', true]);
    await registry.remove('kept');
    expect(told.at(-1)).toBe('-kept');
  });

  test('another registry than that of the copy has removed nothing', async () => {
    const first = await connect();
    await first.registry.register(found('todo'));
    await first.registry.close();
    const { database, told } = await connect({ reachable: false });
    await server.sql(`
      DELETE FROM plugins;
      UPDATE tenon_migrations SET applied_at = applied_at + interval '1 day'`);
    database.back();
    await expect.poll(() => told.at(-1), soon).toBe(true);
    expect(told).toEqual([false, 'todo', true]);
  });

  test('a copy that says what the registry says tells nothing', async () => {
    const first = await connect();
    await first.registry.register(found('todo'));
    await first.registry.close();
    const { told } = await connect();
    expect(told).toEqual([true]);
  });

  test('the copy follows what changes', async () => {
    const { registry } = await connect();
    await registry.register(found('todo'));
    await expect.poll(copied, soon).toEqual([registry.desired('todo')]);
    await server.sql(`UPDATE plugins SET status = 'quarantined'`);
    await expect.poll(copied, soon).toMatchObject([{ name: 'todo', status: 'quarantined' }]);
  });

  test.each([
    ['no JSON', '{"format":1,'],
    ['of another kind', '{"format":2,"plugins":[]}'],
    ['nothing', ''],
  ])('a copy that is %s is told and not used', async (_, text) => {
    await writeFile(path.join(directory, 'registry.json'), text);
    const { registry } = await connect({ reachable: false });
    expect(registry.all().size).toBe(0);
    expect(log.map(({ message }) => message)).toContain('the copy of the registry cannot be read, and is not used');
  });

  test('a plugin that is damaged in the copy is left out', async () => {
    const first = await connect();
    const todo = await first.registry.register(found('todo'));
    await first.registry.close();
    const text = JSON.stringify({
      format: 1,
      registry: 'x',
      plugins: [todo, { ...todo, name: 'bad', sourcePath: '../..' }, 7],
    });
    await writeFile(path.join(directory, 'registry.json'), text);
    const { registry } = await connect({ reachable: false });
    expect([...registry.all().values()]).toEqual([todo]);
  });

  test('a registry that does not answer holds up a start no longer than it may', async () => {
    const database = new MemoryDatabase(server);
    const letGo = database.holdNext();
    const { registry } = await connect({ database, waitMs: 50 });
    expect(registry.status()).toMatchObject({ connected: false });
    letGo();
    await expect.poll(() => registry.status().connected, soon).toBe(true);
  });

  test('while it serves: what is known stays, what has changed is told afterwards', async () => {
    const { registry, database, told } = await connect();
    await registry.register(found('todo'));
    await registry.register(found('other'));
    database.cut();
    await expect.poll(() => told.at(-1), soon).toBe(false);
    await server.sql(`DELETE FROM plugins WHERE name = 'other'; UPDATE plugins SET status = 'disabled'`);
    expect(registry.desired('todo')?.status).toBe('active');
    database.back();
    await expect.poll(() => told.at(-1), soon).toBe(true);
    expect(told).toEqual([true, 'todo', 'other', false, 'todo', '-other', true]);
    expect(registry.status()).toMatchObject({ connected: true, connections: 2 });
  });

  test('a registry that was taken back from a back-up is believed', async () => {
    const { registry, database } = await connect();
    const { revision } = await registry.register(found('todo'));
    await registry.setStatus('todo', 'disabled');
    database.cut();
    await server.sql(`
      ALTER TABLE plugins DISABLE TRIGGER USER;
      UPDATE plugins SET status = 'active', revision = ${revision};
      ALTER TABLE plugins ENABLE TRIGGER USER`);
    database.back();
    await expect.poll(() => registry.desired('todo'), soon).toMatchObject({ status: 'active', revision });
  });
});

describe('what a host tells', () => {
  const running = { state: 'serving', version: '1.0.0', generation: 1, revision: 7 };

  test('is in its row: who it is, where it is, what it runs', async () => {
    const { registry, id } = await connect({ name: 'north' });
    registry.report('todo', running);
    registry.report('broken', {
      state: 'failed',
      revision: 8,
      error: { code: 'BuildFailed', message: 'a\0b\u{d800}' },
    });
    registry.listens('http://127.0.0.1:9926');
    await expect
      .poll(() => registry.hosts(), soon)
      .toMatchObject([
        {
          id,
          name: 'north',
          pid: 42,
          url: 'http://127.0.0.1:9926',
          stoppedAt: null,
          startedAt: '2026-01-01T00:00:00.000Z',
          plugins: {
            todo: running,
            broken: { state: 'failed', revision: 8, error: { code: 'BuildFailed', message: 'a\u{fffd}b\u{fffd}' } },
          },
        },
      ]);
    registry.report('broken', undefined);
    registry.report('todo', { ...running, revision: 9 });
    await expect
      .poll(async () => (await registry.hosts())[0]?.plugins, soon)
      .toEqual({ todo: { ...running, revision: 9 } });
  });

  test('a thousand changes are few statements', async () => {
    const { registry, database } = await connect();
    await expect.poll(() => registry.hosts(), soon).toHaveLength(1);
    const before = database.statements.length;
    for (let at = 1; at <= 1000; at += 1) registry.report(`p${at % 100}`, { ...running, revision: at });
    await expect.poll(async () => (await plugins())['p0'], soon).toMatchObject({ revision: 1000 });
    expect(Object.keys(await plugins())).toHaveLength(100);
    expect(database.statements.slice(before).filter((text) => text.includes('UPDATE hosts'))).toHaveLength(1);
  });

  test('waits while the registry is away, and is written when it is back', async () => {
    const { registry, database } = await connect();
    await registry.register(found('todo'));
    registry.report('before', running);
    await expect.poll(plugins, soon).toHaveProperty('before');
    database.cut();
    registry.report('todo', { ...running, revision: 1 });
    registry.report('todo', running);
    registry.report('before', undefined);
    registry.listens('http://127.0.0.1:1');
    registry.serves('todo', '2.0.0', [], undefined);
    registry.reloaded(reload('r1'));
    await server.sql('DELETE FROM hosts');
    database.back();
    await expect.poll(plugins, soon).toEqual({ todo: running });
    expect((await registry.hosts())[0]).toMatchObject({ url: 'http://127.0.0.1:1', stoppedAt: null });
    await expect.poll(() => rowOf('todo'), soon).toMatchObject({ version: '2.0.0', pinned: false });
    await expect.poll(() => server.sql('SELECT id FROM reloads'), soon).toEqual([{ id: 'r1' }]);
  });

  test('a reload that is taken back is told as such', async () => {
    const { registry, database } = await connect();
    const taken = (id: string): void => registry.reloaded({ ...reload(id), outcome: 'rolledBack' });
    const outcomes = (): Promise<object[]> => server.sql('SELECT id, outcome FROM reloads ORDER BY id');
    registry.reloaded(reload('r1'));
    await expect.poll(outcomes, soon).toHaveLength(1);
    taken('r1');
    database.cut();
    registry.reloaded(reload('r2'));
    taken('r2');
    database.back();
    await expect.poll(outcomes, soon).toEqual([
      { id: 'r1', outcome: 'rolledBack' },
      { id: 'r2', outcome: 'rolledBack' },
    ]);
  });

  test('a row that somebody has removed is written anew', async () => {
    const { registry } = await connect();
    registry.report('one', running);
    await expect.poll(plugins, soon).toHaveProperty('one');
    await server.sql('DELETE FROM hosts');
    registry.report('two', running);
    await expect.poll(plugins, soon).toEqual({ one: running, two: running });
  });

  test('a row that somebody has made senseless is written anew', async () => {
    const { registry } = await connect();
    registry.report('one', running);
    await expect.poll(plugins, soon).toHaveProperty('one');
    await server.sql(`UPDATE hosts SET plugins = '7'`);
    registry.report('two', running);
    await expect.poll(plugins, soon).toEqual({ one: running, two: running });
  });

  test('what it serves: version, routes and library, as soon as it is registered', async () => {
    const { registry } = await connect();
    const routes = [
      { method: 'GET', path: '/todo', execution: 'pool', auth: null, roles: [] },
      { method: 'POST', path: '/todo', execution: 'inline', auth: 'identity', roles: ['a', 'b'] },
    ];
    const artifact = { version: '1.1.0', os: 'linux', arch: 'x64', libc: 'glibc', sha256: 'a'.repeat(64), size: 17 };
    registry.serves('todo', '1.1.0', routes, { ...artifact, signature: 'A1B2C3D4E5F60718' });
    await registry.register(found('todo'));
    await expect.poll(() => rowOf('todo'), soon).toMatchObject({ version: '1.1.0', pinned: false });
    const listed = 'SELECT method, path, execution, auth, roles FROM plugin_endpoints ORDER BY method';
    expect(await server.sql(listed)).toEqual(routes);
    expect(await server.sql('SELECT version, sha256, size, signature FROM plugin_artifacts')).toMatchObject([
      { version: '1.1.0', sha256: artifact.sha256, size: 17, signature: 'A1B2C3D4E5F60718' },
    ]);
    registry.serves('todo', '1.2.0', routes.slice(0, 1), undefined);
    await expect.poll(() => server.sql(listed), soon).toEqual(routes.slice(0, 1));
    await expect.poll(() => registry.desired('todo'), soon).toMatchObject({ version: '1.2.0', pinned: false });
  });

  test('a version that somebody has chosen stays', async () => {
    const { registry } = await connect();
    await registry.register(found('todo'));
    await server.sql(`UPDATE plugins SET version = '0.9.0'`);
    await expect.poll(() => registry.desired('todo'), soon).toMatchObject({ version: '0.9.0', pinned: true });
    registry.serves('todo', '1.1.0', [], undefined);
    registry.reloaded(reload('after'));
    await expect.poll(() => server.sql('SELECT id FROM reloads'), soon).toHaveLength(1);
    expect(await rowOf('todo')).toMatchObject({ version: '0.9.0', pinned: true });
  });

  test('that it lives, every 10 s', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    try {
      const { registry } = await connect();
      await expect.poll(() => registry.hosts(), soon).toHaveLength(1);
      await server.sql(`UPDATE hosts SET seen_at = '2020-01-01', stopped_at = '2020-01-01'`);
      vi.advanceTimersByTime(10_000);
      await expect.poll(() => registry.hosts(), soon).toMatchObject([{ stoppedAt: null }]);
      expect(Date.now() - Date.parse((await registry.hosts())[0]?.seenAt ?? '')).toBeLessThan(60_000);
    } finally {
      vi.useRealTimers();
    }
  });

  test('what it may not write holds up nothing else', async () => {
    const { registry } = await connect();
    await registry.register(found('todo'));
    await server.sql(`
      CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE insufficient_privilege; END $$;
      CREATE TRIGGER refuse BEFORE DELETE ON plugins FOR EACH ROW EXECUTE FUNCTION refuse()`);
    try {
      registry.report('todo', undefined);
      registry.report('other', running);
      registry.reloaded(reload('one'));
      await expect.poll(plugins, soon).toEqual({ other: running });
      await expect.poll(() => server.sql('SELECT id FROM reloads'), soon).toHaveLength(1);
    } finally {
      await server.sql('DROP TRIGGER refuse ON plugins; DROP FUNCTION refuse');
    }
    await expect.poll(() => rowOf('todo'), soon).toBeUndefined();
  });

  test('what the registry refuses holds up nothing else', async () => {
    const { registry } = await connect();
    await registry.register(found('todo'));
    registry.serves('todo', 'v'.repeat(40), [], undefined);
    registry.reloaded({ ...reload('bad'), totalMs: Number.NaN });
    registry.reloaded(reload('good'));
    await expect.poll(() => server.sql('SELECT id FROM reloads'), soon).toEqual([{ id: 'good' }]);
    expect(log.map(({ message }) => message)).toEqual([
      'the registry refuses what todo serves, which is left out',
      'the registry refuses a reload, which is left out',
    ]);
    expect(await rowOf('todo')).toMatchObject({ version: '1.0.0' });
  });

  test('of reloads that wait the newest 1,000 are kept, and the others counted', async () => {
    const { registry, database } = await connect();
    database.cut();
    for (let at = 0; at < 1234; at += 1) registry.reloaded(reload(`r${at}`));
    database.back();
    await expect.poll(async () => (await server.sql('SELECT id FROM reloads')).length, soon).toBe(1000);
    expect(await server.sql(`SELECT id FROM reloads WHERE id IN ('r233', 'r234', 'r1233') ORDER BY id`)).toEqual([
      { id: 'r1233' },
      { id: 'r234' },
    ]);
    expect(log.map(({ fields }) => fields['lost'])).toContain(234);
  });
});

describe('a plugin whose folder is gone on a host', () => {
  const running = { state: 'serving', revision: 1 };

  test('is registered no more', async () => {
    const { registry } = await connect();
    await registry.register(found('todo'));
    registry.report('todo', running);
    registry.serves('todo', '1.1.0', [], undefined);
    await expect.poll(() => registry.desired('todo')?.version, soon).toBe('1.1.0');
    registry.report('todo', undefined);
    await expect.poll(() => rowOf('todo'), soon).toBeUndefined();
    await expect.poll(() => registry.desired('todo'), soon).toBeUndefined();
  });

  test.each([
    ['config', `config = '{}'`],
    ['status', `status = 'disabled'`],
    ['version', `version = '0.9.0'`],
  ])('stays registered when somebody has set its %s', async (_, assignment) => {
    const { registry } = await connect();
    const { revision } = await registry.register(found('todo'));
    await server.sql(`UPDATE plugins SET ${assignment}`);
    await expect.poll(() => registry.desired('todo')?.revision, soon).toBeGreaterThan(revision);
    await reportedGone(registry);
    expect(await rowOf('todo')).toBeDefined();
  });

  test('stays registered while another host that lives has it, and goes with the last', async () => {
    const [one, other] = [await connect(), await connect({ name: 'south' })];
    await one.registry.register(found('todo'));
    other.registry.report('todo', running);
    await expect.poll(() => other.registry.desired('todo'), soon).toBeDefined();
    await expect
      .poll(async () => (await one.registry.hosts()).map(({ plugins: all }) => all), soon)
      .toContainEqual({
        todo: running,
      });
    await reportedGone(one.registry);
    expect(await rowOf('todo')).toBeDefined();
    other.registry.report('todo', undefined);
    await expect.poll(() => rowOf('todo'), soon).toBeUndefined();
  });

  test.each([
    ['has stopped', 'stopped_at = now()'],
    ['was not seen for long', `seen_at = now() - interval '2 minutes'`],
    ['misses its application', `plugins = '{"todo": {"state": "missing"}}'`],
  ])('goes when the other host that has it %s', async (_, assignment) => {
    const { registry } = await connect();
    await registry.register(found('todo'));
    await server.sql(`
      INSERT INTO hosts (id, name, pid, version, os, arch, started_at, plugins)
      VALUES (gen_random_uuid(), 'other', 1, '1', 'linux', 'x64', now(), '{"todo": {}}');
      UPDATE hosts SET ${assignment} WHERE name = 'other'`);
    registry.report('todo', undefined);
    await expect.poll(() => rowOf('todo'), soon).toBeUndefined();
  });

  test('stays registered when its folder is there again before that was written', async () => {
    const { registry } = await connect();
    const todo = await registry.register(found('todo'));
    registry.report('todo', undefined);
    expect(await registry.register(found('todo'))).toEqual(todo);
    registry.report('todo', running);
    registry.reloaded(reload('written after it'));
    await expect.poll(() => server.sql('SELECT id FROM reloads'), soon).toHaveLength(1);
    expect(registry.desired('todo')).toEqual(todo);
    expect(await rowOf('todo')).toBeDefined();
  });

  test('stays registered when it was registered again meanwhile', async () => {
    const { registry, database } = await connect();
    await registry.register(found('todo'));
    database.deaf = true;
    await server.sql(`DELETE FROM plugins; INSERT INTO plugins (name) VALUES ('todo')`);
    await reportedGone(registry);
    expect(await rowOf('todo')).toBeDefined();
  });
});

describe('the end', () => {
  test('what waits is written, and that the host has stopped', async () => {
    const { registry } = await connect();
    registry.report('todo', { state: 'serving', revision: 3 });
    registry.reloaded(reload('last'));
    await registry.close();
    await registry.close();
    const [host] = await server.sql('SELECT stopped_at, plugins FROM hosts');
    expect(host).toMatchObject({ plugins: { todo: { state: 'serving', revision: 3 } }, stopped_at: expect.any(Date) });
    expect(await server.sql('SELECT id FROM reloads')).toEqual([{ id: 'last' }]);
  });

  test('a host that starts again has not stopped, and runs nothing yet', async () => {
    const first = await connect();
    first.registry.report('todo', { state: 'serving', revision: 3 });
    await first.registry.close();
    const second = await connect({ id: first.id });
    await expect.poll(() => second.registry.hosts(), soon).toMatchObject([{ stoppedAt: null, plugins: {} }]);
  });

  test('of a host whose row another start has taken over is not told', async () => {
    const first = await connect();
    await expect.poll(() => first.registry.hosts(), soon).toHaveLength(1);
    await server.sql(`UPDATE hosts SET started_at = now()`);
    await first.registry.close();
    expect(await server.sql('SELECT stopped_at FROM hosts')).toEqual([{ stopped_at: null }]);
  });

  test('is not held up by a registry that is away', async () => {
    const { registry, database } = await connect();
    database.cut();
    registry.report('todo', { state: 'serving', revision: 3 });
    await registry.close();
    expect(database.closed).toBe(true);
  });

  test('is held up by a registry that does not answer for 2 s at most', async () => {
    const { registry, database } = await connect();
    await expect.poll(() => registry.hosts(), soon).toHaveLength(1);
    database.holdNext();
    registry.report('todo', { state: 'serving', revision: 3 });
    await registry.close();
    expect(database.closed).toBe(true);
  });
});

describe('now and then', () => {
  test('old rows are removed', async () => {
    await server.sql(`
      INSERT INTO plugins (name) VALUES ('todo');
      INSERT INTO hosts (id, name, pid, version, os, arch, started_at, seen_at)
      SELECT gen_random_uuid(), name, 1, '1', 'linux', 'x64', now(), now() - age::interval
      FROM (VALUES ('old', '25 hours'), ('young', '23 hours')) AS given (name, age);
      INSERT INTO reloads (id, host, plugin, trigger, outcome, started_at, total_ms, phases, attempts)
      SELECT plugin || n, gen_random_uuid(), plugin, 'watch', 'succeeded', now() + n * interval '1 second', 1, '{}', 1
      FROM generate_series(1, 1005) AS n, (VALUES ('a'), ('b')) AS given (plugin);
      DELETE FROM reloads WHERE id = 'b1005'`);
    await connect();
    await expect.poll(async () => (await server.sql('SELECT id FROM reloads')).length, soon).toBe(2000);
    expect(await server.sql(`SELECT id FROM reloads WHERE id IN ('a5', 'a6', 'b4', 'b5') ORDER BY id`)).toEqual([
      { id: 'a6' },
      { id: 'b5' },
    ]);
    expect(await server.sql(`SELECT name FROM hosts WHERE name IN ('old', 'young')`)).toEqual([{ name: 'young' }]);
  });
});

/** Reports that `todo` is gone; resolves when that was written, with what comes of it. */
async function reportedGone(registry: Registry): Promise<void> {
  registry.report('todo', undefined);
  registry.reloaded(reload('written after it'));
  await expect.poll(() => server.sql('SELECT id FROM reloads'), soon).toHaveLength(1);
}
