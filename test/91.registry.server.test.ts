import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify, inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { ServerDatabase, type ServerDatabaseOptions } from '../src/registry/server.js';
import { type Listening, listen } from './registry/listening.js';
import { noPostgres, PostgresServer } from './registry/postgres.js';
import { Proxy } from './registry/proxy.js';

const unavailable = expect.objectContaining({ code: 'RegistryUnavailable' });
const soon: NonNullable<ServerDatabaseOptions['backoff']> = { leastMs: 10, mostMs: 100 };
const polled = { interval: 10, timeout: 45_000 };

describe.skipIf(noPostgres !== undefined)(`the registry on a server${noPostgres ? `: ${noPostgres}` : ''}`, () => {
  let server: PostgresServer;
  let proxy: Proxy;
  let url: string;
  const open: Listening[] = [];
  beforeAll(async () => {
    server = await PostgresServer.start();
  });
  afterAll(() => server.dispose());
  beforeEach(async () => {
    await server.start();
    proxy = await Proxy.start(server.port);
    url = await server.database();
  });
  afterEach(async () => {
    proxy.resume();
    for (const { database } of open.splice(0)) await database.close();
    await proxy.close();
  });

  const name = (): string => new URL(url).pathname.slice(1);
  const sql = (text: string): Promise<string> => server.psql(text, name());
  const connect = (options: Partial<ServerDatabaseOptions> = {}): Listening => {
    const through = server.url(name(), { port: proxy.port });
    const listening = listen(new ServerDatabase({ url: through, backoff: soon, ...options }));
    open.push(listening);
    return listening;
  };
  const listens = async (listening: Listening, plugin: string): Promise<void> => {
    await sql(`INSERT INTO plugins (name) VALUES ('${plugin}')`);
    await expect.poll(() => listening.payloads.at(-1)?.name, polled).toBe(plugin);
  };

  test('several hosts that start together migrate once', async () => {
    const hosts = Array.from({ length: 6 }, () => connect());
    await Promise.all(hosts.map((host) => host.connected()));
    expect(hosts.flatMap(({ told }) => told)).toEqual(hosts.map(() => 'connected'));
    expect(await sql('SELECT count(*) FROM tenon_migrations')).toBe('1');
    await Promise.all(
      hosts.map((host, index) => host.database.query(`INSERT INTO plugins (name) VALUES ('p${index}')`)),
    );
    for (const host of hosts) await expect.poll(() => host.payloads.length, polled).toBe(6);
  });

  test('psql is as good a client as any', async () => {
    const host = connect();
    await host.connected();
    await sql("INSERT INTO plugins (name) VALUES ('todo'); UPDATE plugins SET status = 'disabled' WHERE name = 'todo'");
    await expect.poll(() => host.payloads.map(({ op }) => op), polled).toEqual(['INSERT', 'UPDATE']);
  });

  test('tables in a schema of their own are written under any search path', async () => {
    await sql(`CREATE SCHEMA "of Tenon"; ALTER DATABASE ${name()} SET search_path = 'of Tenon', public`);
    const host = connect();
    await host.connected();
    await sql(`SET search_path = pg_catalog; INSERT INTO "of Tenon".plugins (name, config) VALUES ('a', '{}');
               UPDATE "of Tenon".plugins SET config = NULL; DELETE FROM "of Tenon".plugins`);
    await expect.poll(() => host.payloads.map(({ op }) => op), polled).toEqual(['INSERT', 'UPDATE', 'DELETE']);
  });

  test('the server sees who it is, and at most five connections', async () => {
    const host = connect();
    await host.connected();
    await Promise.all(Array.from({ length: 50 }, () => host.database.query('SELECT pg_sleep(0.002)')));
    const seen = await sql(
      `SELECT application_name, count(*) FROM pg_stat_activity WHERE datname = '${name()}' AND pid <> pg_backend_pid() GROUP BY 1`,
    );
    expect(seen).toBe('tenon|5');
  });

  describe('comes back', () => {
    test('after its connections were cut, and is told of what is changed then', async () => {
      const host = connect();
      await host.connected();
      for (let round = 1; round <= 5; round += 1) {
        proxy.cut();
        await host.lost(round);
        await host.connected(round + 1);
        await listens(host, `round-${round}`);
      }
      expect(host.errors[0]).toEqual(unavailable);
    });

    test.each(['stop', 'kill'] as const)('after a %s of the server', async (way) => {
      const host = connect();
      await host.connected();
      await server[way]();
      await host.lost(3);
      await expect(host.database.query('SELECT 1')).rejects.toThrow(unavailable);
      await server.start();
      await host.connected(2);
      await listens(host, 'after');
    });

    test('when it could not be reached at first', async () => {
      proxy.refuse();
      const host = connect();
      await host.lost(2);
      await expect(host.database.query('SELECT 1')).rejects.toThrow(unavailable);
      proxy.resume();
      await host.connected();
      await listens(host, 'at-last');
    });

    test('from connections that nobody answers on', async () => {
      const host = connect({ times: { keepAliveMs: 100, answerMs: 200 } });
      await host.connected();
      const asked = host.database.query('SELECT 1').then(() => host.database.query('SELECT pg_sleep(60)'));
      const refused = asked.catch((error: unknown) => error);
      await vi.waitUntil(() => proxy.open === 2, polled);
      proxy.pause();
      expect(await refused).toMatchObject({ message: expect.stringContaining('no answer within 200 ms') as unknown });
      await host.lost();
      proxy.resume();
      await host.connected(2);
      await listens(host, 'found');
    });

    test('from a server that takes connections and says nothing', async () => {
      proxy.pause();
      const host = connect({ times: { connectMs: 200 } });
      await host.lost(2);
      expect(host.told[0]).toMatch(/timeout expired/);
      proxy.resume();
      await host.connected();
    });

    test('from a server that may not be written: a standby', async () => {
      await server.psql(`ALTER DATABASE ${name()} SET default_transaction_read_only = on`);
      const host = connect();
      await host.lost(2);
      expect(host.told[0]).toMatch(/read-only \(25006\)/);
      await server.psql(`ALTER DATABASE ${name()} SET default_transaction_read_only = off`);
      await host.connected();
    });

    test('when a server becomes one while it is connected', async () => {
      const host = connect();
      await host.connected();
      await expect(
        host.database.transaction(async (session) => {
          await session.query('SET TRANSACTION READ ONLY');
          await session.query("INSERT INTO plugins (name) VALUES ('a')");
        }),
      ).rejects.toThrow(unavailable);
      await host.lost();
      await host.connected(2);
    });
  });

  test('what is under way when it is cut is told at once, and nothing of it is done', async () => {
    const host = connect();
    await host.connected();
    const sleeps = host.database.query('SELECT pg_sleep(60)');
    const half = host.database.transaction(async (session) => {
      await session.query("INSERT INTO plugins (name) VALUES ('half')");
      await session.query('SELECT pg_sleep(60)');
    });
    const waits = Array.from({ length: 5 }, () => host.database.query('SELECT pg_sleep(60)'));
    const ended = Promise.allSettled([sleeps, half, ...waits]);
    await expect
      .poll(() => sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"), polled)
      .toBe('4');
    proxy.cut();
    for (const each of await ended) expect(each).toMatchObject({ status: 'rejected', reason: unavailable });
    await host.connected(2);
    expect(await host.database.query('SELECT name FROM plugins')).toEqual([]);
    expect(await host.database.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  test('a connection of the pool that ends while it is idle takes nothing with it', async () => {
    const host = connect();
    await host.connected();
    await host.database.query('SELECT 1');
    const ended = await sql(
      `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
       WHERE application_name = 'tenon' AND datname = '${name()}' AND query = 'SELECT 1'`,
    );
    expect(ended).toBe('1');
    await expect
      .poll(() => host.database.query('SELECT 1 AS one').catch(() => 'not yet'), polled)
      .toEqual([{ one: 1 }]);
    expect(host.told).toEqual(['connected']);
  });

  test('a statement that takes too long is given up, and the connection is kept', async () => {
    const host = connect({ times: { statementMs: 100 } });
    await host.connected();
    await expect(host.database.query('SELECT pg_sleep(60)')).rejects.toThrow(unavailable);
    expect(await host.database.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
    expect(host.told).toEqual(['connected']);
  });

  test('a transaction that takes too long is rolled back', async () => {
    const host = connect({ times: { transactionMs: 100 } });
    await host.connected();
    await expect(
      host.database.transaction(async (session) => {
        await session.query("INSERT INTO plugins (name) VALUES ('a')");
        await new Promise(() => {});
      }),
    ).rejects.toThrow(unavailable);
    await expect.poll(() => host.database.query('SELECT name FROM plugins'), polled).toEqual([]);
  });

  test('one that may not make tables is told why', async () => {
    await sql('CREATE USER guest');
    const host = listen(new ServerDatabase({ url: server.url(name(), { user: 'guest' }), backoff: soon }));
    open.push(host);
    await host.lost();
    expect(host.told[0]).toMatch(/permission denied for schema public/);
  });

  test('an end leaves no connection behind', async () => {
    const host = connect();
    await host.connected();
    await host.database.query('SELECT 1');
    await host.database.close();
    await expect.poll(() => proxy.open, polled).toBe(0);
    await expect
      .poll(
        () => sql(`SELECT count(*) FROM pg_stat_activity WHERE datname = '${name()}' AND application_name = 'tenon'`),
        polled,
      )
      .toBe('0');
  });

  test('an end comes also while nobody answers', async () => {
    const host = connect();
    await host.connected();
    await host.database.query('SELECT 1');
    proxy.pause();
    await host.database.close();
    await expect(host.database.query('SELECT 1')).rejects.toThrow(/it is closed/);
  });

  describe('secrets of the URL', () => {
    const secret = 'hush-hush';

    test('are not in the place', () => {
      const { place } = new ServerDatabase({
        url: `postgres://me:${secret}@db.example:6000/tenon?sslmode=verify-full`,
      });
      expect(place).toBe('postgresql://me@db.example:6000/tenon');
    });

    test('are not in any error', async () => {
      const proxied = `postgresql://postgres:${secret}@127.0.0.1:${proxy.port}/none?password=${secret}`;
      const host = listen(new ServerDatabase({ url: proxied, backoff: soon }));
      open.push(host);
      await host.lost();
      proxy.refuse();
      await host.lost(3);
      expect(inspect(host.errors, { depth: 20, showHidden: true })).not.toContain(secret);
      const asked = await host.database.query('SELECT 1').catch((error: unknown) => error);
      expect(inspect(asked, { depth: 20, showHidden: true })).not.toContain(secret);
    });

    test('say what to correct, where no further try can help', async () => {
      const host = listen(
        new ServerDatabase({ url: `postgresql://postgres@127.0.0.1:${proxy.port}/none`, backoff: soon }),
      );
      open.push(host);
      await host.lost();
      expect(host.errors[0]).toMatchObject({ next: 'create the database, or correct its name in DATABASE_URL' });
    });

    test.each([
      `postgresql://me:${secret}@[::1/x`,
      `postgresql://me:${secret}@host:99999999/x`,
      `postgresql://me:${secret}@host/x?sslrootcert=/nowhere/ca.pem`,
    ])('are not in what is said of a URL that cannot be read: %s', (wrong) => {
      let said: unknown;
      try {
        new ServerDatabase({ url: wrong });
      } catch (error) {
        said = error;
      }
      expect(said).toMatchObject({ code: 'SettingsInvalid' });
      expect(inspect(said, { depth: 20, showHidden: true })).not.toContain(secret);
    });
  });
});

describe.skipIf(noPostgres !== undefined)('the registry on a server with TLS', () => {
  let server: PostgresServer;
  const folder = mkdtempSync(path.join(os.tmpdir(), 'tenon-tls-'));
  const certificate = path.join(folder, 'server.crt');
  const open: Listening[] = [];
  beforeAll(async () => {
    await promisify(execFile)('openssl', [
      ...'req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost'.split(
        ' ',
      ),
      '-keyout',
      path.join(folder, 'server.key'),
      '-out',
      certificate,
    ]);
    server = await PostgresServer.start([], { certificate, key: path.join(folder, 'server.key') });
  });
  afterAll(async () => {
    await server.dispose();
    rmSync(folder, { recursive: true, force: true });
  });
  afterEach(async () => {
    for (const { database } of open.splice(0)) await database.close();
  });

  const connect = (host: string, parameters: string): Listening => {
    const url = `postgresql://postgres@${host}:${server.port}/postgres?${parameters}`;
    const listening = listen(new ServerDatabase({ url, backoff: soon }));
    open.push(listening);
    return listening;
  };

  test('is encrypted and checked by verify-full with the certificate it must have', async () => {
    const host = connect('localhost', `sslmode=verify-full&sslrootcert=${certificate}`);
    await host.connected();
    expect(await host.database.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()')).toEqual([
      { ssl: true },
    ]);
    await host.database.close();
  });

  test('is refused for another name than its own', async () => {
    const host = connect('127.0.0.1', `sslmode=verify-full&sslrootcert=${certificate}`);
    await host.lost();
    expect(host.told[0]).toMatch(/cannot be reached: Hostname\/IP does not match/);
  });

  test('is refused when nobody vouches for it', async () => {
    const host = connect('localhost', 'sslmode=verify-full');
    await host.lost();
    expect(host.told[0]).toMatch(/self-signed certificate/);
  });
});
