import { readFile, rm } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Containment, type HeldBuild, nothingContained } from '../src/base/containment.js';
import type { Wishes } from '../src/index.js';
import { isIsolated } from './load/isolation.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

const told = '2026-01-02T03:04:05.000Z';

async function shaOf(library: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(library))
    .digest('hex');
}

/** A build of the plugin `service`, or of another id. */
function build(text: string, defines: Record<string, string> = {}): Promise<string> {
  return buildPlugin('service', { defines: { BUILD: `"${text}"`, ...defines } });
}

async function held(library: string, plugin = 'service'): Promise<HeldBuild> {
  const sha256 = await shaOf(library);
  const reason = 'it crashed the host 3 times within a minute';
  const where = isIsolated ? ({ isolation: 'process' } as const) : {};
  return { plugin, sha256, reason, crash: 'crash-3', since: told, ...where };
}

describe('a host that is told what crashes have led to', () => {
  let world: World;
  /** What the parent was told. */
  let notices: unknown[];
  beforeEach(async () => {
    world = await World.make();
    notices = [];
  });
  afterEach(() => world.close());

  async function begin(containment: Containment, wishes?: Wishes): Promise<void> {
    const parent = {
      released: (plugin?: string) => void notices.push(['released', plugin]),
      quarantined: (one: HeldBuild) => void notices.push(['quarantined', one.plugin]),
    };
    await world.open({}, { containment, parent });
    if (wishes !== undefined) await world.host.resume(wishes);
  }
  const start = async (containment: Containment, wishes?: Wishes): Promise<void> => {
    await begin(containment, wishes);
    await world.host.discover();
  };
  const state = (id = 'service'): string => world.host.plugin(id).state;
  const types = (): string[] => world.events.map(({ type }) => type);

  describe('of a plugin in quarantine', () => {
    test('serves everything else, and 503 below its prefix, without the reason', async () => {
      const library = await build('one');
      await world.publish('service', library);
      await world.write('service', 'config.yaml', 'route_prefix: /shop\n');
      await world.publish('other', await build('one', { PLUGIN_ID: '"other"' }));
      await start({ ...nothingContained, quarantined: [await held(library)] });
      expect(state()).toBe('quarantined');
      expect(world.host.plugin('service').error).toMatchObject({
        code: 'PluginQuarantined',
        details: { crash: 'crash-3', since: told },
      });
      for (const path of ['/shop/build', '/shop', '/shop/nothing/here']) {
        const { status, body, headers } = await world.get(path);
        expect(status).toBe(503);
        // The reason may name the request of somebody else.
        expect(JSON.parse(body)).toMatchObject({ error: 'PluginQuarantined' });
        expect((JSON.parse(body) as { details: unknown }).details).toEqual({ plugin: 'service', crash: 'crash-3' });
        expect(body).not.toContain('3 times');
        expect(headers).not.toHaveProperty('retry-after');
      }
      expect((await world.get('/shops')).status).toBe(404);
      expect((await world.get('/other/build')).body).toBe('one');
      expect((await world.get('/readyz')).body).toBe('degraded\n');
      expect((await world.get('/metrics')).body).toContain('tenon_plugins{state="quarantined"} 1');
      expect(world.events.filter(({ type }) => type === 'plugin.quarantined')).toMatchObject([
        { plugin: 'service', crash: 'crash-3' },
      ]);
      expect(notices).toEqual([]);
    });

    test('that has the root: it answers for what nobody else serves, and for nothing of the host', async () => {
      const library = await build('one');
      await world.publish('service', library);
      await world.write('service', 'config.yaml', 'route_prefix: /\n');
      await world.publish('other', await build('one', { PLUGIN_ID: '"other"' }));
      await start({ ...nothingContained, quarantined: [await held(library)] });
      expect((await world.get('/build')).status).toBe(503);
      expect((await world.get('/whatever')).status).toBe(503);
      expect((await world.get('/other/build')).status).toBe(200);
      expect((await world.get('/api/nothing')).status).toBe(404);
      expect((await world.get('/livez')).status).toBe(200);
    });

    test('refuses the same content to everybody, and takes other content, which ends it', async () => {
      const library = await build('one');
      await world.publish('service', library);
      await start({ ...nothingContained, quarantined: [await held(library)] });
      for (const action of ['load', 'reload']) {
        const { status, body } = await world.admin('POST', `/api/v1/plugins/service/${action}`);
        expect([action, status]).toEqual([action, 503]);
        expect(JSON.parse(body)).toMatchObject({
          error: 'PluginQuarantined',
          detail: expect.stringContaining('tenon release service') as string,
        });
      }
      expect(state()).toBe('quarantined');
      expect(types().filter((type) => type === 'plugin.quarantined')).toHaveLength(1);

      await world.publish('service', await build('two'));
      await world.host.reload('service');
      expect((await world.get('/service/build')).body).toBe('two');
      await until('it has shown that it is well', () => notices.length > 0);
      expect(notices).toEqual([['released', 'service']]);
      expect(types()).toContain('plugin.released');
      expect(world.host.containment().quarantined).toEqual([]);
    });

    test('stays there when its other content does not serve', async () => {
      const library = await build('one');
      await world.publish('service', library);
      await start({ ...nothingContained, quarantined: [await held(library)] });
      await world.publish('service', await buildPlugin('ok'));
      await expect(world.host.reload('service')).rejects.toThrow();
      expect(state()).toBe('quarantined');
      expect(JSON.parse((await world.get('/service/build')).body)).toMatchObject({ error: 'PluginQuarantined' });
      expect(notices).toEqual([]);
    });

    test('stays there when somebody goes back to the build before, which serves, in the next host, too', async () => {
      const first = await build('one');
      await world.publish('service', first);
      await world.start();
      const second = await build('two');
      await world.publish('service', second);
      await world.host.reload('service');
      await world.host.close();
      const containment = { ...nothingContained, quarantined: [await held(second)] };
      await start(containment);
      expect(state()).toBe('quarantined');
      await world.host.rollback('service');
      expect((await world.get('/service/build')).body).toBe('one');
      await world.host.close();
      expect(world.host.containment()).toEqual(containment);

      const plugins = [{ id: 'service', folder: world.folder('service'), sha256: await shaOf(first), chosen: true }];
      await begin(containment, { plugins, hotReload: {} as Wishes['hotReload'] });
      expect((await world.get('/service/build')).body).toBe('one');
      await world.host.discover();
      expect((await world.get('/service/build')).body).toBe('one');
      await expect(world.host.reload('service')).rejects.toMatchObject({ code: 'PluginQuarantined' });
      expect(notices).toEqual([]);
    });

    test('lets go of it by hand, once, and goes on with it', async () => {
      const library = await build('one');
      await world.publish('service', library);
      await start({ ...nothingContained, quarantined: [await held(library)] });
      expect(await world.host.release('service')).toMatchObject({ state: 'running' });
      expect((await world.get('/service/build')).body).toBe('one');
      expect(notices).toEqual([['released', 'service']]);
      await expect(world.host.release('service')).rejects.toMatchObject({ code: 'NotQuarantined' });
      await expect(world.host.release('servise')).rejects.toMatchObject({ code: 'PluginNotFound' });
    });

    test('does so before it looks at the applications, and tells the next one of it', async () => {
      const library = await build('one');
      await world.publish('service', library);
      await world.write('service', 'config.yaml', 'route_prefix: /shop\n');
      const quarantined = [await held(library)];
      const wish = { id: 'service', folder: world.folder('service'), sha256: await shaOf(library) };
      await begin({ ...nothingContained, quarantined }, { plugins: [wish], hotReload: {} as Wishes['hotReload'] });
      expect(JSON.parse((await world.get('/shop/build')).body)).toMatchObject({ error: 'PluginQuarantined' });
      expect(world.host.wishes().plugins).toEqual([wish]);
    });
  });

  describe('of a build that crashed before it had shown that it is well', () => {
    const counting = { WITH_STATE: '1' };
    /** Two builds have served, the second one has counted to 2; and the host has ended. */
    async function twoBuilds(): Promise<string> {
      await world.publish('service', await build('one', counting));
      await world.start();
      const second = await build('two', counting);
      await world.publish('service', second);
      await world.host.reload('service');
      for (const count of ['1', '2']) expect((await world.request('POST', '/service/count')).body).toBe(count);
      await world.host.close();
      world.events.length = 0;
      return second;
    }
    const rolledBack = (): unknown[] => world.events.filter(({ type }) => type === 'reload.rolledBack');

    test('has the kept build before it serve, with its state, until the content changes', async () => {
      const bad = [await held(await twoBuilds())];
      await start({ ...nothingContained, bad });
      expect((await world.get('/service/build')).body).toBe('one');
      expect((await world.request('POST', '/service/count')).body).toBe('3');
      expect(world.host.plugin('service').error).toMatchObject({
        code: 'BuildCrashed',
        message: expect.stringContaining(`${bad[0]?.sha256.slice(0, 12)} crashed the host`) as string,
      });
      expect(rolledBack()).toMatchObject([
        { plugin: 'service', record: { outcome: 'rolledBack', kept: true, error: { code: 'BuildCrashed' } } },
      ]);
      await world.host.discover();
      expect((await world.get('/service/build')).body).toBe('one');
      await expect(world.host.reload('service')).rejects.toMatchObject({ code: 'BuildCrashed' });
      expect(rolledBack()).toHaveLength(1);

      await world.publish('service', await build('three', counting));
      await world.host.discover();
      expect((await world.get('/service/build')).body).toBe('three');
      expect((await world.request('POST', '/service/count')).body).toBe('4');
    });

    test('does so before it looks at the applications, and is said to be taken back once', async () => {
      const second = await twoBuilds();
      const bad = [await held(second)];
      const wish = { id: 'service', folder: world.folder('service'), sha256: await shaOf(second) };
      await begin({ ...nothingContained, bad }, { plugins: [wish], hotReload: {} as Wishes['hotReload'] });
      expect((await world.get('/service/build')).body).toBe('one');
      await world.host.discover();
      expect((await world.get('/service/build')).body).toBe('one');
      expect(world.host.plugin('service').error?.code).toBe('BuildCrashed');
      expect(rolledBack()).toHaveLength(1);
      expect(JSON.parse((await world.get('/readyz?verbose')).body)).toMatchObject({
        ready: true,
        plugins: [{ id: 'service', healthy: true, heldBack: true }],
      });
    });

    test('says so still when somebody goes back to another one', async () => {
      const bad = [await held(await twoBuilds())];
      await start({ ...nothingContained, bad });
      await world.host.rollback('service', await shaOf(await build('one', counting)));
      expect(world.host.plugin('service').error).toBeUndefined();
      expect(JSON.parse((await world.get('/readyz?verbose')).body)).toMatchObject({ plugins: [{ heldBack: true }] });
    });

    test('lets go of it by hand', async () => {
      const bad = [await held(await twoBuilds())];
      await start({ ...nothingContained, bad });
      expect(await world.host.release('service')).toMatchObject({ state: 'running', generations: [{}] });
      expect((await world.get('/service/build')).body).toBe('two');
      expect(notices).toEqual([['released', 'service']]);
    });

    test('and has no other: it is not loaded, and answers 503 with the id of the crash', async () => {
      const library = await build('one');
      await world.publish('service', library);
      await start({ ...nothingContained, bad: [await held(library)] });
      expect(state()).toBe('failed');
      const { status, body } = await world.get('/service/build');
      expect(status).toBe(503);
      expect(JSON.parse(body)).toMatchObject({ error: 'BuildCrashed', details: { crash: 'crash-3' } });
      await expect(world.host.load('service')).rejects.toMatchObject({ code: 'BuildCrashed' });
    });
  });

  describe('that nobody knows why it crashed', () => {
    const safeMode = { reason: '3 crashes of unknown cause within a minute', crash: 'crash-3', since: told };

    test('loads nothing, says why, and has its API answer', async () => {
      await world.publish('service', await build('one'));
      await start({ ...nothingContained, safeMode });
      expect(world.host.plugin('service')).toMatchObject({ state: 'stopped', error: { code: 'SafeMode' } });
      for (const path of ['/service/build', '/anything']) {
        const { status, body } = await world.get(path);
        expect(status).toBe(503);
        expect(JSON.parse(body)).toMatchObject({ error: 'SafeMode', details: { crash: 'crash-3' } });
      }
      const ready = await world.get('/readyz');
      expect([ready.status, ready.body]).toEqual([503, 'not ready: safe mode\n']);
      expect(JSON.parse((await world.get('/readyz?verbose')).body)).toMatchObject({ safeMode: { since: told } });
      expect(JSON.parse((await world.admin('GET', '/readyz?verbose')).body)).toMatchObject({ safeMode });
      expect((await world.admin('GET', '/api/v1/plugins')).status).toBe(200);
      for (const action of ['load', 'reload']) {
        const refused = await world.admin('POST', `/api/v1/plugins/service/${action}`);
        expect(JSON.parse(refused.body)).toMatchObject({ error: 'SafeMode' });
      }
      expect((await world.get('/api/nothing')).status).toBe(404);
    });

    test('goes on by hand as the host before it was to go on', async () => {
      const library = await build('one');
      await world.publish('service', library);
      await world.publish('other', await build('one', { PLUGIN_ID: '"other"' }));
      await world.start();
      await world.host.unload('other');
      const wishes = world.host.wishes();
      await world.host.close();
      await start({ ...nothingContained, safeMode }, wishes);
      expect(world.host.wishes().plugins.toSorted(byId)).toEqual(wishes.plugins.toSorted(byId));
      await world.host.release();
      expect(notices).toEqual([['released', undefined]]);
      expect((await world.get('/service/build')).body).toBe('one');
      expect(state('other')).toBe('stopped');
      expect((await world.get('/readyz')).body).toBe('ok\n');
      await expect(world.host.release()).rejects.toMatchObject({ code: 'NotQuarantined' });
    });
  });

  test('answers 503 below the prefix of what neither its kept build nor its application brings back', async () => {
    await world.publish('service', await build('one'));
    await world.write('service', 'config.yaml', 'route_prefix: /shop\n');
    await world.start();
    expect((await world.get('/shop/build')).status).toBe(200);
    const wishes = world.host.wishes();
    await world.host.close();
    await rm(path.join(world.data, 'versions'), { recursive: true });
    await world.write('service', 'config.yaml', 'route_prefix: /shop\nextensions: [not-there]\n');
    await begin(nothingContained, wishes);
    expect(await world.get('/shop/build')).toMatchObject({
      status: 503,
      body: expect.stringContaining('PluginStopped') as string,
    });
  });

  test('has its parent told whenever it is to go on otherwise', async () => {
    await world.publish('service', await build('one'));
    let told: unknown;
    const parent = { wishesChanged: () => void setImmediate(() => (told = world.host.wishes().plugins)) };
    await world.open({}, { parent });
    const folder = world.folder('service');
    await world.host.discover();
    await until('it is told', () => JSON.stringify(told) === JSON.stringify(world.host.wishes().plugins));
    expect(told).toMatchObject([{ id: 'service', folder, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string }]);
    await world.host.unload('service');
    await until('it is told', () => JSON.stringify(told) === JSON.stringify([{ id: 'service', folder }]));
  });
});

function byId(one: { id: string }, other: { id: string }): number {
  return one.id < other.id ? -1 : 1;
}
