import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { asTenonError, TenonError } from '../src/base/errors.js';
import { loadCore } from '../src/binding/core.js';
import { type Choice, choosePrebuild, type LibraryFacts } from '../src/bundle/choose.js';
import { libraryFacts } from '../src/bundle/library-facts.js';
import { type Manifest, parseManifest } from '../src/bundle/manifest.js';
import { type Platform, platformName, platformOf, thisPlatform } from '../src/bundle/platform.js';
import { buildPlugin } from './plugins/build.js';
import {
  crossCompiler,
  foreignArch,
  muslCompiler,
  noCrossCompiler,
  noMuslCompiler,
  pluginOfTheFuture,
} from './plugins/foreign.js';

const core = loadCore();
const debian: Platform = { os: 'linux', arch: 'x64', libc: 'glibc', libcVersion: '2.36' };
const alpine: Platform = { os: 'linux', arch: 'x64', libc: 'musl', libcVersion: undefined };
const mac: Platform = { os: 'darwin', arch: 'arm64', libc: undefined, libcVersion: undefined };
const fits: LibraryFacts = {
  os: 'linux',
  arch: 'x64',
  libc: undefined,
  glibcFloor: undefined,
  abi: { major: 1, minor: 0 },
};

function manifest(members: object): Manifest {
  return parseManifest(Buffer.from(JSON.stringify({ id: 'todo', version: '1.2.0', ...members })), 'todo.tgz');
}

/** What is chosen among libraries with these facts, each under the path that is its key. */
async function choose(
  libraries: Readonly<Record<string, LibraryFacts | TenonError>>,
  platform: Platform,
  members: object = {},
): Promise<Choice> {
  const entrypoints = Object.fromEntries(Object.keys(libraries).map((key) => [key, `${key}.so`]));
  return choosePrebuild(manifest({ entrypoints, ...members }), {
    platform,
    abi: { major: 1, minor: 2 },
    version: '1.4.0',
    inspect: async (path) =>
      libraries[path.replace(/\.so$/, '')] ?? new TenonError('EntrypointNotFound', `${path} is not there`),
  });
}

const chosen = (choice: Choice): string => ('path' in choice ? choice.platform : choice.refusal.code);

describe('of the libraries of a bundle', () => {
  test('the one for the very libc is before the one that names none, and that before the one for any machine', async () => {
    const all = { main: fits, 'linux-x64': fits, 'linux-x64-glibc': fits, 'linux-x64-musl': fits, 'linux-arm64': fits };
    expect(await choose(all, debian)).toEqual({ path: 'linux-x64-glibc.so', platform: 'linux-x64-glibc' });
    expect(chosen(await choose(all, alpine))).toBe('linux-x64-musl');
    const { 'linux-x64-glibc': _, 'linux-x64-musl': __, ...rest } = all;
    expect(chosen(await choose(rest, debian))).toBe('linux-x64');
    expect(chosen(await choose(rest, alpine))).toBe('linux-x64');
    expect(chosen(await choose({ main: fits, 'linux-arm64': fits }, debian))).toBe('main');
  });

  test.each<[string, Partial<LibraryFacts>, Platform, RegExp]>([
    ['another architecture', { arch: 'arm64' }, debian, /is for linux-arm64, whatever its name says/],
    ['another system', { os: 'darwin' }, debian, /is for darwin-x64/],
    ['another libc', { libc: 'musl' }, debian, /linux-x64 needs musl/],
    ['glibc on a machine without', { libc: 'glibc' }, alpine, /linux-x64 needs glibc/],
    ['a newer glibc', { libc: 'glibc', glibcFloor: '2.38' }, debian, /linux-x64 needs glibc 2.38/],
    ['a glibc that is newer by a third number', { glibcFloor: '2.36.1' }, debian, /needs glibc 2.36.1/],
    ['another contract', { abi: { major: 2, minor: 0 } }, debian, /is built for ABI 2.0/],
    ['an older contract', { abi: { major: 0, minor: 1 } }, debian, /is built for ABI 0.1/],
    ['a newer contract', { abi: { major: 1, minor: 3 } }, debian, /is built for ABI 1.3/],
  ])('one for %s is passed over, with a sentence', async (_, facts, platform, why) => {
    const wrong = { ...fits, ...facts };
    expect(chosen(await choose({ 'linux-x64': wrong, main: fits }, platform))).toBe('main');
    const choice = await choose({ 'linux-x64': wrong }, platform);
    expect('refusal' in choice && choice.refusal.message).toMatch(why);
  });

  test.each<Partial<LibraryFacts>>([
    { glibcFloor: '2.36', libc: 'glibc' },
    { glibcFloor: '2.9', libc: 'glibc' },
    { abi: { major: 1, minor: 2 } },
  ])('one with %j fits', async (facts) => {
    expect(chosen(await choose({ 'linux-x64': { ...fits, ...facts } }, debian))).toBe('linux-x64');
  });

  test('one for a glibc of which nobody knows the version is taken', async () => {
    const needy = { ...fits, libc: 'glibc', glibcFloor: '2.99' } as const;
    expect(chosen(await choose({ 'linux-x64': needy }, { ...debian, libcVersion: undefined }))).toBe('linux-x64');
  });

  test('none fits: what is needed and what is offered is told, each with its reason', async () => {
    const broken = new TenonError('ImageTruncated', 'a.so ends too early', { next: 'copy it again' });
    const choice = await choose(
      { 'linux-x64': { ...fits, glibcFloor: '2.40' }, main: broken, 'darwin-arm64': fits, 'linux-x64-musl': fits },
      debian,
    );
    const refusal = 'refusal' in choice ? choice.refusal : undefined;
    expect(refusal?.code).toBe('PrebuildUnavailable');
    expect(refusal?.message).toBe(
      'todo 1.2.0 has no library for this machine (linux-x64, glibc 2.36, ABI 1.2): linux-x64 needs glibc 2.40; main a.so ends too early; copy it again; darwin-arm64 is for other machines; linux-x64-musl is for other machines',
    );
    expect(refusal?.details).toEqual({
      needed: { platform: 'linux-x64', libc: 'glibc', libcVersion: '2.36', abi: '1.2' },
      offered: [
        { platform: 'linux-x64', path: 'linux-x64.so', why: 'needs glibc 2.40' },
        { platform: 'main', path: 'main.so', why: 'a.so ends too early; copy it again' },
        { platform: 'darwin-arm64', path: 'darwin-arm64.so', why: 'is for other machines' },
        { platform: 'linux-x64-musl', path: 'linux-x64-musl.so', why: 'is for other machines' },
      ],
    });
  });

  test('none is there: the refusal says so', async () => {
    const choice = await choose({}, mac, { files: {} });
    expect('refusal' in choice && choice.refusal.message).toBe(
      'todo 1.2.0 has no library at all; needed is one for darwin-arm64, ABI 1.2',
    );
  });

  test('a folder that lists nothing offers the file named after it', async () => {
    const asked: string[] = [];
    const inspect = async (path: string): Promise<LibraryFacts> => {
      asked.push(path);
      return { ...fits, os: path.endsWith('.so') ? 'linux' : 'darwin', arch: path.endsWith('.so') ? 'x64' : 'arm64' };
    };
    const options = { abi: { major: 1, minor: 0 }, version: '1.0.0', inspect };
    expect(await choosePrebuild(manifest({}), { ...options, platform: debian })).toEqual({
      path: 'todo.so',
      platform: 'main',
    });
    expect(await choosePrebuild(manifest({}), { ...options, platform: mac })).toMatchObject({ path: 'todo.dylib' });
    expect(asked).toEqual(['todo.so', 'todo.dylib']);
  });

  test.each([
    ['^1', true],
    ['>=1.4 <2', true],
    ['*', true],
    ['^2', false],
    ['<1.4.0', false],
  ])('those for Tenon %s are chosen of: %s', async (tenon, may) => {
    const choice = choose({ main: fits }, debian, { engines: { tenon, other: '^99' } });
    if (may) expect(chosen(await choice)).toBe('main');
    else
      await expect(choice).rejects.toMatchObject({
        code: 'EngineUnsupported',
        message: `todo 1.2.0 is for Tenon ${tenon}, this is 1.4.0`,
      });
  });

  test('what is chosen is what a plain model of the rule chooses', async () => {
    const keys = [
      'main',
      'linux-x64',
      'linux-x64-glibc',
      'linux-x64-musl',
      'linux-arm64',
      'linux-arm64-musl',
      'darwin-arm64',
    ];
    const drawnFacts = fc.record({
      os: fc.constantFrom('linux', 'linux', 'linux', 'darwin'),
      arch: fc.constantFrom('x64', 'arm64'),
      libc: fc.constantFrom('glibc' as const, 'musl' as const, undefined),
      glibcFloor: fc.constantFrom(undefined, '2.4', '2.17', '2.31', '2.40'),
      abi: fc.record({ major: fc.constantFrom(1, 1, 1, 2), minor: fc.nat(3) }),
    });
    const failure = new TenonError('ImageFormat', 'it is no library');
    const drawnPlatform = fc.constantFrom(debian, alpine, mac, { ...debian, arch: 'arm64', libcVersion: '2.31' });
    const number = (version: string): number => Number(version.split('.')[1]);
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(fc.constantFrom(...keys), fc.oneof({ arbitrary: drawnFacts, weight: 9 }, fc.constant(failure))),
        drawnPlatform,
        async (libraries, platform) => {
          const plain = `${platform.os}-${platform.arch}`;
          const rank = (key: string): number =>
            platform.libc !== undefined && key === `${plain}-${platform.libc}`
              ? 3
              : key === plain
                ? 2
                : key === 'main'
                  ? 1
                  : 0;
          const fitting = Object.entries(libraries).filter(([key, facts]) => {
            if (facts instanceof TenonError || rank(key) === 0) return false;
            const { libc, libcVersion = '9.999' } = platform;
            return (
              `${facts.os}-${facts.arch}` === plain &&
              (facts.libc ?? libc) === (libc ?? facts.libc) &&
              number(facts.glibcFloor ?? '2.0') <= number(libcVersion) &&
              facts.abi.major === 1 &&
              facts.abi.minor <= 2
            );
          });
          const [best] = fitting.toSorted(([one], [other]) => rank(other) - rank(one));
          const choice = await choose(libraries, platform, { files: undefined });
          const offered = Object.keys(libraries).length;
          if (offered > 0) expect(chosen(choice)).toBe(best?.[0] ?? 'PrebuildUnavailable');
          if ('refusal' in choice) expect(choice.refusal.details['offered']).toHaveLength(Math.max(offered, 1));
        },
      ),
      { numRuns: 1_000 },
    );
  });
});

describe('of libraries as compilers make them', () => {
  const here = thisPlatform();
  const chosenOf = async (files: Readonly<Record<string, string>>, platform = here): Promise<Choice> =>
    choosePrebuild(manifest({ entrypoints: Object.fromEntries(Object.keys(files).map((key) => [key, key])) }), {
      platform,
      abi: core.abi,
      version: '1.0.0',
      inspect: async (key) => {
        try {
          return libraryFacts(readFileSync(files[key] ?? ''), core);
        } catch (error) {
          return asTenonError(error);
        }
      },
    });
  const name = `${here.os}-${here.arch}`;

  test('that of this machine is chosen, and that of a glibc to come is not', async () => {
    const [ok, future] = [await buildPlugin('exit_in_constructor'), await pluginOfTheFuture()];
    expect(await chosenOf({ [name]: ok, main: future })).toEqual({ path: name, platform: name });
    const choice = await chosenOf({ [name]: future });
    expect('refusal' in choice && choice.refusal.message).toContain(`${name} needs glibc 2.99`);
  });

  test.skipIf(noMuslCompiler !== undefined)(
    `that for musl is chosen there and not here (${noMuslCompiler ?? muslCompiler})`,
    async () => {
      const files = {
        [name]: await buildPlugin('exit_in_constructor'),
        [`${name}-musl`]: await buildPlugin('exit_in_constructor', { compiler: muslCompiler }),
      };
      expect(chosen(await chosenOf(files))).toBe(name);
      expect(chosen(await chosenOf(files, { ...here, libc: 'musl', libcVersion: undefined }))).toBe(`${name}-musl`);
      expect(chosen(await chosenOf({ main: files[`${name}-musl`] ?? '' }))).toBe('PrebuildUnavailable');
    },
  );

  test.skipIf(noCrossCompiler !== undefined)(
    `that for ${foreignArch} is chosen there and not here (${noCrossCompiler ?? crossCompiler})`,
    async () => {
      const files = { main: await buildPlugin('exit_in_constructor', { compiler: crossCompiler }) };
      expect(chosen(await chosenOf(files))).toBe('PrebuildUnavailable');
      expect(chosen(await chosenOf(files, { ...here, arch: foreignArch, libcVersion: '2.99' }))).toBe('main');
    },
  );
});

describe('this machine', () => {
  test('is what a process says of it', () => {
    const readings = { platform: 'linux', arch: 'x64', glibcVersion: '2.36', openLibraries: ['/lib/libc.so.6'] };
    expect(platformOf(readings)).toEqual(debian);
    const musl = ['/usr/bin/node', '/lib/ld-musl-x86_64.so.1'];
    expect(platformOf({ ...readings, glibcVersion: undefined, openLibraries: musl })).toEqual(alpine);
    expect(platformOf({ ...readings, glibcVersion: undefined, openLibraries: ['/lib/libc.so'] }).libc).toBeUndefined();
    expect(platformOf({ ...readings, platform: 'darwin', arch: 'arm64', glibcVersion: undefined })).toEqual(mac);
  });

  test('has a name, in which glibc is not told', () => {
    expect([debian, alpine, mac].map(platformName)).toEqual(['linux-x64', 'linux-x64-musl', 'darwin-arm64']);
  });

  test('is asked once', () => {
    expect(thisPlatform()).toBe(thisPlatform());
    expect(thisPlatform()).toMatchObject({ os: process.platform, arch: process.arch });
    if (process.platform === 'linux') expect(thisPlatform().libc).toBeDefined();
    if (thisPlatform().libc === 'glibc') expect(thisPlatform().libcVersion).toMatch(/^\d+\.\d+/);
  });
});
