import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { complaintsOf, countOpenMetrics, noPromtool, readLines, sumOf } from './load/exposition.js';
import { World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

const worlds: World[] = [];
let world: World;
beforeEach(async () => {
  world = await another();
});
afterEach(async () => {
  for (const each of worlds.splice(0)) await each.close();
});

async function another(): Promise<World> {
  const made = await World.make();
  worlds.push(made);
  return made;
}

const openMetrics = 'application/openmetrics-text';

async function metrics(of: World, accept = 'text/plain'): Promise<string> {
  return (await of.request('GET', '/metrics', { headers: { accept } })).body;
}

function build(extra: string): Promise<string> {
  return buildPlugin('service', { defines: { EXTRA_PATTERN: `"${extra}"`, BUILD: `"${extra}"` } });
}

describe('reloads', () => {
  test('are counted by how they ended, with the times of their phases', async () => {
    await world.publish('service', await build('/more'));
    await world.start();
    await world.publish('service', await build('/less'));
    await world.host.reload('service');
    await world.host.reload('service');
    await world.publish('service', await buildPlugin('other_id'));
    await expect(world.host.reload('service')).rejects.toThrow('expected is "service"');
    const text = await metrics(world);
    const count = (trigger: string, outcome: string): number | undefined =>
      sumOf(text, 'tenon_reloads_total', { plugin: 'service', trigger, outcome });
    expect(count('start', 'succeeded')).toBe(1);
    expect(count('api', 'succeeded')).toBe(1);
    expect(count('api', 'unchanged')).toBe(1);
    expect(count('api', 'failed')).toBe(1);
    expect(sumOf(text, 'tenon_plugin_last_reload_successful', { plugin: 'service' })).toBe(0);
    const records = world.host.reloads();
    const started = Date.parse(records[0]?.startedAt ?? '') / 1000;
    expect(sumOf(text, 'tenon_plugin_last_reload_timestamp_seconds', { plugin: 'service' })).toBe(started);
    expect(sumOf(text, 'tenon_reload_seconds_count')).toBe(records.length);
    for (const phase of ['admit', 'stage', 'swap', 'drain', 'verify'] as const) {
      const spent = records.flatMap(({ phases }) => phases[phase] ?? []);
      expect(sumOf(text, 'tenon_reload_phase_seconds_count', { phase })).toBe(spent.length);
      const sum = spent.reduce((all, ms) => all + ms, 0) / 1000;
      expect(sumOf(text, 'tenon_reload_phase_seconds_sum', { phase })).toBeCloseTo(sum, 9);
    }
  });

  test('take the routes that are gone out of the numbers, and no other', async () => {
    await world.publish('service', await build('/more'));
    await world.start();
    await world.get('/service/more');
    await world.get('/service/build');
    await world.publish('service', await build('/less'));
    await world.host.reload('service');
    const text = await metrics(world);
    const ended = (route: string): number | undefined => sumOf(text, 'tenon_http_requests_total', { route });
    expect([ended('/service/more'), ended('/service/build')]).toEqual([undefined, 1]);
  });
});

test('builds of sources are counted by how they ended', async () => {
  const source = await readFile(new URL('plugins/ok.c', import.meta.url), 'utf8');
  await world.write('fault', 'config.yaml', 'name: Fault\n');
  await world.write('fault', 'resources/fault.c', 'nothing of C\n');
  await world.start();
  await world.write(
    'fault',
    'resources/minimal.h',
    await readFile(new URL('plugins/minimal.h', import.meta.url), 'utf8'),
  );
  await world.write('fault', 'resources/fault.c', source);
  await world.host.reload('fault');
  await world.host.reload('fault');
  const text = await metrics(world);
  const count = (outcome: string): number | undefined => sumOf(text, 'tenon_build_seconds_count', { outcome });
  expect([count('failed'), count('built'), count('cached')]).toEqual([1, 1, 1]);
  expect(sumOf(text, 'tenon_plugin_up', { plugin: 'fault' })).toBe(1);
});

test('nothing is left of a plugin that is unloaded, and it begins anew', async () => {
  await world.publish('service', await build('/more'));
  await world.publish('hostile', await buildPlugin('hostile_metrics', { defines: { PLUGIN_ID: '"hostile"' } }));
  await world.start();
  await world.get('/service/more');
  await world.get('/service/fail');
  expect(await metrics(world)).toContain('plugin="service"');
  await world.host.unload('service');
  for (const accept of [openMetrics, 'text/plain']) {
    const text = await metrics(world, accept);
    expect(text).not.toContain('"service"');
    expect(text).not.toContain('/service/');
    expect(text).toContain('plugin="hostile"');
  }
  await world.get('/service/more');
  expect(await metrics(world)).not.toContain('"service"');
  await world.host.load('service');
  await world.get('/service/more');
  expect(sumOf(await metrics(world), 'tenon_http_requests_total', { plugin: 'service' })).toBe(1);
  expect(sumOf(await metrics(world), 'tenon_plugin_calls_total', { plugin: 'service' })).toBe(1);
});

describe('a plugin whose labels try to break the text', () => {
  beforeEach(async () => {
    await world.publish('hostile', await buildPlugin('hostile_metrics', { defines: { PLUGIN_ID: '"hostile"' } }));
    await world.start();
  });

  test('has them as they were, in both formats', async () => {
    for (const accept of ['text/plain', openMetrics]) {
      expect(world.host.plugin('hostile').state).toBe('running');
      const [line] = readLines(await metrics(world, accept)).filter(({ name }) => name.startsWith('odd_bytes'));
      expect(line).toEqual({
        name: 'odd_bytes_total',
        labels: {
          plugin: 'hostile',
          what: 'a "b" \\ c\nd {e="f"} 1 # EOF',
          where: 'Köln 😀\r\u007f\u0001',
        },
        value: 1.5,
      });
    }
    expect(await metrics(world, openMetrics)).toContain('# TYPE odd counter\nodd_total{plugin="hostile"');
  });

  test.skipIf(noPromtool)('breaks nothing: Prometheus reads both', async () => {
    // That its counter is not called _total is the only thing to be said, and its own.
    expect(complaintsOf(await metrics(world))).toBe('odd counter metrics should have "_total" suffix\nstatus 3');
    const text = await metrics(world, openMetrics);
    expect(countOpenMetrics(text)).toBe(readLines(text).length);
  });
});

test('two hosts of one process have a number of their own for everything but the process', async () => {
  const other = await another();
  await world.publish('service', await build('/more'));
  await other.publish('service', await build('/more'));
  await Promise.all([world.start(), other.start()]);
  for (let count = 0; count < 3; count++) await world.get('/service/build');
  await other.get('/service/build');
  await other.host.reload('service');
  const texts = [await metrics(world), await metrics(other)];
  const numbers = (name: string, labels: Record<string, string>): unknown[] =>
    texts.map((text) => sumOf(text, name, labels));
  expect(numbers('tenon_http_requests_total', { plugin: 'service' })).toEqual([3, 1]);
  expect(numbers('tenon_plugin_calls_total', { plugin: 'service' })).toEqual([3, 1]);
  expect(numbers('tenon_reloads_total', { plugin: 'service' })).toEqual([1, 2]);
  const [one, two] = numbers('process_start_time_seconds', {});
  expect(one).toBe(two);
});
