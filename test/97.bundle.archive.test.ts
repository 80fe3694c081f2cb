import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TenonError } from '../src/base/errors.js';
import { type ArchiveFile, type ArchiveLimits, readArchive } from '../src/bundle/archive.js';
import { bundleOf } from '../src/bundle/bundle.js';
import { writeArchive } from '../src/bundle/write-archive.js';
import { hostileArchives } from './bundle/hostile.js';
import { knownFiles } from './bundle/known-files.js';
import { mutant, sound } from './bundle/mutants.js';
import { paxNamed, rawTar, zip } from './bundle/raw-tar.js';
import { type Found, foundByTars, madeByTar, noTars } from './bundle/tar-tools.js';
import { snapshot } from './bundle/tree-snapshot.js';

/** The error that reading `archive` comes to; fails when it is read. */
async function refusal(archive: Buffer | AsyncIterable<Uint8Array>, limits?: ArchiveLimits): Promise<TenonError> {
  const files = await readArchive(archive, limits).catch((error: unknown) => error);
  if (files instanceof TenonError) return files;
  throw new Error(`it was read: ${JSON.stringify(files)}`, { cause: files });
}

describe('a hostile archive', () => {
  let sandbox: string;
  const home = process.cwd();
  beforeAll(() => {
    sandbox = mkdtempSync(path.join(os.tmpdir(), 'tenon-archive-'));
    mkdirSync(path.join(sandbox, 'inner', 'a'), { recursive: true });
    for (const file of ['x', 'inner/x', 'inner/a/b', 'inner/manifest.json'])
      writeFileSync(path.join(sandbox, file), file);
    process.chdir(path.join(sandbox, 'inner'));
  });
  afterAll(() => {
    process.chdir(home);
    rmSync(sandbox, { recursive: true });
  });

  test.each(hostileArchives)('$code of $name', async ({ archive, code, rule, limits }) => {
    const before = snapshot(sandbox);
    const error = await refusal(archive, limits);
    expect([error.code, error.details['rule'], error.message]).toEqual([code, rule, expect.any(String)]);
    expect(snapshot(sandbox)).toEqual(before);
  });

  test('is one of many, and no two are the same', () => {
    expect(new Set(hostileArchives.map(({ name }) => name)).size).toBe(hostileArchives.length);
    expect(
      new Set(hostileArchives.map(({ archive, limits }) => `${archive.toString('hex')} ${limits?.timeMs}`)).size,
    ).toBe(hostileArchives.length);
    expect(hostileArchives.length).toBeGreaterThan(80);
  });
});

describe('a type of an entry', () => {
  test('is file or folder, of all there could be', async () => {
    const outcomes = new Map<string, string[]>();
    for (let type = 0; type < 256; type += 1) {
      const archive = zip(rawTar([{ name: 'a', type, body: type === 0x35 ? '' : 'x' }]));
      const outcome = await readArchive(archive).then(
        (files) => JSON.stringify(files.map(({ path: file, bytes }) => [file, bytes.toString()])),
        (error: TenonError) => `${error.code} ${String(error.details['rule'])} ${String(error.details['entry'])}`,
      );
      outcomes.set(outcome, [...(outcomes.get(outcome) ?? []), String.fromCharCode(type)]);
    }
    expect(outcomes.get('[["a","x"]]')).toEqual(['\0', '0']);
    expect(outcomes.get('[]')).toEqual(['5']);
    expect(outcomes.get('ArchiveInvalid pax 1')).toEqual(['x']);
    expect(outcomes.get('ArchiveType type 1')).toHaveLength(252);
  });
});

describe('a refusal', () => {
  test('names the entry, its path and the rule, and what to do', async () => {
    const error = await refusal(zip(rawTar([{ name: 'a' }, ...paxNamed('../x')])));
    expect(error).toMatchObject({
      message: 'entry 2 ("../x") has an empty name, "." or ".." in it',
      details: { entry: 2, path: '../x', rule: 'segment' },
    });
    expect(error.next).toBeDefined();
  });

  test('is not longer for a longer path', async () => {
    const error = await refusal(zip(rawTar(paxNamed('/\u0001\u202E'.repeat(2000)))));
    expect(error.message.length).toBeLessThan(1500);
    expect(error.message).toMatch(/^\P{C}+$/u);
  });

  test('of a limit names the limit', async () => {
    const limits = { entries: 1 };
    expect(await refusal(zip(rawTar([{ name: 'a' }, { name: 'b' }])), limits)).toMatchObject({
      status: 413,
      details: { limit: 1, rule: 'entries' },
    });
  });
});

describe('a source', () => {
  const archive = zip(rawTar([{ name: 'a', body: 'x'.repeat(2000) }]));
  const read = [{ path: 'a', bytes: Buffer.from('x'.repeat(2000)) }];

  test('may give its bytes in any pieces', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(archive.length), { maxLength: 20 }), async (cuts) => {
        const places = [0, ...cuts.sort((one, other) => one - other), archive.length];
        const pieces = places.slice(1).map((end, at) => new Uint8Array(archive.subarray(places[at], end)));
        expect(await readArchive(Readable.from(pieces, { objectMode: true }))).toEqual(read);
      }),
      { numRuns: 100 },
    );
    const bytes = Array.from(archive, (byte) => Buffer.of(byte));
    expect(await readArchive(Readable.from(bytes))).toEqual(read);
  });

  test('that fails is what reading fails with', async () => {
    const failure = new Error('the line is cut');
    const source = Readable.from(
      (async function* () {
        yield archive.subarray(0, 20);
        throw failure;
      })(),
    );
    await expect(readArchive(source)).rejects.toBe(failure);
  });

  test('that gives something else than bytes is a mistake', async () => {
    await expect(readArchive(Readable.from(['text']))).rejects.toThrow(TypeError);
  });

  test('is left when the archive is refused', async () => {
    let left = false;
    const endless = (async function* () {
      try {
        for (;;) yield Buffer.from('no archive');
      } finally {
        left = true;
      }
    })();
    expect((await refusal(endless)).code).toBe('ArchiveInvalid');
    expect(left).toBe(true);
  });

  test('that is a stream is destroyed when the time is over, whatever it waits for', async () => {
    const source = new Readable({ read: () => undefined });
    source.push(archive.subarray(0, 30));
    expect(await refusal(source, { timeMs: 20 })).toMatchObject({ code: 'ArchiveTooLarge', details: { rule: 'time' } });
    expect(source.destroyed).toBe(true);
  });

  test('that gives nothing for ever, and never waits, is left when the time is over', async () => {
    const source = (async function* () {
      for (;;) yield Buffer.alloc(0);
    })();
    expect((await refusal(source, { timeMs: 20 })).details).toEqual({ limit: 20, rule: 'time' });
  });

  test('keeps what was read when it uses its bytes again', async () => {
    const buffer = Buffer.alloc(100);
    const source = (async function* () {
      for (let at = 0; at < archive.length; at += buffer.length)
        yield buffer.subarray(0, archive.copy(buffer, 0, at, at + buffer.length));
    })();
    expect(await readArchive(source)).toEqual(read);
  });
});

describe.skipIf(process.platform !== 'linux')('memory', () => {
  const run = promisify(execFile);
  const bomb = path.join(import.meta.dirname, 'bundle', 'bomb.ts');
  test.each([
    [{ '64 MiB that compress well, and more': 'ArchiveInvalid checksum' }],
    [{ '64 MiB that do not compress, and more': 'ArchiveTooLarge bytes' }],
    [
      {
        'zeros for ever': 'ArchiveTooLarge ratio',
        'a million entries': 'ArchiveTooLarge entries',
        'extended headers for ever': 'ArchiveTooLarge entries',
        'zeros behind the end': 'ArchiveTooLarge ratio',
        'empty blocks for ever': 'ArchiveTooLarge bytes',
        'a name for ever': 'ArchiveInvalid gzip',
        'nothing for ever': 'ArchiveTooLarge time',
        '60 MiB of nothing at once': 'ArchiveTooLarge ratio',
      },
    ],
  ])('stays flat under %o', async (expected) => {
    const program = ['--import', import.meta.resolve('tsx'), bomb, ...Object.keys(expected)];
    const { stdout } = await run(process.execPath, program);
    const outcomes = JSON.parse(stdout) as Record<string, { said: string; growth: number }>;
    expect(Object.fromEntries(Object.entries(outcomes).map(([name, { said }]) => [name, said]))).toEqual(expected);
    for (const { growth } of Object.values(outcomes)) expect(growth).toBeLessThan(76);
  });
});

describe('damage', () => {
  const files: ArchiveFile[] = [
    { path: 'manifest.json', bytes: Buffer.from('{"id": "damaged"}') },
    { path: 'data/list.json', bytes: Buffer.from(JSON.stringify(Array.from({ length: 60 }, (_, at) => at * at))) },
  ];
  const archive = writeArchive(files);
  /** Whether it is read; then it must be the same. */
  const isSame = async (damaged: Buffer): Promise<boolean> => {
    try {
      expect(await readArchive(damaged)).toEqual(files);
      return true;
    } catch (error) {
      if (!(error instanceof TenonError)) throw error;
      return false;
    }
  };

  test('of one byte is seen wherever it changes what is read', async () => {
    const accepted = new Set<number>();
    for (const [at, byte] of archive.entries())
      for (const other of [byte ^ 1, byte ^ 0x80, (byte + 97) % 256]) {
        const damaged = Buffer.from(archive);
        damaged[at] = other;
        if (await isSame(damaged)) accepted.add(at);
      }
    // Time and system in the gzip header, and codes of the compression that nothing uses.
    expect([...accepted].slice(0, 6)).toEqual([4, 5, 6, 7, 8, 9]);
    expect(accepted.size).toBeLessThan(archive.length / 20);
  });

  test('by an end too early is seen, wherever it is', async () => {
    for (let length = 0; length < archive.length; length += 1)
      expect([length, await isSame(archive.subarray(0, length))]).toEqual([length, false]);
  });
});

describe('a name', () => {
  const letters = fc.constantFrom(
    ...'abAB01._- /\\:*?"<>|\0\n\x7f\x80éÉßſ\u0301\u200B\u202E\uFF0F\uD83D\uDE00~$#%'.split(''),
  );
  const anything = fc.oneof(
    fc.string({ unit: letters, maxLength: 12 }),
    fc.string({ unit: 'binary', maxLength: 8 }),
    fc
      .array(fc.constantFrom('..', '.', 'a', '', ' ', 'con', 'b.c', '-x', 'nul.h', 'A'), { maxLength: 5 })
      .map((parts) => parts.join('/')),
  );

  test('that is read leads nowhere else, on any system', async () => {
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(anything, async (name) => {
        const files = await readArchive(zip(rawTar(paxNamed(name)))).catch((error: TenonError) => {
          expect(['ArchivePath', 'ArchiveInvalid']).toContain(error.code);
          return [];
        });
        for (const { path: file } of files) {
          accepted += 1;
          expect(file).toBe(name);
          expect(file.normalize('NFC')).toBe(file);
          for (const system of [path.posix, path.win32]) {
            expect(system.isAbsolute(file)).toBe(false);
            expect(system.normalize(file).replaceAll('\\', '/')).toBe(file);
            expect(system.relative('x', system.join('x', file)).replaceAll('\\', '/')).toBe(file);
          }
          expect(file).toMatch(/^[^\p{C}\p{Z}/\\:*?"<>|]/u);
          expect(file.split('/').some((part) => /[. ]$|^(con|nul)(\.|$)/i.test(part))).toBe(false);
        }
      }),
      { numRuns: 3000 },
    );
    expect(accepted).toBeGreaterThan(100);
  });
});

describe('an archive', () => {
  const name = fc.stringMatching(/^[a-zA-Z0-9_äß日][a-zA-Z0-9_. äß日-]{0,60}[a-z0-9]$/);
  const trees = fc.uniqueArray(
    fc.record({
      path: fc.array(name, { minLength: 1, maxLength: 8 }).map((names) => names.join('/')),
      bytes: fc.uint8Array({ maxLength: 1500 }).map((bytes) => Buffer.from(bytes)),
    }),
    { selector: ({ path: file }) => file.toUpperCase(), maxLength: 12 },
  );

  test('that is written is read again, and is the same each time', async () => {
    let written = 0;
    await fc.assert(
      fc.asyncProperty(trees, async (files) => {
        let archive: Buffer;
        try {
          archive = writeArchive(files);
        } catch (error) {
          expect((error as TenonError).details['rule']).toMatch(/^(spelling|inside|reserved|form|long)$/);
          return;
        }
        written += 1;
        expect(await readArchive(archive)).toEqual(files);
        expect(writeArchive(files).equals(archive)).toBe(true);
      }),
      { numRuns: 150 },
    );
    expect(written).toBeGreaterThan(100);
  });

  test('is the same on every machine', async () => {
    const program = path.join(import.meta.dirname, 'bundle', 'known-archive.ts');
    const here = createHash('sha256').update(writeArchive(knownFiles)).digest('hex');
    expect(here).toBe('1626fc59a449ab0e0eeca1316977b5f0ff70394c4c7a7554e09bb0d76cbfa107');
    const environment = { ...process.env, TZ: 'Asia/Kathmandu', LC_ALL: 'tr_TR.UTF-8', LANG: 'tr_TR.UTF-8' };
    const { stdout } = await promisify(execFile)(process.execPath, ['--import', import.meta.resolve('tsx'), program], {
      env: environment,
    });
    expect(stdout).toBe(here);
  });

  test.each([
    ['segment', [{ path: '../x', bytes: Buffer.alloc(0) }]],
    ['character', [{ path: 'a\uD800', bytes: Buffer.alloc(0) }]],
    ['reserved', [{ path: 'aux.c', bytes: Buffer.alloc(0) }]],
    ['form', [{ path: 'e\u0301', bytes: Buffer.alloc(0) }]],
    ['twice', ['a', 'a'].map((file) => ({ path: file, bytes: Buffer.alloc(0) }))],
    ['spelling', ['a', 'A'].map((file) => ({ path: file, bytes: Buffer.alloc(0) }))],
    ['inside', ['a', 'a/b'].map((file) => ({ path: file, bytes: Buffer.alloc(0) }))],
    ['entries', Array.from({ length: 1001 }, (_, at) => ({ path: `f${at}`, bytes: Buffer.alloc(0) }))],
    ['bytes', [{ path: 'a', bytes: Buffer.alloc(64 * 1024 ** 2 + 1) }]],
    ['ratio', [{ path: 'a', bytes: Buffer.alloc(10 * 1024 ** 2) }]],
  ])('that would be refused for %s is not written', (rule, files) => {
    let error: unknown;
    try {
      writeArchive(files);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ code: 'PackFailed', details: { rule } });
  });

  test('may have 1,000 files, names of 255 bytes, 16 of them, and 1,024 bytes of path', async () => {
    const long = `${'x'.repeat(255)}/`.repeat(3) + 'y'.repeat(256 - 1);
    const deep = Array.from({ length: 16 }, () => 'd').join('/');
    const files = [long, deep, ...Array.from({ length: 998 }, (_, at) => `f${at}`)].map((file) => ({
      path: file,
      bytes: Buffer.from('x'),
    }));
    expect(await readArchive(writeArchive(files))).toEqual(files);
  });
});

describe.skipIf(noTars !== undefined)(`GNU tar and bsdtar ${noTars ?? ''}`, () => {
  const found = (files: readonly ArchiveFile[]): Record<'gnu' | 'bsd', Found> => {
    const same = {
      listed: files.map(({ path: file }) => file),
      extracted: new Map(files.map(({ path: file, bytes }) => [file, bytes])),
    };
    return { gnu: same, bsd: same };
  };

  test('find the same in what is written', () => {
    const files = [...knownFiles, { path: `${'n'.repeat(120)}/${'ü'.repeat(80)}`, bytes: Buffer.from('long') }];
    expect(foundByTars(writeArchive(files))).toEqual(found(files));
  });

  test('find the same in what is read', async () => {
    const samples = fc.sample(mutant, { numRuns: 300, seed: 8 });
    let accepted = 0;
    for (const archive of [zip(sound), ...samples]) {
      const files = await readArchive(archive).catch(() => undefined);
      if (files === undefined) continue;
      accepted += 1;
      expect(foundByTars(archive)).toEqual(found(files));
    }
    expect(accepted).toBeGreaterThan(10);
    expect(accepted).toBeLessThan(samples.length / 2);
  });

  test.each([
    ['gnu', []],
    ['gnu', ['--format=ustar']],
    ['gnu', ['--format=posix']],
    ['bsd', ['--format=ustar']],
    ['bsd', ['--format=pax']],
  ] as const)('make archives that are read: %s %j', async (kind, words) => {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'tenon-made-'));
    try {
      const inner = path.join(folder, 'data', 'n'.repeat(90));
      mkdirSync(inner, { recursive: true });
      writeFileSync(path.join(folder, 'manifest.json'), '{}');
      writeFileSync(path.join(folder, 'data', 'one'), 'x'.repeat(600));
      writeFileSync(path.join(inner, 'file'), '');
      const files = await readArchive(madeByTar(kind, folder, words));
      expect(new Map(files.map(({ path: file, bytes }) => [file, bytes.toString()]))).toEqual(
        new Map([
          [`data/${'n'.repeat(90)}/file`, ''],
          ['data/one', 'x'.repeat(600)],
          ['manifest.json', '{}'],
        ]),
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('a bundle', () => {
  const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
  const library: ArchiveFile = { path: 'prebuilds/linux-x64/some.so', bytes: Buffer.from('no library') };
  const said = { sha256: sha256(library.bytes), size: library.bytes.length };
  const manifestOf = (files: unknown, name = 'manifest.json'): ArchiveFile => ({
    path: name,
    bytes: Buffer.from(
      JSON.stringify({ id: 'some', version: '1.0.0', entrypoints: {}, ...(files === undefined ? {} : { files }) }),
    ),
  });
  const manifest = manifestOf({ [library.path]: said });
  const refused = (files: readonly ArchiveFile[]): unknown => {
    try {
      return bundleOf(files, 'some.tgz');
    } catch (error) {
      return error;
    }
  };

  test('is its manifest, its signature and its files', () => {
    const signature = { path: 'manifest.sig', bytes: Buffer.from('signed') };
    const bundle = bundleOf([library, signature, manifest], 'some.tgz');
    expect(bundle).toMatchObject({
      manifest: { id: 'some' },
      sha256: sha256(manifest.bytes),
      signature: signature.bytes,
    });
    expect(bundle.manifestBytes.equals(manifest.bytes)).toBe(true);
    expect([...bundle.files]).toEqual([[library.path, library.bytes]]);
    expect(bundleOf([manifest, library], 'some.tgz').signature).toBeUndefined();
  });

  test.each([
    ['ManifestNotFound', undefined, []],
    ['ManifestNotFound', undefined, [{ ...manifest, path: 'package/manifest.json' }, library]],
    ['ManifestNotFound', undefined, [{ ...manifest, path: 'MANIFEST.json' }, library]],
    ['InvalidManifest', undefined, [{ path: 'manifest.json', bytes: Buffer.from('{') }]],
    ['InvalidManifest', undefined, [manifestOf(undefined), library]],
    ['BundleDamaged', 'missing', [manifest]],
    ['BundleDamaged', 'unlisted', [manifest, library, { path: 'more', bytes: Buffer.alloc(0) }]],
    ['BundleDamaged', 'unlisted', [manifestOf({}), { path: '__proto__', bytes: Buffer.alloc(0) }]],
    ['BundleDamaged', 'size', [manifest, { ...library, bytes: Buffer.from('no') }]],
    ['BundleDamaged', 'sha256', [manifest, { ...library, bytes: Buffer.from('no librarY') }]],
    ['BundleDamaged', 'twice', [manifest, library, library]],
    ['BundleDamaged', 'twice', [manifest, manifest, library]],
  ])('is refused as %s %s', (code, rule, files) => {
    const error = refused(files);
    expect(error).toMatchObject({ code, message: expect.stringContaining('some.tgz') });
    if (rule !== undefined) expect(error).toMatchObject({ details: { rule, path: expect.any(String) } });
  });
});
