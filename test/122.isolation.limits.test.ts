import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { PluginView } from '../src/index.js';
import { Command } from './load/command.js';
import { isAlive } from './load/runners.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

type Isolation = NonNullable<PluginView['isolation']>;

let world: World;
beforeEach(async () => {
  world = await World.make();
});
afterEach(() => world.close());

/** The plugin as `id`, with `isolation` in its config.yaml. */
async function publish(id: string, isolation: string): Promise<void> {
  await world.publish(id, await buildPlugin('greedy', { defines: { PLUGIN_ID: `"${id}"` } }));
  await world.write(id, 'config.yaml', `isolation: ${isolation}\n`);
}

/** What `GET /api/v1/plugins/{id}` has. */
async function isolationOf(id: string): Promise<Isolation> {
  const { status, body } = await world.admin('GET', `/api/v1/plugins/${id}`);
  expect(status, body).toBe(200);
  return (JSON.parse(body) as { isolation: Isolation }).isolation;
}

async function processOf(id: string): Promise<Isolation['processes'][number]> {
  const [first, ...more] = (await isolationOf(id)).processes;
  expect(more).toEqual([]);
  if (first === undefined) throw new Error(`${id} has no process`);
  return first;
}

/** Have the plugin take so much; how much it got, and why not more. */
async function take(what: string, much: number, id = 'greedy'): Promise<{ got: number; why: string }> {
  const { status, body } = await world.request('POST', `/${id}/${what}`, { body: String(much) });
  expect(status, body).toBe(200);
  const [got, why = ''] = body.split(/ (.*)/);
  return { got: Number(got), why };
}

const isWell = async (id: string): Promise<void> =>
  expect(await world.get(`/${id}/well`)).toMatchObject({ status: 200, body: 'well' });

describe('memory of a process of a plugin', () => {
  beforeEach(async () => {
    await publish('greedy', '{memory: 67108864}');
    await publish('other', 'inline');
    await world.start();
  });

  test('is refused beyond its limit, and the plugin goes on', async () => {
    const { pid } = await processOf('greedy');
    const { got, why } = await take('memory', 256);
    expect(why).toBe('Cannot allocate memory');
    expect(got).toBeGreaterThan(32);
    expect(got).toBeLessThanOrEqual(64 + 16);
    await isWell('greedy');
    expect(await processOf('greedy')).toMatchObject({ pid, restarts: 0, lastEnd: '' });
  });

  test('ends it where the system does not count it, and says why; others serve on', async () => {
    const { pid } = await processOf('greedy');
    await world.request('POST', '/greedy/shared', { body: '128' });
    await until('another process serves', async () => {
      await isWell('other');
      const now = await processOf('greedy');
      return now.restarts === 1 && now.pid !== 0 && now.pid !== pid;
    });
    expect((await processOf('greedy')).lastEnd).toBe('used more memory than its limit of 64 MiB');
    await isWell('greedy');
    expect(isAlive(pid)).toBe(false);
    await until('it is told', () => world.events.some(({ type }) => type === 'plugin.processEnded'));
    expect(world.events.find(({ type }) => type === 'plugin.processEnded')).toMatchObject({
      plugin: 'greedy',
      reason: 'used more memory than its limit of 64 MiB',
    });
  });
});

test('files beyond `descriptors` are refused to the plugin, and to nobody else', async () => {
  await publish('greedy', '{descriptors: 50}');
  await publish('other', 'process');
  await world.start();
  expect(await take('files', 50)).toEqual({ got: 50, why: 'fine' });
  const { why } = await take('files', 10_000);
  expect(why).toBe('Too many open files');
  expect(await take('files', 200, 'other')).toEqual({ got: 200, why: 'fine' });
  await isWell('greedy');
  expect(await processOf('greedy')).toMatchObject({ restarts: 0, lastEnd: '' });
});

describe('a plugin in a process of its own', () => {
  test('starts no process without `childProcesses`', async () => {
    await publish('greedy', '{descriptors: 1024}');
    await world.start();
    expect(await take('children', 1)).toEqual({ got: 0, why: 'Operation not permitted' });
    await isWell('greedy');
  });

  test('starts as many as `childProcesses` says, and ends with all of them beyond that', async () => {
    await publish('greedy', '{childProcesses: 3}');
    await publish('other', 'inline');
    await world.start();
    const { pid, descriptors: before = 0 } = await processOf('greedy');
    const { got, why } = await take('children', 3);
    expect(got).toBe(3);
    const children = why.split(' ').slice(1).map(Number);
    // What the host sees of its files it sees with, or after, its processes.
    await take('files', 500);
    await until('it was looked at', async () => ((await processOf('greedy')).descriptors ?? 0) >= before + 500);
    expect(await processOf('greedy')).toMatchObject({ pid, restarts: 0 });
    expect(children.every(isAlive)).toBe(true);
    await world.request('POST', '/greedy/children', { body: '1' });
    await until('another process serves', async () => {
      await isWell('other');
      const now = await processOf('greedy');
      return now.restarts === 1 && now.pid !== 0 && now.pid !== pid;
    });
    expect((await processOf('greedy')).lastEnd).toBe('had more than 3 processes of its own');
    await until('its children are gone', () => ![pid, ...children].some(isAlive));
    await isWell('greedy');
  });

  test('is slowed to its share by `cpu`, and not ended', async () => {
    await publish('slowed', '{cpu: 3}');
    await publish('free', 'process');
    await world.start();
    const { pid } = await processOf('slowed');
    for (const id of ['slowed', 'free']) expect((await world.request('POST', `/${id}/spin`)).status).toBe(200);
    await until('the other has used some', async () => (await processOf('free')).processorMs >= 2000);
    const { processorMs } = await processOf('slowed');
    expect(processorMs).toBeGreaterThan(0);
    expect(processorMs).toBeLessThan(700);
    await isWell('slowed');
    expect(await processOf('slowed')).toMatchObject({ pid, restarts: 0, lastEnd: '' });
  });
});

describe('limits of a process, and what it uses,', () => {
  beforeEach(async () => {
    await publish('greedy', '{memory: 268435456, cpu: 400, descriptors: 700, childProcesses: 2}');
    await world.start();
  });

  test('are what GET /api/v1/plugins/{id} says', async () => {
    const { limits, processes } = await isolationOf('greedy');
    expect(limits).toMatchObject({
      memoryBytes: 268_435_456,
      processorPercent: 400,
      descriptors: 700,
      childProcesses: 2,
    });
    const before = processes[0];
    await take('memory', 64);
    await take('files', 600);
    await until('it is seen', async () => {
      const { residentBytes, descriptors = 0 } = await processOf('greedy');
      return (
        residentBytes >= (before?.residentBytes ?? 0) + 64 * 1024 ** 2 &&
        descriptors >= (before?.descriptors ?? 0) + 600
      );
    });
  });

  test('are rows of tenon show', async () => {
    const command = new Command(['show', 'greedy'], world.directory, { TENON_DATA: world.data });
    const [status] = await command.exit;
    expect(status, command.err).toBe(0);
    const { pid } = await processOf('greedy');
    expect(command.out).toMatch(
      new RegExp(`^ +process +${pid}, \\d+\\.\\d MiB, \\d+\\.\\d s of processor time, 0 restarts$`, 'm'),
    );
    expect(command.out).toMatch(/^ +limits +256 MiB, 400 % of a processor, 700 descriptors, 2 child processes, /m);
  });
});
