import { hash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { appendFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { makeSecretKey, signatureOf } from '../src/bundle/secret-key.js';
import { Killing } from '../src/host/killing.js';
import { Plugin } from '../src/host/plugin.js';
import type { InstallOptions } from '../src/index.js';
import { makeBundle } from './load/bundles.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

let world: World;
beforeEach(async () => {
  world = await World.make();
});
afterEach(() => world.close());

const open = { uploadSignatures: 'off', localSignatures: 'off' };
const upload: InstallOptions = { origin: 'upload', by: 'a test' };
const trustFile = (): string => path.join(world.data, 'trust.json');

async function kill(sha256: string | undefined): Promise<number> {
  const body = JSON.stringify({ sha256, reason: 'it was bad' });
  const headers = { authorization: 'Bearer a-token-of-the-tests', 'content-type': 'application/json' };
  return (await world.request('POST', '/api/v1/trust/killed', { headers, body })).status;
}

test('a signed manifest that lists no files has no signer, and it is said why', async () => {
  const key = makeSecretKey();
  const trusted = { keys: [{ key: key.publicKey.text, name: 'Acme', plugins: ['*'] }], killed: [] };
  await mkdir(world.data, { recursive: true });
  await writeFile(trustFile(), JSON.stringify(trusted), { mode: 0o600 });
  await world.publish('shop', await buildPlugin('says_version'));
  const manifest = Buffer.from(JSON.stringify({ id: 'shop', name: 'Shop', version: '1.0.0' }));
  await writeFile(path.join(world.folder('shop'), 'manifest.json'), manifest);
  await writeFile(path.join(world.folder('shop'), 'manifest.sig'), signatureOf(manifest, key, 'tenon shop'));
  await world.start({ localSignatures: 'warn' });
  const { state, bundle } = world.host.plugin('shop');
  expect([state, bundle?.signer]).toEqual(['running', undefined]);
  expect(bundle?.warnings).toEqual([expect.stringContaining('lists no files')]);
});

test('the copy of a bundle that a power cut has emptied is made anew', async () => {
  const schema = 'type Task @table @export { id: ID! @primaryKey }\n';
  const records = '{"database":"shop","table":"Task","records":[{"id":"a"}]}';
  await world.start(open);
  const files = { 'schema.graphql': schema, 'data/a.json': records };
  const { sha256 } = await world.host.install(await makeBundle('shop', { files }), upload);
  const copy = path.join(world.data, 'cache', 'bundles', 'shop', sha256.slice(0, 32), 'data', 'a.json');
  expect(await readFile(copy, 'utf8')).toBe(records);
  await world.host.close();
  await rm(copy);
  await writeFile(copy, '');
  await world.start(open);
  expect(await readFile(copy, 'utf8')).toBe(records);
  expect((await world.get('/shop/Task/a')).status).toBe(200);
});

describe('the kill list', () => {
  test('that cannot be read is said once, and what runs goes on', async () => {
    await world.start(open);
    await world.host.install(await makeBundle('shop'), upload);
    await writeFile(trustFile(), '{"keys": [], ', { mode: 0o600 });
    const lines = (): number => world.log.filter(({ msg }) => msg.includes('cannot be known')).length;
    for (const _ of [1, 2]) await world.host.discover();
    expect([lines(), (await world.get('/shop/version')).status]).toEqual([1, 200]);
    await appendFile(trustFile(), '"killed": []}');
    await world.host.discover();
    expect(await kill(world.host.plugin('shop').bundle?.sha256)).toBe(200);
    expect((await world.get('/shop/version')).status).toBe(503);
  });

  test('is asked again right before what has begun would serve', async () => {
    const place = path.join(os.tmpdir(), 'tenon-waits');
    const [armed, begun] = ['armed', 'begun'].map((name) => path.join(place, `${name}.${process.pid}`)) as [
      string,
      string,
    ];
    await mkdir(place, { recursive: true });
    try {
      await world.start(open);
      await world.host.install(await makeBundle('shop'), upload);
      const defines = { PLUGIN_ID: '"shop"', PLUGIN_VERSION: '"2.0.0"', DIRECTORY: JSON.stringify(place) };
      const library = await buildPlugin('waits_in_initialize', { defines });
      const bundle = await makeBundle('shop', { version: '2.0.0', library });
      await writeFile(armed, '');
      const installing = Promise.allSettled([world.host.install(bundle, upload)]);
      await until('it has begun', () => existsSync(begun));
      expect(await kill(hash('sha256', await readFile(path.join(world.folder('shop'), 'manifest.json'))))).toBe(200);
      await rm(begun);
      expect(await installing).toMatchObject([{ status: 'rejected', reason: { code: 'BundleKilled' } }]);
      expect((await world.get('/shop/version')).body).toBe('1.0.0');
    } finally {
      await Promise.all([armed, begun].map((file) => rm(file, { force: true })));
    }
  });

  test('takes down all others when one cannot be taken down, and that is said', async () => {
    const down: string[] = [];
    const told: unknown[] = [];
    const log = { error: (...line: unknown[]) => void told.push(line) };
    const killing = new Killing({
      log: log as never,
      refuseKilled: () => Promise.reject(Object.assign(new Error('killed'), { code: 'BundleKilled' })),
      takeDown: async ({ id }) => {
        if (id === 'first') throw new Error('it does not end');
        down.push(id);
      },
    });
    const plugins = ['first', 'second'].map((id) => {
      const plugin = new Plugin(id, `/applications/${id}`);
      plugin.running = { sha256: 'a' } as never;
      return plugin;
    });
    await expect(killing.endKilled(plugins)).rejects.toThrow('it does not end');
    expect(down).toEqual(['second']);
    expect(told).toHaveLength(1);
  });
});
