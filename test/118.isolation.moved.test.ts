import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Containment, type HeldBuild, nothingContained } from '../src/base/containment.js';
import type { IsolationMode } from '../src/base/isolation.js';
import { FaultyHost } from './faults/faulty-host.js';
import { tenon } from './load/tenon.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

describe('a plugin that is held back and moved out of the host', () => {
  let world: World;
  let notices: unknown[];
  beforeEach(async () => {
    world = await World.make();
    notices = [];
  });
  afterEach(() => world.close());

  const service = (build: string, defines: Record<string, string> = {}): Promise<string> =>
    buildPlugin('service', { defines: { BUILD: `"${build}"`, ...defines } });
  const build = async (): Promise<string> => (await world.get('/service/build')).body;
  const view = (): ReturnType<typeof world.host.plugin> => world.host.plugin('service');
  const processes = (): number => view().isolation?.processes.length ?? 0;
  const says = (isolation: string): Promise<void> => world.write('service', 'config.yaml', `isolation: ${isolation}\n`);
  const lines = (): string[] => world.log.map(({ msg }) => msg);

  async function held(library: string, isolation?: HeldBuild['isolation']): Promise<HeldBuild> {
    const sha256 = createHash('sha256')
      .update(await readFile(library))
      .digest('hex');
    const since = '2026-01-02T03:04:05.000Z';
    const where = isolation === undefined ? {} : { isolation };
    return { plugin: 'service', sha256, reason: 'it crashed the host', crash: 'crash-3', since, ...where };
  }

  async function start(containment: Containment, isolation: IsolationMode = 'inline'): Promise<void> {
    const parent = { released: (...told: unknown[]) => void notices.push(told) };
    await world.open({ isolation }, { containment, parent });
    await world.host.discover();
  }

  test('serves at once from its quarantine, and is released for that', async () => {
    const library = await service('one');
    await world.publish('service', library);
    await start({ ...nothingContained, quarantined: [await held(library)] });
    expect(view().state).toBe('quarantined');
    await says('process');
    await world.host.discover();
    expect(await build()).toBe('one');
    expect(view()).toMatchObject({ state: 'running', isolation: { mode: 'process' } });
    expect(processes()).toBe(1);
    expect(view().error).toBeUndefined();
    expect(notices).toEqual([['service', false, 'process']]);
    expect(world.host.containment()).toEqual(nothingContained);
    expect(world.events.map(({ type }) => type)).toContain('plugin.released');
    expect(lines()).toContain('service is released, for it runs in a process of its own');
  });

  test('serves its build that crashed a new host, too', async () => {
    await world.publish('service', await service('one'));
    await world.start({ isolation: 'inline' });
    const second = await service('two');
    await world.publish('service', second);
    await world.host.reload('service');
    await world.host.close();
    await start({ ...nothingContained, bad: [await held(second)] });
    expect(await build()).toBe('one');
    await says('process');
    await world.host.discover();
    expect(await build()).toBe('two');
    expect(processes()).toBe(1);
    expect(world.host.containment()).toEqual(nothingContained);
  });

  test('goes on in a process of its own by auto, until it is released', async () => {
    const library = await service('one');
    await world.publish('service', library);
    await start({ ...nothingContained, quarantined: [await held(library)] });
    await says('auto');
    await world.host.discover();
    expect(await build()).toBe('one');
    expect(view().isolation).toMatchObject({ mode: 'auto', demoted: { crash: 'crash-3' } });
    expect(processes()).toBe(1);
    expect(notices).toEqual([['service', false, 'auto']]);
    expect(world.host.containment()).toMatchObject({ quarantined: [], demoted: [{ plugin: 'service' }] });
    await world.host.release('service');
    expect(view().isolation).toEqual({ mode: 'auto', processes: [] });
  });

  test('stays where it is when it was of auto before, and goes on by process', async () => {
    const library = await service('one');
    await world.publish('service', library);
    const containment = { ...nothingContained, quarantined: [await held(library, 'auto')] };
    await start(containment, 'auto');
    await expect(world.host.reload('service')).rejects.toMatchObject({ code: 'PluginQuarantined' });
    expect(notices).toEqual([]);
    await says('process');
    await world.host.reload('service');
    expect(await build()).toBe('one');
  });

  test('is moved by the setting of the host as by its config', async () => {
    const library = await service('one');
    await world.publish('service', library);
    await start({ ...nothingContained, quarantined: [await held(library)] }, 'process');
    expect(await build()).toBe('one');
  });

  test('stays held back for what it did in a process of its own, wherever it is moved to', async () => {
    const library = await service('one');
    await world.publish('service', library);
    const containment = { ...nothingContained, quarantined: [await held(library, 'process')] };
    await start(containment, 'process');
    await says('inline');
    await expect(world.host.reload('service')).rejects.toMatchObject({ code: 'PluginQuarantined' });
    await says('{ mode: process, memory: 268435456 }');
    await expect(world.host.reload('service')).rejects.toMatchObject({ code: 'PluginQuarantined' });
    expect(world.host.containment()).toEqual(containment);
    expect(notices).toEqual([]);
  });

  test('that does not serve from there says why, and stays held back in the host', async () => {
    const library = await buildPlugin('refuse_initialize', { defines: { PLUGIN_ID: '"service"' } });
    await world.publish('service', library);
    await start({ ...nothingContained, quarantined: [await held(library)] });
    await says('process');
    await expect(world.host.reload('service')).rejects.toMatchObject({ code: 'TrialRefused' });
    expect(view()).toMatchObject({ state: 'failed', error: { code: 'TrialRefused' } });
    await says('inline');
    await expect(world.host.reload('service')).rejects.toMatchObject({ code: 'PluginQuarantined' });
    expect(view().state).toBe('quarantined');
    expect(notices).toEqual([]);
  });

  test('would be loaded, says a rehearsal, which releases nothing', async () => {
    const library = await service('one');
    await world.publish('service', library);
    await start({ ...nothingContained, quarantined: [await held(library)] });
    const rehearsed = (): ReturnType<typeof world.admin> =>
      world.admin('POST', '/api/v1/plugins/service/reload?dryRun=true');
    expect((await rehearsed()).status).toBe(503);
    await says('process');
    expect(JSON.parse((await rehearsed()).body)).toMatchObject({ status: 'valid', would: 'load' });
    expect(view().state).toBe('quarantined');
    expect(notices).toEqual([]);
  });

  test('is tried again there by itself after its probation in the host, and not when it fails that there, too', async () => {
    await world.publish('service', await service('good'));
    await world.start({ isolation: 'inline' });
    await world.publish('service', await service('ill', { FALLS_ILL: '1' }));
    const takenBack = (): number => world.events.filter(({ type }) => type === 'reload.rolledBack').length;
    await world.host.discover();
    await until('it was taken back', () => takenBack() === 1);
    await world.host.discover();
    expect(await build()).toBe('good');

    await says('process');
    await world.host.discover();
    expect(world.events.filter(({ type }) => type === 'plugin.serving').at(-1)).toMatchObject({ generation: 4 });
    expect(world.host.reloads()[0]?.warnings.join()).toContain('is loaded again in one of its own');
    await until('it was taken back again', () => takenBack() === 2);
    expect(await build()).toBe('good');
    for (const where of ['{ mode: process, memory: 268435456 }', 'inline']) {
      await says(where);
      await world.host.discover();
      expect(await build()).toBe('good');
    }
    const { body } = await world.admin('GET', '/api/v1/plugins/service/versions');
    expect(JSON.parse(body)).toMatchObject({ versions: [{ condemnedApart: true }, { running: true }] });
  });
});

test('a plugin that has ended the host too often serves once its config.yaml moves it out, and its report says so', async () => {
  const host = await FaultyHost.start(['bad'], 'crashes:\n  standby: false\n  limit: 1\n');
  try {
    await until(
      'it is well',
      async () => (await readFile(path.join(host.world.data, 'versions-proven.json'), 'utf8')) !== '',
    );
    await host.call('POST', '/bad/pool?kind=null-write');
    const report = await host.reportAfter([]);
    expect(report?.action).toBe('quarantined');
    await until('another host serves', async () => (await host.call('GET', '/bad/who')).status === 503);
    await writeFile(path.join(host.world.folder('bad'), 'config.yaml'), 'isolation: process\n');
    await until('it serves', async () => (await host.who('bad')) !== undefined);
    const kept = async (): Promise<unknown> =>
      JSON.parse(await readFile(path.join(host.world.data, 'containment.json'), 'utf8'));
    const released = JSON.stringify({ ...nothingContained, generations: { bad: 1 } });
    await until('that is kept', async () => JSON.stringify(await kept()) === released);
    await until('the report says it', async () => (await host.report(report?.id ?? '')).released?.by === 'process');
    const say = async (...words: string[]): Promise<string> =>
      (await tenon(host.world.directory, ...words, '--data', host.world.data)).out;
    expect(await say('crashes')).toMatch(/ quarantined, released \(process\)$/m);
    expect(await say('crashes', 'last')).toMatch(/^released +\S+, for the plugin runs in a process of its own$/m);
    const { body } = await host.call('GET', '/api/v1/crashes');
    expect(JSON.parse(body)).toMatchObject({ crashes: [{ action: 'quarantined', released: { by: 'process' } }] });
  } finally {
    await host.close();
  }
});
