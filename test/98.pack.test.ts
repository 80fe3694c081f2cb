import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadCore } from '../src/binding/core.js';
import { readArchive } from '../src/bundle/archive.js';
import { type Bundle, bundleOf } from '../src/bundle/bundle.js';
import { type Manifest, manifestText } from '../src/bundle/manifest.js';
import { verifySignature } from '../src/bundle/minisign.js';
import { makeSecretKey, secretKeyText } from '../src/bundle/secret-key.js';
import { writeArchive } from '../src/bundle/write-archive.js';
import { writeBundle } from '../src/cli/pack.js';
import type { Packed, PackFlags } from '../src/cli/pack-delivery.js';
import { Command } from './load/command.js';
import { tenon } from './load/tenon.js';
import { World } from './load/world.js';

/** A plugin that says by every means when and where it was compiled. */
const plugin = `#include <tenon/entry.h>
#include "greeting.h"
static const void *get_extension(tenon_plugin_t *plugin, const char *id) { (void)plugin; (void)id; return NULL; }
static void destroy(tenon_plugin_t *plugin) { (void)plugin; }
const char *volatile said[] = {__FILE__, __DATE__, __TIME__, __TIMESTAMP__, __BASE_FILE__, GREETING};
static tenon_status create(const tenon_host_t *host, tenon_plugin_t **out) {
  static tenon_plugin_t plugin = {.size = sizeof(tenon_plugin_t), .destroy = destroy, .get_extension = get_extension};
  *out = &plugin;
  return host == NULL || said[0] == NULL ? TENON_ERROR : TENON_OK;
}
TENON_PLUGIN("small", "Small", "1.2.0", NULL, NULL, TENON_TRIAL_FULL, create)
`;
const config = `name: Small
app_id: small
version: 1.2.0
description: Says where it is from.
permissions: ["tables:read:shop.Goods"]
configSchema: schema.json
custom: {greeting: Ahoy}
static_files: web
dependencies: {vendored: third}
`;
const schema = { type: 'object', properties: { greeting: { type: 'string' } } };
const files: Record<string, string> = {
  'config.yaml': config,
  'schema.json': JSON.stringify(schema),
  'manifest.json': JSON.stringify({
    author: 'Somebody',
    license: 'MIT',
    engines: { tenon: '>=0.1.0' },
  }),
  'resources/small.c': plugin,
  'resources/greeting.h': '#define GREETING "hello"\n',
  'third/number.c': 'int number(void);\nint number(void) { return 7; }\n',
  'third/table.dat': '1,2,3\n',
  'web/index.html': '<h1>small</h1>\n',
  'web/app/main.js': '"use strict";\n',
  'web/.secret': 'not for others\n',
  'README.md': '# Small\n',
  LICENSE: 'MIT\n',
  'notes.txt': 'not for others\n',
  'test/small.cpp': '#error not for others\n',
  '.env': 'SECRET=1\n',
  'node_modules/left/README.md': 'not for others\n',
  'build/left.h': '#error not for others\n',
};
const always = ['LICENSE', 'README.md', 'config.yaml', 'prebuilds/linux-x64/small.so', 'schema.json'];
const packed = [...always, 'web/app/main.js', 'web/index.html'];

let world: World;
/** Write the application `small` below `parent`, which is made. */
async function writeSmall(parent: string, changed: Record<string, string> = {}): Promise<string> {
  const folder = path.join(parent, 'small');
  for (const [file, text] of Object.entries({ ...files, ...changed })) {
    await mkdir(path.dirname(path.join(folder, file)), { recursive: true });
    await writeFile(path.join(folder, file), text);
  }
  return folder;
}
const write = (words: string[], flags: PackFlags): Promise<Packed> =>
  writeBundle(words, {
    flags: { data: path.join(world.directory, 'data'), ...flags },
    directory: world.directory,
    signal: new AbortController().signal,
    diagnostics: [],
  });
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const bundleIn = async (file: string): Promise<Bundle> => bundleOf(await readArchive(await readFile(file)), file);

/** Put the files of a bundle into `folder`. */
async function unpack(file: string, folder: string): Promise<void> {
  for (const entry of await readArchive(await readFile(path.join(world.directory, file)))) {
    await mkdir(path.dirname(path.join(folder, entry.path)), { recursive: true });
    await writeFile(path.join(folder, entry.path), entry.bytes);
  }
}

beforeAll(async () => {
  world = await World.make();
  await writeSmall(world.applications);
});
afterAll(() => world.close());

describe('tenon pack', () => {
  test('puts in what is served and read, and nothing else; says what, and how large it is', async () => {
    await symlink('/etc/hostname', path.join(world.folder('small'), 'web', 'link.html'));
    const said = await tenon(world.directory, 'pack', 'applications/small');
    const file = path.join(world.directory, 'small-1.2.0.tgz');
    expect(said).toMatchObject({ status: 0, out: `${file}\n` });
    const entries = await readArchive(await readFile(file));
    expect(entries.map((entry) => entry.path)).toEqual(['manifest.json', ...packed]);
    for (const entry of entries) expect(said.err).toContain(`  ${entry.path} `);
    expect(said.err).toMatch(/^small 1\.2\.0: 8 files of [\d,]+ bytes, [\d,]+ packed$/m);
    expect(said.err).toMatch(/^ {2}prebuilds\/linux-x64\/small\.so +[\d,]+ {2}linux-x64, ABI 1\.\d+/m);
    expect(said.err).toContain('web/link.html is a symbolic link, which is left out');
    await rm(path.join(world.folder('small'), 'web', 'link.html'));
    for (const { path: name, bytes } of entries.filter(
      (entry) => entry.path in files && entry.path !== 'manifest.json',
    ))
      expect(bytes.toString()).toBe(files[name]);
  });

  test('writes the manifest from config.yaml, from what a manifest.json adds, and from the library', async () => {
    const { manifest } = await bundleIn(path.join(world.directory, 'small-1.2.0.tgz'));
    const { files: listed, abi, ...said } = manifest;
    expect(abi).toMatch(/^1\.\d+$/);
    expect(Object.keys(listed ?? {})).toEqual(packed);
    expect(said).toEqual({
      id: 'small',
      name: 'Small',
      version: '1.2.0',
      description: 'Says where it is from.',
      author: 'Somebody',
      license: 'MIT',
      entrypoints: { 'linux-x64': 'prebuilds/linux-x64/small.so' },
      permissions: ['tables:read:shop.Goods'],
      configSchema: schema,
      reloadOnChange: false,
      isolation: undefined,
      dependencies: {},
      engines: { tenon: '>=0.1.0' },
    });
  });

  test('makes the same bytes in another place, at another time, for another user, with nothing left of before', async () => {
    const before = await readFile(path.join(world.directory, 'small-1.2.0.tgz'));
    const elsewhere = path.join(world.directory, 'else where', 'deeper');
    const folder = await writeSmall(elsewhere);
    const then = new Date('2001-02-03T04:05:06Z');
    await utimes(path.join(folder, 'resources', 'small.c'), then, then);
    const temporary = path.join(elsewhere, 'temporary');
    await mkdir(temporary);
    const command = new Command(['pack', '--json', '--data', 'other data', folder], elsewhere, {
      TMPDIR: temporary,
      TZ: 'Asia/Tokyo',
      LANG: 'de_DE.UTF-8',
      USER: 'somebody',
      HOME: temporary,
    });
    expect(await command.exit).toEqual([0, null]);
    const made = await readFile(path.join(elsewhere, 'small-1.2.0.tgz'));
    expect(made.equals(before)).toBe(true);
    const report = JSON.parse(command.out) as Packed;
    const { manifestBytes } = await bundleIn(report.file);
    expect(report).toMatchObject({
      id: 'small',
      version: '1.2.0',
      file: path.join(elsewhere, 'small-1.2.0.tgz'),
      size: made.length,
      sha256: sha256(made),
      manifest: sha256(manifestBytes),
      warnings: [],
    });
    expect(report.files.map((each) => each.path)).toEqual(['manifest.json', ...packed]);
    expect(report.platforms).toMatchObject([{ platform: 'linux-x64', path: 'prebuilds/linux-x64/small.so' }]);
  });
});

describe('tenon pack --sources', () => {
  test('takes along what compiles, and that makes the same library elsewhere', async () => {
    const said = await tenon(world.directory, 'pack', '--sources', '--out', 'with/', 'applications/small');
    expect(said.status).toBe(0);
    const { files: within } = await bundleIn(said.out.trim());
    const sources = ['resources/greeting.h', 'resources/small.c', 'third/number.c', 'third/table.dat'];
    expect([...within.keys()].sort()).toEqual([...packed, ...sources].sort());
    const elsewhere = path.join(world.directory, 'unpacked', 'anything');
    for (const [file, bytes] of within) {
      if (file.startsWith('prebuilds/')) continue;
      await mkdir(path.dirname(path.join(elsewhere, file)), { recursive: true });
      await writeFile(path.join(elsewhere, file), bytes);
    }
    const again = await tenon(path.dirname(elsewhere), 'pack', elsewhere, '--out', 'small.tgz');
    const library = 'prebuilds/linux-x64/small.so';
    expect((await bundleIn(again.out.trim())).files.get(library)).toEqual(within.get(library));
  });
});

const noCross = existsSync('/usr/bin/aarch64-linux-gnu-g++') ? undefined : 'g++-aarch64-linux-gnu is not installed';
if (noCross !== undefined && process.env['CI'] !== undefined) throw new Error(noCross);

describe.skipIf(noCross !== undefined)(`tenon pack --target${noCross === undefined ? '' : ` (${noCross})`}`, () => {
  test('builds for several machines, each into the same bundle, and as on its own', async () => {
    const out = path.join(world.directory, 'both.tgz');
    const said = await write(['applications/small'], { target: ['linux-x64', 'linux-arm64'], out });
    expect(said.platforms).toMatchObject([
      { platform: 'linux-arm64', path: 'prebuilds/linux-arm64/small.so', abi: '1.0' },
      { platform: 'linux-x64', path: 'prebuilds/linux-x64/small.so', abi: '1.0' },
    ]);
    const both = await bundleIn(out);
    const own = await bundleIn(path.join(world.directory, 'small-1.2.0.tgz'));
    expect(both.files.get('prebuilds/linux-x64/small.so')).toEqual(own.files.get('prebuilds/linux-x64/small.so'));
    const library = both.files.get('prebuilds/linux-arm64/small.so') ?? Buffer.alloc(0);
    const facts = loadCore().inspectImage(library, 'any');
    expect(facts).toMatchObject({ arch: 'arm64', note: { id: 'small', version: '1.2.0' }, findings: [] });
    // What each machine packs is joined to the same.
    const elsewhere = await writeSmall(path.join(world.directory, 'for arm'));
    const arm = path.join(world.directory, 'for-arm.tgz');
    await write([elsewhere], { target: ['linux-arm64'], out: arm, data: path.join(world.directory, 'third') });
    const joined = path.join(world.directory, 'joined.tgz');
    await write([arm, 'small-1.2.0.tgz'], { merge: true, out: joined });
    expect((await readFile(joined)).equals(await readFile(out))).toBe(true);
  });

  test('takes modules of the target only, and says what to install', async () => {
    const config = 'version: 1.0.0\ndependencies: {pkg-config: libzstd}\n';
    const folder = path.join(world.directory, 'zstd');
    await mkdir(path.join(folder, 'resources'), { recursive: true });
    await writeFile(path.join(folder, 'config.yaml'), config);
    await writeFile(path.join(folder, 'resources', 'plugin.c'), plugin);
    const packing = write([folder], { target: ['linux-arm64'], out: world.directory });
    await expect(packing).rejects.toMatchObject({
      code: 'DependencyMissing',
      message: expect.stringContaining('which pkg-config does not find for linux-arm64'),
      next: expect.stringContaining('apt install libzstd-dev:arm64'),
    });
  });
});

test('names the cross compiler that is missing, and how to get it', async () => {
  const tools = path.join(world.directory, 'tools');
  await mkdir(tools);
  for (const tool of ['cmake', 'ninja', 'make', 'gcc', 'g++', 'cc', 'c++', 'sh', 'nice'])
    for (const folder of ['/usr/bin', '/usr/local/bin', '/bin'])
      if (existsSync(path.join(folder, tool)) && !existsSync(path.join(tools, tool)))
        await symlink(path.join(folder, tool), path.join(tools, tool));
  const command = new Command(['pack', 'applications/small', '--target', 'linux-arm64'], world.directory, {
    PATH: tools,
  });
  expect(await command.exit).toEqual([1, null]);
  expect(command.err).toContain('missing aarch64-linux-gnu-gcc, aarch64-linux-gnu-g++');
  expect(command.err).toContain('apt install g++-aarch64-linux-gnu');
});

describe('tenon pack of what needs no compiler', () => {
  test('takes the library of a folder that has nothing else, as it is', async () => {
    const { files: within } = await bundleIn(path.join(world.directory, 'small-1.2.0.tgz'));
    const library = within.get('prebuilds/linux-x64/small.so') ?? Buffer.alloc(0);
    const folder = path.join(world.directory, 'seed', 'small');
    await mkdir(folder, { recursive: true });
    await writeFile(path.join(folder, 'small.so'), library);
    await writeFile(path.join(folder, 'manifest.json'), '{"version": "1.2.0", "author": "Somebody"}');
    const said = await tenon(folder, 'pack');
    expect(said).toMatchObject({ status: 0, out: `${path.join(folder, 'small-1.2.0.tgz')}\n` });
    const bundle = await bundleIn(said.out.trim());
    expect([...bundle.files]).toEqual([['prebuilds/linux-x64/small.so', library]]);
    expect(bundle.manifest).toMatchObject({ id: 'small', author: 'Somebody', abi: expect.stringMatching(/^1\./) });
    // Of another version it is another plugin.
    await writeFile(path.join(folder, 'manifest.json'), '{"version": "2.0.0"}');
    const wrong = await tenon(folder, 'pack', '--json');
    expect(wrong.status).toBe(1);
    expect(JSON.parse(wrong.out)).toMatchObject({ error: 'PackFailed' });
    expect(wrong.err).toContain('its version is 1.2.0, not 2.0.0');
    expect((await tenon(folder, 'pack', '--target', 'linux-arm64')).err).toContain('has no sources');
  });

  test('packs an unpacked bundle as it was', async () => {
    const file = path.join(world.directory, 'small-1.2.0.tgz');
    const folder = path.join(world.directory, 'installed', 'small');
    await unpack('small-1.2.0.tgz', folder);
    const { sha256: made } = await write([folder], { out: `${path.dirname(folder)}/` });
    expect(made).toBe(sha256(await readFile(file)));
  });

  test('gives an application that is tables only a library of its own', async () => {
    const folder = path.join(world.directory, 'notes');
    await mkdir(folder);
    await writeFile(path.join(folder, 'config.yaml'), 'version: 0.3.0\n');
    await writeFile(path.join(folder, 'schema.graphql'), 'type Note @table { id: ID! @primaryKey text: String }\n');
    const said = await tenon(folder, 'pack', '--data', '../state', '--out', '..');
    expect(said.status).toBe(0);
    const { manifest } = await bundleIn(path.join(world.directory, 'notes-0.3.0.tgz'));
    expect(manifest.entrypoints).toEqual({ 'linux-x64': 'prebuilds/linux-x64/notes.so' });
    expect(Object.keys(manifest.files ?? {})).toEqual([
      'config.yaml',
      'prebuilds/linux-x64/notes.so',
      'schema.graphql',
    ]);
  });
});

test('what was packed is served by a host that has no compiler', async () => {
  const other = await World.make();
  try {
    await unpack('small-1.2.0.tgz', other.folder('small'));
    await unpack('notes-0.3.0.tgz', other.folder('notes'));
    await other.start({ localSignatures: 'off', environment: { PATH: other.directory } });
    expect(other.host.plugins().map(({ id, version, state }) => [id, version, state])).toEqual([
      ['notes', '0.3.0', 'running'],
      ['small', '1.2.0', 'running'],
    ]);
  } finally {
    await other.close();
  }
});

describe('tenon pack --merge', () => {
  /** The bundle `small` as the machine `platform` would have packed it. */
  async function packedOn(
    platform: string,
    change: Partial<Manifest> & { extra?: string; more?: string } = {},
  ): Promise<string> {
    const { extra, more, ...members } = change;
    const { manifest, files: within } = await bundleIn(path.join(world.directory, 'small-1.2.0.tgz'));
    const own = new Map<string, Buffer>();
    for (const [file, bytes] of within) {
      const isLibrary = file.startsWith('prebuilds/');
      own.set(isLibrary ? `prebuilds/${platform}/small.so` : file, isLibrary ? Buffer.from(platform) : bytes);
    }
    if (extra !== undefined) own.set('web/index.html', Buffer.from(extra));
    if (more !== undefined) own.set(more, Buffer.from(more));
    const listed = [...own].map(([file, bytes]) => [file, { sha256: sha256(bytes), size: bytes.length }] as const);
    const text = manifestText({
      ...manifest,
      entrypoints: { [platform]: `prebuilds/${platform}/small.so` },
      files: Object.fromEntries(listed),
      ...members,
    });
    const file = path.join(world.directory, `${platform}${Object.keys(change).join('')}.tgz`);
    const entries = [...own].map(([name, bytes]) => ({ path: name, bytes }));
    await writeFile(file, writeArchive([{ path: 'manifest.json', bytes: Buffer.from(text) }, ...entries]));
    return path.basename(file);
  }

  const at = (...names: string[]): string[] => names.map((name) => path.join(world.directory, name));
  /** The bytes of what `names` make together. */
  async function merged(...names: string[]): Promise<Buffer> {
    const [out = ''] = at(`${names.length}-${names.join('-')}`);
    await write(at(...names), { merge: true, out });
    return readFile(out);
  }

  test('joins the libraries, and makes the same bytes in every order', async () => {
    const own = 'small-1.2.0.tgz';
    const [arm, musl] = [await packedOn('linux-arm64'), await packedOn('linux-x64-musl')];
    const said = await tenon(world.directory, 'pack', '--merge', own, arm, musl, '--out', 'all.tgz');
    expect(said).toMatchObject({ status: 0, out: `${path.join(world.directory, 'all.tgz')}\n` });
    const bytes = await readFile(said.out.trim());
    const all = await bundleIn(said.out.trim());
    expect(all.manifest.entrypoints).toEqual({
      'linux-arm64': 'prebuilds/linux-arm64/small.so',
      'linux-x64': 'prebuilds/linux-x64/small.so',
      'linux-x64-musl': 'prebuilds/linux-x64-musl/small.so',
    });
    expect(all.files.get('prebuilds/linux-arm64/small.so')?.toString()).toBe('linux-arm64');
    expect((await merged(musl, own, arm)).equals(bytes)).toBe(true);
    // What is merged can be merged.
    await writeFile(path.join(world.directory, 'two.tgz'), await merged(arm, own));
    expect((await merged('two.tgz', musl)).equals(bytes)).toBe(true);
  });

  test.each([
    ['another version', { version: '1.2.1' }, '/version of the manifest is "1.2.1", not "1.2.0"'],
    ['another permission', { permissions: [] }, '/permissions of the manifest is [], not ["tables:read:shop.Goods"]'],
    ['another file', { extra: 'other' }, 'web/index.html has other bytes'],
    ['a file too many', { more: 'more.txt' }, 'more.txt is only in'],
  ])('refuses %s, and names it', async (_, change, sentence) => {
    const other = await packedOn('linux-arm64', change);
    await expect(merged('small-1.2.0.tgz', other)).rejects.toMatchObject({
      code: 'PackFailed',
      message: expect.stringContaining(sentence),
      details: { bundles: at('small-1.2.0.tgz', other) },
    });
    expect((await readdir(world.directory)).filter((name) => name.startsWith('2-small'))).toEqual([]);
  });

  test('refuses the same bundle twice, whatever its file is called', async () => {
    const [own = '', copy = ''] = at('small-1.2.0.tgz', 'copy.tgz');
    await writeFile(copy, await readFile(own));
    const twice = (words: string[]): Promise<Packed> => write(words, { merge: true, out: at('twice.tgz')[0] ?? '' });
    await expect(twice([own, own])).rejects.toThrow(new TypeError(`--merge: ${own} is given twice`));
    await expect(twice([own, copy])).rejects.toThrow(new TypeError(`--merge: ${copy} is the same bundle as ${own}`));
  });

  test('refuses two libraries for one platform', async () => {
    const other = await packedOn('linux-x64');
    const sentence = 'prebuilds/linux-x64/small.so has other bytes';
    await expect(merged('small-1.2.0.tgz', other)).rejects.toThrow(sentence);
  });

  test('drops signatures', async () => {
    const { manifestBytes, files: within } = await bundleIn(path.join(world.directory, 'small-1.2.0.tgz'));
    const entries = [...within].map(([name, bytes]) => ({ path: name, bytes }));
    const head = [
      { path: 'manifest.json', bytes: manifestBytes },
      { path: 'manifest.sig', bytes: Buffer.from('a signature') },
    ];
    await writeFile(path.join(world.directory, 'signed.tgz'), writeArchive([...head, ...entries]));
    const arm = await packedOn('linux-arm64');
    const said = await tenon(world.directory, 'pack', '--merge', 'signed.tgz', arm, '--out', 'both.tgz');
    expect([said.status, said.err]).toEqual([0, expect.stringContaining('the signature of signed.tgz')]);
    const both = await readFile(path.join(world.directory, 'both.tgz'));
    expect(both.equals(await merged('small-1.2.0.tgz', arm))).toBe(true);
  });
});

test('tenon pack --key signs what it packs, and is what tenon sign makes of it', async () => {
  const key = path.join(world.directory, 'key');
  const { publicKey, ...rest } = makeSecretKey();
  await writeFile(key, await secretKeyText({ publicKey, ...rest }, undefined));
  const [own, signed, after] = ['small-1.2.0.tgz', 'signed-by-key.tgz', 'signed-after.tgz'];
  const { keyId } = await write(['applications/small'], { key: 'key', out: signed });
  expect(keyId).toBe(publicKey.keyId);
  const { manifestBytes, signature } = await bundleIn(path.join(world.directory, signed));
  verifySignature(manifestBytes, signature ?? Buffer.alloc(0), publicKey);
  expect((await tenon(world.directory, 'sign', own, '--key', 'key', '--out', after)).status).toBe(0);
  const [one, other] = await Promise.all([signed, after].map((name) => readFile(path.join(world.directory, name))));
  expect(one?.equals(other ?? Buffer.alloc(0))).toBe(true);
  await expect(write(['applications/small'], { key: own, out: 'no.tgz' })).rejects.toMatchObject({
    code: 'KeyInvalid',
  });
});

describe('tenon pack refuses', () => {
  test.each<[string, Record<string, string>, string, string]>([
    [
      'a manifest.json that config.yaml contradicts',
      { 'manifest.json': '{"id":"small","version":"1.3.0"}' },
      'InvalidManifest',
      '/version is "1.3.0", and config.yaml says "1.2.0"',
    ],
    [
      'a manifest.json that is none',
      { 'manifest.json': '{"id":"small","version":"1.2.0","licence":"MIT"}' },
      'InvalidManifest',
      '/licence',
    ],
    [
      'a library that no host would load',
      { 'resources/small.c': plugin.replace('"small"', '"other"') },
      'PluginIdMismatch',
      'resources/small.c:11:1: TENON_PLUGIN has the id "other"',
    ],
    [
      'sources of another version',
      { 'resources/small.c': plugin.replace('"1.2.0"', '"1.1.0"') },
      'PackFailed',
      'TENON_PLUGIN in resources/small.c says version 1.1.0, and config.yaml says 1.2.0',
    ],
    [
      'static files that are not there',
      { 'config.yaml': config.replace('static_files: web', 'static_files: wep') },
      'PackFailed',
      'name no file: wep',
    ],
    ['a path that no archive may have', { 'web/aux.js': '' }, 'PackFailed', 'web/aux.js'],
  ])('%s', async (_, changed, code, sentence) => {
    const parent = path.join(world.directory, 'refused');
    const folder = await writeSmall(parent, changed);
    const packing = write([folder], { out: parent });
    await expect(packing).rejects.toMatchObject({ code, message: expect.stringContaining(sentence) });
    expect(await readdir(parent)).toEqual(['small']);
    await rm(parent, { recursive: true });
  });

  test('what does not compile, with its place, and a bundle of before stays', async () => {
    const parent = path.join(world.directory, 'refused');
    await writeSmall(parent, { 'resources/small.c': 'int wrong = "text" * 2;\n' });
    await writeFile(path.join(parent, 'small-1.2.0.tgz'), 'of before');
    const said = await tenon(parent, 'pack', 'small', '--json', '--data', '../data');
    expect(said.err).toMatch(/^small\/resources\/small\.c:1:\d+: error: invalid operands/m);
    expect([said.status, JSON.parse(said.out)]).toMatchObject([1, { error: 'BuildFailed' }]);
    expect(await readFile(path.join(parent, 'small-1.2.0.tgz'), 'utf8')).toBe('of before');
    await rm(parent, { recursive: true });
  });

  test('wrong use, with status 2', async () => {
    const said = await tenon(world.directory, 'pack', 'nothing', '--json');
    expect(said).toMatchObject({ status: 2, out: '', err: expect.stringContaining('there is no application in') });
  });

  test.each<[string[], PackFlags, string]>([
    [['applications/small', 'other'], {}, 'one application at a time'],
    [['applications/small'], { target: ['plan9-x64'] }, 'the target plan9-x64 cannot be built for here'],
    [['applications/small'], { out: 'nowhere' }, '--out nowhere is neither a folder nor ends with .tgz'],
    [['small-1.2.0.tgz'], { merge: true }, '--merge needs two bundles or more'],
    [['small-1.2.0.tgz', 'two.tgz'], { merge: true, sources: true }, 'not with --sources'],
    [['absent.tgz', 'two.tgz'], { merge: true }, 'absent.tgz cannot be read'],
  ])('wrong use: %j %j', async (words, flags, sentence) => {
    const places = words.map((word) => path.join(world.directory, word));
    const packing = write(places, { out: world.directory, ...flags });
    await expect(packing).rejects.toThrow(TypeError);
    await expect(packing).rejects.toThrow(sentence);
  });
});
