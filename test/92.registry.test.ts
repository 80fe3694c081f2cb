import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type LogRecord, silentLog, tapLog } from '../src/base/log.js';
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
  readonly name?: string;
  readonly id?: string;
  readonly waitMs?: number;
  readonly reconcileMs?: number;
}

/** A registry whose `open` was called. */
async function connect(wanted: Wanted = {}): Promise<Told> {
  const { reachable = true, name = 'north', id = randomUUID(), waitMs = 20_000, reconcileMs = 3_600_000 } = wanted;
  const database = new MemoryDatabase(server, { reachable });
  const registry = new Registry({
    database,
    copyFile: path.join(directory ?? os.tmpdir(), 'registry.json'),
    host: { id, name, version: '1.0.0', os: 'linux', arch: 'x64', pid: 42, startedAt: '2026-01-01T00:00:00.000Z' },
    log: tapLog(silentLog(), (record) => log?.push(record)),
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

  test('one that is invalid says why, and is active when it is mended', async () => {
    const { registry } = await connect();
    expect(await registry.register(found('todo', { invalid: 'it does not compile' }))).toMatchObject({
      status: 'invalid',
      statusReason: 'it does not compile',
    });
    expect(await registry.register(found('todo', { invalid: 'it still does not' }))).toMatchObject({
      statusReason: 'it still does not',
    });
    expect(registry.desired('todo')?.statusReason).toBe('it still does not');
    const mended = await registry.register(found('todo'));
    expect(mended).toMatchObject({ status: 'active', statusReason: null });
    expect(registry.desired('todo')).toEqual(mended);
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
});
