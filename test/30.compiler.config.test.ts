import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TenonError } from '../src/base/errors.js';
import { librarySuffix, readApplication } from '../src/compiler/application.js';

let parent: string;
let folder: string;

beforeEach(async () => {
  parent = await mkdtemp(path.join(os.tmpdir(), 'tenon-config-'));
  folder = path.join(parent, 'shop');
  await mkdir(path.join(folder, 'resources'), { recursive: true });
  await writeFile(path.join(folder, 'resources', 'b.cpp'), '');
  await writeFile(path.join(folder, 'resources', 'a.c'), '');
});

afterEach(() => rm(parent, { recursive: true, force: true }));

async function read(config: string): Promise<Awaited<ReturnType<typeof readApplication>>> {
  await writeFile(path.join(folder, 'config.yaml'), config);
  return readApplication(folder);
}

async function refusal(config: string): Promise<TenonError> {
  return read(config).then(
    () => expect.unreachable('the config was accepted'),
    (error: TenonError) => error,
  );
}

describe('an application folder', () => {
  it('needs only a name, and has defaults for the rest', async () => {
    const { id, version, config, sources, prebuilt } = await read('name: The shop\n');
    expect({ id, version, sources, prebuilt }).toEqual({
      id: 'shop',
      version: '0.0.0',
      sources: ['resources/a.c', 'resources/b.cpp'],
      prebuilt: undefined,
    });
    expect(config).toMatchObject({ name: 'The shop', enabled: true, description: '', reserved: {} });
  });

  it('takes an empty config', async () => {
    expect((await read('# nothing yet\n')).config.name).toBe('shop');
  });

  it('takes every key of the format', async () => {
    const { id, config } = await read(
      [
        'name: Shop\napp_id: shop-2\nversion: 1.2.3-rc.1\ndescription: d\nenabled: false\nextension: true',
        'route_prefix: /\nrest: true\ngraphql: false\nws: true\nsse: true\nschemas: [schema.graphql]',
        'resources: ["**/*.c"]\nextensions: [login, {id: watch, required: false, settings: {level: 3}}]\nauth: open\ndependencies: {pkg-config: zlib}',
        'dataLoader: data/*.json\nstatic_files: {directory: web}\ncors: true\nisolation: process\nreload: {debounceMs: 5}',
        'permissions: ["write:config"]\nconfigSchema: {type: object}\ncustom: {any: [1, 2]}',
        'concurrency: 2\ndeadlineMs: 1500\nbodyLimit: 4096',
      ].join('\n'),
    );
    expect(id).toBe('shop-2');
    expect(config).toMatchObject({ version: '1.2.3-rc.1', enabled: false, resources: ['**/*.c'] });
    expect(config.dependencies).toEqual({ pkgConfig: ['zlib'], cmake: [], npm: [], vendored: [] });
    expect(config).toMatchObject({ concurrency: 2, deadlineMs: 1500, bodyLimit: 4096 });
    expect(config.reserved).toMatchObject({ routePrefix: '/', isolation: { mode: 'process' } });
    expect(config).toMatchObject({ extension: true, auth: 'open', custom: '{"any":[1,2]}' });
    expect(config.extensions).toEqual([
      { id: 'login', required: true, settings: '{}' },
      { id: 'watch', required: false, settings: '{"level":3}' },
    ]);
    expect(config).toMatchObject({ schemas: ['schema.graphql'], seeds: ['data/*.json'] });
    expect(config).toMatchObject({ staticFiles: { directory: 'web', path: '/' }, cors: { origins: '*' } });
    expect(config.surfaces).toEqual({ rest: true, graphql: false, ws: true, sse: true });
    expect(Object.keys(config.reserved)).toHaveLength(5);
  });

  it.each(['/', '/shop', '/shop/', '/shop/v1.2', "/-._~!$&'()+,;=@"])(
    'may have the route_prefix %s',
    async (prefix) => {
      expect((await read(`route_prefix: "${prefix}"\n`)).config.reserved.routePrefix).toBe(prefix);
    },
  );

  it.each(['shop', '/größe', '/:tenant', '/*', '/a?b', '/%61', '/a//b', '//', '/..', '/a/./b', '/a b', '/a#b'])(
    'may not have the route_prefix %s, which the path of a request would not match letter for letter',
    async (prefix) => {
      const error = await refusal(`name: Shop\nroute_prefix: "${prefix}"\n`);
      expect(error).toMatchObject({ code: 'ConfigInvalid', details: { line: 2 } });
      expect(error.message).toContain('route_prefix must be a path that begins with "/"');
    },
  );

  it('finds only the sources that its globs name', async () => {
    await mkdir(path.join(folder, 'deep', 'er'), { recursive: true });
    for (const file of ['deep/x.cc', 'deep/er/y.cc', 'deep/er/z.h', 'top.cc', '.hidden.cc'])
      await writeFile(path.join(folder, file), '');
    expect((await read('resources: ["deep/**/*"]\n')).sources).toEqual(['deep/er/y.cc', 'deep/x.cc']);
    expect((await read('resources: ["*.cc"]\n')).sources).toEqual(['top.cc']);
    expect((await read('resources: ["{top,deep/?}.cc"]\n')).sources).toEqual(['deep/x.cc', 'top.cc']);
  });

  it('may be a prebuilt library without sources and without a config', async () => {
    await rm(path.join(folder, 'resources'), { recursive: true });
    const library = path.join(folder, `shop${librarySuffix}`);
    await writeFile(library, '');
    expect(await readApplication(folder)).toMatchObject({ id: 'shop', sources: [], prebuilt: library });
  });

  it('with neither a source nor a library is SourcesMissing', async () => {
    await rm(path.join(folder, 'resources'), { recursive: true });
    expect(await refusal('name: Shop\n')).toMatchObject({ code: 'SourcesMissing' });
  });

  it('without a config is ConfigNotFound', async () => {
    await expect(readApplication(folder)).rejects.toMatchObject({ code: 'ConfigNotFound' });
  });

  it('whose name is no id needs an app_id', async () => {
    const odd = path.join(parent, 'My Shop');
    await mkdir(path.join(odd, 'resources'), { recursive: true });
    await writeFile(path.join(odd, 'resources', 'a.c'), '');
    await writeFile(path.join(odd, 'config.yaml'), 'name: x\n');
    await expect(readApplication(odd)).rejects.toThrow(/app_id is needed.*"My Shop"/);
    await writeFile(path.join(odd, 'config.yaml'), 'app_id: my-shop\n');
    expect((await readApplication(odd)).id).toBe('my-shop');
  });
});

describe('a wrong config is ConfigInvalid with its place', () => {
  const cases: [string, string, number, number, RegExp][] = [
    ['an unknown key', 'name: x\n\nvesion: 1.0.0\n', 3, 1, /unknown key "vesion"; did you mean "version"\?/],
    ['an unknown key without a likeness', 'zzzzzzzzz: 1\n', 1, 1, /unknown key "zzzzzzzzz"$/],
    ['a key of the prototype', 'constructor: 1\n', 1, 1, /unknown key "constructor"/],
    ['__proto__', '__proto__: {enabled: false}\n', 1, 1, /unknown key "__proto__"/],
    ['a version that YAML takes for a number', 'version: 1.0\n', 1, 10, /version must be a semantic version/],
    ['a wrong type', 'name: x\nenabled: sometimes\n', 2, 10, /enabled must be true or false/],
    ['a number out of range', 'concurrency: 65\n', 1, 14, /concurrency must be a whole number from 1 to 64/],
    ['a fraction', 'deadlineMs: 1.5\n', 1, 13, /deadlineMs must be a whole number/],
    ['a wrong word', 'isolation: none\n', 1, 12, /isolation must be inline, process or auto/],
    ['an id outside the grammar', 'app_id: ../x\n', 1, 9, /app_id must be 1 to 63 characters/],
    ['a glob that leaves the folder', 'resources: ["../*.c"]\n', 1, 12, /inside the application/],
    [
      'a kind of dependency that is not known',
      'dependencies: {conan: zlib}\n',
      1,
      15,
      /has the key "conan"; there are pkg/,
    ],
    [
      'a dependency that is an option',
      'dependencies: {pkg-config: [--libs]}\n',
      1,
      15,
      /cannot be a pkg-config module/,
    ],
    ['a vendored folder outside', 'dependencies: {vendored: ../x}\n', 1, 15, /"..\/x", which is not below/],
    ['a CMake package without targets', 'dependencies: [{cmake: {package: X}}]\n', 1, 15, /targets: \[NAME::NAME\]/],
    [
      'an unknown key of reload',
      'reload:\n  debonceMs: 5\n',
      2,
      3,
      /unknown key "reload.debonceMs"; .* "reload.debounceMs"\?/,
    ],
    [
      'a wrong value in reload',
      'reload:\n  maxRetries: -1\n',
      2,
      15,
      /reload.maxRetries must be a whole number from 0/,
    ],
    [
      'a pattern without end in reload',
      'reload: {watch: ["(a+)+"]}\n',
      1,
      17,
      /reload.watch must hold .* without parenth/,
    ],
    ['no pattern to watch', 'reload: {watch: []}\n', 1, 17, /reload.watch must hold at least one pattern/],
    ['a reload that is no mapping', 'reload: false\n', 1, 9, /reload must be a mapping/],
    ['a list where a text belongs', 'name: [a]\n', 1, 7, /name must be text/],
    ['a key without a value', 'name:\n', 1, 6, /name must be text/],
    ['a key twice', 'name: a\nname: b\n', 2, 1, /unique/],
    ['broken YAML', 'name: "open\n', 2, 1, /quote/],
    ['a list as the file', '- name\n', 1, 1, /must be a mapping/],
  ];
  for (const [what, config, line, column, message] of cases) {
    it(what, async () => {
      const error = await refusal(config);
      expect(error.code).toBe('ConfigInvalid');
      expect(error.details).toMatchObject({ file: 'config.yaml', line });
      expect(error.message).toMatch(new RegExp(`^config\\.yaml:${line}:\\d+: `));
      expect(error.message).toMatch(message);
      expect(error.details['column']).toBe(column);
    });
  }

  it.each([
    ['extensions: login', '1:13: extensions must be a list of ids of extensions'],
    ['extensions: [Log In]', '1:14: extensions must hold ids of applications, or {id, required, settings}'],
    ['extensions: [{required: true}]', '1:14: extensions must hold ids of applications, or {id, required, settings}'],
    ['extensions:\n  - login\n  - id: login', '3:5: extensions lists login twice'],
    ['extensions:\n  - login\n  - shop', '3:5: extensions lists shop itself'],
    [
      'extensions: [{id: a, requird: true}]',
      '1:22: extensions unknown key "requird" of an extension; did you mean "required"?',
    ],
    ['extensions: [{id: a, required: 1}]', '1:32: extensions required must be true or false'],
    ['extensions: [{id: a, settings: [1]}]', '1:32: extensions settings must be a mapping of keys to values'],
    [
      'extensions: [{id: a, settings: {b: .nan}}]',
      '1:32: extensions settings must hold nothing but what JSON can: NaN is no number there',
    ],
    ['extension: maybe', '1:12: extension must be true, false or telemetry'],
    ['auth: closed', '1:7: auth must be open or identity'],
    ['custom: 3', '1:9: custom must be a mapping of keys to values'],
    ['custom: &a {b: *a}', '1:12: custom must hold nothing but what JSON can: an alias stands in what it stands for'],
  ])('%j is refused where it stands', async (source, sentence) => {
    expect((await refusal(`${source}\n`)).message).toBe(`config.yaml:${sentence}`);
  });

  it('and every problem is listed', async () => {
    const error = await refusal('nmae: x\nenabled: 3\n');
    expect(error.details['problems']).toMatchObject([
      { line: 1, column: 1 },
      { line: 2, column: 10 },
    ]);
  });

  it('an alias bomb is refused', async () => {
    const level = (name: string, of: string): string => `${name}: &${name} [${Array(10).fill(`*${of}`).join(',')}]`;
    const bomb = ['a: &a [x]', level('b', 'a'), level('c', 'b'), level('d', 'c')].map((line) => `  ${line}`);
    const error = await refusal(`custom:\n${bomb.join('\n')}\n`);
    expect(error).toMatchObject({ code: 'ConfigInvalid' });
  });
});
