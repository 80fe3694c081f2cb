import { execFile } from 'node:child_process';
import { lstat, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readArchive } from '../src/bundle/archive.js';
import { makeSecretKey, signatureOf } from '../src/bundle/secret-key.js';
import { writeArchive } from '../src/bundle/write-archive.js';
import type { ErrorCode, InstallOptions } from '../src/index.js';
import { type BundleParts, makeBundle, platform } from './load/bundles.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

const run = promisify(execFile);
// A file system that is full needs one of its own, and only root may mount it.
const mayMount = process.platform === 'linux' && process.getuid?.() === 0;

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

const library = `prebuilds/${platform}/shop.so`;

/** Paths below `directory`, folders too, with what files hold. */
async function tree(directory: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => [])) {
    const place = path.join(entry.parentPath, entry.name);
    found[path.relative(directory, place)] = entry.isFile() ? (await readFile(place)).toString('base64') : 'folder';
  }
  return found;
}

async function errorOf(id = 'shop'): Promise<string | undefined> {
  return world.host.plugins().find((view) => view.id === id)?.error?.code;
}

describe('a folder with a manifest.json', () => {
  test('as the seeds have it loads beside its library', async () => {
    await world.publish('shop', await buildPlugin('says_version'));
    const configSchema = { type: 'object', properties: { n: { type: 'integer', default: 4 } }, reloadOnChange: true };
    const manifest = { id: 'shop', name: 'Shop', version: '1.0.0', configSchema };
    await world.write('shop', 'manifest.json', JSON.stringify(manifest));
    await world.start();
    expect(world.host.plugin('shop')).toMatchObject({
      state: 'running',
      bundle: { version: '1.0.0', library: platform, warnings: [expect.stringContaining('not signed')] },
    });
    expect(await serving()).toBe('1.0.0');
  });

  test('that lists no files asks for what its config asks for, unless it says itself', async () => {
    await world.publish('shop', await buildPlugin('says_version'));
    await world.write('shop', 'config.yaml', 'permissions: ["tables:read:other.*"]\n');
    const manifest = { id: 'shop', version: '1.0.0' };
    await world.write('shop', 'manifest.json', JSON.stringify(manifest));
    await world.start();
    const asked = ['tables:read:other.*'];
    const shown = () => world.host.plugin('shop');
    expect(shown()).toMatchObject({ permissions: { asked, missing: asked }, bundle: { permissions: asked } });
    const own = ['tables:read:another.*'];
    await world.write('shop', 'manifest.json', JSON.stringify({ ...manifest, permissions: own }));
    await world.host.reload('shop');
    expect(shown()).toMatchObject({ permissions: { asked: own }, bundle: { permissions: own } });
  });

  test('that lists its files asks for nothing that its manifest does not', async () => {
    await put({ files: { 'config.yaml': 'permissions: ["tables:read:other.*"]\n' } });
    await world.start(open);
    expect(world.host.plugin('shop')).toMatchObject({ permissions: { asked: [] }, bundle: { permissions: [] } });
  });

  test('that lists its files has no others', async () => {
    await put({ files: { 'config.yaml': 'route_prefix: /store\n' } });
    await world.write('shop', 'schema.graphql', 'type Task @table @export { id: ID! @primaryKey }\n');
    await world.write('shop', 'resources/x.c', '#error "this is not to be compiled"\n');
    await world.start(open);
    expect((await world.get('/store/version')).body).toBe('1.0.0');
    expect(world.host.plugin('shop').tables).toEqual([]);
  });

  test('with tables brings the records that it lists, and no others', async () => {
    const records = (id: string): string => JSON.stringify({ database: 'shop', table: 'Task', records: [{ id }] });
    const schema = 'type Task @table @export { id: ID! @primaryKey }\n';
    await put({ files: { 'schema.graphql': schema, 'data/a.json': records('listed') } });
    await world.write('shop', 'data/b.json', records('unlisted'));
    await world.start(open);
    expect((await world.get('/shop/Task/listed')).status).toBe(200);
    expect((await world.get('/shop/Task/unlisted')).status).toBe(404);
  });

  const wrongs: [string, ErrorCode, () => Promise<unknown>][] = [
    ['has another library than it names', 'BundleDamaged', async () => spoil(library)],
    ['has another config than it names', 'BundleDamaged', async () => spoil('config.yaml')],
    ['has a link in place of its library', 'BundleDamaged', async () => linked(library)],
    ['has no library', 'EntrypointNotFound', () => rm(path.join(world.folder('shop'), library))],
    ['has a signature alone', 'ManifestNotFound', () => renamed('manifest.json', 'manifest.sig')],
    ['has a link in place of its manifest', 'InvalidManifest', async () => linked('manifest.json')],
    ['has a manifest that is none', 'InvalidManifest', () => world.write('shop', 'manifest.json', '{"id": "shop", ')],
    ['is for another release', 'EngineUnsupported', () => put({ manifest: { engines: { tenon: '>=99' } } })],
    ['is for other machines', 'PrebuildUnavailable', () => put({ manifest: elsewhere })],
    [
      'says another version than its config',
      'InvalidManifest',
      () => put({ files: { 'config.yaml': 'version: 2.0.0' } }),
    ],
    [
      'has a schema of its config that is none',
      'InvalidManifest',
      () => put({ manifest: { configSchema: { type: 7 } } }),
    ],
  ];
  const elsewhere = { entrypoints: { 'linux-riscv64': library } };
  const spoil = async (file: string): Promise<void> => {
    const place = path.join(world.folder('shop'), file);
    const bytes = await readFile(place);
    bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1;
    await writeFile(place, bytes);
  };
  const renamed = (from: string, to: string): Promise<void> =>
    rename(path.join(world.folder('shop'), from), path.join(world.folder('shop'), to));
  const linked = async (file: string): Promise<void> => {
    await renamed(file, 'moved');
    await symlink(path.join(world.folder('shop'), 'moved'), path.join(world.folder('shop'), file));
  };

  test.each(wrongs)('that %s is listed, refused and why (%s)', async (_, code, spoiled) => {
    await put({ files: { 'config.yaml': 'name: Shop\n' } });
    await spoiled();
    await world.start(open);
    expect(await errorOf()).toBe(code);
    expect(await serving()).not.toBe('1.0.0');
  });

  test('is asked for its signature as the policy says', async () => {
    await put();
    await world.start({ localSignatures: 'require' });
    expect(await errorOf()).toBe('SignatureMissing');
  });
});

describe('installing', () => {
  test('puts a bundle in place, upgrades it, and a restart serves it', async () => {
    await world.start(open);
    const first = await makeBundle('shop', { files: { 'README.md': 'A shop.' } });
    expect(await world.host.install(first, upload)).toMatchObject({
      status: 'installed',
      plugin: { id: 'shop', version: '1.0.0', generation: 1 },
      library: platform,
    });
    expect(await serving()).toBe('1.0.0');
    expect((await lstat(path.join(world.folder('shop'), library))).mode & 0o7777).toBe(0o444);
    expect(await world.host.install(first, upload)).toMatchObject({ status: 'unchanged', plugin: { generation: 1 } });
    const second = await makeBundle('shop', { version: '1.1.0' });
    expect(await world.host.install(second, { ...upload, dryRun: true })).toMatchObject({ status: 'valid' });
    expect(await serving()).toBe('1.0.0');
    expect(await world.host.install(second, upload)).toMatchObject({
      status: 'upgraded',
      from: '1.0.0',
      plugin: { generation: 2 },
    });
    expect(await serving()).toBe('1.1.0');
    expect(Object.keys(await tree(world.applications)).toSorted()).toEqual(
      ['shop', 'shop/manifest.json', 'shop/prebuilds', `shop/prebuilds/${platform}`, `shop/${library}`].toSorted(),
    );
    await world.host.close();
    await world.start(open);
    expect(await serving()).toBe('1.1.0');
    await world.host.rollback('shop');
    expect(await serving()).toBe('1.0.0');
    expect(world.host.plugin('shop').bundle?.version).toBe('1.0.0');
  });

  test('mends what was damaged', async () => {
    await world.start(open);
    const bundle = await makeBundle('shop');
    await world.host.install(bundle, upload);
    await rm(path.join(world.folder('shop'), library));
    await expect(world.host.reload('shop')).rejects.toMatchObject({ code: 'EntrypointNotFound' });
    expect(await world.host.install(bundle, upload)).toMatchObject({ status: 'upgraded' });
    expect(world.host.plugin('shop').error).toBeUndefined();
    expect((await world.host.reload('shop')).outcome).toBe('succeeded');
  });

  const spoilt: [string, () => Promise<void>][] = [
    ['is damaged', () => world.write('shop', 'manifest.json', '{"id": ')],
    ['is gone', () => rm(path.join(world.folder('shop'), 'manifest.json'))],
  ];

  test.each(spoilt)('mends a bundle whose manifest %s, and uninstalling takes it out', async (_, spoil) => {
    await world.start(open);
    const bundle = await makeBundle('shop', { files: { 'config.yaml': 'name: Shop\n' } });
    await world.host.install(bundle, upload);
    await spoil();
    expect(await world.host.install(bundle, upload)).toMatchObject({ status: 'upgraded', warnings: [] });
    expect((await world.host.reload('shop')).outcome).toBe('succeeded');
    await spoil();
    await world.host.uninstall('shop', { by: 'a test' });
    expect([await serving(), await readdir(world.applications)]).toEqual(['404', []]);
  });

  test('says of one that is not to run that it does not', async () => {
    await world.start(open);
    const bundle = await makeBundle('shop', { files: { 'config.yaml': 'enabled: false\n' } });
    const warnings = [expect.stringContaining('shop is in place, and does not run: its config says so')];
    expect(await world.host.install(bundle, upload)).toMatchObject({ status: 'installed', warnings });
    expect(await world.host.install(bundle, upload)).toMatchObject({ status: 'unchanged', warnings });
    expect(world.host.plugin('shop').state).toBe('disabled');
  });

  test('of what does not serve leaves the build that somebody went back to', async () => {
    await world.publish('other', await buildPlugin('says_version', { defines: { PLUGIN_ID: '"other"' } }));
    await world.start(open);
    for (const version of ['1.0.0', '1.1.0']) await world.host.install(await makeBundle('shop', { version }), upload);
    await world.host.rollback('shop');
    const { generation } = world.host.plugin('shop');
    const files = { 'config.yaml': 'route_prefix: /other\n' };
    await expect(
      world.host.install(await makeBundle('shop', { version: '2.0.0', files }), upload),
    ).rejects.toMatchObject({ code: 'RouteConflict' });
    expect(await serving()).toBe('1.0.0');
    expect(world.host.plugin('shop')).toMatchObject({ generation, state: 'running' });
    expect(await errorOf()).toBeUndefined();
  });

  const plugin = (name: string) => buildPlugin(name, { defines: { PLUGIN_ID: '"shop"' } });
  const refused: [string, ErrorCode, () => Promise<Buffer>][] = [
    ['that is no archive', 'ArchiveInvalid', async () => Buffer.from('nothing')],
    ['without an id', 'InvalidManifest', () => makeBundle('shop', { manifest: { id: 'No id' } })],
    ['of an older version', 'BundleDowngrade', () => makeBundle('shop', { version: '0.9.0' })],
    [
      'for another release',
      'EngineUnsupported',
      () => makeBundle('shop', { ...next, manifest: { engines: { tenon: '^99' } } }),
    ],
    ['for other machines', 'PrebuildUnavailable', () => makeBundle('shop', { ...next, manifest: foreign })],
    [
      'that needs what is not there',
      'DependencyMissing',
      () => makeBundle('shop', { ...next, manifest: { dependencies: { basket: '^1' } } }),
    ],
    [
      'with the library of another plugin',
      'PluginIdMismatch',
      async () => makeBundle('shop', { ...next, library: await buildPlugin('ok') }),
    ],
    [
      'that crashes',
      'TrialCrashed',
      async () => makeBundle('shop', { ...next, library: await plugin('crash_in_initialize') }),
    ],
    [
      'that does not start',
      'TrialRefused',
      async () => makeBundle('shop', { ...next, library: await plugin('refuse_initialize') }),
    ],
    [
      'with a wrong config',
      'ConfigInvalid',
      () => makeBundle('shop', { ...next, files: { 'config.yaml': 'nonsense: 1\n' } }),
    ],
    [
      'with a wrong schema',
      'SchemaInvalid',
      () => makeBundle('shop', { ...next, files: { 'schema.graphql': 'type {' } }),
    ],
    [
      'whose paths another plugin has',
      'RouteConflict',
      () => makeBundle('shop', { ...next, files: { 'config.yaml': 'route_prefix: /other\n' } }),
    ],
    ['of an application that somebody works in', 'ApplicationExists', () => makeBundle('mine')],
  ];
  const next = { version: '2.0.0' };
  const foreign = { entrypoints: { 'linux-riscv64': library } };

  test('leaves everything as it was, and says why, for a bundle that it refuses', { timeout: 180_000 }, async () => {
    await world.publish('other', await buildPlugin('says_version', { defines: { PLUGIN_ID: '"other"' } }));
    await world.write('mine', 'config.yaml', 'name: Mine\nenabled: false\n');
    await world.write('mine', 'resources/mine.c', '');
    await world.start(open);
    await world.host.install(await makeBundle('shop', { files: { 'data/x.bin': 'kept' } }), upload);
    const before = await tree(world.applications);
    const { loadedAt } = world.host.plugin('shop');
    for (const [what, code, made] of refused) {
      await expect(world.host.install(await made(), upload), what).rejects.toMatchObject({ code });
      expect(await serving(), what).toBe('1.0.0');
      expect(await tree(world.applications), what).toEqual(before);
      expect(world.host.plugin('shop'), what).toMatchObject({ state: 'running', loadedAt, generation: 1 });
      expect(await errorOf(), what).toBeUndefined();
    }
    const log = await readFile(path.join(world.data, 'audit.log'), 'utf8');
    const lines = log
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { action: string; code?: string });
    expect(lines.filter(({ action }) => action === 'refuse').map(({ code }) => code)).toEqual(
      refused.map(([, code]) => code),
    );
    // What comes up and is taken back was decided before.
    expect(lines.filter(({ action }) => action === 'upgrade')).toHaveLength(2);
    expect(
      await world.host.install(await makeBundle('shop', { version: '0.9.0' }), { ...upload, allowDowngrade: true }),
    ).toMatchObject({ status: 'upgraded' });
    await expect(world.host.install(await makeBundle('shop', { version: '0.9.5' }), upload)).rejects.toMatchObject({
      code: 'BundleDowngrade',
    });
  });

  test('of a first bundle that does not serve leaves nothing', async () => {
    await world.publish('other', await buildPlugin('says_version', { defines: { PLUGIN_ID: '"other"' } }));
    await world.start(open);
    const taken = await makeBundle('shop', { files: { 'config.yaml': 'route_prefix: /other\n' } });
    await expect(world.host.install(taken, upload)).rejects.toMatchObject({ code: 'RouteConflict' });
    expect(await readdir(world.applications)).toEqual(['other']);
    expect(world.host.plugins().map(({ id }) => id)).toEqual(['other']);
    expect(await world.host.install(await makeBundle('shop'), upload)).toMatchObject({ status: 'installed' });
  });

  test('takes the place of nothing that has come while it was checked', async () => {
    await world.start(open);
    const defines = { PLUGIN_ID: '"shop"', FOLDER: JSON.stringify(world.folder('shop')) };
    const bundle = await makeBundle('shop', { library: await buildPlugin('occupies_folder', { defines }) });
    await expect(world.host.install(bundle, upload)).rejects.toMatchObject({
      code: 'ApplicationExists',
      details: { plugin: 'shop', folder: world.folder('shop') },
    });
    expect(Object.keys(await tree(world.applications)).toSorted()).toEqual(['shop', 'shop/work.c']);
  });

  test('asks an upload for a signature, and has one of them at a time for each plugin', async () => {
    await world.start();
    const bundle = await makeBundle('shop');
    await expect(world.host.install(bundle, upload)).rejects.toMatchObject({ code: 'SignatureMissing' });
    const both = await Promise.allSettled(
      [1, 2].map(() => world.host.install(bundle, { origin: 'local', by: 'a test' })),
    );
    expect(both.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    expect(both.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'InstallRunning' } });
    expect(world.host.plugin('shop').bundle?.warnings).toEqual([expect.stringContaining('not signed')]);
  });

  test('compiles the sources of a bundle without a library for this machine, where there is a compiler', {
    timeout: 180_000,
  }, async () => {
    const files = {
      'config.yaml': 'version: 1.0.0\n',
      'resources/version.cpp':
        '#include <tenon/tenon.hpp>\n#include "own.h"\nstruct Version : tenon::Resource {\n  tenon::Response get(const tenon::Request&) override { return tenon::text(TEXT); }\n};\n',
      'resources/own.h': '#define TEXT "built here"\n',
    };
    const bundle = await makeBundle('shop', { files, manifest: foreign });
    await world.start({ ...open, environment: { PATH: '/nonexistent' } });
    await expect(world.host.install(bundle, upload)).rejects.toMatchObject({ code: 'PrebuildUnavailable' });
    await world.host.close();
    await world.start(open);
    expect(await world.host.install(bundle, upload)).toMatchObject({ status: 'installed', library: 'sources' });
    expect(await serving()).toBe('built here');
    await world.host.uninstall('shop', { purge: true, by: 'a test' });
    expect(
      await readdir(path.join(world.data, 'cache', 'builds')).then((names) =>
        names.filter((name) => name.startsWith('shop')),
      ),
    ).toEqual([]);
    expect(await tree(path.join(world.data, 'cache', 'bundles'))).toEqual({});
  });

  test('serves what has tables alone', async () => {
    await world.start(open);
    const schema = 'type Task @table @export { id: ID! @primaryKey }\n';
    const bundle = await makeBundle('shop', { files: { 'schema.graphql': schema }, manifest: { entrypoints: {} } });
    expect(await world.host.install(bundle, upload)).toMatchObject({ status: 'installed', library: 'sources' });
    expect((await world.get('/shop/Task')).status).toBe(200);
  });

  test.runIf(mayMount)('on a full disk fails, and the old one serves on', async () => {
    const disk = path.join(world.directory, 'disk');
    await mkdir(disk);
    await run('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', disk]);
    try {
      await world.start({ ...open, applications: disk });
      await world.host.install(await makeBundle('shop'), upload);
      const large = await makeBundle('shop', {
        version: '2.0.0',
        files: { 'data/large.bin': Buffer.alloc(3 * 2 ** 20, 'x') },
      });
      await expect(world.host.install(large, upload)).rejects.toMatchObject({
        code: 'InstallFailed',
        details: { reason: 'ENOSPC' },
      });
      expect(await serving()).toBe('1.0.0');
      expect(await readdir(disk)).toEqual(['shop']);
      await world.host.close();
    } finally {
      await run('umount', ['-l', disk]);
    }
  });
});

test('a host that watches installs, upgrades and takes back without a further reload', async () => {
  await world.publish('other', await buildPlugin('says_version', { defines: { PLUGIN_ID: '"other"' } }));
  await world.start({ ...open, hotReload: true, libraryDebounceMs: 20, sourceDebounceMs: 20, watchIntervalMs: 100 });
  for (const version of ['1.0.0', '1.1.0', '1.2.0'])
    await world.host.install(await makeBundle('shop', { version }), upload);
  const taken = { version: '2.0.0', files: { 'config.yaml': 'route_prefix: /other\n' } };
  await expect(world.host.install(await makeBundle('shop', taken), upload)).rejects.toMatchObject({
    code: 'RouteConflict',
  });
  expect(world.host.plugin('shop')).toMatchObject({ version: '1.2.0', generation: 3 });
  await world.write('other', 'config.yaml', 'route_prefix: /elsewhere\n');
  await until('the watch is through', () =>
    world.events.some((event) => 'record' in event && event.plugin === 'other' && event.record.trigger === 'watch'),
  );
  expect(world.host.plugin('shop')).toMatchObject({ version: '1.2.0', generation: 3 });
  expect(world.host.plugin('shop').error).toBeUndefined();
  await world.host.uninstall('shop', { by: 'a test' });
  expect(world.host.plugins().map(({ id }) => id)).toEqual(['other']);
});

describe('a signed bundle', () => {
  const key = makeSecretKey();
  const signed = async (version: string): Promise<Buffer> => {
    const [manifest, ...files] = await readArchive(await makeBundle('shop', { version }));
    if (manifest === undefined) throw new Error('it has no manifest');
    const bytes = signatureOf(manifest.bytes, key, 'tenon shop');
    return writeArchive([manifest, { path: 'manifest.sig', bytes }, ...files]);
  };
  const trust = (plugins: string[]): Promise<void> => {
    const text = JSON.stringify({ keys: [{ key: key.publicKey.text, name: 'Acme', plugins }], killed: [] });
    return mkdir(world.data, { recursive: true }).then(() =>
      writeFile(path.join(world.data, 'trust.json'), text, { mode: 0o600 }),
    );
  };

  test('is installed when its signer is trusted with it, and loaded as long as it is', async () => {
    await trust(['other']);
    await world.start({ localSignatures: 'require' });
    await expect(world.host.install(await signed('1.0.0'), upload)).rejects.toMatchObject({ code: 'SignerUntrusted' });
    await trust(['sh*']);
    const { signer } = await world.host.install(await signed('1.0.0'), upload);
    expect(signer).toEqual({ keyId: key.keyId, name: 'Acme' });
    expect(world.host.plugin('shop').bundle).toMatchObject({ signer, warnings: [] });
    await trust(['other']);
    await expect(world.host.reload('shop')).rejects.toMatchObject({ code: 'SignerUntrusted' });
    expect(await serving()).toBe('1.0.0');
  });
});

describe('what was killed', () => {
  test('is taken down while it runs, and never loaded again: not by a reload, a rollback, an install or a start', async () => {
    await world.start(open);
    await world.host.install(await makeBundle('shop'), upload);
    await world.host.install(await makeBundle('shop', { version: '1.1.0' }), upload);
    const [second, first] = await world.host.versions('shop');
    const kill = async (sha256: string | undefined): Promise<number> => {
      const body = JSON.stringify({ sha256, reason: 'it was bad' });
      const headers = { authorization: 'Bearer a-token-of-the-tests', 'content-type': 'application/json' };
      return (await world.request('POST', '/api/v1/trust/killed', { headers, body })).status;
    };
    expect(await kill(first?.bundle?.sha256)).toBeLessThan(300);
    expect(await serving()).toBe('1.1.0');
    await expect(world.host.rollback('shop')).rejects.toMatchObject({ code: 'BundleKilled' });
    expect(await kill(second?.sha256)).toBeLessThan(300);
    expect(await serving()).toBe('503');
    expect(world.host.plugin('shop')).toMatchObject({ state: 'failed', error: { code: 'BundleKilled' } });
    await expect(world.host.reload('shop')).rejects.toMatchObject({ code: 'BundleKilled' });
    for (const version of ['1.0.0', '1.1.0'])
      await expect(
        world.host.install(await makeBundle('shop', { version }), { ...upload, allowDowngrade: true }),
      ).rejects.toMatchObject({ code: 'BundleKilled' });
    await world.host.close();
    await world.start(open);
    expect(await errorOf()).toBe('BundleKilled');
    await world.host.install(await makeBundle('shop', { version: '1.2.0' }), upload);
    expect(await serving()).toBe('1.2.0');
  });
});
