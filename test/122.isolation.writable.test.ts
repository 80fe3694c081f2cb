import { existsSync, statSync } from 'node:fs';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

let world: World;
let outside: string;
beforeEach(async () => {
  world = await World.make();
  outside = await mkdtemp('/var/tmp/tenon-outside-');
});
afterEach(async () => {
  await world.close();
  await rm(outside, { recursive: true });
});

/** The plugin with `writable`, which makes the file `made` with its first code. */
async function publish(writable: string, made: string): Promise<void> {
  await world.publish('fault', await buildPlugin('reaches_out', { defines: { OUTSIDE: `"${made}"` } }));
  await world.write('fault', 'config.yaml', `isolation: {writable: [${JSON.stringify(writable)}]}\n`);
}

describe('what a plugin in a process of its own may write to', () => {
  test('is a folder that is made for it when it is not there', async () => {
    const place = path.join(outside, 'some', 'where');
    await publish(place, path.join(place, 'made'));
    await world.start({ isolation: 'inline' });
    expect(world.host.plugin('fault').state).toBe('running');
    expect(statSync(place).mode & 0o777).toBe(0o700);
    expect(existsSync(path.join(place, 'made'))).toBe(true);
  });

  test('may be a folder of its own application', async () => {
    const made = path.join(world.folder('fault'), '.state', 'made');
    await publish('.state', made);
    await world.start({ isolation: 'inline' });
    expect(world.host.plugin('fault').state).toBe('running');
    expect(existsSync(path.dirname(made))).toBe(true);
  });

  test.each([
    ['its folder', () => world.folder('fault')],
    ['its config', () => 'config.yaml'],
    ['its library', () => 'fault.so'],
    ['its sources', () => 'resources/more'],
    ['the folder of all applications', () => world.applications],
    ['another application', () => '../other/.state'],
    ['the data directory', () => world.data],
    ['what is in the data directory', () => path.join(world.data, 'state')],
    ['the root of all', () => '/'],
  ])('is never %s', async (_, place) => {
    await publish(place(), path.join(outside, 'made'));
    await world.start({ isolation: 'inline' });
    expect(world.host.plugin('fault').error).toMatchObject({
      code: 'ConfigInvalid',
      message: expect.stringContaining('isolation.writable') as string,
    });
    expect(existsSync(path.join(outside, 'made'))).toBe(false);
  });

  test('is where a link leads', async () => {
    const link = path.join(outside, 'link');
    await symlink(world.applications, link);
    await publish(link, path.join(outside, 'made'));
    await world.start({ isolation: 'inline' });
    expect(world.host.plugin('fault').error).toMatchObject({ code: 'ConfigInvalid' });
  });
});
