import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FaultyHost } from './faults/faulty-host.js';
import { isolatedSettings, keptApart, others, processOf } from './faults/isolated.js';
import { Load } from './faults/load.js';
import { isAlive, runnersOf } from './load/runners.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

describe('the processes of a plugin', () => {
  let host: FaultyHost;
  beforeEach(async () => {
    host = await FaultyHost.start(['fault', ...others], isolatedSettings, keptApart);
  });
  afterEach(() => host.close());

  test('end with the host that was killed, whatever they are in', async () => {
    const serving = await host.serving();
    const busy = host.call('POST', '/fault/pool?kind=endless-loop');
    const left = [await processOf(host, 'fault'), await processOf(host, 'apart')];
    process.kill(serving, 'SIGKILL');
    await until('they are gone', () => !left.some(isAlive));
    expect((await busy).status).toBe('lost');
    await until('the next host has its own', async () => {
      const next = await host.pid();
      return next !== undefined && next !== serving && runnersOf(next).length === 2;
    });
  });

  test('end with a host that is told to', async () => {
    const left = runnersOf(await host.serving());
    expect(left.length).toBe(2);
    await host.close();
    expect(left.filter(isAlive)).toEqual([]);
  });

  test('are those of the newest build when they end during reloads, and nobody else notices', async () => {
    const load = new Load({
      url: host.url,
      count: 4,
      path: (client, turn) => `/${others[(client + turn) % others.length] ?? ''}/who`,
      restMs: 5,
    });
    const serving = await host.serving();
    let serial = '';
    for (let turn = 0; turn < 10; turn++) {
      serial = (await host.publish('fault')).serial;
      const [reloaded] = await Promise.all([
        host.reload('fault'),
        host.call('POST', '/fault/pool?kind=null-write'),
        host.call('POST', '/fault/own?kind=abort'),
      ]);
      expect(reloaded).toMatchObject({ status: 200 });
    }
    await until('the newest answers', async () => (await host.who('fault'))?.serial === serial);
    await load.stop();
    expect(load.seen().losses).toEqual([]);
    expect(await host.serving()).toBe(serving);
    expect(runnersOf(serving, 'fault').length).toBe(1);
  });
});

describe('a plugin whose process is killed', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.make();
  });
  afterEach(() => world.close());

  test('has what it kept with the host, and the state that it saved last', async () => {
    const put = async (what: string, body: string): Promise<void> => {
      expect((await world.request('PUT', `/keeper/${what}`, { body })).status).toBe(200);
    };
    const get = async (what: string): Promise<string> => (await world.get(`/keeper/${what}`)).body;
    const publish = async (build: string): Promise<void> =>
      world.publish('keeper', await buildPlugin('keeper', { defines: { BUILD: `"${build}"` }, flags: ['-pthread'] }));
    await publish('one');
    await world.write('keeper', 'config.yaml', 'app_id: keeper\nisolation: process\n');
    await world.start();
    await put('value', 'saved');
    await publish('two');
    await world.host.reload('keeper');
    await put('value', 'never saved');
    await put('note', 'kept');
    const [pid = 0] = runnersOf(process.pid, 'keeper');
    process.kill(pid, 'SIGKILL');
    await until('another one answers', async () => (await world.get('/keeper/build')).status === 200);
    expect(isAlive(pid)).toBe(false);
    expect({ value: await get('value'), note: await get('note'), build: await get('build') }).toEqual({
      value: 'saved',
      note: 'kept',
      build: 'two',
    });
  });
});

describe('a plugin with two processes', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.make();
  });
  afterEach(() => world.close());

  test('serves on while one of them is killed, and has two again', async () => {
    await world.publish('fault', await buildPlugin('fault'));
    await world.write('fault', 'config.yaml', 'app_id: fault\nisolation: { mode: process, processes: 2 }\n');
    await world.start();
    const pids = runnersOf(process.pid, 'fault');
    expect(pids.length).toBe(2);
    const [killed = 0, other = 0] = pids;
    process.kill(killed, 'SIGKILL');
    await until('there are two again', () => {
      const now = runnersOf(process.pid, 'fault');
      return now.length === 2 && !now.includes(killed);
    });
    expect(isAlive(other)).toBe(true);
    await Promise.all(
      Array.from({ length: 20 }, async () => expect(await world.get('/fault/who')).toMatchObject({ status: 200 })),
    );
  });
});
