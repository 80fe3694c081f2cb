import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Database } from '../src/registry/database.js';
import { EmbeddedDatabase } from '../src/registry/embedded.js';
import { migrate, sha256Of } from '../src/registry/migrate.js';
import { migrations } from '../src/registry/migrations.js';
import { ServerDatabase } from '../src/registry/server.js';
import { type Listening, listen } from './registry/listening.js';
import { noPostgres, PostgresServer } from './registry/postgres.js';

// A start of PGlite takes seconds of a core.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

/** Makes databases: each call of the function that it gives is another client of the same one. */
type Maker = () => Promise<() => Database>;

let server: PostgresServer;
const folders: string[] = [];
beforeAll(async () => {
  if (noPostgres === undefined) server = await PostgresServer.start();
});
afterAll(async () => {
  if (noPostgres === undefined) await server.dispose();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function embedded(): Promise<() => Database> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'tenon-registry-'));
  folders.push(folder);
  return Promise.resolve(() => new EmbeddedDatabase({ directory: path.join(folder, 'registry') }));
}

async function onServer(): Promise<() => Database> {
  const url = await server.database();
  return () => new ServerDatabase({ url });
}

const drivers: { kind: string; make: Maker; missing: string | undefined }[] = [
  { kind: 'embedded', make: embedded, missing: undefined },
  { kind: 'server', make: onServer, missing: noPostgres },
];

/** With SQLSTATE. */
const refusedWith = (code: string): unknown => expect.objectContaining({ code });
const unavailable = expect.objectContaining({ code: 'RegistryUnavailable', status: 503 });

for (const { kind, make, missing } of drivers)
  describe.skipIf(missing !== undefined)(`the database of the registry, ${missing ?? kind}`, () => {
    let open: () => Database;
    let one: Listening;
    let database: Database;
    const others: Database[] = [];
    beforeAll(async () => {
      open = await make();
      database = open();
      one = listen(database);
      await one.connected();
    });
    afterAll(() => database.close());
    beforeEach(async () => {
      await database.query('TRUNCATE plugins CASCADE');
      await until('TRUNCATE');
      one.payloads.length = 0;
    });
    afterEach(async () => {
      for (const other of others.splice(0)) await other.close();
    });

    const until = async (op: string): Promise<void> => {
      await vi.waitUntil(() => one.payloads.at(-1)?.op === op, { interval: 10, timeout: 45_000 });
    };
    /** What was told of the statements, in the order of their commits. */
    const toldOf = async (...texts: string[]): Promise<unknown[]> => {
      for (const text of texts) await database.query(text);
      // What is told comes in order: once the last is there, all are.
      await database.query("INSERT INTO plugins (name) VALUES ('last-one')");
      await vi.waitUntil(() => one.payloads.at(-1)?.name === 'last-one', { interval: 10, timeout: 45_000 });
      return one.payloads.slice(0, -1).map(({ op, name }) => [op, name]);
    };
    const row = async (name: string): Promise<Record<string, unknown>> => {
      const [found] = await database.query<Record<string, unknown>>('SELECT * FROM plugins WHERE name = $1', [name]);
      return found ?? {};
    };
    const asHost = (text: string): Promise<void> =>
      database.transaction(async (session) => {
        await session.query("SELECT set_config('tenon.host', 'near', true)");
        await session.query(text);
      });

    test('values come back as they were given', async () => {
      const at = new Date('2026-02-03T04:05:06.789Z');
      const [found] = await database.query(
        `SELECT $1::bigint AS big, $2::timestamptz AS at, $3::jsonb AS json, $4::text[] AS list, $5::text AS nothing,
                $6::int AS small, $7::boolean AS yes, $8::uuid AS id, $9::double precision AS half`,
        [
          '9007199254740993',
          at,
          JSON.stringify({ a: [1, 'ü', null] }),
          ['x', 'y "z"', '{'],
          null,
          7,
          true,
          'c0ffee00-0000-4000-8000-000000000000',
          0.5,
        ],
      );
      expect(found).toEqual({
        big: '9007199254740993',
        at,
        json: { a: [1, 'ü', null] },
        list: ['x', 'y "z"', '{'],
        nothing: null,
        small: 7,
        yes: true,
        id: 'c0ffee00-0000-4000-8000-000000000000',
        half: 0.5,
      });
    });

    test('a text of several statements gives the rows of the last', async () => {
      expect(await database.query('SELECT 1 AS a; SELECT 2 AS b')).toEqual([{ b: 2 }]);
      expect(await database.query("INSERT INTO plugins (name) VALUES ('x')")).toEqual([]);
    });

    test('a large config goes there and back', async () => {
      const config = { text: randomBytes(90_000).toString('base64') };
      await database.query('INSERT INTO plugins (name, config) VALUES ($1, $2)', ['large', JSON.stringify(config)]);
      expect((await row('large'))['config']).toEqual(config);
    });

    test('what the database refuses is its own error with its SQLSTATE, and it goes on', async () => {
      await expect(database.query('SELEC 1')).rejects.toThrow(refusedWith('42601'));
      await expect(database.query("INSERT INTO plugins (name) VALUES ('Not A Name')")).rejects.toThrow(
        refusedWith('23514'),
      );
      await expect(database.query('SELECT * FROM plugins WHERE name = $1', [])).rejects.toThrow(refusedWith('42P02'));
      await expect(database.query("INSERT INTO plugins (name, config) VALUES ('x', $1)", ['[1]'])).rejects.toThrow(
        refusedWith('23514'),
      );
      expect(await database.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
      expect(one.told).toEqual(['connected']);
    });

    test('a transaction is all of it', async () => {
      const result = await database.transaction(async (session) => {
        await session.query("INSERT INTO plugins (name) VALUES ('a')");
        await session.query('INSERT INTO plugins (name) VALUES ($1)', ['b']);
        return session.query('SELECT count(*)::int AS rows FROM plugins');
      });
      expect(result).toEqual([{ rows: 2 }]);
      expect(await database.query('SELECT name FROM plugins ORDER BY 1')).toEqual([{ name: 'a' }, { name: 'b' }]);
    });

    test('or nothing: it rejects with what the work rejects with, and nothing of it is told', async () => {
      const why = new Error('no');
      await expect(
        database.transaction(async (session) => {
          await session.query("INSERT INTO plugins (name) VALUES ('a')");
          throw why;
        }),
      ).rejects.toBe(why);
      expect(await toldOf()).toEqual([]);
      expect(await row('a')).toEqual({});
    });

    test('a statement that failed and was looked away from ends the transaction all the same', async () => {
      await expect(
        database.transaction(async (session) => {
          await session.query("INSERT INTO plugins (name) VALUES ('a')");
          await session.query('SELECT 1 / 0').catch(() => {});
        }),
      ).rejects.toThrow(refusedWith('22012'));
      expect(await row('a')).toEqual({});
    });

    test('the session of a transaction ends with it', async () => {
      const session = await database.transaction((inside) => Promise.resolve(inside));
      await expect(session.query('SELECT 1')).rejects.toThrow(TypeError);
    });

    test('queries beside a transaction are no part of it', async () => {
      await expect(
        database.transaction(async (session) => {
          await session.query("INSERT INTO plugins (name) VALUES ('inside')");
          void database.query("INSERT INTO plugins (name) VALUES ('beside')").catch(() => {});
          throw new Error('no');
        }),
      ).rejects.toThrow('no');
      await expect.poll(() => database.query('SELECT name FROM plugins')).toEqual([{ name: 'beside' }]);
    });

    test('many queries at once are all answered, each with its own', async () => {
      const all = await Promise.all(
        Array.from({ length: 200 }, (_, index) => database.query('SELECT $1::int AS number', [index])),
      );
      expect(all.flat()).toEqual(Array.from({ length: 200 }, (_, number) => ({ number })));
    });

    describe('tells once of each change that is committed', () => {
      test('insert, update, delete, with a revision that grows', async () => {
        expect(
          await toldOf(
            "INSERT INTO plugins (name) VALUES ('a')",
            "UPDATE plugins SET status = 'disabled' WHERE name = 'a'",
            `UPDATE plugins SET config = '{"a": 1}' WHERE name = 'a'`,
            'UPDATE plugins SET reload_at = now()',
            "DELETE FROM plugins WHERE name = 'a'",
          ),
        ).toEqual([
          ['INSERT', 'a'],
          ['UPDATE', 'a'],
          ['UPDATE', 'a'],
          ['UPDATE', 'a'],
          ['DELETE', 'a'],
        ]);
        const revisions = one.payloads.map(({ revision }) => revision);
        expect(revisions).toEqual([...new Set(revisions)].sort((less, more) => less - more));
        expect((await row('last-one'))['revision']).toBe(String(revisions.at(-1)));
      });

      test('one row of a statement of several', async () => {
        expect(
          await toldOf("INSERT INTO plugins (name) VALUES ('a'), ('b')", "UPDATE plugins SET status = 'disabled'"),
        ).toEqual([
          ['INSERT', 'a'],
          ['INSERT', 'b'],
          ['UPDATE', 'a'],
          ['UPDATE', 'b'],
        ]);
      });

      test('nothing of an update that changes nothing', async () => {
        expect(
          await toldOf(
            `INSERT INTO plugins (name, config) VALUES ('a', '{"a": 1, "b": 2}')`,
            "UPDATE plugins SET status = 'active'",
            `UPDATE plugins SET config = '{"b": 2, "a": 1}'`,
            'UPDATE plugins SET updated_at = now(), revision = 99, created_at = now()',
          ),
        ).toEqual([['INSERT', 'a']]);
        expect((await row('a'))['revision']).toBe(String(one.payloads[0]?.revision));
      });

      test('a rename as the end of one and a change of the other', async () => {
        expect(
          await toldOf(
            "INSERT INTO plugins (name) VALUES ('old')",
            "UPDATE plugins SET name = 'new' WHERE name = 'old'",
          ),
        ).toEqual([
          ['INSERT', 'old'],
          ['DELETE', 'old'],
          ['UPDATE', 'new'],
        ]);
      });

      test('truncate, without a name', async () => {
        expect(await toldOf('TRUNCATE plugins CASCADE')).toEqual([['TRUNCATE', null]]);
      });

      test('what a host writes', async () => {
        await asHost("INSERT INTO plugins (name, version) VALUES ('a', '1.0.0')");
        await asHost("UPDATE plugins SET version = '1.0.1'");
        expect(await toldOf()).toEqual([
          ['INSERT', 'a'],
          ['UPDATE', 'a'],
        ]);
      });
    });

    describe('knows who writes', () => {
      test('a version that a person writes is pinned, one that a host writes is not', async () => {
        await asHost("INSERT INTO plugins (name, version) VALUES ('a', '1.0.0')");
        expect(await row('a')).toMatchObject({ version: '1.0.0', pinned: false });
        await asHost("UPDATE plugins SET version = '1.1.0'");
        expect(await row('a')).toMatchObject({ version: '1.1.0', pinned: false });
        await database.query("UPDATE plugins SET version = '1.0.0'");
        expect(await row('a')).toMatchObject({ version: '1.0.0', pinned: true });
        await database.query('UPDATE plugins SET version = NULL');
        expect(await row('a')).toMatchObject({ version: null, pinned: false });
      });

      test('each config is kept with who wrote it, and goes with its plugin', async () => {
        await database.query(`INSERT INTO plugins (name, config) VALUES ('a', '{"n": 1}')`);
        await asHost(`UPDATE plugins SET config = '{"n": 2}'`);
        await database.query("UPDATE plugins SET status = 'disabled'");
        await database.query('UPDATE plugins SET config = NULL');
        const kept = await database.query('SELECT config, changed_by, revision FROM plugin_configs ORDER BY revision');
        expect(kept).toEqual([
          { config: { n: 1 }, changed_by: 'postgres', revision: expect.any(String) },
          { config: { n: 2 }, changed_by: 'near', revision: expect.any(String) },
          { config: null, changed_by: 'postgres', revision: (await row('a'))['config_revision'] },
        ]);
        await database.query('DELETE FROM plugins');
        expect(await database.query('SELECT * FROM plugin_configs')).toEqual([]);
      });

      test('a reason holds for the status it was given with', async () => {
        await database.query("INSERT INTO plugins (name, status, status_reason) VALUES ('a', 'invalid', 'no entry')");
        await database.query("UPDATE plugins SET status = 'disabled'");
        expect(await row('a')).toMatchObject({ status: 'disabled', status_reason: null });
        await database.query("UPDATE plugins SET status = 'invalid', status_reason = 'again'");
        expect(await row('a')).toMatchObject({ status: 'invalid', status_reason: 'again' });
      });
    });

    describe('migrates', () => {
      /** Tables of their own for steps of the test's own. */
      const apart = async (steps: typeof migrations): Promise<void> => {
        await database.transaction(async (session) => {
          await session.query('CREATE SCHEMA IF NOT EXISTS apart; SET LOCAL search_path = apart');
          // The transaction is here already.
          const query: typeof session.query = async (text, values) =>
            /^(?:BEGIN|COMMIT|ROLLBACK)$/.test(text) ? [] : session.query(text, values);
          await migrate({ query }, steps);
        });
      };
      const step = (version: number, sql: string): (typeof migrations)[number] => ({
        version,
        name: `step ${version}`,
        sql,
      });
      const first = step(1, 'CREATE TABLE one (a int)');
      const second = step(2, 'CREATE TABLE two (a int); INSERT INTO two VALUES (1); INSERT INTO one VALUES (1)');
      const applied = (): Promise<object[]> =>
        database.query('SELECT version, name, sha256 FROM apart.tenon_migrations ORDER BY 1');
      afterEach(() => database.query('DROP SCHEMA IF EXISTS apart CASCADE'));

      test('only what is new, and writes it down', async () => {
        await apart([first]);
        await apart([first, second]);
        await apart([first, second]);
        expect(await database.query('SELECT count(*)::int AS rows FROM apart.two')).toEqual([{ rows: 1 }]);
        expect(await applied()).toEqual(
          [first, second].map((each) => ({ version: each.version, name: each.name, sha256: sha256Of(each) })),
        );
      });

      test('all of it or nothing', async () => {
        await apart([first]);
        await expect(apart([first, second, step(3, 'CREATE TABLE one (a int)')])).rejects.toThrow(refusedWith('42P07'));
        expect(await applied()).toHaveLength(1);
      });

      test('not a database that is newer than the program', async () => {
        await apart([first, second]);
        await expect(apart([first])).rejects.toThrow(unavailable);
        await expect(apart([first])).rejects.toThrow(/newer than this program: step 2 \(step 2\)/);
      });

      test('not a database that was made by other steps', async () => {
        await apart([step(1, 'CREATE TABLE other (a int)')]);
        await expect(apart([first])).rejects.toThrow(/made by another step 1/);
      });

      test('each time it is opened, once', async () => {
        await database.close();
        const again = open();
        const listening = listen(again);
        await listening.connected();
        database = again;
        one = listening;
        expect(await database.query('SELECT version FROM tenon_migrations')).toEqual(
          migrations.map(({ version }) => ({ version })),
        );
      });

      test('and one that was made newer since is refused, with a sentence', async () => {
        await database.query("INSERT INTO tenon_migrations (version, name, sha256) VALUES (99, 'of tomorrow', 'x')");
        await database.close();
        const old = listen(open());
        others.push(old.database);
        await old.lost(2);
        expect(old.told.join()).not.toContain('connected');
        expect(old.errors[0]).toEqual(unavailable);
        expect(old.told[0]).toContain('step 99 (of tomorrow) is not known here');
        await expect(old.database.query('SELECT 1')).rejects.toThrow(/step 99/);
        await old.database.close();
        const mend = listen(open(), async (session) => {
          await session.query('DELETE FROM tenon_migrations WHERE version = 99');
        });
        await mend.connected();
        await mend.database.close();
        one = listen(open());
        database = one.database;
        await one.connected();
      });
    });

    test('rejects at once before it is open', async () => {
      const other = open();
      await expect(other.query('SELECT 1')).rejects.toThrow(unavailable);
      await expect(other.transaction(() => Promise.resolve())).rejects.toThrow(/it was not opened/);
      await other.close();
      expect(() => listen(other)).toThrow(TypeError);
    });

    test('is closed while it connects', async () => {
      const fresh = (await make())();
      const listening = listen(fresh);
      await fresh.close();
      await fresh.close();
      await expect(fresh.query('SELECT 1')).rejects.toThrow(unavailable);
      expect(listening.told).toEqual([]);
    });

    test('is closed while it is asked: what is under way is told, and nothing is told later', async () => {
      const asked = [
        database.query('SELECT count(*) FROM generate_series(1, 100000000)'),
        database.query('SELECT 1'),
        database.transaction(() => new Promise(() => {})),
      ];
      const ended = Promise.allSettled(asked);
      const { told } = one;
      await database.close();
      for (const each of await ended)
        expect(each).toMatchObject({ status: 'rejected', reason: { code: 'RegistryUnavailable' } });
      expect(told).toEqual(['connected']);
      one = listen(open());
      database = one.database;
      await one.connected();
    });
  });

test('the steps that were released are what they were', () => {
  expect(migrations.map((step) => [step.version, sha256Of(step)])).toEqual([
    [1, '0ed7095d12510f418a9660932464656658157cbf81dec23b80b1b983005da7ba'],
  ]);
  expect(migrations.map(({ version }) => version)).toEqual(migrations.map((_, index) => index + 1));
});
