import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type ArchiveFile, readArchive } from '../src/bundle/archive.js';
import { publicKeyText } from '../src/bundle/minisign.js';
import { makeSecretKey, signatureOf } from '../src/bundle/secret-key.js';
import { thisPlatform } from '../src/bundle/platform.js';
import { writeArchive } from '../src/bundle/write-archive.js';
import { inspect, type InspectFlags, type InspectReport } from '../src/cli/inspect.js';
import { validate, type ValidateFlags, type ValidateReport } from '../src/cli/validate.js';
import { root } from './architecture/tree.js';
import { type BundleParts, makeBundle, platform } from './load/bundles.js';
import { Command } from './load/command.js';
import { buildPlugin } from './plugins/build.js';
import { crossCompiler, foreignArch, noCrossCompiler, pluginOfTheFuture } from './plugins/foreign.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'tenon-inspect-'));
});
afterEach(() => rm(folder, { recursive: true }));

interface Said {
  status: number;
  out: string;
  err: string;
}

/** What a command prints when it runs in this process. */
async function said(run: () => Promise<number>): Promise<Said> {
  const texts = { out: '', err: '' };
  const spies = (['stdout', 'stderr'] as const).map((stream) =>
    vi.spyOn(process[stream], 'write').mockImplementation((text) => {
      texts[stream === 'stdout' ? 'out' : 'err'] += String(text);
      return true;
    }),
  );
  try {
    return { status: await run(), ...texts };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

const inspected = (place: string, flags: InspectFlags = {}): Promise<Said> => said(() => inspect(place, flags));
const reported = async (place: string): Promise<InspectReport> =>
  JSON.parse((await inspected(place, { json: true })).out) as InspectReport;

const data = (): string => path.join(folder, 'data');
const validated = (place: string, flags: ValidateFlags = {}): Promise<Said> =>
  said(() => validate(place, { data: data(), ...flags }));
const verdict = async (place: string, flags: ValidateFlags = {}): Promise<ValidateReport> =>
  JSON.parse((await validated(place, { ...flags, json: true })).out) as ValidateReport;

async function bundleFile(id: string, parts: BundleParts = {}): Promise<string> {
  const file = path.join(folder, `${id}-1.0.0.tgz`);
  await writeFile(file, await makeBundle(id, parts));
  return file;
}

/** The files of an archive, below `place`. */
async function unpack(archive: string, place: string): Promise<string> {
  for (const { path: file, bytes } of await readArchive(await readFile(archive))) {
    await mkdir(path.dirname(path.join(place, file)), { recursive: true });
    await writeFile(path.join(place, file), bytes);
  }
  return place;
}

/** Every file below `place` with when it was changed. */
async function snapshot(place: string): Promise<unknown[]> {
  const names = (await readdir(place, { recursive: true })).toSorted();
  return Promise.all(
    names.map(async (name) => {
      const { ino, mtimeMs, size } = await stat(path.join(place, name));
      return [name, ino, mtimeMs, size];
    }),
  );
}

describe('tenon inspect', () => {
  test('shows what a bundle says, what its library is, and its files', async () => {
    const file = await bundleFile('counter', {
      files: { 'README.md': 'Counts.' },
      manifest: { permissions: ['http:client:example.org'], engines: { tenon: '*' }, description: 'Counts' },
    });
    const { status, out } = await inspected(file);
    expect(status).toBe(0);
    for (const line of [
      /^counter 1\.0\.0$/m,
      /^ +description +Counts$/m,
      /^ +runs on +tenon \*$/m,
      /^ +asks for +http:client:example\.org$/m,
      /^ +signed +no$/m,
      new RegExp(`^prebuilds/${platform}/counter\\.so$`, 'm'),
      new RegExp(`^ +for +${platform}$`, 'm'),
      new RegExp(`^ +machine +${process.arch}, `, 'm'),
      /^ +plugin +counter 1\.0\.0, ABI 1\.\d+$/m,
      /^ +compiler +gcc \d+/m,
      /^ +exports +tenon_plugin_entry$/m,
      /^ +unloads +yes$/m,
      /^2 files$/m,
      /^ +[0-9a-f]{64} +7 {2}README\.md$/m,
    ])
      expect(out).toMatch(line);
  });

  test('shows all that a bundle asks for of its isolation', async () => {
    const isolation = { mode: 'process', memory: 268435456, sandbox: false, writable: ['/var/cache/counter', 'seen'] };
    const { out } = await inspected(await bundleFile('counter', { manifest: { isolation } }));
    expect(out).toMatch(
      /^ +isolation +process, memory 268435456, sandbox false, writable \/var\/cache\/counter seen$/m,
    );
  });

  test('says the same to programs, a bundle being the same in an archive and in a folder', async () => {
    const file = await bundleFile('counter', { files: { 'README.md': 'Counts.' } });
    const ofArchive = await reported(file);
    expect(ofArchive).toMatchObject({
      kind: 'archive',
      manifest: { id: 'counter', version: '1.0.0', permissions: [] },
      libraries: [{ platforms: [platform], id: 'counter', abi: '1.0', arch: process.arch, unloadable: true }],
      files: [{ path: `prebuilds/${platform}/counter.so` }, { path: 'README.md', size: 7 }].toSorted((one, other) =>
        one.path < other.path ? -1 : 1,
      ),
    });
    expect(ofArchive.manifest?.sha256).toMatch(/^[0-9a-f]{64}$/);
    const ofFolder = await reported(await unpack(file, path.join(folder, 'counter')));
    expect(ofFolder).toEqual({ ...ofArchive, kind: 'folder' });
  });

  test('shows the folder of a prebuilt plugin that lists nothing', async () => {
    const place = path.join(folder, 'fault');
    await mkdir(place);
    await writeFile(path.join(place, 'manifest.json'), '{"version": "1.0.0"}');
    await writeFile(path.join(place, 'fault.so'), await readFile(await buildPlugin('ok')));
    const { out } = await inspected(place);
    expect(out).toMatch(/^fault 1\.0\.0$/m);
    expect(out).toMatch(/^fault\.so$/m);
    expect(out).toMatch(/^the manifest lists no files$/m);
  });

  test('says who has signed, and with a key whether that is so', async () => {
    const [key, other] = [makeSecretKey(), makeSecretKey()];
    const unsigned = await bundleFile('counter');
    const [manifest, ...rest] = (await readArchive(await readFile(unsigned))) as [ArchiveFile, ...ArchiveFile[]];
    const signature = signatureOf(manifest.bytes, key, 'made for a test');
    const signed = path.join(folder, 'signed.tgz');
    await writeFile(signed, writeArchive([manifest, { path: 'manifest.sig', bytes: signature }, ...rest]));
    expect((await inspected(signed)).out).toContain(
      `it says by ${key.keyId} (made for a test); not checked, give --key`,
    );
    const keyFile = path.join(folder, 'counter.pub');
    await writeFile(keyFile, publicKeyText(key.publicKey));
    for (const given of [key.publicKey.text, keyFile]) {
      const { status, out } = await inspected(signed, { key: given });
      expect([status, out]).toEqual([0, expect.stringContaining(`by ${key.keyId} (made for a test)\n`)]);
      expect(out).not.toContain('not checked');
    }
    const wrongKey = await inspected(signed, { key: other.publicKey.text, json: true });
    expect([wrongKey.status, JSON.parse(wrongKey.out)]).toEqual([
      1,
      expect.objectContaining({ error: 'SignatureInvalid' }),
    ]);
    const none = await inspected(unsigned, { key: keyFile, json: true });
    expect([none.status, JSON.parse(none.out)]).toEqual([1, expect.objectContaining({ error: 'SignatureMissing' })]);
    await expect(inspected(signed, { key: path.join(folder, 'no.pub') })).rejects.toThrow(TypeError);
    await expect(inspected(signed, { key: unsigned })).rejects.toThrow();
  });

  test('says why a library would stay', async () => {
    const { out } = await inspected(await buildPlugin('findings', { flags: ['-Wl,-z,notext'] }));
    expect(out).toMatch(/^ +unloads +no: 1 unique symbol, the first is only_one.*__cxa_thread_atexit_impl/m);
    expect(out).toMatch(/^ +note +text-relocations: /m);
  });

  test.skipIf(noCrossCompiler !== undefined)(
    `shows a library for ${foreignArch} (${noCrossCompiler ?? crossCompiler})`,
    async () => {
      const { status, out } = await inspected(await buildPlugin('exit_in_constructor', { compiler: crossCompiler }));
      expect(status).toBe(0);
      expect(out).toMatch(new RegExp(`^ +machine +${foreignArch}, glibc 2\\.\\d+ or newer$`, 'm'));
    },
  );

  test('shows text of strangers without what steers a terminal', async () => {
    const file = await bundleFile('counter', {
      manifest: { name: '\u202ename', description: 'one\n\u001b[2Jtwo' },
    });
    const { out } = await inspected(file);
    expect(out).toContain('one\\u{a}\\u{1b}[2Jtwo');
    expect(out).toContain('\\u{202e}name');
    expect(out.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    const broken = path.join(folder, 'broken.tgz');
    await writeFile(broken, writeArchive([{ path: 'manifest.json', bytes: Buffer.from('{"\\u202e": 1}') }]));
    const { status, err } = await inspected(broken);
    expect([status, err.trimEnd()]).toEqual([1, expect.not.stringMatching(/[\p{Cc}\p{Cf}]/u)]);
  });

  test('a library that cannot be read is told among the others, and alone it is a failure', async () => {
    const file = await bundleFile('counter', { library: path.join(root, 'package.json') });
    const [library] = (await reported(file)).libraries;
    expect(library).toMatchObject({ error: { code: 'ImageFormat' }, platforms: [platform] });
    const alone = await inspected(path.join(root, 'package.json'));
    expect([alone.status, alone.out]).toEqual([1, expect.stringContaining('not read  ImageFormat')]);
  });

  test('what is no bundle is refused with its code', async () => {
    const broken = path.join(folder, 'broken.tgz');
    await writeFile(broken, 'no archive');
    const { status, out, err } = await inspected(broken, { json: true });
    expect([status, JSON.parse(out)]).toEqual([1, expect.objectContaining({ error: 'ArchiveInvalid' })]);
    expect(err).toMatch(/^tenon: .+\n$/);
    expect(JSON.parse((await inspected(folder, { json: true })).out)).toMatchObject({ error: 'ManifestNotFound' });
    await expect(inspected(path.join(folder, 'nothing'))).rejects.toThrow(TypeError);
  });
});

describe('tenon validate', () => {
  test('a bundle that a host would take is valid, and nothing is changed', async () => {
    const file = await bundleFile('counter');
    await unpack(file, path.join(folder, 'counter'));
    const before = await snapshot(folder);
    const report = await verdict(file);
    expect(report).toEqual({
      ok: true,
      kind: 'archive',
      id: 'counter',
      version: '1.0.0',
      library: { path: `prebuilds/${platform}/counter.so`, platform },
      problems: [{ severity: 'warning', message: expect.stringContaining('not signed') }],
    });
    expect(await verdict(path.join(folder, 'counter'))).toEqual({ ...report, kind: 'folder' });
    expect(await snapshot(folder)).toEqual(before);
  });

  test('its id is that of the manifest, whatever the file or the folder is called', async () => {
    const files = { 'config.yaml': 'name: Counter\n' };
    const file = await bundleFile('counter', { files });
    expect(await verdict(file)).toMatchObject({ ok: true, id: 'counter' });
    expect(await verdict(await unpack(file, path.join(folder, 'v')))).toMatchObject({ ok: true, id: 'counter' });
    const other = await bundleFile('counter', { files: { 'config.yaml': 'app_id: v\n' } });
    expect((await verdict(await unpack(other, path.join(folder, 'counter')))).problems).toContainEqual(
      expect.objectContaining({ pointer: '/id', message: 'is "counter", and config.yaml says "v"' }),
    );
  });

  /** Bundles that a host would refuse: what they are made of, and the code and the words of the refusal. */
  const refused: [string, () => Promise<BundleParts>, string, RegExp][] = [
    [
      'a library that crashes when it is opened',
      async () => ({ library: await buildPlugin('crash_in_constructor', { defines: { PLUGIN_ID: '"counter"' } }) }),
      'TrialCrashed',
      /./,
    ],
    ['a library of another plugin', async () => ({ library: await buildPlugin('ok') }), 'PluginIdMismatch', /"fault"/],
    [
      'a library of the future',
      async () => ({ library: await pluginOfTheFuture() }),
      'PrebuildUnavailable',
      /glibc 2\.99/,
    ],
    [
      'what is no library',
      async () => ({ library: path.join(root, 'package.json') }),
      'PrebuildUnavailable',
      /ELF magic/,
    ],
    [
      'another release in mind',
      async () => ({ manifest: { engines: { tenon: '>=99' } } }),
      'EngineUnsupported',
      />=99/,
    ],
    [
      'a schema that is wrong',
      async () => ({
        files: {
          'config.yaml': 'app_id: counter\nversion: 1.0.0\n',
          'schema.graphql': 'type A @table { id: ID @primaryKey }\ntype B @tabel { x: Int }\n',
        },
      }),
      'SchemaInvalid',
      /./,
    ],
    [
      'a config.yaml of another version',
      async () => ({ files: { 'config.yaml': 'app_id: counter\nversion: 2.0.0\n' } }),
      'InvalidManifest',
      /2\.0\.0/,
    ],
    [
      'a config.yaml that is wrong',
      async () => ({ files: { 'config.yaml': 'app_id: counter\nversion: 1.0.0\nport: 80\n' } }),
      'ConfigInvalid',
      /port/,
    ],
    [
      'a schema of its config that is none',
      async () => ({ manifest: { configSchema: { type: 'objekt' } } }),
      'InvalidManifest',
      /must be/,
    ],
    [
      'a manifest that is wrong',
      async () => ({ manifest: { isolation: 'none' } }),
      'InvalidManifest',
      /must be inline, process or auto/,
    ],
  ];

  test.each(refused)('one with %s is not valid', async (_, parts, code, words) => {
    const file = await bundleFile('counter', await parts());
    const report = await verdict(file);
    const errors = report.problems.filter(({ severity }) => severity === 'error');
    expect(report.ok).toBe(false);
    expect(errors.map((error) => error.message).join('\n')).toMatch(words);
    expect(errors.map((error) => error.code)).toContain(code);
  });

  describe('an application in a process of its own', () => {
    const inTheWay = (): string => path.join(folder, 'in-the-way');
    beforeEach(async () => {
      await mkdir(path.join(folder, 'fault'));
      await copyFile(await buildPlugin('ok'), path.join(folder, 'fault', 'fault.so'));
      await writeFile(inTheWay(), '');
    });
    const withConfig = async (isolation: string): Promise<ValidateReport> => {
      await writeFile(path.join(folder, 'fault', 'config.yaml'), `isolation: ${isolation}\n`);
      return verdict(path.join(folder, 'fault'));
    };
    const writing = (place: string): string => `{ writable: [${JSON.stringify(place)}] }`;

    test('may write to what it makes itself', async () => {
      for (const place of ['.state', path.join(folder, 'elsewhere', 'deep'), inTheWay()])
        expect(await withConfig(writing(place))).toMatchObject({ ok: true, problems: [] });
      const files = await readdir(folder, { recursive: true });
      expect(files.toSorted()).toEqual(['fault', 'fault/config.yaml', 'fault/fault.so', 'in-the-way']);
    });

    test.each([
      ['its own folder', () => '.', /names `\.`, which is or has what the application is made of/],
      ['its library', () => 'fault.so', /which is or has what the application is made of/],
      ['another application', () => '../other/.state', /which is or has an application of others/],
      ['the data directory', () => data(), /which is or has what the host keeps/],
      ['what is in the data directory', () => path.join(data(), 'x'), /which is or has what the host keeps/],
      ['a folder below a file', () => path.join(inTheWay(), 'x'), /in-the-way\/x: ENOTDIR/],
    ])('may not write to %s, as a host says', async (_, place, words) => {
      const { ok, problems } = await withConfig(writing(place()));
      expect(ok).toBe(false);
      expect(problems).toEqual([expect.objectContaining({ code: 'ConfigInvalid', severity: 'error' })]);
      expect(problems[0]?.message).toMatch(words);
    });

    test('may name what it likes where it runs in the host', async () => {
      expect(await withConfig('{ mode: inline, writable: [.] }')).toMatchObject({ ok: true });
    });
  });

  test('problems have their place', async () => {
    const file = await bundleFile('counter', { manifest: { permissions: ['all'], isolation: 'none' } });
    const { status, out, err } = await validated(file);
    expect([status, out]).toEqual([1, `${file}: not valid\n`]);
    expect(err).toMatch(/^manifest\.json: error: InvalidManifest: \/permissions\/0 /m);
    expect(err).toMatch(/^manifest\.json: error: InvalidManifest: \/isolation must be/m);
    const place = path.join(folder, 'todo');
    await mkdir(place);
    await writeFile(path.join(place, 'config.yaml'), 'app_id: todo\nport: 80\n');
    await writeFile(path.join(place, 'schema.graphql'), 'type A @tabel { id: ID }\n');
    const ofConfig = await verdict(place);
    expect(ofConfig.problems).toEqual([
      expect.objectContaining({ code: 'ConfigInvalid', file: 'config.yaml', line: 2, column: 1 }),
    ]);
    await writeFile(path.join(place, 'config.yaml'), 'app_id: todo\n');
    const ofSchema = await verdict(place);
    expect(ofSchema.ok).toBe(false);
    expect(ofSchema.problems).toContainEqual(expect.objectContaining({ file: 'schema.graphql', line: 1 }));
  });

  test('every file of a folder that is not the listed one is told', async () => {
    const place = await unpack(
      await bundleFile('counter', { files: { a: '1', b: '2', c: '3' } }),
      path.join(folder, 'counter'),
    );
    await writeFile(path.join(place, 'a'), 'x');
    await rm(path.join(place, 'c'));
    const { ok, problems } = await verdict(place);
    expect(ok).toBe(false);
    const damaged = problems.filter(({ code }) => code === 'BundleDamaged').map(({ message }) => message);
    expect(damaged).toEqual([expect.stringContaining(': a: '), expect.stringContaining(': c: ')]);
  });

  test('what was killed is not valid where that was done', async () => {
    const file = await bundleFile('counter');
    const [library] = (await reported(file)).libraries;
    await mkdir(data());
    await writeFile(
      path.join(data(), 'trust.json'),
      JSON.stringify({ keys: [], killed: [{ sha256: library?.sha256, reason: 'it leaks' }] }),
      { mode: 0o600 },
    );
    const { ok, problems } = await verdict(file);
    expect(ok).toBe(false);
    expect(problems).toContainEqual(
      expect.objectContaining({ code: 'BundleKilled', message: expect.stringContaining('it leaks') }),
    );
    expect((await verdict(file, { data: path.join(folder, 'other') })).ok).toBe(true);
  });

  test('a library for another machine than the manifest says is told', async () => {
    const lib = await readFile(await buildPlugin('ok'));
    const place = `prebuilds/${platform}/counter.so`;
    const file = await bundleFile('counter', {
      files: { 'other.so': lib, 'broken.so': 'x' },
      manifest: { entrypoints: { [platform]: place, 'linux-s390x': 'other.so', 'linux-ppc64': 'broken.so' } },
    });
    const { ok, problems } = await verdict(file);
    expect(ok).toBe(true);
    expect(problems).toContainEqual({
      severity: 'warning',
      file: 'other.so',
      message: `linux-s390x: the library is for linux-${thisPlatform().arch}`,
    });
    expect(problems).toContainEqual(expect.objectContaining({ severity: 'warning', file: 'broken.so' }));
  });

  test('a library alone is tried', async () => {
    expect(await verdict(await buildPlugin('ok'))).toEqual({ ok: true, kind: 'library', problems: [] });
    expect((await verdict(await buildPlugin('crash_in_constructor'))).ok).toBe(false);
  });

  test('sources whose version is not the one of config.yaml are told, with their place', async () => {
    const place = path.join(folder, 'counter');
    await mkdir(path.join(place, 'resources'), { recursive: true });
    await writeFile(path.join(place, 'config.yaml'), 'version: 0.2.0\n');
    const defines = '#define PLUGIN_ID "counter"\n#define PLUGIN_VERSION "0.1.0"\n';
    const source = await readFile(path.join(root, 'test/plugins/says_version.c'), 'utf8');
    await writeFile(path.join(place, 'resources', 'counter.c'), defines + source);
    const { ok, problems } = await verdict(place, { build: true });
    expect([ok, problems]).toEqual([
      true,
      [
        expect.objectContaining({
          severity: 'warning',
          file: 'resources/counter.c',
          line: expect.any(Number),
          message: 'TENON_PLUGIN says version 0.1.0, and config.yaml says 0.2.0',
        }),
      ],
    ]);
  });

  test('sources are compiled when that is asked for', async () => {
    const place = path.join(folder, 'broken');
    await mkdir(path.join(place, 'resources'), { recursive: true });
    await writeFile(path.join(place, 'config.yaml'), 'app_id: broken\n');
    await writeFile(path.join(place, 'resources', 'broken.cpp'), 'int broken() { return nothing; }\n');
    expect(await verdict(place)).toMatchObject({ ok: true, kind: 'application', id: 'broken' });
    const built = await verdict(place, { build: true });
    expect(built.ok).toBe(false);
    expect(built.problems).toContainEqual(
      expect.objectContaining({ severity: 'error', file: 'resources/broken.cpp', line: 1 }),
    );
    expect((await snapshot(place)).map((entry) => (entry as string[])[0])).toEqual([
      'config.yaml',
      'resources',
      path.join('resources', 'broken.cpp'),
    ]);
  });

  test('is a command with its own exit statuses', async () => {
    const file = await bundleFile('counter');
    const run = async (words: string[]): Promise<[unknown, Command]> => {
      const command = new Command(words, folder, {});
      const [status] = await command.exit;
      return [status, command];
    };
    const [[valid, { out }], [misuse, { err }], [shown, inspection]] = await Promise.all([
      run(['validate', file]),
      run(['validate', path.join(folder, 'nothing')]),
      run(['inspect', file]),
    ]);
    expect([valid, out]).toEqual([0, `counter 1.0.0: valid (${platform}: prebuilds/${platform}/counter.so)\n`]);
    expect([misuse, err]).toEqual([2, expect.stringContaining('nothing is not there')]);
    expect([shown, inspection.out]).toEqual([0, expect.stringContaining('counter 1.0.0')]);
    expect(await readdir(folder)).toEqual([path.basename(file)]);
  });
});
