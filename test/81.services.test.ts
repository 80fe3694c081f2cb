import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadCore } from '../src/binding/core.js';
import { gauge } from './load/gauge.js';
import { inProcessOnly } from './load/isolation.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

let world: World;
beforeEach(async () => {
  world = await World.make();
});
afterEach(() => world.close());

function build(id: string, defines: Record<string, string> = {}): Promise<string> {
  return buildPlugin('services', { defines: { PLUGIN_ID: `"${id}"`, ...defines } });
}

async function seen(id: string): Promise<string[]> {
  const { body } = await world.get(`/${id}/seen`);
  return body.split('\n').filter((line) => line !== '');
}

/** One line of /metrics, without its name and labels. */
async function sample(series: string): Promise<number | undefined> {
  const { body } = await world.get('/metrics');
  const line = body.split('\n').find((one) => one.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

describe('a task', () => {
  test('runs, and its end follows', async () => {
    await world.publish('one', await build('one'));
    await world.start();
    expect(await world.get('/one/do?quick')).toMatchObject({ status: 200 });
    await until('it has run', async () => (await seen('one')).length === 2);
    expect(await seen('one')).toEqual(['task 1', 'end']);
  });

  test('that is running when its plugin is replaced is told, and waited for', async () => {
    await world.publish('one', await build('one'));
    await world.start();
    await world.get('/one/do?patient');
    await world.get('/one/do?later');
    await world.publish('one', await build('one', { BUILD: '"two"' }));
    await world.host.reload('one');
    await until('the old one is gone', () => world.host.reloads().some(({ unload }) => unload !== undefined));
    expect(world.host.reloads()).toContainEqual(expect.objectContaining({ outcome: 'succeeded', unload: 'clean' }));
  });

  test('that does not return is named, and its image is unmapped once it has', async () => {
    inProcessOnly('a process with a task that does not return is ended');
    const file = path.join(world.directory, 'hang');
    await writeFile(file, '');
    const { images } = gauge(world.data);
    await world.publish('one', await build('one', { HANG_WHILE: `"${file}"` }));
    await world.start({ drainMs: 300 });
    await world.get('/one/do?quick');
    await world.get('/one/do?hang');
    await until('it runs', async () => (await seen('one')).includes('hangs') && (await seen('one')).includes('end'));
    const { generations } = await world.host.unload('one');
    expect(generations).toMatchObject([{ state: 'pinned', pinnedReason: 'task 2 did not return' }]);
    await rm(file);
    await until('it is gone', () => world.host.plugin('one').generations.length === 0);
    expect(gauge(world.data)).toMatchObject({ images, staged: 0 });
  });
});

describe('events', () => {
  test('reach a subscriber, and not their source', async () => {
    await world.publish('source', await build('source', { TICK: '1', SUBSCRIBE: '"tick.*"' }));
    await world.start();
    await world.publish('other', await build('other', { SUBSCRIBE: '"*"' }));
    await world.host.load('other');
    await world.get('/source/do?publish=shop.sold');
    let told: string[] = [];
    for (const start of ['shop.sold source hello', 'tenon.request source GET /source/do', 'tick.one source '])
      await until(`${start} has come`, async () => {
        told = await seen('other');
        return told.some((line) => line.startsWith(start));
      });
    expect(told.filter((line) => line.split(' ')[1] === 'other')).toEqual([]);
    expect((await seen('source')).filter((line) => line.startsWith('tick'))).toEqual([]);
  });

  test('of the host have no source', () => {
    const core = loadCore();
    const front = new core.Front({ onReady: () => {}, onLog: () => {} });
    expect(() => front.emit(7 as unknown as string, 'text')).toThrow(/topic, message, fields/);
    front.emit('tenon.plugin', 'one serves', { plugin: 'one' });
    front.endStart();
    front.close();
    front.emit('tenon.plugin', 'nobody is told');
    expect(front.metricsText()).toBe('');
  });
});

describe('metrics', () => {
  test('stay over a reload, and are gone with their plugin', async () => {
    await world.publish('one', await build('one'));
    await world.start();
    await world.get('/one/do?count');
    expect(await sample('things_total{plugin="one"}')).toBe(1);
    await world.publish('one', await build('one', { BUILD: '"two"' }));
    await world.host.reload('one');
    await world.get('/one/do?count');
    await world.get('/one/do?fail');
    expect(await sample('things_total{plugin="one"}')).toBe(2);
    expect(await sample('tenon_plugin_calls_total{plugin="one"}')).toBe(3);
    expect(await sample('tenon_plugin_faults_total{plugin="one"}')).toBe(1);
    const { headers, body } = await world.get('/metrics');
    expect(headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(body).toContain('# HELP things_total Things done.\n# TYPE things_total counter\n');
    await world.host.unload('one');
    expect(await sample('things_total{plugin="one"}')).toBeUndefined();
  });
});

describe('a callback into a generation that is gone', () => {
  test('does not happen at any moment of many reloads', async () => {
    // The plugin ends this process when any of its functions is called after its shutdown.
    const busy = (id: string, round: number): Promise<string> =>
      build(id, { BUSY: '1', TICK: '1', SUBSCRIBE: '"tick.*"', BUILD: `"${round % 4}"` });
    const ids = ['one', 'two'];
    for (const id of ids) await world.publish(id, await busy(id, 0));
    await world.start();
    const { images } = gauge(world.data);
    for (let round = 1; round <= 24; round++)
      await Promise.all(
        ids.map(async (id) => {
          await world.publish(id, await busy(id, round));
          await world.host.reload(id);
        }),
      );
    for (const [id, other] of [ids, ids.toReversed()] as [string, string][])
      await until(`${other} is heard`, async () => (await seen(id)).some((line) => line.startsWith(`tick.0 ${other}`)));
    await until('the old ones are gone', () =>
      world.host.plugins().every(({ generations }) => generations.length === 1),
    );
    expect(gauge(world.data)).toMatchObject({ images, staged: 0 });
  });
});
