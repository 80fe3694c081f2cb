import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { until, type World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';
import { Fleet } from './registry/fleet.js';
import { noPostgres, PostgresServer } from './registry/postgres.js';

describe.skipIf(noPostgres !== undefined)(`edits that overtake a host ${noPostgres ?? ''}`, () => {
  let server: PostgresServer;
  let fleet: Fleet;
  beforeAll(async () => {
    server = await PostgresServer.start();
  });
  afterAll(() => server.dispose());
  beforeEach(async () => {
    fleet = await Fleet.make(server, 1);
  });
  afterEach(() => fleet.close());

  test('a row that is inserted again while its plugin is taken down stays, and the plugin comes back', async () => {
    await fleet.publish('service', await buildPlugin('service', { defines: { INITIALIZE_MS: '600' } }));
    await fleet.start();
    await fleet.converged();
    const [world] = fleet.worlds as [World];
    const call = world.get('/service/slow?ms=3000');
    await until('the call is under way', () =>
      world.host.plugin('service').generations.some(({ leases }) => leases > 0),
    );
    await fleet.sql(`DELETE FROM plugins WHERE name = 'service'`);
    await until('it is taken down', async () => (await world.get('/service/build')).status !== 200);
    await fleet.sql(`INSERT INTO plugins (name, source_path) VALUES ('service', 'service')`);
    expect((await call).status).toBe(200);
    await until('it is back', async () => (await world.get('/service/build')).status === 200);
    await fleet.converged();
    expect(await fleet.sql('SELECT name, version FROM plugins')).toBe('service|');
    expect((await fleet.reports())[0]).toMatchObject({ state: 'running' });
  });

  test('a plugin is disabled although a call still runs in the generation before', async () => {
    await fleet.publish('service', await buildPlugin('service'));
    await fleet.start();
    await fleet.converged();
    const [world] = fleet.worlds as [World];
    let ended = false;
    const call = world.get('/service/slow?ms=6000').finally(() => {
      ended = true;
    });
    await until('the call is under way', () =>
      world.host.plugin('service').generations.some(({ leases }) => leases > 0),
    );
    await fleet.sql(`UPDATE plugins SET reload_at = now()`);
    await until('the next one serves', () => world.host.plugin('service').generation === 2);
    await fleet.sql(`UPDATE plugins SET status = 'disabled'`);
    await until('it is taken down', async () => (await world.get('/service/build')).status !== 200);
    expect(ended).toBe(false);
    expect((await call).status).toBe(200);
    await fleet.converged();
    expect((await fleet.reports())[0]).toMatchObject({ state: 'disabled' });
  });

  test('what was saved is registered also when it is taken up by a reload that the registry has asked for', async () => {
    const service = (version: string): Promise<string> =>
      buildPlugin('service', { defines: { VERSION: `"${version}"` } });
    await fleet.publish('service', await service('1.0.0'));
    await fleet.start();
    await fleet.converged();
    await fleet.publish('service', await service('2.0.0'));
    await fleet.sql(`UPDATE plugins SET reload_at = now()`);
    await until('it is registered', async () => (await fleet.sql('SELECT version FROM plugins')) === '2.0.0');
    expect(fleet.worlds[0]?.host.reloads()[0]).toMatchObject({ trigger: 'registry', to: { version: '2.0.0' } });
  });

  test('what failed is not tried again when the registry has removed it', async () => {
    await fleet.start({ hotReload: true, libraryDebounceMs: 10, retryDelayMs: 1500, maxRetries: 1 });
    const [world] = fleet.worlds as [World];
    await fleet.publish('service', await buildPlugin('refuse_initialize', { defines: { PLUGIN_ID: '"service"' } }));
    const retrying = (): unknown[] => world.host.hotReload.status().retrying;
    await until('it waits', () => retrying().length === 1);
    await until('it is registered', async () => (await fleet.sql('SELECT status FROM plugins')) === 'invalid');
    await fleet.sql('DELETE FROM plugins');
    await until('it is forgotten', () => world.host.plugins().every(({ id }) => id !== 'service'));
    await until('nothing waits', () => retrying().length === 0);
    await fleet.publish('other', await buildPlugin('service', { defines: { PLUGIN_ID: '"other"' } }));
    await until('another one runs', () => world.host.plugins().some(({ state }) => state === 'running'));
    expect(world.host.plugins().map(({ id }) => id)).toEqual(['other']);
  });

  test('a second folder with the id of a plugin is not loaded because the registry has removed that', async () => {
    await fleet.publish('service', await buildPlugin('service'));
    await fleet.start();
    await fleet.converged();
    const [world] = fleet.worlds as [World];
    await world.write('twin', 'main.c', '');
    await world.write('twin', 'config.yaml', 'app_id: service\nname: Twin\nresources: [main.c]\n');
    await world.host.discover();
    expect(world.log.filter(({ code, plugin }) => code === 'ConfigInvalid' && plugin === 'service')).toHaveLength(1);
    await fleet.sql('DELETE FROM plugins');
    await until('it is forgotten', () => world.host.plugins().every(({ folder }) => !folder.endsWith('/service')));
    await fleet.publish('other', await buildPlugin('service', { defines: { PLUGIN_ID: '"other"' } }));
    await world.host.load('other');
    expect(world.host.plugins().map(({ id }) => id)).toEqual(['other']);
  });
});
