import { readdir } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { makeBundle } from './load/bundles.js';
import { World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

let world: World;
beforeEach(async () => {
  world = await World.make();
});
afterEach(() => world.close());

const open = { uploadSignatures: 'off', localSignatures: 'off' };
const upload = { origin: 'upload', by: 'a test' } as const;

async function answers(): Promise<string> {
  const { status, body } = await world.get('/shop/version');
  return status === 200 ? body : String(status);
}

describe('a folder with a manifest.json', () => {
  test('as the seeds have it loads beside its library', async () => {
    await world.publish('shop', await buildPlugin('says_version'));
    await world.write('shop', 'manifest.json', JSON.stringify({ id: 'shop', name: 'Shop', version: '1.0.0' }));
    await world.start();
    expect(world.host.plugin('shop')).toMatchObject({
      state: 'running',
      bundle: { version: '1.0.0', library: 'linux-x64' },
    });
    expect(await answers()).toBe('1.0.0');
  });
});

describe('installing', () => {
  test('puts a bundle in place, upgrades it, and takes it away again', async () => {
    await world.start(open);
    expect(await world.host.install(await makeBundle('shop'), upload)).toMatchObject({
      status: 'installed',
      plugin: { id: 'shop', version: '1.0.0', generation: 1 },
    });
    expect(await answers()).toBe('1.0.0');
    expect(await world.host.install(await makeBundle('shop'), upload)).toMatchObject({ status: 'unchanged' });
    expect(await world.host.install(await makeBundle('shop', { version: '1.1.0' }), upload)).toMatchObject({
      status: 'upgraded',
      from: '1.0.0',
      plugin: { generation: 2 },
    });
    expect(await answers()).toBe('1.1.0');
    expect(await readdir(world.applications)).toEqual(['shop']);
    expect(await world.host.uninstall('shop', { purge: true, by: 'a test' })).toEqual({
      status: 'uninstalled',
      plugin: { id: 'shop' },
    });
    expect(await answers()).toBe('404');
    expect(await readdir(world.applications)).toEqual([]);
  });
});
