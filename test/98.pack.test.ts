import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readArchive } from '../src/bundle/archive.js';
import { type Bundle, bundleOf } from '../src/bundle/bundle.js';
import type { Packed } from '../src/cli/pack-delivery.js';
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
    id: 'small',
    version: '1.2.0',
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
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const bundleIn = async (file: string): Promise<Bundle> => bundleOf(await readArchive(await readFile(file)), file);

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
