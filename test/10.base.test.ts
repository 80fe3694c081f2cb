import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Closer } from '../src/base/closer.js';
import { resolveSettings } from '../src/base/config.js';
import { replaceFile, replaceFileSync } from '../src/base/replace-file.js';

describe('settings', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(path.join(os.tmpdir(), 'tenon-settings-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  const write = (text: string): Promise<void> => writeFile(path.join(directory, 'tenon.yaml'), text);

  test('a flag is over the environment, that over tenon.yaml, that over the default; each tells where it is from', async () => {
    await write('port: 1001\nhost: from-file\nlimits:\n  drainMs: 5\nlog: { level: warn }\n');
    const variables = { PORT: '1002', HOST: 'from-environment', TENON_ADMIN_TOKEN: 'hush' };
    const { settings, printed } = resolveSettings({ flags: { port: 1003 }, variables, directory });
    expect(settings).toMatchObject({
      port: 1003,
      host: 'from-environment',
      drainMs: 5,
      logLevel: 'warn',
      hotReload: true,
    });
    const sources = Object.fromEntries(printed.map(({ name, source }) => [name, source]));
    expect(sources).toMatchObject({
      port: 'flag',
      host: 'environment',
      drainMs: 'tenon.yaml',
      logLevel: 'tenon.yaml',
      hotReload: 'default',
    });
    expect(printed.find(({ name }) => name === 'adminToken')?.value).toBe('********');
  });

  test('paths are absolute, from the directory of the start', () => {
    const { settings } = resolveSettings({ flags: { data: 'elsewhere' }, variables: {}, directory });
    expect(settings.data).toBe(path.join(directory, 'elsewhere'));
    expect(settings.applications).toBe(path.join(directory, 'applications'));
  });

  test('an unknown key of tenon.yaml is refused with its line and what was meant', async () => {
    await write('port: 1\nhotReload:\n  debounceMS: 5\n');
    expect(() => resolveSettings({ variables: {}, directory })).toThrow(
      expect.objectContaining({
        code: 'SettingsInvalid',
        message: expect.stringContaining('tenon.yaml:3: there is no setting `hotReload.debounceMS`'),
        next: 'write `hotReload.debounceMs`, if that was meant',
      }),
    );
  });

  test('a section that is misspelt is guessed, and of other keys it is said where all of them stand', async () => {
    await write('lmits:\n  drainMs: 5\n');
    const resolve = (): unknown => resolveSettings({ variables: {}, directory });
    expect(resolve).toThrow(expect.objectContaining({ next: 'write `limits`, if that was meant' }));
    await write('somethingElse: 5\n');
    expect(resolve).toThrow(expect.objectContaining({ next: 'see all of them with `tenon start --print-config`' }));
  });

  test('the admin port is a number in tenon.yaml, too', async () => {
    await write('admin:\n  port: 9090\n');
    expect(resolveSettings({ variables: {}, directory }).settings.adminPort).toBe('9090');
    await write('admin:\n  port: 65536\n');
    expect(() => resolveSettings({ variables: {}, directory })).toThrow('65536 is not a port, 0 to 65535');
  });

  test.each([
    ['isolation: { memory: 8388608 }', /tenon\.yaml:1: isolation: a mapping is not inline, process or auto$/],
    ['port: { number: 80 }', /tenon\.yaml:1: port: a mapping is not a whole number from 0 to 65535$/],
    ['port: "a lot"', /tenon\.yaml:1: port: "a lot" is not a whole number from 0 to 65535/],
    ['- port', /not a map of settings/],
    ['port: 1\nport: 2', /tenon\.yaml:2/],
    ['host: [a, b]', /tenon\.yaml:1: host/],
  ])('%j in tenon.yaml is refused', async (text, sentence) => {
    await write(text);
    expect(() => resolveSettings({ variables: {}, directory })).toThrow(sentence);
  });

  test('a mapping in place of how plugins are isolated is said to belong into their config.yaml', async () => {
    await write('isolation: { memory: 8388608 }\n');
    expect(() => resolveSettings({ variables: {}, directory })).toThrow(
      expect.objectContaining({
        next: 'give inline, process or auto; what a mapping says is for each application to say, in the `isolation` of its config.yaml',
      }),
    );
  });

  test('a wrong variable and a wrong flag are named', () => {
    expect(() => resolveSettings({ variables: { TENON_HOT_RELOAD_ENABLED: 'maybe' }, directory })).toThrow(
      'environment variable TENON_HOT_RELOAD_ENABLED: "maybe" is not true or false',
    );
    const unsendable = { TENON_ADMIN_TOKEN: 'two words' };
    expect(() => resolveSettings({ variables: unsendable, directory })).toThrow(
      'environment variable TENON_ADMIN_TOKEN: the value is not visible ASCII characters without a blank',
    );
    expect(() => resolveSettings({ variables: { TENON_ADMIN_HOSTS: 'a.example:80' }, directory })).toThrow(
      'TENON_ADMIN_HOSTS: "a.example:80" is not names separated by commas, without ports',
    );
    expect(() => resolveSettings({ flags: { port: -1 }, variables: {}, directory })).toThrow(TypeError);
    const misspelt = { prot: 1 } as Record<string, number>;
    expect(() => resolveSettings({ flags: misspelt, variables: {}, directory })).toThrow('did you mean port?');
  });

  test('patterns are a list in tenon.yaml, and separated by commas elsewhere, but for those between braces', async () => {
    await write('hotReload:\n  excludePatterns: [.*, "*.bak"]\n');
    const variables = { TENON_HOT_RELOAD_WATCH_PATTERNS: 'resources/**, *.{so,dylib} ,' };
    const { settings } = resolveSettings({ variables, directory });
    expect(settings.excludePatterns).toEqual(['.*', '*.bak']);
    expect(settings.watchPatterns).toEqual(['resources/**', '*.{so,dylib}']);
  });

  test.each([
    ['watchPatterns: []', 'a list of at least one pattern'],
    ['watchPatterns: [{a: 1}]', 'a list of patterns'],
    ['excludePatterns: [../*]', 'a list, each a pattern of paths inside the application'],
    [
      'excludePatterns: ["*a*a*a*a*a*a*a*a*a"]',
      'a list, each a pattern of at most 200 characters and 8 wildcards, 3 in one part of a path',
    ],
    [
      'excludePatterns: ["*a*a*a*"]',
      'a list, each a pattern of at most 200 characters and 8 wildcards, 3 in one part of a path',
    ],
    ['excludePatterns: ["(a+)+b"]', 'a list, each a pattern without parentheses and without "!" before it'],
    ['maxRetries: -1', 'a whole number from 0 to 100'],
  ])('%j of hot reload is refused', async (text, expected) => {
    await write(`hotReload:\n  ${text}\n`);
    expect(() => resolveSettings({ variables: {}, directory })).toThrow(
      expect.objectContaining({ code: 'SettingsInvalid', next: `give ${expected}` }),
    );
  });

  test('every setting of hot reload has a variable', () => {
    const own = resolveSettings({ variables: {}, directory }).printed.map(({ environment }) => environment);
    expect(own.filter((name) => name?.startsWith('TENON_HOT_RELOAD_'))).toHaveLength(11);
  });

  test('NO_COLOR turns colours off', () => {
    expect(resolveSettings({ variables: { NO_COLOR: '1' }, directory }).settings.color).toBe(false);
  });
});

describe('closing', () => {
  test('is the reverse of set-up, once, whatever fails on the way', async () => {
    const closed: string[] = [];
    const closer = new Closer();
    closer.add('ground', () => closed.push('ground'));
    closer.add('wall', () => {
      throw new Error('it sticks');
    });
    closer.add('roof', async () => {
      await Promise.resolve();
      closed.push('roof');
    });
    await expect(closer.close()).rejects.toThrow('wall did not close: it sticks');
    await expect(closer.close()).rejects.toThrow('it sticks');
    expect(closed).toEqual(['roof', 'ground']);
    expect(() => closer.add('late', () => {})).toThrow(TypeError);
  });
});

describe('replacing a file', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(path.join(os.tmpdir(), 'tenon-replace-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  test('puts all pieces in its place, for the owner alone, over what a killed process has left', async () => {
    const file = path.join(directory, 'facts');
    await writeFile(`${file}.new`, 'half of someth');
    await replaceFile(file, ['one ', Buffer.from('two')], { durable: true });
    expect(await readFile(file, 'utf8')).toBe('one two');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    await Promise.all(['three', 'three'].map((text) => replaceFile(file, text, { shared: true })));
    expect(await readFile(file, 'utf8')).toBe('three');
    replaceFileSync(file, 'four');
    expect(await readFile(file, 'utf8')).toBe('four');
    expect(await readdir(directory)).toEqual(['facts']);
  });

  test('leaves what is there, and nothing else, when it fails', async () => {
    const file = path.join(directory, 'facts');
    await mkdir(path.join(file, 'inside'), { recursive: true });
    for (const shared of [true, false]) await expect(replaceFile(file, 'text', { shared })).rejects.toThrow(/EISDIR/);
    expect(await readdir(directory)).toEqual(['facts']);
    expect(await readdir(file)).toEqual(['inside']);
  });
});
