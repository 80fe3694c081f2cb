import { copyFile, mkdir, rename, rm } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createHost, type ReloadRecord } from '../src/index.js';
import { gauge } from './load/gauge.js';
import { inProcessOnly } from './load/isolation.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

function service(build: string, defines: Record<string, string> = {}): Promise<string> {
  return buildPlugin('service', { defines: { BUILD: `"${build}"`, ...defines } });
}

describe('the living set', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.make();
  });
  afterEach(() => world.close());

  test('serves what lies in the applications directory; a bad one stops no other', async () => {
    await world.publish('service', await service('one'));
    await world.publish('other', await buildPlugin('service', { defines: { PLUGIN_ID: '"other"' } }));
    await world.publish('broken', await buildPlugin('crash_in_constructor'));
    await world.write('muddled', 'config.yaml', 'naem: Muddled\n');
    await mkdir(world.folder('empty'));
    await world.start();
    expect(world.host.plugins().map(({ id, state }) => `${id} ${state}`)).toEqual([
      'broken failed',
      'muddled failed',
      'other running',
      'service running',
    ]);
    expect(world.host.plugin('muddled').error).toMatchObject({ code: 'ConfigInvalid', details: { line: 1 } });
    expect((await world.get('/other/build')).status).toBe(200);
  });

  test('unloads and loads: the routes are gone, the plugin stays listed', async () => {
    await world.publish('service', await service('one'));
    await world.start();
    await world.host.unload('service');
    expect((await world.get('/service/build')).status).toBe(503);
    expect(world.host.plugin('service')).toMatchObject({ state: 'stopped', routes: [] });
    expect(await world.host.load('service')).toMatchObject({ state: 'running', generation: 2 });
    expect((await world.get('/service/build')).body).toBe('one');
  });

  test('a reload of the same bytes does nothing and says so', async () => {
    await world.publish('service', await service('one'));
    await world.start();
    await world.publish('service', await service('one'));
    const record = await world.host.reload('service');
    expect(record).toMatchObject({ outcome: 'succeeded', unchanged: true, from: { generation: 1 } });
    expect(record.to).toBeUndefined();
    expect(record.phases.open).toBeUndefined();
    expect(world.host.plugin('service').generation).toBe(1);
  });

  test('a record has both builds and the time of every phase', async () => {
    await world.publish('service', await service('one'));
    await world.start();
    await world.publish('service', await service('two'));
    const record = await world.host.reload('service');
    expect(record).toMatchObject({
      plugin: 'service',
      trigger: 'api',
      outcome: 'succeeded',
      attempts: 1,
      unload: 'clean',
      from: { generation: 1, version: '1.0.0' },
      to: { generation: 2, version: '1.0.0' },
    });
    const names = ['detect', 'build', 'admit', 'stage', 'open', 'initialize', 'swap', 'drain', 'unload', 'verify'];
    expect(Object.keys(record.phases).toSorted()).toEqual(names.toSorted());
    const sum = Object.values(record.phases).reduce((total, ms) => total + ms, 0);
    expect(record.totalMs).toBeGreaterThanOrEqual(sum - 1);
    expect(world.host.reloads().map(({ trigger }) => trigger)).toEqual(['api', 'start']);
  });

  test('of many reloads asked for at once one runs and one waits, and the last content wins', async () => {
    await world.publish('service', await service('one'));
    await world.start();
    const three = await service('three');
    await world.publish('service', await service('two'));
    const first = world.host.reload('service');
    await until('the first has begun', () =>
      world.events.some((event) => event.type === 'reload.started' && event.trigger === 'api'),
    );
    await world.publish('service', three);
    const rest = [1, 2, 3, 4].map(() => world.host.reload('service'));
    const records = [await first, ...(await Promise.all(rest))];
    expect(new Set(records.map(({ id }) => id)).size).toBe(2);
    expect((await world.get('/service/build')).body).toBe('three');
  });

  test('different plugins reload side by side', async () => {
    await world.publish('service', await service('one'));
    await world.publish('other', await buildPlugin('service', { defines: { PLUGIN_ID: '"other"' } }));
    await world.start();
    await world.publish('service', await service('two'));
    await world.publish('other', await buildPlugin('service', { defines: { PLUGIN_ID: '"other"', BUILD: '"two"' } }));
    // Its call under way keeps the old generation of one alive; the other one does not wait for that.
    const slow = world.get('/service/slow?ms=1500');
    await until('the call is in', () => world.host.plugin('service').generations.some(({ leases }) => leases > 0));
    const order: string[] = [];
    await Promise.all(['service', 'other'].map((id) => world.host.reload(id).then(() => order.push(id))));
    expect(order).toEqual(['other', 'service']);
    expect((await slow).body).toBe('one');
  });

  test('a route that belongs to another plugin is refused, and the old build goes on', async () => {
    await world.write('first', 'config.yaml', 'app_id: first\nroute_prefix: /shared\n');
    await world.publish(
      'first',
      await buildPlugin('service', { defines: { PLUGIN_ID: '"first"', EXTRA_PATTERN: '"/mine"' } }),
    );
    await world.start();
    await world.write('second', 'config.yaml', 'app_id: second\nroute_prefix: /shared\n');
    await world.publish('second', await buildPlugin('service', { defines: { PLUGIN_ID: '"second"' } }));
    await expect(world.host.load('second')).rejects.toMatchObject({
      code: 'RouteConflict',
      details: { plugin: 'second', owner: 'first', path: '/shared/build' },
    });
    expect((await world.get('/shared/mine')).body).toBe('one');
  });

  test('an application cannot take paths of the host', async () => {
    await world.write('greedy', 'config.yaml', 'app_id: greedy\nroute_prefix: /api\n');
    await world.publish('greedy', await buildPlugin('service', { defines: { PLUGIN_ID: '"greedy"' } }));
    await world.start();
    expect(world.host.plugin('greedy').error).toMatchObject({ code: 'RouteConflict', details: { owner: 'the host' } });
  });

  test('an application takes its paths along to another id', async () => {
    await world.write('shop', 'config.yaml', 'app_id: first\nroute_prefix: /shop\n');
    await copyFile(await service('one', { PLUGIN_ID: '"first"' }), `${world.folder('shop')}/first.so`);
    await world.start();
    expect((await world.get('/shop/build')).body).toBe('one');
    await rm(`${world.folder('shop')}/first.so`);
    await copyFile(await service('two', { PLUGIN_ID: '"second"' }), `${world.folder('shop')}/second.so`);
    await world.write('shop', 'config.yaml', 'app_id: second\nroute_prefix: /shop\n');
    await world.host.discover();
    expect(world.host.plugins()).toMatchObject([{ id: 'second', state: 'running' }]);
    expect((await world.get('/shop/build')).body).toBe('two');
  });

  test('a prefix is served at the root, and a reload takes up a changed one', async () => {
    await world.write('service', 'config.yaml', 'app_id: service\nroute_prefix: /\n');
    await world.publish('service', await service('one'));
    await world.start();
    expect((await world.get('/items/7')).body).toBe('7');
    expect((await world.get('/livez')).body).toBe('ok\n');
    await world.write('service', 'config.yaml', 'app_id: service\nroute_prefix: /moved\n');
    expect(await world.host.reload('service')).toMatchObject({ outcome: 'succeeded', unload: 'clean' });
    expect((await world.get('/moved/items/8')).body).toBe('8');
    expect((await world.get('/items/8')).status).toBe(404);
    const paths = world.host.plugin('service').routes.map((route) => route.path);
    expect(paths.filter((path) => !path.startsWith('/moved/'))).toEqual([]);
    expect(await world.host.reload('service')).toMatchObject({ unchanged: true });
  });

  test('a plugin that is stopped has the paths below the prefix it served last', async () => {
    await world.publish('service', await service('one'));
    await world.start();
    await world.write('service', 'config.yaml', 'app_id: service\nroute_prefix: /moved\n');
    await world.host.reload('service');
    await world.host.unload('service');
    expect((await world.get('/moved/build')).status).toBe(503);
    expect((await world.get('/service/build')).status).toBe(404);
  });

  test('going back to a build stays with the prefix that is served', async () => {
    await world.publish('service', await service('one'));
    await world.start();
    await world.publish('service', await service('two'));
    await world.host.reload('service');
    await world.write('service', 'config.yaml', 'app_id: service\nroute_prefix: /moved\n');
    await world.host.rollback('service');
    expect((await world.get('/service/build')).body).toBe('one');
  });

  test('a prefix that makes routes those of another plugin is refused, and the old one goes on', async () => {
    await world.publish('service', await service('one', { WITH_STATE: '1' }));
    await world.publish('other', await buildPlugin('service', { defines: { PLUGIN_ID: '"other"' } }));
    await world.start();
    expect((await world.request('POST', '/service/count')).body).toBe('1');
    await world.write('service', 'config.yaml', 'app_id: service\nroute_prefix: /other\n');
    await expect(world.host.reload('service')).rejects.toMatchObject({
      code: 'RouteConflict',
      details: { plugin: 'service', owner: 'other' },
    });
    expect(world.host.plugin('service').lastReload?.phases.migrate).toBeUndefined();
    expect((await world.request('POST', '/service/count')).body).toBe('2');
    expect((await world.request('POST', '/other/count')).body).toBe('1');
    expect(world.host.plugin('service')).toMatchObject({ state: 'running', generation: 1 });
    expect(world.host.plugin('service').routes.map((route) => route.path)).toContain('/service/count');
  });

  test('a disabled application is not loaded, and is stopped when it becomes one', async () => {
    await world.write('service', 'config.yaml', 'app_id: service\nenabled: true\n');
    await world.publish('service', await service('one'));
    await world.start();
    expect((await world.get('/service/build')).status).toBe(200);
    await world.write('service', 'config.yaml', 'app_id: service\nenabled: false\n');
    await world.host.reload('service');
    expect(world.host.plugin('service').state).toBe('disabled');
    expect((await world.get('/service/build')).status).toBe(404);
  });

  test('discover finds what came and what went', async () => {
    await world.publish('service', await service('one'));
    await world.start();
    await world.publish('other', await buildPlugin('service', { defines: { PLUGIN_ID: '"other"' } }));
    await rm(world.folder('service'), { recursive: true });
    await world.host.discover();
    expect(world.host.plugins().map(({ id }) => id)).toEqual(['other']);
  });

  /** An application in a folder whose name is not its id. */
  async function publishAs(folder: string, library: string): Promise<void> {
    await world.write(folder, 'config.yaml', 'app_id: service\n');
    await copyFile(library, `${world.folder(folder)}/service.so`);
  }

  test('a folder that is renamed takes its plugin along', async () => {
    await publishAs('one', await service('one'));
    await world.start({ hotReload: true, libraryDebounceMs: 50 });
    expect(world.host.plugin('service').folder).toBe(world.folder('one'));
    await rename(world.folder('one'), world.folder('two'));
    await until('it serves from there', () => world.host.plugins()[0]?.folder === world.folder('two'));
    await until('it serves', async () => (await world.get('/service/build')).body === 'one');
    expect(world.host.plugins()).toMatchObject([{ id: 'service', state: 'running' }]);
  });

  test('an id that two folders claim goes to the other one when its owner goes', async () => {
    await publishAs('one', await service('one'));
    await world.start({ hotReload: true, libraryDebounceMs: 50 });
    await publishAs('two', await service('two'));
    await until('it is refused', () => world.log.some((line) => line.msg.includes('belongs to')));
    expect((await world.get('/service/build')).body).toBe('one');
    await rm(world.folder('one'), { recursive: true });
    await until('the other one serves', async () => (await world.get('/service/build')).body === 'two');
    expect(world.host.plugins()).toMatchObject([{ id: 'service', folder: world.folder('two') }]);
  });

  test.each(['discover', 'reload'] as const)(
    'an application that is back before its calls have ended is served again: %s',
    async (how) => {
      await world.publish('service', await service('one'));
      await world.start();
      const slow = world.get('/service/slow?ms=1000');
      await until('the call is in', () => world.host.plugin('service').generations.some(({ leases }) => leases > 0));
      await rm(world.folder('service'), { recursive: true });
      const leaving = world.host.discover();
      await until('it is stopped', () => world.host.plugin('service').state === 'stopped');
      await world.publish('service', await service('two'));
      if (how === 'reload') expect(await world.host.reload('service')).toMatchObject({ outcome: 'succeeded' });
      else await world.host.discover();
      expect((await slow).body).toBe('one');
      await leaving;
      expect((await world.get('/service/build')).body).toBe('two');
      expect(world.host.plugins()).toMatchObject([{ id: 'service', state: 'running', generations: [{ number: 2 }] }]);
      await world.publish('service', await service('three'));
      expect(await world.host.reload('service')).toMatchObject({ outcome: 'succeeded', unload: 'clean' });
      await world.host.close();
      expect(gauge(world.data)).toMatchObject({ images: 0, staged: 0 });
    },
  );

  /** A reload that takes its time, from build one to build two; `started()` is 2 when it has begun. */
  async function slowReload(): Promise<ReloadRecord> {
    await world.publish('service', await service('one'));
    await world.start();
    await world.publish('service', await service('two', { INITIALIZE_MS: '300' }));
    return world.host.reload('service');
  }

  function started(): number {
    return world.events.filter((event) => event.type === 'reload.started').length;
  }

  test('what somebody has unloaded stays unloaded, whatever is saved meanwhile', async () => {
    const running = slowReload();
    await until('it has begun', () => started() === 2);
    const unloading = world.host.unload('service');
    await world.publish('service', await service('three'));
    await world.host.discover();
    expect(world.host.plugin('service')).toMatchObject({ state: 'running', generation: 1 });
    expect(await running).toMatchObject({ outcome: 'succeeded', to: { generation: 2 } });
    expect(await unloading).toMatchObject({ state: 'stopped' });
    await world.host.discover();
    expect(world.host.plugin('service').state).toBe('stopped');
    expect((await world.get('/service/build')).status).toBe(503);
    expect(started()).toBe(2);
    await world.host.load('service');
    expect((await world.get('/service/build')).body).toBe('three');
  });

  test('a reload that waits for its turn does not undo an unload', async () => {
    const running = slowReload();
    await until('it has begun', () => started() === 2);
    const waiting = world.host.reload('service');
    const unloading = world.host.unload('service');
    await expect(waiting).rejects.toMatchObject({ code: 'PluginStopped', details: { plugin: 'service' } });
    expect(await running).toMatchObject({ outcome: 'succeeded', to: { generation: 2 } });
    expect(await unloading).toMatchObject({ state: 'stopped' });
    expect(started()).toBe(2);
  });

  test('a load asked for while an unload waits comes after it', async () => {
    const running = slowReload();
    await until('it has begun', () => started() === 2);
    const unloading = world.host.unload('service');
    expect(await world.host.load('service')).toMatchObject({ state: 'running', generation: 3 });
    await Promise.all([running, unloading]);
  });

  test('a listener that throws changes nothing, and is logged', async () => {
    await world.publish('service', await service('one'));
    const thrown: string[] = [];
    await world.start({
      onEvent: (event) => {
        if (event.type === 'reload.phase') return;
        thrown.push(event.type);
        throw new Error(`no ear for ${event.type}`);
      },
    });
    await world.publish('service', await service('two'));
    expect(await world.host.reload('service')).toMatchObject({ outcome: 'succeeded', unload: 'clean' });
    expect(world.host.plugin('service')).toMatchObject({
      generation: 2,
      generations: [{ number: 2, state: 'ready' }],
      lastReload: { outcome: 'succeeded' },
    });
    await world.publish('service', await buildPlugin('no_note'));
    await expect(world.host.reload('service')).rejects.toMatchObject({ code: 'ImageNoteMissing' });
    await world.host.unload('service');
    const reload = ['reload.started', 'plugin.serving', 'reload.succeeded'];
    expect(thrown).toEqual([...reload, ...reload, 'reload.started', 'reload.failed', 'plugin.stopped']);
    const logged = world.log.filter((line) => line.level === 50 && line.msg === 'a listener of events threw');
    expect(logged.map((line) => line['event'])).toEqual(thrown);
  });

  test('what is not there is named, and a library of another plugin is refused', async () => {
    await world.publish('service', await buildPlugin('other_id'));
    await world.start();
    expect(world.host.plugin('service').error?.code).toBe('PluginIdMismatch');
    await expect(world.host.reload('nobody')).rejects.toMatchObject({ code: 'PluginNotFound' });
    expect(() => world.host.plugin('nobody')).toThrow('nobody');
    await expect(world.host.reload('servcie')).rejects.toMatchObject({ next: 'did you mean service?' });
  });

  test('two hosts do not share a data directory', async () => {
    await world.start();
    await expect(createHost({ data: world.data, applications: world.applications })).rejects.toMatchObject({
      code: 'DataDirectoryLocked',
      message: `process ${process.pid} uses the data directory ${world.data}`,
    });
  });

  test('a wrong option is named', async () => {
    await expect(createHost({ data: world.data, port: 70_000 })).rejects.toThrow(
      'option port: 70000 is not a whole number',
    );
  });

  test('closing lets a call under way finish, refuses everything else, and can be done twice', async () => {
    await world.publish('service', await service('one'));
    await world.start();
    const slow = world.get('/service/slow?ms=300');
    await until('the call is in', () => world.host.plugin('service').generations.some(({ leases }) => leases > 0));
    const closing = world.host.close();
    expect((await slow).body).toBe('one');
    await closing;
    await world.host.close();
    await expect(world.host.reload('service')).rejects.toMatchObject({ code: 'HostClosing' });
    await expect(world.get('/service/build')).rejects.toThrow();
  });

  // The last one: the images stay in this process.
  test('images that stay mapped are counted also when their applications are gone', async () => {
    inProcessOnly('images of the host are counted');
    await world.start({ pinnedLimit: 1 });
    for (const id of ['first', 'second']) {
      await world.publish(
        id,
        await buildPlugin('ok', { defines: { PLUGIN_ID: `"${id}"` }, flags: ['-Wl,-z,nodelete'] }),
      );
      await world.host.discover();
      await rm(world.folder(id), { recursive: true });
      await world.host.discover();
      expect(world.host.plugins()).toEqual([]);
    }
    expect(JSON.parse((await world.admin('GET', '/api/v1/status')).body)).toMatchObject({
      images: { alive: { count: 0 }, pinned: { count: 2 } },
    });
    expect(world.events.filter(({ type }) => type === 'host.full')).toHaveLength(1);
    await world.host.close();
    expect(world.log.filter(({ msg }) => msg === 'its image stays mapped')).toMatchObject([
      { plugin: 'first' },
      { plugin: 'second' },
    ]);
  });
});
