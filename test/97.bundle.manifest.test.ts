import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isolationModes } from '../src/base/isolation.js';
import type { TenonError } from '../src/base/errors.js';
import { permissionKinds } from '../src/base/permission.js';
import { type Manifest, manifestLimit, manifestText, parseManifest } from '../src/bundle/manifest.js';
import { root } from './architecture/tree.js';

const hash = 'a'.repeat(64);
const least = { id: 'todo', version: '1.2.0' };
const full = {
  $schema: './node_modules/tenon/docs/manifest.schema.json',
  id: 'todo',
  name: 'To do',
  version: '1.2.0-rc.1+linux',
  abi: '1.0',
  description: 'Two\nlines',
  author: 'Someone <someone@example.org>',
  license: 'Apache-2.0',
  entrypoints: { 'linux-x64': 'prebuilds/linux-x64/todo.so', 'linux-x64-musl': 'prebuilds/linux-x64-musl/todo.so' },
  files: {
    'prebuilds/linux-x64/todo.so': { sha256: hash, size: 0 },
    'prebuilds/linux-x64-musl/todo.so': { sha256: hash, size: 1024 ** 3 },
    'README.md': { sha256: hash, size: 12 },
  },
  permissions: ['tables:read:other.Task', 'http:client:example.org'],
  configSchema: { type: 'object', properties: { apiKey: { type: 'string' } } },
  reloadOnChange: true,
  isolation: 'inline',
  dependencies: { auth: '^1.2.0' },
  engines: { tenon: '>=0.1 <2', node: '*' },
};

function read(text: string | Uint8Array, folderName?: string): Manifest {
  return parseManifest(typeof text === 'string' ? Buffer.from(text) : text, 'todo.tgz', folderName);
}

function refusal(text: string | Uint8Array): TenonError {
  try {
    read(text);
  } catch (error) {
    return error as TenonError;
  }
  throw new Error(`accepted: ${String(text).slice(0, 200)}`);
}

describe('a manifest', () => {
  test('says what it says, and defaults where it says nothing', () => {
    const { $schema, ...members } = full;
    expect($schema).toBeDefined();
    expect(read(JSON.stringify(full))).toEqual(members);
    expect(read(JSON.stringify(least))).toEqual({
      ...least,
      name: 'todo',
      abi: undefined,
      description: '',
      author: '',
      license: '',
      entrypoints: {},
      files: undefined,
      permissions: [],
      configSchema: undefined,
      reloadOnChange: false,
      isolation: undefined,
      dependencies: {},
      engines: {},
    });
  });

  test('without an id has that of its folder', () => {
    expect(read('{"version": "1.0.0"}', 'from-folder')).toMatchObject({ id: 'from-folder', name: 'from-folder' });
    expect(read(JSON.stringify(least), 'from-folder').id).toBe('todo');
    expect(refusal('{"version": "1.0.0"}').details['pointer']).toBe('/id');
  });

  test('may say reloadOnChange in its configSchema, which is left without it', () => {
    const { configSchema, reloadOnChange } = read(
      JSON.stringify({ ...least, configSchema: { type: 'object', reloadOnChange: true } }),
    );
    expect({ configSchema, reloadOnChange }).toEqual({ configSchema: { type: 'object' }, reloadOnChange: true });
  });

  test('has nothing that it does not name, whatever that is called', () => {
    const { files, entrypoints } = read(JSON.stringify({ ...least, files: {} }));
    expect([files?.['constructor'], files?.['__proto__'], entrypoints['toString']]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  test('cannot reach the prototype of objects', () => {
    const text = `{"id":"todo","version":"1.0.0","files":{"__proto__":{"sha256":"${hash}","size":1}},"configSchema":{"__proto__":{"polluted":true}}}`;
    const manifest = read(text);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
    expect((manifest.configSchema as { polluted?: boolean }).polluted).toBeUndefined();
    expect(Object.keys(manifest.files ?? {})).toEqual(['__proto__']);
    expect(manifestText(read(manifestText(manifest)))).toBe(manifestText(manifest));
    expect(refusal('{"id":"todo","version":"1.0.0","__proto__":{}}').details['pointer']).toBe('/__proto__');
  });
});

describe('a text that is no manifest', () => {
  test.each([
    ['nothing', '', '', 'line 1, column 1'],
    ['a list', '[]', '', 'must be a JSON object'],
    ['null', 'null', '', 'must be a JSON object'],
    ['half of one', '{"id": "todo",\n "version"', '/version', 'line 2, column 11'],
    ['something after it', '{} x', '', 'line 1, column 4'],
    ['a comma too many', '{"id": "todo",}', '', 'a name in double quotes'],
    ['single quotes', "{'id': 1}", '', 'a name in double quotes'],
    ['a comment', '{/* */}', '', 'a name in double quotes'],
    ['NaN', '{"id": NaN}', '/id', 'a value'],
    ['an octal number', '{"reloadOnChange": 01}', '', '"," or "}"'],
    ['a number beyond all', '{"configSchema": {"maximum": 1e999}}', '/configSchema/maximum', 'too large'],
    ['a tab in a text', '{"id": "to\tdo"}', '/id', 'a text of JSON'],
    ['a name twice', '{"id": "todo", "id": "other"}', '/id', 'is there twice'],
    ['a name twice, written otherwise', '{"id": "todo", "\\u0069d": "other"}', '/id', 'is there twice'],
    ['a name twice, far in', '{"configSchema": {"a/b": [{"~": 1, "~": 2}]}}', '/configSchema/a~1b/0/~0', 'twice'],
    ['half a character', '{"name": "\\ud800"}', '/name', 'halves of characters'],
    ['a NUL', '{"name": "\\u0000"}', '/name', 'without NUL'],
  ])('%s', (_, text, pointer, message) => {
    const error = refusal(text);
    expect(error).toMatchObject({ code: 'InvalidManifest', details: { pointer } });
    expect(error.message).toContain(message);
    expect(error.message).toMatch(/^todo\.tgz: /);
  });

  test('a byte order mark, and bytes that are no UTF-8', () => {
    expect(refusal(Buffer.from('\ufeff{}')).message).toContain('byte order mark');
    expect(refusal(Buffer.from('{"name": "\xff"}', 'latin1')).message).toContain('UTF-8');
  });

  test('depth and size have limits, which are far from taking long', () => {
    const nested = (depth: number): string =>
      JSON.stringify(least).replace('}', `,"configSchema":${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}}`);
    expect(read(nested(31)).configSchema).toBeDefined();
    expect(refusal(nested(32)).message).toContain('deeper than 32 levels');
    expect(refusal('['.repeat(manifestLimit)).message).toContain('deeper than 32 levels');
    expect(refusal(' '.repeat(manifestLimit + 1)).message).toContain(`larger than ${manifestLimit} bytes`);
  });

  test('is read as JSON.parse reads it, or is refused by both', () => {
    const texts = fc.oneof(
      fc.json(),
      fc
        .tuple(
          fc.json(),
          fc.nat(),
          fc.constantFrom('', '"', '{', '}', ',', '\\', '0', '-', 'e', ' ', '\u0007', '\u00e9'),
        )
        .map(
          ([text, at, sign]) => text.slice(0, at % (text.length + 1)) + sign + text.slice((at % (text.length + 1)) + 1),
        ),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const parsed = ((): unknown => {
          try {
            return JSON.parse(text);
          } catch {
            return undefined;
          }
        })();
        const error = refusal(`{"id":"todo","version":"1.0.0","zzzzzzzz":${text}}`);
        const isJson = /is no member of a manifest|is there twice|halves of|too large|deeper/;
        if (parsed === undefined) expect(error.message).not.toMatch(/is no member of a manifest/);
        else expect(error.message).toMatch(isJson);
      }),
      { numRuns: 2_000 },
    );
  });
});

const wrong: [pointer: string, value: unknown, message: RegExp][] = [
  ['/id', 'Todo', /must be at most 63 of a-z/],
  ['/id', '../todo', /must be at most 63/],
  ['/id', 'todo\n', /must be at most 63/],
  ['/id', 7, /must be text/],
  ['/id', null, /must be text/],
  ['/name', 'a\u001b[2J', /must be one line/],
  ['/name', 'x'.repeat(257), /at most 256/],
  ['/version', '1.2', /semantic version/],
  ['/version', 'v1.2.3', /semantic version/],
  ['/version', '01.2.3', /semantic version/],
  ['/version', `1.2.3-${'x'.repeat(26)}`, /semantic version/],
  ['/version', '99999999999999999.0.0', /semantic version/],
  ['/abi', '1', /version of the contract/],
  ['/abi', '1.0.0', /version of the contract/],
  ['/abi', 1.0, /must be text/],
  ['/description', ['x'], /must be text/],
  ['/author', { name: 'x' }, /must be text/],
  ['/license', 'x\ny', /must be one line/],
  ['/entrypoints', [], /must be an object/],
  ['/entrypoints/linux-x86_64', 'a.so', /"linux-x64" is probably meant/],
  ['/entrypoints/win32-x64', 'a.dll', /must be "main" or a platform/],
  ['/entrypoints/darwin-x64-musl', 'a.so', /must be "main" or a platform/],
  ...[
    '/a.so',
    '../a.so',
    'a/../b.so',
    './a.so',
    'a//b',
    'a/',
    '',
    'a\\b',
    'C:a',
    'a.',
    'a /b',
    'a\u0000',
    'a\nb',
    'x/'.repeat(16) + 'x',
    'x'.repeat(256),
  ].map((file): [string, unknown, RegExp] => [
    '/entrypoints/main',
    file,
    /must be a path inside the bundle|without NUL/,
  ]),
  ['/files', 'x', /must be an object/],
  ['/files/a', {}, /sha256 is missing \(and 1 more\)/],
  ['/files/a', { sha256: hash, size: 1, mode: 7 }, /\/files\/a\/mode is unknown here/],
  ['/files/a', { sha256: hash, size: 1, Size: 1 }, /"size" is probably meant/],
  ['/files/a', { sha256: hash.toUpperCase(), size: 1 }, /64 hexadecimal digits in lower case/],
  ['/files/a', { sha256: hash, size: -1 }, /whole number of bytes/],
  ['/files/a', { sha256: hash, size: 1.5 }, /whole number of bytes/],
  ['/files/a', { sha256: hash, size: '1' }, /whole number of bytes/],
  ['/files/..~1a', { sha256: hash, size: 1 }, /must be a path inside/],
  ['/files/manifest.json', { sha256: hash, size: 1 }, /is not among the files/],
  ['/files/Manifest.SIG', { sha256: hash, size: 1 }, /is not among the files/],
  ['/permissions', 'write:config', /must be a list/],
  ['/permissions', [''], /\/permissions\/0/],
  ['/permissions', ['write:config', 'write:config'], /\/permissions\/1 is there twice/],
  ['/permissions', [7], /must be text/],
  ['/configSchema', true, /must be a JSON Schema: an object/],
  ['/configSchema', { reloadOnChange: 'yes' }, /\/configSchema\/reloadOnChange must be true or false/],
  ['/reloadOnChange', 1, /must be true or false/],
  ['/isolation', 'proces', /"process" is probably meant/],
  ['/isolation', { mode: 'inline', requireConfinement: true }, /`mode: inline`, which runs it in the host/],
  ['/isolation', { sandbox: false, requireConfinement: true }, /with `sandbox: false`/],
  ['/dependencies/Auth', '^1', /must be the id of a plugin/],
  ['/dependencies/auth', 'newest', /must be a range/],
  ['/dependencies/auth', '', /must be a range/],
  ['/engines/tenon', 1, /must be text/],
  ['/engines/Te non', '^1', /must be a name/],
  ['/entrypoint', {}, /is no member of a manifest; "entrypoints" is probably meant/],
  ['/zzzzzzzzzzzzz', {}, /is no member of a manifest$/],
];

/** `least` with `value` at the pointer. */
function withMember(pointer: string, value: unknown): Record<string, unknown> {
  const [, member = '', inner] = pointer.split('/').map((name) => name.replaceAll('~1', '/').replaceAll('~0', '~'));
  return { ...least, [member]: inner === undefined ? value : { [inner]: value } };
}

describe('a member that is wrong', () => {
  test.each(wrong)('%s: %j', (pointer, value, message) => {
    const error = refusal(JSON.stringify(withMember(pointer, value)));
    expect(error.code).toBe('InvalidManifest');
    expect(error.message).toMatch(message);
    expect(String(error.details['pointer']).startsWith(pointer)).toBe(true);
  });

  test.each<[string, Record<string, unknown>, RegExp]>([
    [
      'an entrypoint that is not listed',
      { entrypoints: { main: 'a.so' }, files: {} },
      /\/entrypoints\/main names "a.so", which is not among/,
    ],
    [
      'reloadOnChange in two places',
      { reloadOnChange: true, configSchema: { reloadOnChange: true } },
      /is said by \/reloadOnChange already/,
    ],
    ['itself among its dependencies', { dependencies: { todo: '*' } }, /is the plugin itself/],
    [
      'two files that differ in case',
      { files: { 'a/B': { sha256: hash, size: 1 }, 'A/b': { sha256: hash, size: 1 } } },
      /would be the same file as "a\/B"/,
    ],
    [
      'two files that differ in the form of accents',
      { files: { '\u00e9': { sha256: hash, size: 1 }, 'e\u0301': { sha256: hash, size: 1 } } },
      /would be the same file/,
    ],
    [
      'a file in a file',
      { files: { a: { sha256: hash, size: 1 }, 'a/b/c': { sha256: hash, size: 1 } } },
      /lies in "a", which is a file/,
    ],
  ])('%s', (_, members, message) => {
    expect(refusal(JSON.stringify({ ...least, ...members })).message).toMatch(message);
  });

  test('is told with all others', () => {
    const error = refusal('{"id": "X", "abi": 1, "colour": "red"}');
    expect(error.message).toContain('(and 3 more)');
    expect(error.details['problems']).toEqual([
      { pointer: '/version', message: 'is missing' },
      { pointer: '/colour', message: 'is no member of a manifest' },
      { pointer: '/id', message: expect.stringContaining('must be') },
      { pointer: '/abi', message: expect.stringContaining('must be') },
    ]);
  });

  test('cannot write to a terminal, and not a long sentence', () => {
    const name = `${'\u001b[2J'}${'\u202e'}${'x'.repeat(5_000)}`;
    const { message } = refusal(JSON.stringify({ ...least, [name]: 1 }));
    expect(message).not.toMatch(/(?! )[\p{C}\p{Z}]/u);
    expect(message.length).toBeLessThan(400);
  });
});

const word = fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,20}$/);
const line = fc.string({ maxLength: 40, unit: 'binary' }).filter((text) => /^\P{C}*$/u.test(text));
const version = fc
  .tuple(fc.nat(99), fc.nat(99), fc.nat(99), fc.constantFrom('', '-rc.1', '+abc', '-a-b.0+0'))
  .map(([major, minor, patch, rest]) => `${major}.${minor}.${patch}${rest}`);
const file = fc
  .array(fc.stringMatching(/^[A-Za-z0-9_-]{1,8}$/), { minLength: 1, maxLength: 3 })
  .map((names) => `${names.join('/')}.x`);
const range = fc.constantFrom('*', '^1', '>=1.2.0 <2', '1.x || 2.x', '~0.1.0');
const jsonObject = fc
  .dictionary(fc.string({ maxLength: 8 }), fc.jsonValue({ maxDepth: 3, noUnicodeString: false }), { maxKeys: 4 })
  .filter((value) => !Object.hasOwn(value, 'reloadOnChange') && !JSON.stringify(value).match(/\\u(?:0000|d[89a-f])/))
  .map((value) => JSON.parse(JSON.stringify(value)) as Record<string, unknown>);
const drawn: fc.Arbitrary<Manifest> = fc
  .record({
    id: word,
    name: line,
    version,
    abi: fc.option(fc.constantFrom('1.0', '0.12'), { nil: undefined }),
    description: line,
    author: line,
    license: line,
    entrypoints: fc.dictionary(fc.constantFrom('main', 'linux-x64', 'linux-arm64-musl', 'darwin-arm64'), file),
    files: fc.option(
      fc.dictionary(file, fc.record({ sha256: fc.stringMatching(/^[0-9a-f]{64}$/), size: fc.nat(1024 ** 3) })),
      {
        nil: undefined,
      },
    ),
    permissions: fc.uniqueArray(
      fc.constantFrom('write:config', 'tables:read:a.B', 'tables:write:a.*', 'http:client:example.org'),
    ),
    configSchema: fc.option(jsonObject, { nil: undefined }),
    reloadOnChange: fc.boolean(),
    isolation: fc.option(
      fc.oneof(
        fc.constantFrom(...isolationModes),
        fc
          .record(
            {
              mode: fc.constantFrom(...isolationModes),
              processes: fc.integer({ min: 1, max: 16 }),
              graceMs: fc.integer({ min: 0, max: 600_000 }),
              memory: fc.integer({ min: 8 * 2 ** 20, max: 1024 ** 4 }),
              cpu: fc.integer({ min: 1, max: 6400 }),
              descriptors: fc.integer({ min: 1, max: 1_000_000 }),
              childProcesses: fc.integer({ min: 0, max: 100_000 }),
              sandbox: fc.boolean(),
              requireConfinement: fc.boolean(),
              writable: fc.array(word, { maxLength: 64 }),
            },
            { requiredKeys: [] },
          )
          .map((own) => (own.requireConfinement === true ? { ...own, mode: 'process' as const, sandbox: true } : own)),
      ),
      { nil: undefined },
    ),
    dependencies: fc.dictionary(
      word.map((id) => `x${id}`),
      range,
    ),
    engines: fc.dictionary(word, range),
  })
  .map((manifest) => {
    const { files, entrypoints, dependencies, id } = manifest;
    if (files !== undefined) for (const path of Object.values(entrypoints)) files[path] ??= { sha256: hash, size: 1 };
    return { ...manifest, id: Object.hasOwn(dependencies, id) ? 'none-of-them' : id };
  })
  .filter(
    ({ files = {} }) =>
      new Set(Object.keys(files).map((path) => path.toLowerCase())).size === Object.keys(files).length,
  );

describe('the text of a manifest', () => {
  test('is read as the manifest it was made of', () => {
    fc.assert(
      fc.property(drawn, (manifest) => {
        const text = manifestText(manifest);
        expect(read(text)).toEqual(manifest);
        expect(manifestText(read(text))).toBe(text);
      }),
      { numRuns: 300 },
    );
  });

  test('says nothing that goes without saying', () => {
    expect(manifestText(read(JSON.stringify(least)))).toBe('{\n  "id": "todo",\n  "version": "1.2.0"\n}\n');
  });

  test('is the same whatever the order in which members were given', () => {
    const reversed = (value: unknown): unknown =>
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? Object.fromEntries(
            Object.entries(value)
              .toReversed()
              .map(([name, inner]) => [name, reversed(inner)]),
          )
        : value;
    const { configSchema, ...members } = full;
    const turned = { configSchema, ...(reversed(members) as object) };
    expect(manifestText(read(JSON.stringify(turned)))).toBe(manifestText(read(JSON.stringify(full))));
  });
});

describe('docs/manifest.schema.json', () => {
  const schema: unknown = JSON.parse(readFileSync(path.join(root, 'docs/manifest.schema.json'), 'utf8'));
  const ajv = new Ajv2020({ strict: true, strictRequired: false, allErrors: true });
  const agrees = ajv.compile(schema as object);
  /** What needs more than a schema: ranges, the grammar of permissions, and what members say of each other. */
  const beyond =
    /must be a range|\/permissions\/|not among \/files|would be the same|which is a file|is the plugin itself/;

  const judged = wrong.filter(
    ([pointer, value, message]) =>
      !message.source.includes('NUL') && !beyond.test(refusal(JSON.stringify(withMember(pointer, value))).message),
  );
  test.each(judged)('agrees with the reader about %s: %j', (pointer, value) => {
    expect(agrees(withMember(pointer, value))).toBe(false);
  });

  test('knows every kind of permission', () => {
    const lines = [
      'auth:credentials',
      'write:config',
      'tables:read:a-b.Task',
      'tables:write:a.*',
      ...['*', '*.example.com', 'a_b.c', 'x', '127.0.0.1', '[::1]', '[::1]:8080', 'localhost:80'].map(
        (host) => `http:client:${host}`,
      ),
      ...['events:publish', 'events:subscribe', 'hooks:call'].flatMap((kind) => [`${kind}:*`, `${kind}:a.b_c-d*`]),
    ];
    expect(read(JSON.stringify({ ...least, permissions: lines })).permissions).toEqual(lines);
    expect(permissionKinds.filter((kind) => !lines.some((line) => line.startsWith(kind)))).toEqual([]);
    expect([agrees({ ...least, permissions: lines }), agrees.errors]).toEqual([true, null]);
    for (const wrong of [
      '',
      'all',
      'write:config:x',
      'tables:read:Task',
      'http:client:',
      'http:client:a b',
      'events:publish:A',
    ]) {
      expect(refusal(JSON.stringify({ ...least, permissions: [wrong] })).details['pointer']).toBe('/permissions/0');
      expect([wrong, agrees({ ...least, permissions: [wrong] })]).toEqual([wrong, false]);
    }
  });

  test('agrees about what is right', () => {
    for (const given of [full, least, { ...least, configSchema: { reloadOnChange: false } }])
      expect([agrees(given), agrees.errors]).toEqual([true, null]);
    expect(agrees({ ...least, configSchema: { reloadOnChange: false }, reloadOnChange: false })).toBe(false);
    expect(agrees({ version: '1.0.0' })).toBe(false);
  });

  test('agrees about manifests with one member replaced by anything', () => {
    const anything = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.constantFrom('main', 'a/b', '1.0', '1.0.0', 'x'.repeat(300), '../x', hash, 0, -1, 1e10),
      file,
      line,
    );
    const places = [
      'id',
      'name',
      'version',
      'abi',
      'description',
      'author',
      'license',
      'reloadOnChange',
      'isolation',
      'other',
    ];
    const nested = ['entrypoints', 'files', 'configSchema', 'engines', 'dependencies'];
    const names = fc.oneof(
      fc.constantFrom(
        'main',
        'linux-x64',
        'linux-x64-musl',
        'reloadOnChange',
        'manifest.sig',
        'a/b',
        'A b',
        '__proto__',
      ),
      fc.string({ maxLength: 6 }),
    );
    const change = fc.oneof(
      fc.record({ name: fc.constantFrom(...places, ...nested, 'permissions'), value: anything }),
      fc.record({
        name: fc.constantFrom(...nested),
        value: fc.oneof(
          fc.dictionary(names, anything, { maxKeys: 2 }),
          fc.dictionary(names, fc.dictionary(fc.constantFrom('sha256', 'size', 'x'), anything), { maxKeys: 2 }),
        ),
      }),
    );
    fc.assert(
      fc.property(drawn, change, (manifest, { name, value }) => {
        const given = { ...(JSON.parse(manifestText(manifest)) as object), [name]: value };
        const text = JSON.stringify(given);
        const error = ((): TenonError | undefined => {
          try {
            read(text);
            return undefined;
          } catch (refused) {
            return refused as TenonError;
          }
        })();
        const problems = (error?.details['problems'] ?? []) as { pointer: string; message: string }[];
        if (problems.some((problem) => /without NUL/.test(problem.message))) return;
        const told = problems.filter((problem) => !beyond.test(`${problem.pointer} ${problem.message}`));
        if (problems.length > 0 && told.length === 0) return;
        expect(agrees(JSON.parse(text)), `${text} ${error?.message}`).toBe(told.length === 0);
      }),
      { numRuns: 400 },
    );
  });
});
