import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createHost, type HostRow, type PluginView } from '../src/index.js';
import { root } from './architecture/tree.js';
import { tenon } from './load/tenon.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';
import { Fleet } from './registry/fleet.js';
import { noPostgres, PostgresServer } from './registry/postgres.js';
import { Proxy } from './registry/proxy.js';

function service(build: string, version = '1.0.0'): Promise<string> {
  return buildPlugin('service', { defines: { BUILD: `"${build}"`, VERSION: `"${version}"` } });
}

function generationsOf(fleet: Fleet): (number | undefined)[] {
  return fleet.worlds.map((world) => world.host.plugin('service').generation);
}

describe.skipIf(noPostgres !== undefined)(`three hosts on a PostgreSQL server ${noPostgres ?? ''}`, () => {
  let server: PostgresServer;
  let fleet: Fleet;
  beforeAll(async () => {
    server = await PostgresServer.start();
  }, 120_000);
  afterAll(() => server.dispose());
  beforeEach(async () => {
    fleet = await Fleet.make(server, 3);
    await fleet.publish('service', await service('one'));
  });
  afterEach(() => fleet.close());

  test('register what they find, and say what they run and where', async () => {
    await fleet.start();
    await fleet.converged();
    expect(await fleet.sql('SELECT name, version, pinned, type, source_path, status FROM plugins')).toBe(
      'service|1.0.0|f|dynamic|service|active',
    );
    await until('its routes are listed', async () =>
      (await fleet.sql('SELECT method, path FROM plugin_endpoints')).includes('GET|/service/build'),
    );
    const [one] = fleet.worlds as [World];
    const { generations } = one.host.plugin('service');
    expect(await fleet.sql('SELECT version, os, sha256 FROM plugin_artifacts')).toBe(
      `1.0.0|${process.platform}|${generations[0]?.sha256}`,
    );
    expect((await fleet.reports()).map((report) => [report.state, report.version, report.generation])).toEqual(
      [1, 2, 3].map(() => ['running', '1.0.0', 1]),
    );
    await until('they say where they are', async () => {
      const urls = (await fleet.sql('SELECT url FROM hosts')).split('\n');
      return fleet.worlds.every(({ url }) => urls.includes(url));
    });
    const { hosts } = JSON.parse((await one.admin('GET', '/api/v1/hosts')).body) as { hosts: HostRow[] };
    expect(hosts).toMatchObject([1, 2, 3].map(() => ({ plugins: { service: { state: 'running' } } })));
  });

  test('a status that psql sets stops and starts a plugin on all of them', async () => {
    await fleet.start();
    await fleet.converged();
    await fleet.steer(`UPDATE plugins SET status = 'disabled', status_reason = 'it costs too much'`);
    expect(await fleet.statuses('/service/build')).toEqual([404, 404, 404]);
    expect(fleet.worlds[1]?.host.plugin('service')).toMatchObject({
      state: 'disabled',
      error: { code: 'PluginDisabled', message: 'service is disabled in the registry: it costs too much' },
      registry: { status: 'disabled', reason: 'it costs too much' },
    });
    await fleet.steer(`UPDATE plugins SET status = 'active'`);
    expect(await fleet.statuses('/service/build')).toEqual([200, 200, 200]);
    await fleet.steer(`UPDATE plugins SET status = 'quarantined'`);
    expect((await fleet.reports()).map(({ state, error }) => [state, error])).toEqual(
      [1, 2, 3].map(() => ['disabled', undefined]),
    );
    await fleet.steer(`UPDATE plugins SET status = 'invalid', status_reason = 'it gives wrong answers'`);
    expect((await fleet.reports()).map(({ state }) => state)).toEqual(['disabled', 'disabled', 'disabled']);
    expect(await fleet.sql('SELECT status, status_reason FROM plugins')).toBe('invalid|it gives wrong answers');
  });

  test('a config that psql sets is what the plugin reads, and NULL goes back to config.yaml', async () => {
    await fleet.publish('config', await buildPlugin('config'));
    for (const world of fleet.worlds) await world.write('config', 'config.yaml', 'app_id: config\ncustom: {own: 1}\n');
    await fleet.start();
    await fleet.converged('config');
    const own = async (): Promise<unknown[]> =>
      Promise.all(
        fleet.worlds.map(async (world) => JSON.parse((await world.request('POST', '/config/own')).body) as unknown),
      );
    expect(await own()).toEqual([{ own: 1 }, { own: 1 }, { own: 1 }]);
    await fleet.steer(`UPDATE plugins SET config = '{"own": 2}' WHERE name = 'config'`, 'config');
    expect(await own()).toEqual([{ own: 2 }, { own: 2 }, { own: 2 }]);
    expect(fleet.worlds.map((world) => world.host.plugin('config').generation)).toEqual([1, 1, 1]);
    await fleet.steer(`UPDATE plugins SET config = NULL WHERE name = 'config'`, 'config');
    expect(await own()).toEqual([{ own: 1 }, { own: 1 }, { own: 1 }]);
  });

  test('a config that is put over HTTP is asked of each of them once', async () => {
    await fleet.publish('config', await buildPlugin('config'));
    await fleet.start();
    await fleet.converged('config');
    const [one] = fleet.worlds as [World];
    const put = async (config: object): Promise<number> => {
      const headers = { authorization: 'Bearer a-token-of-the-tests' };
      const { status } = await one.request('PUT', '/api/v1/plugins/config/config', {
        headers,
        body: JSON.stringify(config),
      });
      await fleet.converged('config');
      return status;
    };
    expect(await put({ own: 1 })).toBe(200);
    const asked = ({ log }: World): number =>
      log.filter(({ plugin, msg }) => plugin === 'config' && msg === 'changed').length;
    await until('all were asked', () => fleet.worlds.every((world) => asked(world) > 0));
    expect(fleet.worlds.map(asked)).toEqual([1, 1, 1]);
    expect(
      fleet.worlds.map((world) => world.host.reloads().filter(({ plugin }) => plugin === 'config').length),
    ).toEqual([2, 2, 2]);
    // Refused: what was is put back, and nobody else need have heard of it.
    expect(await put({ a: 1 })).toBe(422);
    expect(one.host.reloads().filter(({ outcome }) => outcome === 'failed')).toMatchObject([{ trigger: 'config' }]);
  });

  test('a version that psql chooses is the kept build of that on each host that has one, whatever is saved', async () => {
    await fleet.start();
    await fleet.converged();
    const [one, two, three] = fleet.worlds as [World, World, World];
    for (const world of [one, two]) {
      await world.publish('service', await service('two', '2.0.0'));
      await world.host.reload('service');
    }
    await until('the version is registered', async () => (await fleet.sql('SELECT version FROM plugins')) === '2.0.0');
    await fleet.converged();
    expect(three.host.plugin('service').version).toBe('1.0.0');
    await fleet.steer(`UPDATE plugins SET version = '1.0.0'`);
    expect(await fleet.sql('SELECT version, pinned FROM plugins')).toBe('1.0.0|t');
    for (const world of fleet.worlds) expect((await world.get('/service/build')).body).toBe('one');
    expect(one.host.reloads()[0]).toMatchObject({ trigger: 'registry', to: { version: '1.0.0' } });
    // What is in the folder does not come back by itself.
    await one.publish('service', await service('three', '3.0.0'));
    await one.host.discover();
    expect((await one.get('/service/build')).body).toBe('one');
    await fleet.steer(`UPDATE plugins SET version = '2.0.0'`);
    expect((await fleet.reports()).map(({ version, error }) => [version, error?.code])).toEqual([
      ['2.0.0', undefined],
      ['2.0.0', undefined],
      ['1.0.0', 'VersionUnavailable'],
    ]);
    // Its own config.yaml has the last word.
    await two.write('service', 'config.yaml', 'app_id: service\nenabled: false\n');
    await two.host.discover();
    expect(two.host.plugin('service').state).toBe('disabled');
    await fleet.steer(`UPDATE plugins SET status = 'disabled'`);
    expect(await fleet.statuses('/service/build')).toEqual([404, 404, 404]);
    await fleet.steer(`UPDATE plugins SET status = 'active', pinned = false`);
    expect(one.host.plugin('service').version).toBe('3.0.0');
    expect(three.host.plugin('service').version).toBe('1.0.0');
  });

  test('reload_at makes a new generation on each of them, once', async () => {
    await fleet.start();
    await fleet.converged();
    await fleet.steer('UPDATE plugins SET reload_at = now()');
    expect(generationsOf(fleet)).toEqual([2, 2, 2]);
    await fleet.steer(`UPDATE plugins SET binary_path = 'anything'`);
    expect(generationsOf(fleet)).toEqual([2, 2, 2]);
    await fleet.worlds[0]?.host.close();
    await fleet.worlds[0]?.start({ registry: true, databaseUrl: fleet.url });
    await fleet.converged();
    // It was asked for before this host began.
    expect(fleet.worlds[0]?.host.plugin('service').generation).toBe(3);
  });

  test('a row that psql deletes unloads the plugin, and one that it inserts loads it', async () => {
    await fleet.start();
    await fleet.converged();
    await fleet.steer(`DELETE FROM plugins WHERE name = 'service'`);
    expect(await fleet.statuses('/service/build')).toEqual([404, 404, 404]);
    expect(fleet.worlds.map((world) => world.host.plugins())).toEqual([[], [], []]);
    await fleet.steer(`INSERT INTO plugins (name, source_path) VALUES ('service', 'service')`);
    expect(await fleet.statuses('/service/build')).toEqual([200, 200, 200]);
    await fleet.steer('TRUNCATE plugins CASCADE');
    expect(await fleet.statuses('/service/build')).toEqual([404, 404, 404]);
    // A look at the applications by hand registers it again.
    await fleet.worlds[1]?.admin('POST', '/api/v1/plugins/discover');
    await fleet.converged();
    expect(await fleet.statuses('/service/build')).toEqual([200, 200, 200]);
  });

  test('a row without a folder here is missing and alarms nobody; with the folder of another it says so', async () => {
    await fleet.start();
    await fleet.steer(`INSERT INTO plugins (name, source_path) VALUES ('elsewhere', 'elsewhere')`, 'elsewhere');
    await fleet.steer(`INSERT INTO plugins (name, source_path) VALUES ('wrong', 'service')`, 'wrong');
    expect((await fleet.reports('elsewhere')).map(({ state, error }) => [state, error])).toEqual(
      [1, 2, 3].map(() => ['missing', undefined]),
    );
    expect((await fleet.reports('wrong')).map(({ state, error }) => [state, error?.code])).toEqual(
      [1, 2, 3].map(() => ['missing', 'RegistryInvalid']),
    );
    expect(generationsOf(fleet)).toEqual([1, 1, 1]);
    for (const { log } of fleet.worlds) expect(log.filter(({ level }) => level >= 50)).toEqual([]);
  });

  test('the statements of docs/registry.md are understood', async () => {
    await fleet.start();
    const text = await readFile(path.join(root, 'docs', 'registry.md'), 'utf8');
    const blocks = [...text.matchAll(/^```sql\n([\s\S]*?)^```$/gm)].map(([, block = '']) => block);
    expect(blocks).toHaveLength(2);
    for (const block of blocks) await fleet.sql(block);
    await fleet.converged('todo');
    expect((await fleet.reports('todo')).map(({ state }) => state)).toEqual(['missing', 'missing', 'missing']);
  });

  test('a row that cannot be is named in the log, and steers nothing', async () => {
    await fleet.start();
    await fleet.converged();
    await fleet.sql(`UPDATE plugins SET source_path = '../../etc', status = 'disabled'`);
    for (const { log } of fleet.worlds)
      await until('it is named', () =>
        log.some((line) => line['code'] === 'RegistryInvalid' && line.msg.includes('plugins.source_path of service')),
      );
    expect(await fleet.statuses('/service/build')).toEqual([200, 200, 200]);
  });

  test('disable and enable over the API of one are for all; unload and load are for that one', async () => {
    await fleet.start();
    await fleet.converged();
    const [one, two] = fleet.worlds as [World, World, World];
    const disabled = await one.admin('POST', '/api/v1/plugins/service/disable');
    expect(JSON.parse(disabled.body)).toEqual({ status: 'disabled', plugin: { id: 'service', state: 'disabled' } });
    await fleet.converged();
    expect(await fleet.statuses('/service/build')).toEqual([404, 404, 404]);
    expect(JSON.parse((await two.admin('POST', '/api/v1/plugins/service/enable')).body)).toMatchObject({
      status: 'enabled',
      plugin: { id: 'service', state: 'running', generation: 2 },
    });
    await fleet.converged();
    expect(await fleet.statuses('/service/build')).toEqual([200, 200, 200]);
    await one.admin('POST', '/api/v1/plugins/service/unload');
    expect(await fleet.statuses('/service/build')).toEqual([503, 200, 200]);
    // What somebody has stopped here stays so, whatever else is wished.
    await fleet.steer(`UPDATE plugins SET config = '{"a": 1}', reload_at = now()`);
    expect(await fleet.statuses('/service/build')).toEqual([503, 200, 200]);
    expect((await fleet.reports()).map(({ state }) => state)).toEqual(['stopped', 'running', 'running']);
  });

  test('what one of them builds is registered, and reloads none of the others', async () => {
    await fleet.start();
    await fleet.converged();
    const [one] = fleet.worlds as [World, World, World];
    await one.publish('service', await service('two', '2.0.0'));
    await one.host.reload('service');
    await until('it is registered', async () => (await fleet.sql('SELECT version FROM plugins')) === '2.0.0');
    await fleet.converged();
    expect(generationsOf(fleet)).toEqual([2, 1, 1]);
    expect(fleet.worlds.map((world) => world.host.reloads().length)).toEqual([2, 1, 1]);
    await until('reloads are listed', async () => (await fleet.sql('SELECT count(*) FROM reloads')) === '4');
    expect(
      await fleet.sql(`SELECT "trigger", outcome, to_build ->> 'version' FROM reloads WHERE "trigger" = 'api'`),
    ).toBe('api|succeeded|2.0.0');
  });

  test('one that cannot load it makes it invalid for nobody who can', async () => {
    const [one, two, three] = fleet.worlds as [World, World, World];
    await one.publish('service', await buildPlugin('crash_in_constructor', { defines: { PLUGIN_ID: '"service"' } }));
    const options = { registry: true, databaseUrl: fleet.url };
    await one.start(options);
    await until('it is registered', async () => (await fleet.sql('SELECT status FROM plugins')) === 'invalid');
    await two.start(options);
    await until('it is valid', async () => (await fleet.sql('SELECT status FROM plugins')) === 'active');
    await three.start(options);
    await fleet.converged();
    expect((await fleet.reports()).map(({ state }) => state)).toEqual(['failed', 'running', 'running']);
    expect(await fleet.sql('SELECT status, status_reason FROM plugins')).toBe('active|');
    expect(generationsOf(fleet)).toEqual([undefined, 1, 1]);
  });

  test('while the server is away what runs goes on, and what was wished meanwhile is done afterwards', async () => {
    const proxy = await Proxy.start(server.port);
    const [one, ...others] = fleet.worlds as [World, World, World];
    const url = server.url(new URL(fleet.url).pathname.slice(1), { port: proxy.port });
    await one.start({ registry: true, databaseUrl: url });
    for (const world of others) await world.start({ registry: true, databaseUrl: fleet.url });
    await fleet.converged();
    expect((await one.get('/readyz')).body).toBe('ok\n');
    proxy.refuse();
    proxy.cut();
    await until('it is known to be away', async () => (await one.get('/readyz')).body === 'degraded\n');
    expect((await one.get('/readyz?verbose')).status).toBe(200);
    expect(JSON.parse((await one.get('/readyz?verbose')).body)).toMatchObject({
      ready: true,
      degraded: true,
      registry: { kind: 'server', connected: false },
    });
    const refused = await one.admin('POST', '/api/v1/plugins/service/disable');
    expect([refused.status, (JSON.parse(refused.body) as { error: string }).error]).toEqual([
      503,
      'RegistryUnavailable',
    ]);
    await one.publish('service', await service('two', '2.0.0'));
    await one.host.reload('service');
    expect((await one.get('/service/build')).body).toBe('two');
    await fleet.sql(`UPDATE plugins SET status = 'disabled'`);
    await until('the others have done it', async () =>
      (await Promise.all(others.map((world) => world.get('/service/build')))).every(({ status }) => status === 404),
    );
    expect((await one.get('/service/build')).body).toBe('two');
    proxy.resume();
    await until('it is done here, too', async () => (await one.get('/service/build')).status === 404);
    await fleet.converged();
    expect((await one.get('/readyz')).body).toBe('ok\n');
    await proxy.close();
  });
});

describe('one host with the registry in its data directory', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.make();
    await world.publish('service', await service('one'));
  });
  afterEach(() => world.close());

  const registry = { registry: true, registryWaitMs: 60_000 };
  const act = async (action: string, id = 'service'): Promise<[number, Record<string, unknown>]> => {
    const { status, body } = await world.admin('POST', `/api/v1/plugins/${id}/${action}`);
    return [status, JSON.parse(body) as Record<string, unknown>];
  };
  const view = (id = 'service'): PluginView => world.host.plugin(id);
  const registered = (id = 'service'): Promise<void> =>
    until(`${id} is registered`, () => world.host.plugins().some((one) => one.id === id && one.registry !== undefined));

  test('what is disabled stays so over a restart, and is not compiled', async () => {
    await world.start(registry);
    await registered();
    expect(await act('disable')).toEqual([200, { status: 'disabled', plugin: { id: 'service', state: 'disabled' } }]);
    expect((await world.get('/service/build')).status).toBe(404);
    expect((await act('load'))[1]).toMatchObject({
      error: 'PluginDisabled',
      message: 'service is disabled in the registry; enable it',
    });
    await world.host.close();
    await world.start(registry);
    expect(view()).toMatchObject({ state: 'disabled', registry: { status: 'disabled' } });
    expect(world.host.reloads().map(({ phases }) => Object.keys(phases))).toEqual([[]]);
    expect(await act('enable')).toMatchObject([200, { status: 'enabled', plugin: { state: 'running' } }]);
    expect((await world.get('/service/build')).body).toBe('one');
  });

  test('an application that cannot be loaded is listed with the reason, and active when it is mended', async () => {
    await world.publish('broken', await buildPlugin('crash_in_constructor', { defines: { PLUGIN_ID: '"broken"' } }));
    await world.start(registry);
    await registered('broken');
    expect(view('broken')).toMatchObject({
      state: 'failed',
      registry: { status: 'invalid', reason: expect.stringContaining('TrialCrashed') },
    });
    await world.publish('broken', await buildPlugin('service', { defines: { PLUGIN_ID: '"broken"' } }));
    await world.host.discover();
    expect(view('broken')).toMatchObject({ state: 'running', registry: { status: 'active', version: '1.0.0' } });
    await act('disable', 'broken');
    await world.publish('broken', await buildPlugin('crash_in_constructor', { defines: { PLUGIN_ID: '"broken"' } }));
    expect((await act('enable', 'broken'))[1]).toMatchObject({ error: 'TrialCrashed' });
    expect(view('broken')).toMatchObject({ state: 'failed', registry: { status: 'active' } });
  });

  test('discover registers what is new, and what is gone is registered no more', async () => {
    await world.start(registry);
    await world.publish('other', await buildPlugin('service', { defines: { PLUGIN_ID: '"other"' } }));
    const answer = await world.admin('POST', '/api/v1/plugins/discover');
    expect(answer.status).toBe(200);
    expect(view('other').registry).toMatchObject({ status: 'active', pinned: false });
    await rm(world.folder('other'), { recursive: true });
    await world.host.discover();
    await until('it is forgotten', async () => (await act('enable', 'other'))[0] === 404);
    const { hosts } = JSON.parse((await world.admin('GET', '/api/v1/hosts')).body) as { hosts: HostRow[] };
    expect(hosts.map(({ plugins }) => Object.keys(plugins))).toEqual([['service']]);
  });

  test('what has changed is registered anew, whoever saw it', async () => {
    await world.start({ ...registry, hotReload: true, libraryDebounceMs: 10 });
    await registered();
    await world.publish('service', await service('two', '2.0.0'));
    await until('its version is registered', () => view().registry?.version === '2.0.0');
    await world.publish('other', await buildPlugin('service', { defines: { PLUGIN_ID: '"other"' } }));
    await registered('other');
    expect(view().generation).toBe(2);
  });

  test('is known by the same id after a restart', async () => {
    await world.start(registry);
    const id = (await readFile(path.join(world.data, 'host-id'), 'utf8')).trim();
    await world.host.close();
    await world.start(registry);
    const hosts = async (): Promise<HostRow[]> =>
      (JSON.parse((await world.admin('GET', '/api/v1/hosts')).body) as { hosts: HostRow[] }).hosts;
    await until('it says where it is', async () => (await hosts())[0]?.url === world.url);
    expect(await hosts()).toMatchObject([{ id, pid: process.pid, stoppedAt: null }]);
  });

  test('a second host on its data directory is refused with the process of the first', async () => {
    await world.start(registry);
    const { data, applications } = world;
    await expect(createHost({ data, applications, port: 0 })).rejects.toMatchObject({
      code: 'DataDirectoryLocked',
      message: expect.stringContaining(String(process.pid)),
    });
    expect((await world.get('/service/build')).body).toBe('one');
  });

  test('the command line enables, disables and lists', async () => {
    await world.start(registry);
    await registered();
    const ask = async (...words: string[]): Promise<string> => {
      const { status, out, err } = await tenon(world.directory, ...words, '--data', 'state');
      return status === 0 ? out : `${String(status)} ${err}`;
    };
    expect(await ask('disable', 'service')).toBe('service: disabled\n');
    expect((await ask('list')).split('\n')).toEqual([
      'PLUGIN   STATE     VERSION  GENERATION  LEASES  REGISTRY  ERROR',
      'service  disabled  -        -           0       disabled  PluginDisabled',
      '',
    ]);
    expect(await ask('enable', 'service')).toBe('service: enabled 1.0.0, generation 2\n');
    expect(await ask('show', 'service')).toMatch(/^registry +active, version 1\.0\.0, revision \d+$/m);
    expect(await ask('status')).toMatch(/^registry +embedded, .*registry, connected since \d{4}-/m);
    await until('it says where it is', async () => (await ask('hosts')).includes(world.url));
    expect(await ask('hosts')).toMatch(/^HOST +PROCESS +URL +VERSION +PLUGINS\n.*  1 running\n$/);
    expect(await ask('enable', 'nobody')).toMatch(/^1 .*nobody/);
  });

  test('without a registry nobody can be enabled', async () => {
    await world.start();
    expect(await act('disable')).toMatchObject([503, { error: 'RegistryUnavailable' }]);
    expect((await world.get('/readyz')).body).toBe('ok\n');
    expect(view().registry).toBeUndefined();
  });
});

describe('a host whose registry is away at its start', () => {
  test('goes by what it knew last', async () => {
    const world = await World.make();
    const nobody = await Proxy.start(1);
    const databaseUrl = `postgresql://nobody@127.0.0.1:${nobody.port}/none`;
    await nobody.close();
    try {
      await world.publish('service', await service('one'));
      await world.publish('other', await buildPlugin('service', { defines: { PLUGIN_ID: '"other"' } }));
      await world.start({ registry: true, registryWaitMs: 60_000 });
      await until('both are registered', () => world.host.plugins().every(({ registry }) => registry !== undefined));
      await world.host.disable('service');
      await world.host.close();
      await world.start({ registry: true, databaseUrl });
      expect(world.host.plugins().map(({ id, state }) => `${id} ${state}`)).toEqual([
        'other running',
        'service disabled',
      ]);
      expect((await world.get('/readyz')).body).toBe('degraded\n');
      expect(world.host.registry()).toMatchObject({ kind: 'server', connected: false, connections: 0 });
      await expect(world.host.enable('service')).rejects.toMatchObject({ code: 'RegistryUnavailable' });
    } finally {
      await world.close();
    }
  });
});
