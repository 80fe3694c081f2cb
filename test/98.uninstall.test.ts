import { hash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { nothingContained } from '../src/base/containment.js';
import { readArchive } from '../src/bundle/archive.js';
import type { InstallOptions } from '../src/index.js';
import { type BundleParts, makeBundle } from './load/bundles.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

let world: World;
beforeEach(async () => {
  world = await World.make();
});
afterEach(() => world.close());

const open = { uploadSignatures: 'off', localSignatures: 'off' };
const upload: InstallOptions = { origin: 'upload', by: 'a test' };

/** The version that serves, or the status in its place. */
async function serving(): Promise<string> {
  const { status, body } = await world.get('/shop/version');
  return status === 200 ? body : String(status);
}

/** A bundle as it lies in a folder. */
async function put(parts: BundleParts = {}, folder = 'shop'): Promise<void> {
  for (const { path: file, bytes } of await readArchive(await makeBundle('shop', parts))) {
    await mkdir(path.dirname(path.join(world.folder(folder), file)), { recursive: true });
    await writeFile(path.join(world.folder(folder), file), bytes);
  }
}

/** Paths below `directory`, folders too, with what files hold. */
async function tree(directory: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => [])) {
    const place = path.join(entry.parentPath, entry.name);
    found[path.relative(directory, place)] = entry.isFile() ? (await readFile(place)).toString('base64') : 'folder';
  }
  return found;
}

describe('uninstalling', () => {
  /** Without what stays on purpose, and what only says what has happened. */
  const remains = async (): Promise<string[]> => {
    const stays =
      /^(?:audit\.log|installed\.json|cache|versions|state|tables|host-id|secrets|lock|token-key)(?:$|\/(?!.*shop))/;
    return Object.keys(await tree(world.data))
      .filter((file) => !stays.test(file))
      .toSorted();
  };

  test('with purge leaves nothing of it, but that it was there', async () => {
    await world.start(open);
    const [applications, data] = [await tree(world.applications), await remains()];
    const schema = 'type Task @table @export { id: ID! @primaryKey }\n';
    const files = {
      'schema.graphql': schema,
      'data/tasks.json': '{"database":"shop","table":"Task","records":[{"id":"a"}]}',
    };
    const manifest = { permissions: ['tables:read:other.*'] };
    await world.host.install(await makeBundle('shop', { files, manifest }), { ...upload, grant: 'all' });
    expect((await world.get('/shop/Task/a')).status).toBe(200);
    await world.request('PUT', '/shop/Task/b', { headers: { 'content-type': 'application/json' }, body: '{}' });
    expect(await readFile(path.join(world.data, 'grants.json'), 'utf8')).toContain('shop');
    await world.host.uninstall('shop', { purge: true, by: 'a test' });
    expect([await serving(), world.host.plugins()]).toEqual(['404', []]);
    expect(await tree(world.applications)).toEqual(applications);
    expect((await remains()).filter((file) => file !== 'grants.json')).toEqual(data);
    expect(await readFile(path.join(world.data, 'grants.json'), 'utf8')).not.toContain('shop');
    await world.host.install(await makeBundle('shop', { files: { 'schema.graphql': schema } }), upload);
    expect((await world.get('/shop/Task/b')).status).toBe(404);
  });

  const tasks = { 'schema.graphql': 'type Task @table @export { id: ID! @primaryKey }\n' };
  /** One with a record, as nobody has it who is installed anew. */
  const withRecord = async (): Promise<void> => {
    const manifest = { permissions: ['tables:read:other.*'] };
    await world.host.install(await makeBundle('shop', { files: tasks, manifest }), { ...upload, grant: 'all' });
    const headers = { 'content-type': 'application/json' };
    expect((await world.request('PUT', '/shop/Task/b', { headers, body: '{}' })).status).toBe(201);
  };
  const isNew = async (): Promise<void> => {
    const manifest = { permissions: ['tables:read:other.*'] };
    const { permissions } = await world.host.install(await makeBundle('shop', { files: tasks, manifest }), upload);
    expect([permissions.granted, (await world.get('/shop/Task/b')).status]).toEqual([[], 404]);
  };

  test('with purge leaves nothing held back of it', async () => {
    await put();
    const [library] = (await readArchive(await makeBundle('shop'))).filter((file) => file.path.endsWith('.so'));
    const facts = { reason: 'it crashed', crash: 'crash-3', since: '2026-11-21T08:00:00.000Z' };
    const bad = [{ plugin: 'shop', sha256: hash('sha256', library?.bytes ?? ''), ...facts }];
    const released: unknown[] = [];
    await world.open(open, {
      containment: { ...nothingContained, bad },
      parent: { released: (plugin) => void released.push(plugin), quarantined: () => {} },
    });
    await world.host.discover();
    expect([world.host.containment().bad, await serving()]).toEqual([bad, '503']);
    await world.host.uninstall('shop', { purge: true, by: 'a test' });
    expect([world.host.containment().bad, released]).toEqual([[], ['shop']]);
  });

  test('with purge removes the tables of what was damaged', async () => {
    await world.start(open);
    for (const spoil of [
      () => writeFile(path.join(world.folder('shop'), 'schema.graphql'), ''),
      () => world.write('shop', 'manifest.json', '{'),
    ]) {
      await withRecord();
      await spoil();
      expect(await world.host.uninstall('shop', { purge: true, by: 'a test' })).toMatchObject({ warnings: [] });
      await isNew();
      await world.host.uninstall('shop', { purge: true, by: 'a test' });
    }
  });

  test('with purge says when it is not known which tables there were', async () => {
    await put({ files: tasks });
    await writeFile(path.join(world.folder('shop'), 'schema.graphql'), '');
    await world.start(open);
    expect(await world.host.uninstall('shop', { purge: true, by: 'a test' })).toMatchObject({
      warnings: [expect.stringContaining('are kept: which they were is not known')],
    });
  });

  test.each(['by the next start', 'by asking for it again', 'before the next installation'])(
    'with purge is finished %s when it was interrupted',
    async (by) => {
      await world.start(open);
      await withRecord();
      // What it knows is not to be removed.
      const knows = path.join(world.data, 'state', 'shop.state');
      await mkdir(path.join(knows, 'x'), { recursive: true });
      await expect(world.host.uninstall('shop', { purge: true, by: 'a test' })).rejects.toThrow();
      await rm(knows, { recursive: true });
      if (by === 'by the next start') {
        await world.host.close();
        await world.start(open);
      }
      if (by === 'by asking for it again') await world.host.uninstall('shop', { purge: true, by: 'a test' });
      await isNew();
      expect(await readdir(world.data)).not.toContain('purges');
    },
  );

  test('keeps tables without purge, and refuses what was not installed', async () => {
    const schema = 'type Task @table @export { id: ID! @primaryKey }\n';
    await world.publish('other', await buildPlugin('says_version', { defines: { PLUGIN_ID: '"other"' } }));
    await world.start(open);
    const bundle = await makeBundle('shop', { files: { 'schema.graphql': schema } });
    await world.host.install(bundle, upload);
    await world.request('PUT', '/shop/Task/b', { headers: { 'content-type': 'application/json' }, body: '{}' });
    await world.host.uninstall('shop', { by: 'a test' });
    await world.host.install(bundle, upload);
    expect((await world.get('/shop/Task/b')).status).toBe(200);
    await expect(world.host.uninstall('other', { by: 'a test' })).rejects.toMatchObject({ code: 'NotInstalled' });
    await expect(world.host.uninstall('gone', { by: 'a test' })).rejects.toMatchObject({ code: 'PluginNotFound' });
  });
});

test('what a plugin knows is gone with purge, and stays without', async () => {
  await world.start(open);
  const bundle = await makeBundle('keeper', { library: await buildPlugin('keeper') });
  const given = async (what: string): Promise<string> => (await world.get(`/keeper/${what}`)).body;
  for (const [purge, value, note] of [
    [false, 'a value', 'a note'],
    [true, '', ''],
  ] as const) {
    await world.host.install(bundle, upload);
    await world.request('PUT', '/keeper/value', { body: 'a value' });
    await world.request('PUT', '/keeper/note', { body: 'a note' });
    await world.host.uninstall('keeper', { purge, by: 'a test' });
    await world.host.install(bundle, upload);
    expect([await given('value'), await given('note')]).toEqual([value, note]);
  }
});

test('a host that closes waits for what is being installed, and takes plugins down after that', async () => {
  await world.start(open);
  const bytes = await makeBundle('shop');
  let comes = false;
  const slowly = async function* (): AsyncGenerator<Uint8Array> {
    yield bytes.subarray(0, 100);
    await until('the rest comes', () => comes);
    yield bytes.subarray(100);
  };
  const installing = Promise.allSettled([world.host.install(slowly(), upload)]);
  const closing = world.host.close();
  await until('nobody listens any more', () =>
    world.get('/').then(
      () => false,
      () => true,
    ),
  );
  comes = true;
  expect(await installing).toMatchObject([{ status: 'fulfilled', value: { status: 'installed' } }]);
  await closing;
  expect(world.log.filter(({ level }) => level >= 50)).toEqual([]);
});
