import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { resolveSettings } from '../src/base/config.js';
import { type ErrorCode, TenonError } from '../src/base/errors.js';
import { silentLog } from '../src/base/log.js';
import type { Attempt } from '../src/host/record.js';
import { HotReloadManager } from '../src/reload/manager.js';
import { retryDelay } from '../src/reload/retry.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

function service(build: string, id = 'service'): Promise<string> {
  return buildPlugin('service', { defines: { BUILD: `"${build}"`, PLUGIN_ID: `"${id}"` } });
}

describe('hot reload of a host', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.make();
  });
  afterEach(() => world.close());

  const answers = (target: string, body: string): Promise<void> =>
    until(`${target} answers ${body}`, async () => (await world.get(target)).body === body);

  test('is turned off and on while it runs, and says so', async () => {
    await world.publish('service', await service('one'));
    await world.publish('other', await service('one', 'other'));
    await world.start({ libraryDebounceMs: 20 });
    const { hotReload } = world.host;
    expect(hotReload.status()).toMatchObject({ enabled: false, watchingDirectories: 0 });
    await hotReload.enable();
    expect(hotReload.status()).toMatchObject({ enabled: true, watchingDirectories: 2 });
    await world.publish('service', await service('two'));
    await answers('/service/build', 'two');
    await hotReload.disable();
    expect(hotReload.status()).toMatchObject({ enabled: false, watchingDirectories: 0 });
    await world.publish('service', await service('three'));
    await hotReload.enable();
    await world.publish('other', await service('two', 'other'));
    await answers('/other/build', 'two');
    expect((await world.get('/service/build')).body).toBe('two');
    expect(await hotReload.trigger('service')).toMatchObject({ trigger: 'api', outcome: 'succeeded' });
    expect((await world.get('/service/build')).body).toBe('three');
  });

  test('counts what it did, and not what was the same', async () => {
    await world.publish('service', await service('one'));
    await world.start();
    const { hotReload } = world.host;
    expect(hotReload.status()).toMatchObject({ reloadCount: 0, failedReloads: 0, lastReload: null, activeSessions: 0 });
    await world.publish('service', await service('two'));
    await hotReload.trigger('service');
    await hotReload.trigger('service');
    expect(hotReload.status()).toMatchObject({ reloadCount: 1, failedReloads: 0, activeSessions: 0 });
    await world.publish('service', await buildPlugin('no_note'));
    await expect(hotReload.trigger('service')).rejects.toMatchObject({ code: 'ImageNoteMissing' });
    expect(hotReload.status()).toMatchObject({ reloadCount: 1, failedReloads: 1 });
    expect(Date.parse(hotReload.status().lastReload ?? '')).not.toBeNaN();
    await expect(hotReload.trigger('nobody')).rejects.toMatchObject({ code: 'PluginNotFound' });
  });

  test('is configured while it runs, all that is given or nothing', async () => {
    await world.publish('service', await service('one'));
    await world.start({ hotReload: true, libraryDebounceMs: 20 });
    const { hotReload, settings } = world.host;
    const wrong = { maxRetries: 7, debounceMS: 5 };
    await expect(hotReload.configure(wrong)).rejects.toThrow(
      'hot reload has no key "debounceMS"; did you mean debounceMs?',
    );
    await expect(hotReload.configure({ maxRetries: 7, retryDelayMs: 0 })).rejects.toThrow(
      'retryDelayMs: 0 is not a whole number from 1 to 3600000',
    );
    expect(settings.maxRetries).toBe(3);
    expect(await hotReload.configure({ maxRetries: 7, excludePatterns: ['*.so'] })).toMatchObject({
      enabled: true,
      excludePatterns: ['*.so'],
      config: { maxRetries: 7 },
    });
    await world.publish('service', await service('two'));
    await world.publish('other', await service('one', 'other'));
    await world.write('other', 'config.yaml', 'name: Other\n');
    await answers('/other/build', 'one');
    expect((await world.get('/service/build')).body).toBe('one');
    await hotReload.configure({ excludePatterns: [] });
    await world.publish('service', await service('three'));
    await answers('/service/build', 'three');
    expect((await hotReload.configure({ enabled: false })).enabled).toBe(false);
  });

  test('takes up what the patterns of config.yaml name and leave, and its config.yaml always', async () => {
    const config = 'reload: {watch: ["*.so"], exclude: [old.so]}\n';
    await world.write('service', 'config.yaml', config);
    await world.publish('service', await service('one'));
    await world.start({ hotReload: true, libraryDebounceMs: 20, sourceDebounceMs: 20 });
    await world.write('service', 'notes.txt', 'x');
    await world.write('service', 'deep/old.so', 'x');
    await world.publish('service', await service('two'));
    await answers('/service/build', 'two');
    const count = (): number => world.host.reloads().length;
    await until('it is recorded', () => count() === 2);
    await world.write('service', 'config.yaml', `${config}description: changed\n`);
    await until('config.yaml is taken up', () => count() === 3);
    expect(world.host.reloads().map(({ unchanged }) => unchanged)).toEqual([true, undefined, undefined]);
  });

  test('leaves an application alone that does not want it, until it does', async () => {
    await world.write('service', 'config.yaml', 'reload: {enabled: false}\n');
    await world.publish('service', await service('one'));
    await world.publish('other', await service('one', 'other'));
    await world.start({ hotReload: true, libraryDebounceMs: 20, sourceDebounceMs: 20 });
    await world.publish('service', await service('two'));
    await world.publish('other', await service('two', 'other'));
    await answers('/other/build', 'two');
    await world.write('late', 'config.yaml', 'reload: {enabled: false}\n');
    await world.publish('late', await service('one', 'late'));
    await answers('/late/build', 'one');
    expect((await world.get('/service/build')).body).toBe('one');
    await world.write('service', 'config.yaml', 'reload: {enabled: true}\n');
    await answers('/service/build', 'two');
  });

  test('loads no new folder by itself without autoDiscovery; when asked it does, and watches it', async () => {
    await world.publish('service', await service('one'));
    await world.start({ hotReload: true, libraryDebounceMs: 20, autoDiscovery: false });
    await world.publish('other', await service('one', 'other'));
    await until('it is said', () => world.log.some((line) => line.msg.startsWith('a new folder')));
    expect(world.host.plugins().map(({ id }) => id)).toEqual(['service']);
    const answer = await world.admin('POST', '/api/v1/plugins/discover');
    expect(JSON.parse(answer.body)).toMatchObject({
      status: 'discovered',
      plugins: [{ id: 'other' }, { id: 'service' }],
    });
    await world.publish('other', await service('two', 'other'));
    await answers('/other/build', 'two');
  });

  test('tries a library again that cannot be opened yet; the log warns, and the record counts', async () => {
    await world.publish('service', await service('one'));
    await world.start({ hotReload: true, libraryDebounceMs: 20, maxRetries: 2, retryDelayMs: 50 });
    await world.publish('service', await buildPlugin('refuse_initialize', { defines: { PLUGIN_ID: '"service"' } }));
    await until(
      'it is given up',
      () => world.host.reloads().filter(({ outcome }) => outcome === 'failed').length === 3,
    );
    const failed = world.host.reloads().filter(({ outcome }) => outcome === 'failed');
    expect(failed.map(({ attempts }) => attempts)).toEqual([3, 2, 1]);
    const levels = world.log.filter((line) => line['code'] === failed[0]?.error?.code).map(({ level }) => level);
    expect(levels).toEqual([40, 40, 50]);
    expect(world.host.hotReload.status()).toMatchObject({ failedReloads: 3, retrying: [] });
    expect((await world.get('/service/build')).body).toBe('one');
  });

  test('does not try again what a person has to mend', async () => {
    await world.publish('service', await service('one'));
    await world.publish('other', await service('one', 'other'));
    await world.start({ hotReload: true, libraryDebounceMs: 20, maxRetries: 2, retryDelayMs: 1 });
    await world.publish('service', await buildPlugin('no_note'));
    await until('it failed', () => world.host.hotReload.status().failedReloads === 1);
    await world.publish('other', await service('two', 'other'));
    await answers('/other/build', 'two');
    expect(world.host.reloads().filter(({ outcome }) => outcome === 'failed')).toMatchObject([{ attempts: 1 }]);
  });

  test('gives a retry up when the plugin is unloaded', async () => {
    await world.publish('service', await service('one'));
    await world.start({ hotReload: true, libraryDebounceMs: 20, retryDelayMs: 60_000, maxRetryDelayMs: 60_000 });
    await world.publish('service', await buildPlugin('refuse_initialize', { defines: { PLUGIN_ID: '"service"' } }));
    const { hotReload } = world.host;
    await until('it waits', () => hotReload.status().retrying.length === 1);
    expect(hotReload.status().retrying).toMatchObject([{ plugin: 'service', attempts: 1 }]);
    await world.host.unload('service');
    expect(hotReload.status().retrying).toEqual([]);
  });

  test('pauses a plugin that writes its own files, and names them', async () => {
    await world.publish('service', await service('one'));
    await world.start({ hotReload: true, sourceDebounceMs: 1 });
    let written = 0;
    const write = (): void => {
      written += 1;
      void world.write('service', 'cache.db', String(written));
    };
    write();
    await until('it pauses', () => {
      if (world.host.reloads().length > written) write();
      return world.host.hotReload.status().paused.length > 0;
    });
    expect(world.host.hotReload.status().paused).toMatchObject([{ plugin: 'service' }]);
    const warnings = world.log.filter((line) => line.level === 40);
    expect(warnings.map(({ msg }) => msg)).toEqual([
      expect.stringMatching(/^service changed .*cache\.db.*excludePatterns$/),
    ]);
    // On a slow machine the first of them may be too long ago when the sixth comes.
    expect(world.host.reloads().filter(({ trigger }) => trigger === 'watch').length).toBeGreaterThanOrEqual(5);
  });

  test('tells who wants to know, whoever asked; one that throws is logged', async () => {
    const told: unknown[][] = [];
    await world.publish('service', await service('one'));
    await world.start({
      onReloadStart: (plugin) => void told.push(['start', plugin]),
      onReloadSuccess: (...facts) => void told.push(['success', ...facts]),
      onReloadFailed: (plugin, error) => {
        told.push(['failed', plugin, error.code]);
        throw new Error('no ear');
      },
    });
    await world.publish(
      'service',
      await buildPlugin('ok', { defines: { PLUGIN_ID: '"service"', PLUGIN_VERSION: '"1.1.0"' } }),
    );
    await world.host.reload('service');
    await world.publish('service', await buildPlugin('no_note'));
    await expect(world.host.reload('service')).rejects.toMatchObject({ code: 'ImageNoteMissing' });
    expect(told).toEqual([
      ['start', 'service'],
      ['success', 'service', undefined, '1.0.0'],
      ['start', 'service'],
      ['success', 'service', '1.0.0', '1.1.0'],
      ['start', 'service'],
      ['failed', 'service', 'ImageNoteMissing'],
    ]);
    expect(world.log.filter((line) => line.msg === 'a listener of events threw')).toHaveLength(1);
  });

  test('tells each phase when it has ended, with the id of the record', async () => {
    await world.publish('service', await service('one'));
    await world.start();
    await world.publish('service', await service('two'));
    world.events.length = 0;
    const record = await world.host.reload('service');
    const phases = world.events.flatMap((event) => (event.type === 'reload.phase' ? [event] : []));
    expect(new Set(phases.map(({ reload }) => reload))).toEqual(new Set([record.id]));
    expect(new Set(phases.map(({ phase }) => phase))).toEqual(new Set(Object.keys(record.phases)));
  });
});

describe('the manager', () => {
  let world: World;
  let manager: HotReloadManager;
  const asked: (Attempt | undefined)[] = [];
  let fail: ErrorCode | undefined;
  beforeEach(async () => {
    world = await World.make();
    asked.length = 0;
    fail = undefined;
    await world.write('one', 'config.yaml', 'name: One\n');
  });
  afterEach(async () => {
    await manager.close();
    await world.close();
  });

  async function manage(flags: { retryDelayMs?: number } = {}): Promise<void> {
    const { settings } = resolveSettings({
      flags: { applications: world.applications, data: world.data, sourceDebounceMs: 1, ...flags },
      variables: {},
    });
    const host = {
      refresh: async (folder: string) => {
        asked.push(manager.attempt(folder));
        if (fail !== undefined) throw new TenonError(fail, 'it does not work');
        return undefined;
      },
      reload: () => Promise.reject(new Error('nobody reloads by hand here')),
      list: () => [],
    };
    manager = new HotReloadManager({ host, log: silentLog(), settings, pace: { most: 2, windowMs: 2000 } });
    await manager.enable();
  }

  const change = (text: string): Promise<void> => world.write('one', 'config.yaml', `name: ${text}\n`);

  test('loads the last content when a pause is over', async () => {
    await manage();
    // On a slow machine the first may be too long ago when the third comes.
    for (let turn = 1; manager.status().paused.length === 0; turn++) {
      await change(`turn ${turn}`);
      await until('it is taken up', () => asked.length >= turn || manager.status().paused.length > 0);
    }
    const before = asked.length;
    expect(before).toBeGreaterThanOrEqual(2);
    expect(manager.status().paused).toMatchObject([{ folder: world.folder('one') }]);
    await until('the pause is over', () => manager.status().paused.length === 0);
    expect(asked).toHaveLength(before + 1);
  });

  test('does not pause for a schema that somebody edits as quickly as this', async () => {
    await manage();
    for (let turn = 1; turn <= 6; turn++) {
      await world.write('one', 'schema.graphql', `# turn ${turn}`);
      await until('it is taken up', () => asked.length >= turn || manager.status().paused.length > 0);
      expect(manager.status().paused).toEqual([]);
    }
  });

  test('begins to count its tries anew when something changes', async () => {
    await manage({ retryDelayMs: 60_000 });
    fail = 'ImageTruncated';
    await change('broken');
    await until('it waits', () => manager.status().retrying.length === 1);
    fail = undefined;
    await change('mended');
    await until('it is taken up', () => asked.length === 2);
    expect(asked.map((attempt) => attempt?.number)).toEqual([1, 1]);
    await until('it waits for nothing', () => manager.status().retrying.length === 0);
  });

  test.each(['disable', 'close'] as const)('tries nothing again after %s', async (end) => {
    await manage({ retryDelayMs: 60_000 });
    fail = 'ImageTruncated';
    await change('broken');
    await until('it waits', () => manager.status().retrying.length === 1);
    await manager[end]();
    expect(manager.status()).toMatchObject({ retrying: [], enabled: false });
  });

  test('does not open again what was closed', async () => {
    await manage();
    await manager.close();
    await expect(manager.enable()).rejects.toMatchObject({ code: 'HostClosing' });
  });
});

test('retries wait longer and longer, up to a limit, never quite the same', () => {
  const waits = (random: number): number[] => [1, 2, 3, 4, 60].map((retry) => retryDelay(retry, 100, 600, random));
  expect(waits(0)).toEqual([75, 150, 300, 450, 450]);
  expect(waits(0.5)).toEqual([100, 200, 400, 600, 600]);
  expect(waits(1)).toEqual([125, 250, 500, 600, 600]);
});
