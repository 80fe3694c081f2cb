import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Database, DatabaseListener } from '../src/registry/database.js';
import { EmbeddedDatabase } from '../src/registry/embedded.js';
import { migrate } from '../src/registry/migrate.js';
import { ServerDatabase } from '../src/registry/server.js';
import { noPostgres, PostgresServer } from './registry/postgres.js';

interface Payload {
  readonly op: string;
  readonly name: string | null;
  readonly revision: number;
}

interface Told {
  readonly listener: DatabaseListener;
  readonly told: string[];
  readonly payloads: Payload[];
  /** Resolves when that many connections were made. */
  readonly connected: (count?: number) => Promise<void>;
}

function listening(): Told {
  const told: string[] = [];
  const payloads: Told['payloads'] = [];
  return {
    told,
    payloads,
    listener: {
      prepare: migrate,
      connected: () => told.push('connected'),
      lost: (error) => told.push(`lost: ${error.message}`),
      notified: (payload) => payloads.push(JSON.parse(payload) as Payload),
    },
    connected: (count = 1) =>
      expect
        .poll(() => told.filter((each) => each === 'connected').length, { timeout: 60_000 })
        .toBeGreaterThanOrEqual(count),
  };
}

let server: PostgresServer | undefined;
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

beforeAll(async () => {
  if (noPostgres === undefined) server = await PostgresServer.start();
});
afterAll(() => server?.dispose());

async function embedded(): Promise<() => Database> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'tenon-registry-'));
  closing.push(() => rmSync(folder, { recursive: true, force: true }));
  return () => new EmbeddedDatabase({ directory: path.join(folder, 'registry') });
}

async function onServer(): Promise<() => Database> {
  const url = await (server as PostgresServer).database();
  return () => new ServerDatabase({ url });
}

const drivers = [
  { kind: 'embedded', make: embedded, missing: undefined },
  { kind: 'server', make: onServer, missing: noPostgres },
];

for (const { kind, make, missing } of drivers)
  describe.skipIf(missing !== undefined)(`a registry database, ${missing ?? kind}`, () => {
    test('connects, migrates and tells what is changed', async () => {
      const database = (await make())();
      const { listener, connected, payloads } = listening();
      database.open(listener);
      closing.push(() => database.close());
      await connected();
      await database.query("INSERT INTO plugins (name, source_path) VALUES ($1, 'todo')", ['todo']);
      await expect.poll(() => payloads).toEqual([{ op: 'INSERT', name: 'todo', revision: 1 }]);
    });
  });
