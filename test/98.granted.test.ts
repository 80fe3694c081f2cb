/** Permissions of plugins: what lines there are, who is granted what, and what a plugin without one is told. */
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { resolveSettings } from '../src/base/config.js';
import { isGranted, permissionKinds, wrongPermission } from '../src/base/permission.js';
import type { AuditEntry } from '../src/bundle/audit.js';
import { Grants, type GrantsOptions } from '../src/host/grants.js';

const name = fc.stringMatching(/^[a-z][a-z0-9]{0,5}(?:\.[a-z0-9]{1,5}){0,3}$/);
const port = fc.constantFrom('', ':80', ':443', ':8080');
const parts = {
  table: fc.tuple(fc.constantFrom('a', 'ab', 'b-c'), fc.constantFrom('A', 'Ab', 'B')).map((each) => each.join('.')),
  host: fc
    .tuple(fc.constantFrom('com', 'a.com', 'b.a.com', 'ba.com', '10.0.0.1', '[::1]'), port)
    .map((each) => each.join('')),
};
const one = fc.oneof(
  fc.tuple(fc.constantFrom('tables:read', 'tables:write'), parts.table),
  fc.tuple(fc.constant('http:client'), parts.host),
  fc.tuple(fc.constantFrom('events:publish', 'events:subscribe', 'hooks:call'), name),
);
const many = fc.oneof(
  fc.tuple(fc.constantFrom('tables:read', 'tables:write'), fc.constantFrom('a.*', 'ab.*', 'b-c.*')),
  fc.tuple(fc.constant('http:client'), fc.constantFrom('*', '*.com', '*.a.com', '*.com:8080', '*.a.com:443')),
  fc.tuple(
    fc.constantFrom('events:publish', 'events:subscribe', 'hooks:call'),
    fc.oneof(
      name.map((each) => `${each}.*`),
      fc.constantFrom('*', 'a*', 'b*'),
    ),
  ),
);
const line = fc.oneof(one, many).map((each) => each.join(':'));

describe('a permission', () => {
  test.each([
    'tables:read:todo.Task',
    'tables:write:todo-2.*',
    'http:client:api.example.com',
    'http:client:127.0.0.1:8080',
    'http:client:[2001:db8::1]:443',
    'http:client:*.example.com',
    'http:client:*',
    'events:publish:todo.done',
    'events:subscribe:todo.*',
    'hooks:call:blog.render',
    'auth:credentials',
    'write:config',
  ])('may be %s', (each) => {
    expect(wrongPermission(each)).toBeUndefined();
    expect(isGranted([each], each)).toBe(true);
  });

  test.each([
    '',
    'tables',
    'tables:read',
    'tables:read:*',
    'tables:read:todo',
    'tables:read:Todo.Task',
    'http:client:',
    'http:client:API.example.com',
    'http:client:http://example.com',
    'http:client:example.com/path',
    'http:client:example.com:0',
    'http:client:example.com:65536',
    'http:client:exa*.com',
    'http:client:*.0.0.1',
    'http:client:127.1',
    'http:client:0x7f000001',
    'http:client:[::0001]',
    'http:client:a..b',
    'events:publish:a*b',
    'events:publish:Todo',
    'hooks:call',
    'auth:credentials:all',
    'write:config:',
    ' write:config',
    'write:config\n',
    'constructor:x:y',
    `events:publish:${'a'.repeat(128)}`,
  ])('is not %j', (each) => {
    expect(wrongPermission(each)).toMatch(/^must /);
  });

  test.each([
    ['htpp:client:example.com', 'http:client'],
    ['table:read:todo.Task', 'tables:read'],
    ['config:write', undefined],
    ['event:publish:x', 'events:publish'],
  ])('that is %s is told what was meant', (given, meant) => {
    const clause = wrongPermission(given) ?? '';
    if (meant === undefined) expect(clause).not.toContain('did you mean');
    else expect(clause).toContain(`did you mean "${meant}"?`);
    for (const kind of permissionKinds) expect(clause).toContain(`"${kind}"`);
  });

  test.each([
    ['tables:write:todo.Task', 'tables:read:todo.Task', true],
    ['tables:read:todo.Task', 'tables:write:todo.Task', false],
    ['tables:write:todo.*', 'tables:read:todo.Other', true],
    ['tables:read:todo.*', 'tables:read:todo2.Task', false],
    ['http:client:a.com', 'http:client:a.com:443', true],
    ['http:client:a.com', 'http:client:a.com:8080', false],
    ['http:client:a.com:443', 'http:client:a.com', false],
    ['http:client:*.a.com', 'http:client:a.com', false],
    ['http:client:*.a.com', 'http:client:b.a.com:80', true],
    ['http:client:*.a.com', 'http:client:ba.com', false],
    ['http:client:*', 'http:client:a.com:8080', true],
    ['http:client:*.com', 'http:client:*', false],
    ['events:publish:todo.*', 'events:publish:todo', false],
    ['events:publish:todo.*', 'events:publish:todo.a.b', true],
    ['events:subscribe:todo.*', 'events:subscribe:todo*', false],
    ['events:subscribe:*', 'events:publish:todo', false],
    ['hooks:call:a', 'hooks:call:ab', false],
  ])('%s: whether it allows %s is %s', (granted, wanted, allowed) => {
    expect(isGranted([granted], wanted)).toBe(allowed);
    expect(isGranted(['write:config', granted], wanted)).toBe(allowed);
    expect(isGranted([], wanted)).toBe(false);
  });

  test('that allows another allows all that the other allows', () => {
    fc.assert(
      fc.property(fc.array(line, { minLength: 30, maxLength: 60 }), (lines) => {
        for (const each of lines) expect(wrongPermission(each), each).toBeUndefined();
        for (const first of lines) {
          const second = lines.filter((each) => isGranted([first], each));
          const third = lines.filter((each) => isGranted(second, each));
          expect(third.filter((each) => !isGranted([first], each))).toEqual([]);
        }
      }),
      { numRuns: 50 },
    );
  });

  test('is neither thrown at by any text, nor allows any', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary' }), line), fc.oneof(fc.string(), line), (a, b) => {
        const allowed = isGranted([a], b);
        if (wrongPermission(a) !== undefined || wrongPermission(b) !== undefined) expect(allowed).toBe(a === b);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('what is granted', () => {
  let directory: string;
  let file: string;
  let audited: AuditEntry[];
  let changed: string[];

  beforeEach(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'tenon-grants-'));
    file = path.join(directory, 'grants.json');
    audited = [];
    changed = [];
  });

  afterEach(() => rm(directory, { recursive: true }));

  const open = (options: Partial<GrantsOptions> = {}): Promise<Grants> =>
    Grants.open({
      file,
      fixed: [],
      scope: 'bundles',
      audit: { write: async (entry) => void audited.push(entry) },
      changed: (id) => changed.push(id),
      ...options,
    });

  test('is what of the asked for was granted, less or more, by the settings and by hand', async () => {
    const grants = await open({ fixed: ['todo events:publish:*', 'other write:config'] });
    await grants.grant('todo', ['http:client:a.example.com', 'auth:credentials'], 'api');
    const asked = ['events:publish:todo.*', 'http:client:*.example.com', 'write:config'];
    expect(grants.of('todo', asked)).toEqual({
      asked,
      granted: ['events:publish:todo.*', 'http:client:a.example.com'],
      missing: ['http:client:*.example.com', 'write:config'],
    });
    expect(grants.limitsOf('todo', { permissions: asked, by: 'manifest' })).toHaveLength(2);
    expect(grants.limitsOf('todo', { permissions: asked, by: 'config' })).toBeUndefined();
    const all = await open({ scope: 'all' });
    expect(all.limitsOf('nobody', { permissions: asked, by: 'config' })).toEqual(asked);
    expect(all.limitsOf('nobody', { permissions: asked, by: 'manifest' })).toEqual([]);
  });

  test('is on the disk, for its owner alone, and in the audit log before it holds', async () => {
    const grants = await open();
    await Promise.all([
      grants.grant('todo', ['write:config', 'auth:credentials'], 'install'),
      grants.revoke('todo', ['auth:credentials'], 'api'),
      grants.grant('shop', ['write:config'], 'api'),
      grants.grant('shop', ['write:config'], 'api'),
    ]);
    expect(audited).toEqual([
      { action: 'grant', plugin: 'todo', message: 'write:config auth:credentials', by: 'install' },
      { action: 'revoke', plugin: 'todo', message: 'auth:credentials', by: 'api' },
      { action: 'grant', plugin: 'shop', message: 'write:config', by: 'api' },
    ]);
    expect(changed).toEqual(['todo', 'todo', 'shop']);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await open()).linesOf('todo')).toEqual(['write:config']);
    await grants.forget('todo', 'uninstall');
    expect(JSON.parse(await readFile(file, 'utf8'))).toEqual({ grants: { shop: ['write:config'] } });
  });

  test('stays what it was when the audit log cannot be written', async () => {
    const grants = await open({ audit: { write: () => Promise.reject(new Error('full')) } });
    await expect(grants.grant('todo', ['write:config'], 'api')).rejects.toThrow('full');
    expect(grants.linesOf('todo')).toEqual([]);
    await expect(stat(file)).rejects.toThrow();
  });

  test.each([
    ['todo', ['writ:config'], /"writ:config" must begin with .*did you mean "write:config"/],
    ['Todo', ['write:config'], /id must be that of a plugin/],
    ['todo', Array.from({ length: 257 }, (_, index) => `hooks:call:h${index}`), /at most 256/],
  ])('refuses to grant %s %j', async (id, lines, message) => {
    const grants = await open();
    await expect(grants.grant(id, lines, 'api')).rejects.toThrow(message);
    expect(changed).toEqual([]);
  });

  test.each([
    '',
    '[]',
    '{}',
    '{"grants": []}',
    '{"grants": {"todo": "write:config"}}',
    '{"grants": {"todo": ["writ:config"]}}',
    '{"grants": {"../todo": ["write:config"]}}',
    '{"grants": {}, "more": 1}',
    '{"grants": {"todo": ["write:config"]',
  ])('is not read from %j', async (text) => {
    await writeFile(file, text);
    await expect(open()).rejects.toMatchObject({ code: 'SettingsInvalid', details: { file } });
  });

  test('in the settings is refused with the line that is wrong', async () => {
    const yaml = 'permissions:\n  grants:\n    - todo write:config\n    - todo writ:config\n';
    await writeFile(path.join(directory, 'tenon.yaml'), yaml);
    const resolve = (): unknown => resolveSettings({ directory, variables: {} });
    expect(resolve).toThrow(/tenon\.yaml:\d+: permissions\.grants: .*"todo writ:config" must begin with/);
    await writeFile(path.join(directory, 'tenon.yaml'), yaml.replace('writ:', 'write:').replace('todo', 'Todo'));
    expect(resolve).toThrow(/"Todo write:config" must begin with the id of a plugin/);
    await writeFile(path.join(directory, 'tenon.yaml'), 'permissions:\n  grants: [todo write:config]\n');
    expect(resolveSettings({ directory, variables: {} }).settings.permissionGrants).toEqual(['todo write:config']);
    expect(() => resolveSettings({ flags: { permissionGrants: ['todo'] }, variables: {} })).toThrow(TypeError);
  });
});
