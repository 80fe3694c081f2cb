import { execFile } from 'node:child_process';
import { readdirSync, readlinkSync } from 'node:fs';
import { copyFile, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadCore } from '../src/binding/core.js';
import { descriptorLayout, openLibrary } from '../src/binding/library.js';
import { gauge } from './load/gauge.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

const run = promisify(execFile);
const include = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', 'native', 'include');

/** How many descriptors of this process are of the file that has, or had, this path. */
function descriptorsOf(file: string): number {
  return readdirSync('/proc/self/fd').filter((number) => {
    try {
      return readlinkSync(`/proc/self/fd/${number}`).startsWith(file);
    } catch {
      return false; // the one of this directory, which is closed again
    }
  }).length;
}

describe('a library', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(path.join(os.tmpdir(), 'tenon-library-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  test('is read with the layout that the header has', async () => {
    const members = Object.keys(descriptorLayout.offsets);
    const lines = members.map(
      (name) => `printf("%s %zu\\n", "${name}", offsetof(tenon_plugin_descriptor_t, ${name}));`,
    );
    const source = `#include <stdio.h>\n#include <tenon/entry.h>\nint main(void) {
      printf("size %zu\\n", sizeof(tenon_plugin_descriptor_t)); printf("abi %d.%d\\n", TENON_ABI_MAJOR, TENON_ABI_MINOR);
      ${lines.join('\n')} return 0; }`;
    await writeFile(path.join(directory, 'layout.c'), source);
    const program = path.join(directory, 'layout');
    await run('gcc', ['-std=c11', `-I${include}`, path.join(directory, 'layout.c'), '-o', program]);
    const { stdout } = await run(program);
    const [size = '', , ...offsets] = stdout.trim().split('\n');
    expect(size.replace('size', '__size')).toBe(`__size ${descriptorLayout.size}`);
    expect(offsets).toEqual(members.map((name) => `${name} ${descriptorLayout.offsets[name]}`));
  });

  test('tells who it is, and is gone from the process when it is closed', async () => {
    const file = path.join(directory, 'fault.so');
    await copyFile(await buildPlugin('ok'), file);
    const core = loadCore();
    const library = openLibrary(file);
    expect(library.descriptor).toMatchObject({ id: 'fault', name: 'Test', version: '1.0.0', author: '', abiMajor: 1 });
    expect(core.imageMapped(file)).toBe(true);
    library.close();
    expect(core.imageMapped(file)).toBe(false);
    library.close();
  });

  test('of megabytes is held by a descriptor while it is open, and by none afterwards', async () => {
    const file = path.join(directory, 'large.so');
    const bytes = 2 * 1024 * 1024;
    await copyFile(await buildPlugin('ok'), file);
    await truncate(file, bytes);
    const library = openLibrary(file, bytes);
    await rm(file);
    expect(descriptorsOf(file)).toBe(1);
    library.close();
    await expect.poll(() => descriptorsOf(file)).toBe(0);
  });

  test('that cannot be opened is named with its path', async () => {
    const file = path.join(directory, 'nowhere.so');
    expect(() => openLibrary(file)).toThrow(
      expect.objectContaining({ code: 'PluginLoadError', message: expect.stringContaining(file) }),
    );
  });

  test('without the entry is closed again', async () => {
    const file = path.join(directory, 'no_entry.so');
    await copyFile(await buildPlugin('no_entry'), file);
    expect(() => openLibrary(file)).toThrow(expect.objectContaining({ code: 'PluginLoadError' }));
    expect(loadCore().imageMapped(file)).toBe(false);
  });
});

describe('the life of a plugin', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.make();
  });
  afterEach(() => world.close());

  test('goes through its steps in order, and leaves nothing', async () => {
    await world.publish('service', await buildPlugin('service'));
    await world.start();
    expect(gauge(world.data)).toMatchObject({ images: 1, staged: 0 });
    await world.host.unload('service');
    await until('its log has arrived', () => world.said('service').includes('destroy'));
    expect(world.said('service')).toEqual(['create', 'initialize', 'ready', 'shutdown', 'destroy']);
    expect(gauge(world.data)).toMatchObject({ images: 0, staged: 0 });
    expect(world.host.plugin('service')).toMatchObject({ state: 'stopped', generations: [] });
  });

  test('hands its state over while both generations are there', async () => {
    await world.publish('service', await buildPlugin('service', { defines: { WITH_STATE: '1', WITH_QUIESCE: '1' } }));
    await world.start();
    const lines = world.log.length;
    await world.publish('service', await buildPlugin('service', { defines: { WITH_STATE: '1', BUILD: '"two"' } }));
    await world.host.reload('service');
    await until('the old one is gone', () => world.said('service').includes('destroy'));
    const steps = world.log
      .slice(lines)
      .filter((line) => line.fields?.['build'] !== undefined)
      .map((line) => `${line.fields?.['build']} ${line.msg}`);
    expect(steps).toEqual([
      'two create',
      'two initialize',
      'one quiesce',
      'one save',
      'two try',
      'two load',
      'two ready',
      'one shutdown',
      'one destroy',
    ]);
  });

  test('that fails after its trial says so by name, and leaves nothing', async () => {
    await world.publish('service', await buildPlugin('service', { defines: { FAIL_READY: '1' } }));
    await world.start();
    const view = world.host.plugin('service');
    expect(view).toMatchObject({ state: 'failed', generations: [], error: { code: 'LifecycleFailed' } });
    expect(view.error?.message).toContain('generation 1: ready of service failed: no shelf to stand on');
    expect(gauge(world.data)).toMatchObject({ images: 0, staged: 0 });
  });

  test('that hangs on its way up is given up, and pinned with the step that hangs', async () => {
    await world.publish('service', await buildPlugin('service', { defines: { HANG_READY: '1' } }));
    await world.start({ lifecycleMs: 200 });
    const view = world.host.plugin('service');
    expect(view).toMatchObject({ state: 'failed', error: { code: 'LifecycleTimeout' } });
    expect(view.generations).toMatchObject([
      { state: 'pinned', pinnedReason: 'thread still running: ready did not return' },
    ]);
  });

  test('has all its steps up together behind one deadline, which names the step that had no time left', async () => {
    await world.publish(
      'service',
      await buildPlugin('service', { defines: { INITIALIZE_MS: '120', HANG_READY: '1' } }),
    );
    await world.start({ startupMs: 400 });
    const { error } = world.host.plugin('service');
    expect(error).toMatchObject({ code: 'LifecycleTimeout', details: { plugin: 'service', step: 'ready' } });
    expect(error?.message).toMatch(
      /^generation 1: ready of service did not return within \d+ ms, which was left of the 400 ms/,
    );
  });

  test('that is late on its way up is taken down in order when it has come back', async () => {
    const { images } = gauge(world.data);
    await world.publish('service', await buildPlugin('service', { defines: { READY_MS: '600' } }));
    await world.start({ lifecycleMs: 150 });
    expect(world.host.plugin('service')).toMatchObject({
      state: 'failed',
      error: { code: 'LifecycleTimeout' },
      generations: [{ state: 'pinned', pinnedReason: 'thread still running: ready did not return' }],
    });
    expect(world.host.reloads()).toMatchObject([{ outcome: 'failed', unload: 'pinned' }]);
    await until('it is gone', () => world.host.plugin('service').generations.length === 0);
    await until('its log has arrived', () => world.said('service').includes('destroy'));
    expect(world.said('service')).toEqual(['create', 'initialize', 'ready', 'shutdown', 'destroy']);
    expect(gauge(world.data)).toMatchObject({ images, staged: 0 });
    expect(world.host.reloads()).toMatchObject([{ outcome: 'failed', unload: 'clean' }]);
  });

  test('whose initialize is late is never unmapped: what it has begun nobody can end', async () => {
    const { images } = gauge(world.data);
    await world.publish('service', await buildPlugin('service', { defines: { INITIALIZE_MS: '250' } }));
    await world.start({ lifecycleMs: 200 });
    expect(world.host.plugin('service')).toMatchObject({ state: 'failed', error: { code: 'LifecycleTimeout' } });
    const { generations } = await world.host.unload('service');
    expect(generations).toMatchObject([{ state: 'pinned', pinnedReason: expect.stringContaining('initialize') }]);
    expect(world.said('service')).not.toContain('destroy');
    expect(gauge(world.data)).toMatchObject({ images: images + 1, staged: 0 });
  });

  test('whose own thread nobody can end stays mapped until the process has ended', async () => {
    const defines = { OWN_THREAD: '1', INITIALIZE_MS: '250' };
    await world.publish('service', await buildPlugin('service', { defines, flags: ['-pthread'] }));
    const { data, applications } = world;
    const options = { data, applications, hotReload: false, registry: false, lifecycleMs: 200 };
    const program = `import { createHost } from ${JSON.stringify(new URL('../src/index.ts', import.meta.url).href)};
      const host = await createHost(${JSON.stringify(options)});
      const { error, generations } = host.plugin('service');
      await host.close();
      console.log(error.code, generations[0].state);`;
    const flags = ['--import', import.meta.resolve('tsx'), '--input-type=module', '--eval', program];
    // It rejects when the process ends by a signal.
    expect((await run(process.execPath, flags)).stdout).toBe('LifecycleTimeout pinned\n');
  });

  test('with a slow health check goes through its last steps like any other', async () => {
    await world.publish('service', await buildPlugin('service', { defines: { HEALTH_MS: '1200' } }));
    await world.start({ trialMs: 10_000 });
    expect((await world.get('/readyz')).status).toBe(503);
    await world.publish('service', await buildPlugin('service', { defines: { BUILD: '"two"' } }));
    expect(await world.host.reload('service')).toMatchObject({ outcome: 'succeeded', unload: 'clean' });
    await until('its log has arrived', () => world.said('service').includes('destroy'));
    expect(world.said('service')).toEqual(expect.arrayContaining(['shutdown', 'destroy']));
  });

  test('is not shut down while a health check runs, and once only after it', async () => {
    await world.publish('service', await buildPlugin('service', { defines: { HEALTH_MS: '2500' } }));
    await world.start({ trialMs: 10_000, lifecycleMs: 100 });
    expect((await world.get('/readyz')).status).toBe(503);
    await world.publish('service', await buildPlugin('service', { defines: { BUILD: '"two"' } }));
    const record = await world.host.reload('service');
    expect(record.pinnedReason).toBe('thread still running: health did not return');
    expect(world.said('service')).not.toContain('shutdown');
    await until('the old one is gone', () => world.host.plugin('service').generations.length === 1);
    await until('its log has arrived', () => world.said('service').includes('destroy'));
    expect(world.said('service').filter((step) => step === 'shutdown')).toHaveLength(1);
    expect(record.unload).toBe('clean');
  });

  test('that is slow to answer once is healthy again, and hands its state over', async () => {
    const defines = { WITH_STATE: '1', FIRST_HEALTH_MS: '3000' };
    await world.publish('service', await buildPlugin('service', { defines }));
    await world.start({ trialMs: 10_000 });
    expect((await world.request('POST', '/service/count')).body).toBe('1');
    expect((await world.get('/readyz')).status).toBe(503);
    await until('it is healthy', async () => (await world.get('/readyz')).status === 200);
    await world.publish('service', await buildPlugin('service', { defines: { ...defines, BUILD: '"two"' } }));
    expect(await world.host.reload('service')).toMatchObject({ outcome: 'succeeded', unload: 'clean' });
    expect((await world.request('POST', '/service/count')).body).toBe('2');
    await until('its log has arrived', () => world.said('service').includes('destroy'));
  });

  test('that hangs on its way down keeps its image, and the next one serves', async () => {
    await world.publish('service', await buildPlugin('service', { defines: { HANG_SHUTDOWN: '1' } }));
    const before = gauge(world.data).images;
    await world.start({ lifecycleMs: 200 });
    await world.publish('service', await buildPlugin('service', { defines: { BUILD: '"two"' } }));
    const record = await world.host.reload('service');
    expect(record).toMatchObject({
      outcome: 'succeeded',
      unload: 'pinned',
      pinnedReason: 'thread still running: shutdown did not return',
    });
    expect((await world.get('/service/build')).body).toBe('two');
    expect(gauge(world.data).images).toBe(before + 2);
  });

  test('is not ended under a call: the image stays, with the number of calls that hold it', async () => {
    await world.publish('service', await buildPlugin('service'));
    await world.start({ drainMs: 300, lifecycleMs: 500 });
    expect((await world.get('/service/hang')).status).toBe(504);
    await world.publish('service', await buildPlugin('service', { defines: { BUILD: '"two"' } }));
    const record = await world.host.reload('service');
    expect(record).toMatchObject({ outcome: 'succeeded', unload: 'pinned' });
    expect(record.pinnedReason).toContain('1 call holds it');
    expect((await world.get('/service/build')).body).toBe('two');
  });

  test('is not waited for when only hung calls hold it', { timeout: 30_000 }, async () => {
    await world.publish('service', await buildPlugin('service'));
    await world.start({ drainMs: 600_000, lifecycleMs: 500 });
    expect((await world.get('/service/hang')).status).toBe(504);
    await world.publish('service', await buildPlugin('service', { defines: { BUILD: '"two"' } }));
    expect(await world.host.reload('service')).toMatchObject({ unload: 'pinned' });
    expect((await world.get('/service/hang')).status).toBe(504);
    await world.host.close();
  });

  test('is ended when the call that held it has ended, and its record says so', async () => {
    const { images } = gauge(world.data);
    await world.publish('service', await buildPlugin('service'));
    await world.start({ drainMs: 200 });
    const slow = world.get('/service/slow?ms=1000');
    await until('the call is in', () => world.host.plugin('service').generations.some(({ leases }) => leases > 0));
    await world.publish('service', await buildPlugin('service', { defines: { BUILD: '"two"' } }));
    expect(await world.host.reload('service')).toMatchObject({ unload: 'pinned', pinnedReason: '1 call holds it' });
    expect((await slow).body).toBe('one');
    await until('it is told', () => world.events.some((event) => event.type === 'generation.unloaded'));
    expect(world.events.at(-1)).toMatchObject({ type: 'generation.unloaded', plugin: 'service', generation: 1 });
    expect(world.host.plugin('service').generations).toMatchObject([{ number: 2, state: 'ready' }]);
    const [record] = world.host.reloads();
    expect(record).toMatchObject({ outcome: 'succeeded', unload: 'clean' });
    expect(record).not.toHaveProperty('pinnedReason');
    expect(gauge(world.data)).toMatchObject({ images: images + 1, staged: 0 });
  });

  test('whose image the system keeps is pinned by the name of the reason', async () => {
    const library = await buildPlugin('ok', { defines: { PLUGIN_ID: '"keeper"' }, flags: ['-Wl,-z,nodelete'] });
    await world.publish('keeper', library);
    await world.start();
    expect(world.host.plugin('keeper').findings).toMatchObject([{ rule: 'nodelete', pins: true }]);
    const { generations } = await world.host.unload('keeper');
    expect(generations).toMatchObject([{ state: 'pinned', pinnedReason: expect.stringContaining('nodelete') }]);
  });
});
