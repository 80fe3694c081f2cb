import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { crashFolder, CrashReports } from '../src/base/crash-reports.js';
import { World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

const library = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', 'dist', 'index.js');

let world: World;
beforeEach(async () => {
  world = await World.make();
});
afterEach(() => world.close());

/** A program that embeds `hosts` hosts, one after the other, has the last one asked for `target`, and ends with it; how it ended. */
async function embedded(target: string, hosts = 1): Promise<unknown[]> {
  const { applications, data } = world;
  const options = JSON.stringify({ applications, data, registry: false, hotReload: false });
  const program = `
    import { createHost } from ${JSON.stringify(library)};
    for (let before = 1; before < ${hosts}; before++) await (await createHost(${options})).close();
    const host = await createHost(${options});
    await host.inject({ method: 'POST', url: ${JSON.stringify(target)} });
    await host.close();`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: 'ignore' });
  return once(child, 'close');
}

test('a program that embeds a host dies by the signal, and the next start makes a report of it', async () => {
  await world.publish('fault', await buildPlugin('fault'));
  expect(await embedded('/fault/inline?kind=null-write')).toEqual([null, 'SIGSEGV']);
  await world.start();
  const { reports } = await new CrashReports({ folder: crashFolder(world.data) }).list();
  expect(reports).toMatchObject([
    {
      kind: 'signal',
      signal: 'SIGSEGV',
      action: 'ended',
      host: { applications: world.applications },
      verdict: { culprit: { plugin: 'fault', generation: 1, inside: { work: 'handle' } } },
    },
  ]);
  expect(world.log.filter(({ crash }) => crash === reports[0]?.id)).toMatchObject([
    { msg: expect.stringContaining('the host before this one has crashed: fault generation 1') as string },
  ]);
});

test('so it is with a second host of the same program', async () => {
  await world.publish('fault', await buildPlugin('fault'));
  expect(await embedded('/fault/inline?kind=null-write', 2)).toEqual([null, 'SIGSEGV']);
  await world.start();
  const { reports } = await new CrashReports({ folder: crashFolder(world.data) }).list();
  expect(reports).toMatchObject([{ kind: 'signal', verdict: { culprit: { plugin: 'fault' } } }]);
});

test('one that ends as it should leaves nothing, and a damaged file is no report', async () => {
  await world.publish('fault', await buildPlugin('fault'));
  expect(await embedded('/fault/pool?kind=none')).toEqual([0, null]);
  expect(await readdir(crashFolder(world.data))).toEqual([]);
  await writeFile(path.join(crashFolder(world.data), 'left.box'), 'no box');
  await world.start();
  expect(world.log.some(({ msg }) => msg.includes('of its crash could not be used'))).toBe(true);
  expect((await new CrashReports({ folder: crashFolder(world.data) }).list()).reports).toEqual([]);
});
