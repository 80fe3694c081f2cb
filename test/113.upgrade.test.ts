import { readFile } from 'node:fs/promises';
import { afterEach, expect, test } from 'vitest';
import { FaultyHost } from './faults/faulty-host.js';
import { Load } from './faults/load.js';
import { until } from './load/world.js';

let host: FaultyHost | undefined;
let load: Load | undefined;
afterEach(async () => {
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
