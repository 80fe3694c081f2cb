import { readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { FaultyHost } from './faults/faulty-host.js';
import { Load } from './faults/load.js';
import { until } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

let host: FaultyHost | undefined;
let load: Load | undefined;
/** Calls of `endless` hang while it is there. */
let held: string | undefined;
afterEach(async () => {
  if (held !== undefined) await rm(held, { force: true });
  await load?.stop();
  await host?.close();
});

test('another release takes the socket under 64 keep-alive clients: nobody is refused, no connection is reset, no request is lost', async () => {
  const at = await FaultyHost.start(['first', 'second'], 'hotReload:\n  enabled: false\n');
  host = at;
  load = new Load({
    url: at.url,
    count: 64,
    path: (client, turn) => `/${client % 2 === 0 ? 'first' : 'second'}/${turn % 8 === 0 ? 'slow' : 'who'}`,
    restMs: 5,
  });
  for (let count = 0; count < 2; count++) {
    const [before, answered] = [await at.serving(), load.answered];
    const clients = load;
    await until('clients are answered', () => clients.answered > answered + 200);
    expect((await at.call('POST', '/api/v1/upgrade', '{}')).status).toBe(200);
    await until('another one serves', async () => ![undefined, before].includes(await at.pid()));
  }
  await load.stop();
  expect(load.seen().losses).toEqual([]);
  expect(await at.reports()).toEqual([]);
});

test('another release that still builds what has changed gives its place to the next one with all that it serves', async () => {
  const read = (file: string): Promise<string> => readFile(new URL(`plugins/${file}`, import.meta.url), 'utf8');
  const source = await read('whereabouts.c');
  const at = await FaultyHost.start(['first'], 'hotReload:\n  enabled: false\n', async (world) => {
    await world.write('whereabouts', 'config.yaml', 'name: Whereabouts\n');
    await world.write('whereabouts', 'resources/whereabouts.c', source);
    for (const header of ['routes.h', 'minimal.h'])
      await world.write('whereabouts', `resources/${header}`, await read(header));
  });
  host = at;
  load = new Load({ url: at.url, count: 8, path: () => '/whereabouts/pid', restMs: 5 });
  const heavy = Array.from({ length: 300_000 }, (_, index) => `int unused_${index}(int a) { return a * ${index}; }`);
  await at.world.write('whereabouts', 'resources/whereabouts.c', `${source}\n${heavy.join('\n')}\n`);
  for (let count = 0; count < 2; count++) {
    const before = await at.serving();
    expect((await at.call('POST', '/api/v1/upgrade', '{}')).status).toBe(200);
    await until('another one serves', async () => ![undefined, before].includes(await at.pid()));
  }
  await load.stop();
  expect(load.seen().losses).toEqual([]);
});

/** A host with a request of `endless` under way, which ends when `held` is removed. */
async function withSlowRequest(): Promise<{ at: FaultyHost; slow: ReturnType<FaultyHost['call']> }> {
  const at = await FaultyHost.start(['first'], 'hotReload:\n  enabled: false\n', async (world) =>
    world.publish('endless', await buildPlugin('endless', { defines: { DEADLINE_MS: '120000' } })),
  );
  host = at;
  held = path.join(os.tmpdir(), `tenon-endless-${await at.serving()}`);
  await writeFile(held, '');
  const slow = at.call('GET', '/endless/endless');
  await until('it is under way', async () => {
    const { body } = await at.call('GET', '/api/v1/plugins/endless');
    return (JSON.parse(body) as { generations: { leases: number }[] }).generations.some(({ leases }) => leases > 0);
  });
  return { at, slow };
}

test('a slow request keeps nobody else waiting while a host gives its place to another release', async () => {
  const { at, slow } = await withSlowRequest();
  const before = await at.serving();
  expect((await at.call('POST', '/api/v1/upgrade', '{}')).status).toBe(200);
  await until('the log says what the end waits for', () => at.said.includes('the end waits for'));
  expect(at.said).toMatch(/the end waits for GET \/endless\/endless of endless, which is under way for \d+ ms/);
  for (let count = 0; count < 50; count++) expect((await at.call('GET', '/first/who')).status).toBe(200);
  expect(await at.pid()).toBe(before);
  await rm(held ?? '');
  expect(await slow).toEqual({ status: 200, body: 'over' });
  await until('another one serves', async () => ![undefined, before].includes(await at.pid()));
  expect((await at.call('GET', '/first/who')).status).toBe(200);
});

test('a host that waits for a slow request before another release goes on serves nobody else from a SIGTERM on', async () => {
  const { at, slow } = await withSlowRequest();
  expect((await at.call('POST', '/api/v1/upgrade', '{}')).status).toBe(200);
  await until('the log says what the end waits for', () => at.said.includes('the end waits for'));
  process.kill(at.parent, 'SIGTERM');
  await until('nobody is served any more', async () => (await at.call('GET', '/first/who')).status === 'refused');
  await rm(held ?? '');
  expect(await slow).toEqual({ status: 200, body: 'over' });
  await until('it has ended', () => at.hasEnded);
});
