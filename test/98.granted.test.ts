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
import { makeBundle } from './load/bundles.js';
import { tenon } from './load/tenon.js';
import { World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

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
    expect(grants.linesFor('todo', { permissions: asked, by: 'manifest' })?.granted).toHaveLength(2);
    expect(grants.linesFor('todo', { permissions: asked, by: 'config' })).toBeUndefined();
    const all = await open({ scope: 'all' });
    expect(all.linesFor('nobody', { permissions: asked, by: 'config' })?.granted).toEqual(asked);
    expect(all.linesFor('nobody', { permissions: asked, by: 'manifest' })).toMatchObject({ asked, granted: [] });
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

/** Each service that is to be granted, asked for in a way that comes to `TENON_OK`. */
const services: [what: string, which: string, line: string][] = [
  ['publish', 'shop.sold', 'events:publish:shop.*'],
  ['subscribe', 'shop.*', 'events:subscribe:shop.*'],
  ['http', 'http://127.0.0.1:1/', 'http:client:127.0.0.1:1'],
  ['hook', 'shop.render', 'hooks:call:shop.render'],
  ['hash', '', 'auth:credentials'],
  ['sign', '', 'auth:credentials'],
  ['verify', 'any', 'auth:credentials'],
  ['read', 'todo.Task', 'tables:read:todo.Task'],
  ['write', 'todo.Task', 'tables:write:todo.*'],
];
const lines = [...new Set(services.map(([, , line]) => line))];

describe('a plugin', () => {
  let world: World;

  beforeEach(async () => {
    world = await World.make();
    await world.write('todo', 'config.yaml', 'name: Todo\n');
    await world.write(
      'todo',
      'schema.graphql',
      'type Task @table @export {\n  id: ID! @primaryKey\n  title: String!\n}\n',
    );
    await world.publish('asker', await buildPlugin('asker'));
  });

  afterEach(() => world.close());

  const manifest = (permissions: readonly string[], version = '1.0.0'): Promise<void> =>
    world.write('asker', 'manifest.json', JSON.stringify({ id: 'asker', name: 'Asker', version, permissions }));

  const ask = (what: string, which: string, route = 'ask'): ReturnType<World['get']> =>
    world.get(`/asker/${route}?what=${what}&which=${encodeURIComponent(which)}`);

  const change = async (body: unknown, method = 'PATCH', id = 'asker'): Promise<{ status: number; body: unknown }> => {
    const headers = { authorization: 'Bearer a-token-of-the-tests' };
    const init = body === undefined ? { headers } : { headers, body: JSON.stringify(body) };
    const answer = await world.request(method, `/api/v1/plugins/${id}/permissions`, init);
    return { status: answer.status, body: JSON.parse(answer.body) };
  };

  test('with a manifest has nothing that was not granted, is told so by name, and has all of it at once when it is', async () => {
    await manifest(lines);
    await world.start();
    for (const [what, which, line] of services) {
      const { status, body } = await ask(what, which);
      expect(status, what).toBe(403);
      const problem = JSON.parse(body) as { error: string; message: string; details: Record<string, unknown> };
      expect(problem.error).toBe('PermissionDenied');
      const missing = String(problem.details['permission']);
      expect(isGranted([line], missing), `${line} allows ${missing}`).toBe(true);
      expect(problem.message).toBe(
        `asker was not granted "${missing}": \`tenon permissions asker --grant ${missing}\` grants it`,
      );
      expect((await ask(what, which, 'told')).body).toBe('status 11');
    }
    for (const free of ['random', 'log']) expect((await ask(free, 'x', 'told')).body).toBe('status 0');

    expect(await change({ grant: lines })).toEqual({
      status: 200,
      body: { plugin: 'asker', by: 'manifest', asked: lines, granted: lines, missing: [] },
    });
    for (const [what, which] of services) expect((await ask(what, which, 'told')).body, what).toBe('status 0');

    expect(await change({ granted: ['events:publish:shop.*'] }, 'PUT')).toMatchObject({
      status: 200,
      body: { granted: ['events:publish:shop.*'] },
    });
    for (const [what, which] of services)
      expect((await ask(what, which, 'told')).body, what).toBe(what === 'publish' ? 'status 0' : 'status 11');
    expect(world.host.plugin('asker')).toMatchObject({
      generations: [{ number: 1 }],
      permissions: { by: 'manifest', granted: ['events:publish:shop.*'] },
    });
  });

  test('without a manifest has everything but tables of others, unless the setting says otherwise', async () => {
    await world.start();
    for (const [what, which] of services)
      expect((await ask(what, which, 'told')).body, what).toBe(/read|write/.test(what) ? 'status 4' : 'status 0');
    expect(await change({ grant: ['write:config'] })).toMatchObject({ status: 400, body: { error: 'BadRequest' } });
  });

  test('without a manifest has what its config.yaml says, where that binds all', async () => {
    await world.write('asker', 'config.yaml', 'permissions: ["events:publish:shop.*", "tables:read:todo.Task"]\n');
    await world.start({ permissionScope: 'all' });
    for (const [what, which] of services)
      expect((await ask(what, which, 'told')).body, what).toBe(
        what === 'publish' || what === 'read' ? 'status 0' : 'status 11',
      );
    const { body } = await ask('hash', '');
    expect(JSON.parse(body)).toMatchObject({
      error: 'PermissionDenied',
      message: 'asker was not granted "auth:credentials": its config.yaml does not name it under `permissions`',
    });
    await world.write('asker', 'config.yaml', 'permissions: ["auth:credentials", "tables:read:todo.Task"]\n');
    expect(await world.host.reload('asker')).toMatchObject({ unchanged: true, applied: ['permissions'] });
    expect((await ask('hash', '', 'told')).body).toBe('status 0');
    expect((await ask('publish', 'shop.sold', 'told')).body).toBe('status 11');
  });

  test('is refused in its handler only for what it was refused in that very call, inline too', async () => {
    await manifest(['events:publish:a']);
    await world.start();
    expect((await ask('publish', 'a', 'inline')).status).toBe(403);
    expect((await ask('publish', 'a', 'told')).body).toBe('status 11');
    for (let turn = 0; turn < 8; turn++) {
      const { status, body } = await ask('', '', 'elsewhere');
      expect({ status, error: (JSON.parse(body) as { error: string }).error }).toEqual({
        status: 500,
        error: 'HandlerFailed',
      });
    }
    const { body } = await ask('publish', 'b');
    expect(JSON.parse(body)).toMatchObject({
      message: 'asker was not granted "events:publish:b", and its manifest.json does not ask for it',
      details: { permission: 'events:publish:b', plugin: 'asker' },
    });
  });

  test('is told once of each line that it misses, and counted each time', async () => {
    await manifest(['events:publish:a']);
    await world.start();
    for (let turn = 0; turn < 5; turn++) await ask('publish', 'a', 'told');
    for (let topic = 0; topic < 100; topic++) await ask('publish', `b${topic}`, 'told');
    const told = world.log.filter(({ fields }) => fields?.['code'] === 'PermissionDenied');
    expect(told.filter(({ fields }) => fields?.['permission'] === 'events:publish:a')).toHaveLength(1);
    expect(told).toHaveLength(65);
    expect((await world.get('/metrics')).body).toContain(
      'tenon_permission_denied_total{plugin="asker",permission="events:publish"} 105',
    );
  });

  test('that may ask some servers asks no other, however it is written', async () => {
    const asks: [url: string, allowed: boolean][] = [
      ['http://127.0.0.1:8080/', true],
      ['http://127.0.0.1:08080/', true],
      ['http://127.0.0.1/', false],
      ['http://127.0.0.1:80800/', false],
      ['http://127.1:8080/', false],
      ['http://0x7f000001:8080/', false],
      ['http://2130706433:8080/', false],
      ['http://localhost:8080/', false],
      ['http://127.0.0.1:8080.example.com/', false],
      ['http://[::ffff:127.0.0.1]:8080/', false],
      ['http://[::1]/', true],
      ['http://api.EXAMPLE.test/', true],
      ['https://api.example.test/', true],
      ['https://api.example.test:443/x?y#z', true],
      ['https://api.example.test:444/', false],
      ['https://example.test/', false],
      ['https://evilexample.test/', false],
      ['https://evil.test\\.example.test/', false],
      ['https://evil.test/.example.test', false],
      ['https://evil.test?.example.test', false],
      ['https://evil.test#.example.test', false],
      ['https://a%2eexample.test/', false],
      ['https://evil%2f.example.test/', true],
    ];
    await manifest(['http:client:127.0.0.1:8080', 'http:client:[::1]', 'http:client:*.example.test']);
    await world.start({ permissionGrants: ['asker http:client:*'] });
    for (const [url, allowed] of asks)
      expect((await ask('http', url, 'told')).body, url).toBe(allowed ? 'status 0' : 'status 11');
  });

  test('is given no events that it may not have any more, and has them again when it may', async () => {
    await manifest(['events:subscribe:shop.*', 'events:publish:shop.*']);
    await world.start();
    await change({ grant: ['events:subscribe:shop.*', 'events:publish:shop.*'] });
    expect((await ask('subscribe', 'shop.*', 'told')).body).toBe('status 0');
    const ledger = (): string[] => world.host.plugin('asker').generations[0]?.ledger.subscriptions ?? [];
    expect(ledger()).toEqual(['shop.*']);
    await change({ revoke: ['events:subscribe:shop.*'] });
    expect(ledger()).toEqual([]);
    await change({ grant: ['events:subscribe:shop.*'] });
    expect(ledger()).toEqual(['shop.*']);
  });

  test('that cannot begin for want of a permission does as soon as it is granted', async () => {
    await world.publish('asker', await buildPlugin('asker', { defines: { NEEDS_TOPIC: '"shop.sold"' } }));
    await manifest(['events:subscribe:shop.sold']);
    await world.start();
    expect(world.host.plugin('asker')).toMatchObject({
      state: 'failed',
      error: { code: 'PermissionDenied', details: { permission: 'events:subscribe:shop.sold' } },
      permissions: { missing: ['events:subscribe:shop.sold'] },
    });
    expect(world.host.plugin('asker').error?.message).toContain(
      'tenon permissions asker --grant events:subscribe:shop.sold',
    );
    await change({ grant: ['events:subscribe:shop.sold'] });
    await expect.poll(() => world.host.plugin('asker').state).toBe('running');
  });

  test('is not changed by what grants nothing, or takes nothing back', async () => {
    const changes: [body: unknown, message: RegExp][] = [
      [{ grant: ['writ:config'] }, /did you mean "write:config"/],
      [{ grant: ['write:config'] }, /asker does not ask for "write:config"/],
      [{ revoke: ['events:publish:a'] }, /cannot be taken from asker: "events:publish:\*" is what grants it/],
      [{ revoke: ['events:publish:*'] }, /the setting permissions\.grants grants it/],
      [{ revoke: ['hooks:call:x'] }, /it is not granted/],
      [{ granted: [] }, /the body has "granted"/],
      [{ grant: 'write:config' }, /grant is not a list/],
      [{ grant: [1] }, /not a text/],
      [{}, /says nothing/],
      [[], /is not an object/],
    ];
    await manifest(['events:publish:a', 'events:publish:b']);
    await world.start({ permissionGrants: ['asker events:publish:*'] });
    for (const [body, message] of changes)
      expect(await change(body), JSON.stringify(body)).toMatchObject({
        status: 400,
        body: { error: 'BadRequest', message: expect.stringMatching(message) },
      });
    expect((await change(undefined, 'GET')).body).toMatchObject({ granted: ['events:publish:a', 'events:publish:b'] });
    expect((await change(undefined, 'GET', 'nobody')).status).toBe(404);
  });

  test('keeps what it was granted over an upgrade, and what its kept build asked for when it goes back', async () => {
    const options = { origin: 'upload', by: 'a test', grant: 'all' } as const;
    const of = async (version: string, permissions: string[]): Promise<Buffer> =>
      makeBundle('asker', {
        version,
        library: await buildPlugin('asker', { defines: { PLUGIN_VERSION: `"${version}"` } }),
        manifest: { permissions },
      });
    await rm(world.folder('asker'), { recursive: true });
    await world.start({ uploadSignatures: 'off', localSignatures: 'off' });
    await world.host.install(await of('1.0.0', ['events:publish:a']), options);
    await world.host.install(await of('1.1.0', ['events:publish:b']), options);
    const may = async (topic: string): Promise<string> => (await ask('publish', topic, 'told')).body;
    expect([await may('a'), await may('b')]).toEqual(['status 11', 'status 0']);
    await world.host.rollback('asker');
    expect([await may('a'), await may('b')]).toEqual(['status 0', 'status 11']);
    await world.host.uninstall('asker', { purge: true, by: 'a test' });
    expect(JSON.parse(await readFile(path.join(world.data, 'grants.json'), 'utf8'))).toEqual({ grants: {} });
  });

  test('is granted what it asks for by the command line', async () => {
    await manifest(['events:publish:a', 'write:config']);
    await world.start();
    const permissions = (...words: string[]): ReturnType<typeof tenon> =>
      tenon(world.directory, 'permissions', 'asker', ...words, '--data', 'state');
    expect(await permissions()).toMatchObject({
      status: 0,
      out: ['events:publish:a', 'write:config']
        .map((line) => `not granted: ${line}; to grant it: tenon permissions asker --grant '${line}'\n`)
        .join(''),
    });
    expect(await permissions('--grant-all', '--revoke', 'write:config')).toMatchObject({
      status: 2,
      err: expect.stringContaining('"write:config" cannot be taken from asker: it is not granted'),
    });
    expect(await permissions('--grant-all')).toMatchObject({
      status: 0,
      out: 'granted: events:publish:a\ngranted: write:config\n',
    });
    expect(await permissions('--grant', 'writ:config')).toMatchObject({
      status: 2,
      err: expect.stringContaining('did you mean "write:config"?'),
    });
  });

  test('may at no time what was revoked before it asked, while calls go on', async () => {
    await manifest(['events:publish:a']);
    await world.start();
    let calls = 0;
    let running = true;
    const callers = Array.from({ length: 4 }, async () => {
      while (running) {
        expect((await ask('publish', 'a', 'told')).body).toMatch(/^status (?:0|11)$/);
        calls++;
      }
    });
    for (let turn = 0; turn < 20; turn++) {
      await change({ grant: ['events:publish:a'] });
      expect((await ask('publish', 'a', 'told')).body).toBe('status 0');
      await change({ revoke: ['events:publish:a'] });
      expect((await ask('publish', 'a', 'told')).body).toBe('status 11');
    }
    running = false;
    await Promise.all(callers);
    expect(calls).toBeGreaterThan(20);
  });
});
