import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { TenonError } from '../src/base/errors.js';
import { readApplication } from '../src/compiler/application.js';
import { ConfigSchema } from '../src/compiler/config-schema.js';
import { maskedConfig } from '../src/host/effective-config.js';
import type { CreateHostOptions } from '../src/index.js';
import { Command } from './load/command.js';
import { inProcessOnly } from './load/isolation.js';
import { type Answer, until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';
import { DoorInMemory } from './registry/door-in-memory.js';
import { Fleet } from './registry/fleet.js';
import { noPostgres, PostgresServer } from './registry/postgres.js';

const given = vi.hoisted((): { door: unknown } => ({ door: undefined }));
vi.mock(import('../src/registry/none.js'), async (original) => {
  const { noRegistry } = await original();
  return { noRegistry: () => (given.door as ReturnType<typeof noRegistry> | undefined) ?? noRegistry() };
});

let world: World;
let registry: DoorInMemory;

beforeEach(async () => {
  world = await World.make();
  given.door = undefined;
  registry = new DoorInMemory();
  given.door = registry.door();
});
afterEach(() => world.close());

const target = '/api/v1/plugins/config/config';
const token = 'Bearer a-token-of-the-tests';

interface Reply {
  status: number;
  tag: string | null;
  body: {
    config?: unknown;
    source?: string;
    schema?: unknown;
    revision?: number;
    status?: unknown;
    plugin?: { id: string; state: string; generation?: number };
    error?: string;
    message?: string;
    details?: { errors?: { pointer: string; message: string }[]; name?: string; pointer?: string };
    history?: { revision: number; config: unknown; changedBy: string }[];
  };
}

async function ask(
  method: string,
  place = target,
  init: { body?: unknown; headers?: Record<string, string> } = {},
): Promise<Reply> {
  const { body } = init;
  const answer = await world.request(method, place, {
    headers: { authorization: token, ...init.headers },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  return {
    status: answer.status,
    tag: answer.headers.get('etag'),
    body: (answer.body === '' ? {} : JSON.parse(answer.body)) as Reply['body'],
  };
}

/** What the plugin reads. */
async function own(): Promise<unknown> {
  return JSON.parse((await world.request('POST', '/config/own')).body) as unknown;
}

/** What the host itself has logged. */
function hostLog(): string {
  return JSON.stringify(world.log.filter(({ fields }) => fields === undefined));
}

async function put(config: string, defines?: Record<string, string>): Promise<void> {
  await world.publish('config', await buildPlugin('config', defines === undefined ? {} : { defines }));
  await world.write('config', 'config.yaml', config);
}

async function start(config: string, options: CreateHostOptions = {}): Promise<void> {
  await put(config);
  registry.register('config');
  await world.start({ environment: {}, ...options });
}

async function secretFile(name: string, content: string): Promise<void> {
  await mkdir(path.join(world.data, 'secrets'), { recursive: true });
  await writeFile(path.join(world.data, 'secrets', name), content);
}

const schema = `configSchema:
  type: object
  properties:
    port: { type: integer, minimum: 1, default: 8080 }
    name: { type: string, default: "tenon" }
    password: { type: string, writeOnly: true }
    nested:
      type: object
      properties:
        key: { type: string, format: password }
      additionalProperties: false
  additionalProperties: false
`;

describe('configSchema', () => {
  async function refusal(config: string, files: Record<string, string> = {}): Promise<TenonError> {
    for (const [file, text] of Object.entries(files)) await world.write('config', file, text);
    await world.write('config', 'main.c', '');
    await world.write('config', 'config.yaml', `resources: [main.c]\n${config}`);
    return readApplication(world.folder('config')).then(
      () => expect.unreachable('the application was accepted'),
      (error: TenonError) => error,
    );
  }

  test.each([
    ['configSchema: 3', 'config.yaml:2:15: configSchema must be a mapping of keys to values'],
    ['configSchema:\n  type: objekt', 'config.yaml:3:9: configSchema/type must be'],
    [
      'configSchema:\n  properties:\n    a: {$ref: "https://example.org/a"}',
      'config.yaml:4:15: configSchema/properties/a/$ref must begin with "#"',
    ],
    [
      'configSchema: {$ref: "#/nowhere"}',
      "config.yaml:2:15: configSchema cannot be used: can't resolve reference #/nowhere",
    ],
    [
      'configSchema: {$schema: "http://json-schema.org/draft-07/schema#"}',
      'config.yaml:2:25: configSchema/$schema must be https',
    ],
    ['configSchema: {$id: "x"}', 'config.yaml:2:21: configSchema/$id is not allowed'],
    [
      'configSchema: {proprties: {}}',
      'config.yaml:2:15: configSchema cannot be used: strict mode: unknown keyword: "proprties"',
    ],
    [
      'configSchema: {properties: {a: {pattern: "("}}}',
      'config.yaml:2:42: configSchema/properties/a/pattern is no pattern: ',
    ],
    [
      'configSchema: {properties: {a: {writeOnly: true, default: abc}}}',
      'config.yaml:2:59: configSchema/properties/a/default gives a secret in clear',
    ],
    ['configSchema: missing.json', 'config.yaml:2:15: configSchema missing.json cannot be read: it is not there'],
    ['configSchema: ../out.json', 'config.yaml:2:15: configSchema must be a JSON Schema, or the path'],
    [`${schema}custom:\n  port: 0`, 'config.yaml:15:9: custom/port must be >= 1'],
    [
      `${schema}custom:\n  nested: {key: a, other: 1}`,
      'config.yaml:15:11: custom/nested must not have the property "other"',
    ],
  ])('%s is refused at its place', async (config, sentence) => {
    const error = await refusal(config);
    expect(error.code).toBe('ConfigInvalid');
    expect(error.message.slice(0, sentence.length)).toBe(sentence);
  });

  test('may be a file of the folder, in which the place is told', async () => {
    const error = await refusal('configSchema: shape.json', {
      'shape.json': '{\n  "properties": {\n    "a": {"type": 3}\n  }\n}',
    });
    expect(error.message).toMatch(/^shape\.json:3:\d+: configSchema\/properties\/a\/type /);
    expect((await refusal('configSchema: shape.json', { 'shape.json': '{\n  "a": }' })).message).toMatch(
      /^shape\.json:\d+:\d+: is no JSON/,
    );
    expect((await refusal('configSchema: shape.json', { 'shape.json': ' '.repeat(70_000) })).message).toMatch(
      /more than 65536 bytes/,
    );
  });

  test.each([
    ['nested too deep', () => Array.from({ length: 40 }).reduce<object>((inner) => ({ not: inner }), {})],
    ['too many schemas', () => ({ anyOf: Array.from({ length: 2100 }, () => ({})) })],
    ['a long pattern', () => ({ pattern: 'a'.repeat(300) })],
    ['a pattern that never ends', () => ({ properties: { a: { pattern: '^(a+)+$' } } })],
    ['schemas that are asked without end', () => doubling(30)],
  ])('%s takes no more than its time', async (_what, make) => {
    inProcessOnly('no plugin is begun for a schema that is refused');
    const custom = { a: `${'a'.repeat(60)}!` };
    const error = await refusal(`configSchema: ${JSON.stringify(make())}\ncustom: ${JSON.stringify(custom)}`);
    expect(error.code).toBe('ConfigInvalid');
    expect(error.message).toMatch(
      /is deeper than|holds more than|is a pattern of more|is not checked against its schema in/,
    );
  });

  test('does not hold references against a custom that has them', async () => {
    await world.write('config', 'main.c', '');
    const text =
      'resources: [main.c]\nconfigSchema: {properties: {a: {anyOf: [{pattern: "^x$"}, {const: y}]}}, required: [a]}\n';
    await world.write('config', 'config.yaml', `${text}custom: {a: "\${A}"}\n`);
    expect((await readApplication(world.folder('config'))).configSchema).toBeDefined();
    await expect(refusal(`${text.slice(text.indexOf('\n') + 1)}custom: {b: "\${A}"}\n`)).resolves.toMatchObject({
      message: expect.stringMatching(/custom must have required property 'a'/) as string,
    });
  });
});

/** `levels` schemas, each of which asks the next one twice. */
function doubling(levels: number): object {
  const $defs = Object.fromEntries(
    Array.from({ length: levels }, (_, at) => [
      `d${at}`,
      at === levels - 1
        ? { minProperties: 5 }
        : { not: { anyOf: [{ $ref: `#/$defs/d${at + 1}` }, { $ref: `#/$defs/d${at + 1}` }] } },
    ]),
  );
  return { $defs, allOf: [{ $ref: '#/$defs/d0' }, false] };
}

describe('a plugin is given', () => {
  test('the defaults of its schema on top of what it has', async () => {
    await start(`${schema}custom: {name: shop}\n`);
    expect(await own()).toEqual({ name: 'shop', port: 8080 });
    expect((await ask('GET')).body).toMatchObject({ config: { name: 'shop' }, source: 'config.yaml', revision: 0 });
  });

  test('what variables and files hold, inside of texts too', async () => {
    await secretFile('token', 'line one\nline two\n');
    const environment = { USER_NAME: 'ada', EMPTY: '' };
    await start(
      'custom: {url: "http://${USER_NAME}:${file:token}@h${EMPTY}", plain: "$${USER_NAME} $5 {}", list: ["${USER_NAME}"]}\n',
      { environment },
    );
    expect(await own()).toEqual({ url: 'http://ada:line one\nline two@h', plain: '${USER_NAME} $5 {}', list: ['ada'] });
    expect((await ask('GET')).body.config).toMatchObject({ url: 'http://${USER_NAME}:${file:token}@h${EMPTY}' });
    await world.host.close();
    const kept = await readFile(path.join(world.data, 'versions/config/config.json'), 'utf8');
    expect(kept).toContain('${file:token}');
    expect(kept).not.toMatch(/ada|line one/);
    expect(hostLog()).not.toMatch(/ada|line one/);
  });

  test.each([
    ['${NOWHERE}', 'SecretMissing', 'the variable NOWHERE, which is not set'],
    ['${file:nowhere}', 'SecretMissing', 'the file nowhere, which is not there'],
    ['${file:folder}', 'SecretMissing', 'the file folder, which is no regular file'],
    ['${file:large}', 'SecretMissing', 'the file large, which has more than 65536 bytes'],
    ['${file:binary}', 'SecretMissing', 'the file binary, which is no UTF-8'],
    ['${file:../config}', 'ConfigInvalid', 'has a "${" that begins no reference'],
    ['${toString', 'ConfigInvalid', 'has a "${" that begins no reference'],
    ['${toString}', 'SecretMissing', 'the variable toString, which is not set'],
  ])('%s is refused, by its name and its place', async (text, code, sentence) => {
    await secretFile('large', 'x'.repeat(65_537));
    await secretFile('binary', '\u00ff');
    await writeFile(path.join(world.data, 'secrets', 'binary'), Buffer.from([0xff, 0xfe]));
    await mkdir(path.join(world.data, 'secrets', 'folder'));
    await start(`custom: {a: {"b/c": [${JSON.stringify(text)}]}}\n`);
    const { state, error } = world.host.plugin('config');
    expect([state, error?.code]).toEqual(['failed', code]);
    expect(error?.message).toContain(sentence);
    expect(error?.message).toContain('/a/b~1c/0');
  });

  test('nothing, when with its secrets it is not as its schema says; and no value is told', async () => {
    const text =
      'configSchema: {properties: {a: {type: string, writeOnly: true, maxLength: 3}}}\ncustom: {a: "${A}"}\n';
    await start(text, { environment: { A: 'far-too-long' } });
    const { error } = world.host.plugin('config');
    expect(error).toMatchObject({
      code: 'ConfigInvalid',
      details: { errors: [{ pointer: '/a', message: 'must NOT have more than 3 characters' }] },
    });
    expect(JSON.stringify(world.host.plugins()) + hostLog()).not.toContain('far-too-long');
  });

  test('another secret at the next reload', async () => {
    await secretFile('key', 'one');
    await start('custom: {key: "${file:key}"}\n');
    await secretFile('key', 'two');
    expect(await own()).toEqual({ key: 'one' });
    expect(await world.host.reload('config')).toMatchObject({ unchanged: true, applied: ['custom'] });
    expect(await own()).toEqual({ key: 'two' });
    expect((await world.host.reload('config')).applied).toBeUndefined();
  });

  test('the secrets it had, when it goes back to the build before and they are gone', async () => {
    const environment: Record<string, string> = { KEY: 'one' };
    await start('custom: {key: "${KEY}"}\n', { environment });
    await world.publish('config', await buildPlugin('config', { flags: ['-O1'] }));
    await world.host.reload('config');
    delete environment['KEY'];
    const record = await world.host.rollback('config');
    expect(record.warnings).toEqual([
      expect.stringMatching(/the variable KEY, which is not set; config goes on with the config it had/),
    ]);
    expect(await own()).toEqual({ key: 'one' });
  });
});

describe('reloadOnChange', () => {
  test('gives each change a new generation', async () => {
    await start('reloadOnChange: true\ncustom: {b: 1}\n');
    await world.write('config', 'config.yaml', 'reloadOnChange: true\ncustom: {b: 2}\n');
    const record = await world.host.reload('config');
    expect(record.to?.generation).toBe(2);
    expect(await own()).toEqual({ b: 2 });
    expect((await world.host.reload('config')).unchanged).toBe(true);
  });
});

describe('over HTTP a config', () => {
  test('is seen with its source, schema and tag, and is not sent again to who has it', async () => {
    await start(schema);
    const first = await ask('GET');
    expect(first.body).toMatchObject({ config: {}, source: 'defaults', revision: 0, schema: { type: 'object' } });
    expect(first.tag).toMatch(/^"[^"]+"$/);
    expect((await ask('GET', target, { headers: { 'if-none-match': first.tag ?? '' } })).status).toBe(304);
    expect((await ask('GET', '/api/v1/plugins/confg/config')).body.error).toBe('PluginNotFound');
    expect((await world.get(target)).status).toBe(401);
  });

  test('is set, and the plugin takes it', async () => {
    await start(`${schema}custom: {name: shop}\n`);
    const { tag } = await ask('GET');
    const set = await ask('PUT', target, { body: { name: 'bar', port: 1 } });
    expect([set.status, set.body]).toMatchObject([
      200,
      {
        status: 'taken',
        config: { name: 'bar', port: 1 },
        source: 'registry',
        plugin: { id: 'config', state: 'running', generation: 1 },
      },
    ]);
    expect(await own()).toEqual({ name: 'bar', port: 1 });
    const seen = await ask('GET');
    expect(seen).toMatchObject({
      tag: set.tag,
      body: { config: { name: 'bar', port: 1 }, source: 'registry', revision: set.body.revision },
    });
    expect(seen.tag).not.toBe(tag);
    expect((await ask('PUT', target, { body: { port: 1, name: 'bar' } })).body).toMatchObject({
      status: 'unchanged',
      revision: set.body.revision,
    });
    expect((await ask('DELETE')).body).toMatchObject({
      status: 'taken',
      config: { name: 'shop' },
      source: 'config.yaml',
    });
    expect(await own()).toEqual({ name: 'shop', port: 8080 });
    const { history } = (await ask('GET', `${target}/history`)).body;
    expect(history?.map(({ config, changedBy }) => [config, changedBy])).toEqual([
      [null, 'host'],
      [{ name: 'bar', port: 1 }, 'host'],
    ]);
  });

  test('is set with a new generation, when the plugin asks for one', async () => {
    await start('custom: {b: 1}\n');
    expect((await ask('PUT', target, { body: { answer: 4 } })).body).toMatchObject({
      status: 'reloaded',
      plugin: { generation: 2 },
    });
    expect(await own()).toEqual({ answer: 4 });
  });

  test('that the plugin refuses is put back, and told in its words', async () => {
    await start('custom: {b: 1}\n');
    await ask('PUT', target, { body: { b: 2 } });
    const refused = await ask('PUT', target, { body: { answer: 1 } });
    expect([refused.status, refused.body.error]).toEqual([422, 'ConfigInvalid']);
    expect(refused.body.message).toMatch(/^config does not take this config, .*: no;/);
    expect(registry.row('config').config).toEqual({ b: 2 });
    expect(await own()).toEqual({ b: 2 });
    expect((await ask('GET')).body.config).toEqual({ b: 2 });
  });

  test.each<[string, unknown, string]>([
    ['a wrong type', { port: 'x' }, '/port must be integer'],
    ['an unknown property', { prt: 1 }, ' must not have the property "prt"'],
    ['a secret in clear', { password: 'hunter2' }, '/password is a secret'],
    ['a secret in clear further in', { nested: { key: 'hunter2' } }, '/nested/key is a secret'],
    ['a secret that is no text', { password: { deep: ['hunter2'] } }, '/password is a secret'],
    ['a list', [1], ' must be an object'],
    ['half a character', '{"name":"\\ud800"}', '/name must be a text'],
    ['a NUL', '{"name":"\\u0000"}', '/name must be a text'],
    ['too much', { name: 'x'.repeat(200_000) }, ' is larger than'],
    ['too deep', `{"name":${'['.repeat(70)}${']'.repeat(70)}}`, `/name${'/0'.repeat(64)} is deeper than 64 levels`],
  ])('with %s is refused, and nothing is written', async (_what, body, sentence) => {
    await start(schema);
    const refused = await ask('PUT', target, { body });
    expect([refused.status, refused.body.error]).toEqual([422, 'ConfigInvalid']);
    const [first] = refused.body.details?.errors ?? [];
    expect(`${first?.pointer} ${first?.message}`.replace(/^ +/, ' ').slice(0, sentence.length)).toBe(sentence);
    expect(refused.body.message).not.toContain('hunter2');
    expect(registry.row('config').configRevision).toBe(0);
  });

  test('tells all that is wrong', async () => {
    await start(schema);
    const { body } = await ask('PUT', target, { body: { port: 0, name: 3, other: 1 } });
    expect(body.details?.errors?.map(({ pointer }) => pointer).toSorted()).toEqual(['', '/name', '/port']);
  });

  test.each([
    ['', 400],
    ['{"a":', 400],
    ['null', 400],
    [`"${'x'.repeat(600_000)}"`, 413],
  ])('that cannot be read is refused', async (body, status) => {
    await start(schema);
    expect((await ask('PUT', target, { body })).status).toBe(status);
  });

  test('with a secret that is not there is refused by its name', async () => {
    await start(schema);
    const { status, body } = await ask('PUT', target, { body: { password: '${NOWHERE}' } });
    expect([status, body.error, body.details]).toMatchObject([
      422,
      'SecretMissing',
      { pointer: '/password', name: 'NOWHERE' },
    ]);
    expect(registry.row('config').configRevision).toBe(0);
  });

  test('is only tried with dryRun', async () => {
    await start(schema);
    const tried = await ask('PUT', `${target}?dryRun=true`, { body: { port: 5 } });
    expect(tried.body).toMatchObject({ status: 'valid', config: { port: 5 } });
    expect((await ask('PUT', `${target}?dryRun=true`, { body: { port: 0 } })).body.error).toBe('ConfigInvalid');
    expect((await ask('PUT', `${target}?dryRun=perhaps`, { body: {} })).status).toBe(400);
    expect((await ask('PUT', `${target}?dryrun=true`, { body: { port: 6 } })).status).toBe(400);
    expect(await own()).toEqual({ name: 'tenon', port: 8080 });
    expect(registry.row('config').configRevision).toBe(0);
  });

  test('with a number that JSON has not is not valid for dryRun either', async () => {
    await start('custom: {b: 1}\n');
    for (const place of [`${target}?dryRun=true`, target])
      expect(await ask('PUT', place, { body: '{"b": [1e999]}' })).toMatchObject({
        status: 422,
        body: { error: 'ConfigInvalid', details: { errors: [{ pointer: '/b/0' }] } },
      });
  });

  test('is replaced by who has seen it last only: one of a hundred', async () => {
    await start(schema);
    const { tag } = await ask('GET');
    const headers = { 'if-match': tag ?? '' };
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, at) => ask('PUT', target, { headers, body: { port: at + 1 } })),
    );
    const [winner, ...others] = answers.filter(({ status }) => status === 200);
    expect([others.length, answers.filter(({ status }) => status === 412).length]).toEqual([0, 99]);
    expect((await ask('GET')).body.config).toEqual(winner?.body.config);
    expect((await ask('DELETE', target, { headers })).body.error).toBe('PreconditionFailed');
    expect((await ask('PUT', target, { headers: { 'if-match': '*' }, body: { port: 7 } })).status).toBe(200);
    expect((await ask('PUT', target, { headers: { 'if-match': 'x' }, body: {} })).status).toBe(400);
  });

  test('of config.yaml shows no secret that stands there in clear', async () => {
    await start(`${schema}custom: {password: hunter2, nested: {key: "\${KEY}"}}\n`, { environment: { KEY: 'k' } });
    expect((await ask('GET')).body.config).toEqual({ password: '***', nested: { key: '${KEY}' } });
    expect(await own()).toMatchObject({ password: 'hunter2', nested: { key: 'k' } });
  });

  test('is seen without a registry, and not set', async () => {
    await start('custom: {b: 1}\n');
    registry.away = true;
    expect((await ask('GET')).body.config).toEqual({ b: 1 });
    for (const [method, place] of [
      ['PUT', target],
      ['DELETE', target],
      ['GET', `${target}/history`],
    ] as const)
      expect((await ask(method, place, method === 'PUT' ? { body: { b: 2 } } : {})).body.error).toBe(
        'RegistryUnavailable',
      );
    expect(await own()).toEqual({ b: 1 });
  });

  test('of a plugin has no place as long as its config.yaml disables it, and that is said', async () => {
    await put('enabled: false\n');
    await world.start();
    expect(await ask('PUT', target, { body: { b: 2 } })).toMatchObject({
      status: 409,
      body: { error: 'PluginDisabled', message: expect.stringContaining('its config.yaml disables it') as string },
    });
  });

  test('of a plugin that is stopped is stored for its next load', async () => {
    await start('custom: {b: 1}\n');
    await world.host.unload('config');
    expect((await ask('PUT', target, { body: { b: 2 } })).body).toMatchObject({
      status: 'stored',
      plugin: { state: 'stopped' },
    });
    await world.host.load('config');
    expect(await own()).toEqual({ b: 2 });
  });

  test('may be what a plugin that does not start has waited for', async () => {
    await start('configSchema: {required: [b]}\n');
    expect(world.host.plugin('config')).toMatchObject({ state: 'failed', error: { code: 'ConfigInvalid' } });
    expect((await ask('PUT', target, { body: { b: 2 } })).body).toMatchObject({
      status: 'reloaded',
      plugin: { state: 'running' },
    });
    expect(await own()).toEqual({ b: 2 });
  });
});

describe('a config that came by SQL', () => {
  test.each([
    [{ password: 'hunter2' }, 'ConfigInvalid'],
    [{ port: 'x' }, 'ConfigInvalid'],
    [{ password: '${NOWHERE}' }, 'SecretMissing'],
  ])('and is wrong is reported, and what is in force stays', async (config, code) => {
    await start(schema);
    registry.write('config', config);
    await expect(world.host.reload('config')).rejects.toMatchObject({ code });
    expect(world.host.plugin('config')).toMatchObject({ state: 'running', generation: 1, error: { code } });
    expect(await own()).toEqual({ name: 'tenon', port: 8080 });
    expect(JSON.stringify((await ask('GET')).body) + hostLog()).not.toContain('hunter2');
    expect((await ask('GET', `${target}/history`)).body.history?.[0]?.config).not.toMatchObject({
      password: 'hunter2',
    });
  });

  test('is taken up, and a reordering of it is nothing', async () => {
    await start(schema);
    registry.write('config', { port: 2, name: 'a' });
    expect((await world.host.reload('config')).applied).toEqual(['custom']);
    await world.write('config', 'config.yaml', `${schema}custom: {name: b}\n`);
    expect(await world.host.reload('config')).not.toHaveProperty('applied');
    expect(await own()).toEqual({ name: 'a', port: 2 });
  });

  test('is in force also when the build before is gone back to', async () => {
    await start('custom: {b: 1}\n');
    await world.publish('config', await buildPlugin('config', { flags: ['-O1'] }));
    await world.host.reload('config');
    registry.write('config', { b: 2 });
    await world.host.rollback('config');
    expect(await own()).toEqual({ b: 2 });
    registry.write('config', null);
    await world.host.reload('config');
    expect(await own()).toEqual({ b: 1 });
  });

  test('is not in force again once it was taken back, where the application cannot be read', async () => {
    await start('custom: {b: 1}\n');
    await world.publish('config', await buildPlugin('config', { flags: ['-O1'] }));
    registry.write('config', { b: 2 });
    await world.host.reload('config');
    expect(await own()).toEqual({ b: 2 });
    await world.write('config', 'config.yaml', 'custom: [\n');
    registry.write('config', null);
    await world.host.rollback('config');
    expect(await own()).toEqual({ b: 1 });
    await world.host.close();
    expect(await readFile(path.join(world.data, 'versions/config/config.json'), 'utf8')).toContain('{\\"b\\":1}');
  });
});

test('what is set is for the build that serves, also when the application has one that was taken back', async () => {
  await start('custom: {b: 1}\n', { probationMs: 60_000 });
  await world.publish('config', await buildPlugin('config', { defines: { IS_ILL: '1' } }));
  await world.host.reload('config');
  await until('the build before serves', () => world.host.plugin('config').generation === 3);
  expect((await ask('PUT', target, { body: { b: 2 } })).body).toMatchObject({
    status: 'taken',
    plugin: { generation: 3 },
  });
  expect(await own()).toEqual({ b: 2 });
  expect((await ask('PUT', target, { body: { answer: 1 } })).body.error).toBe('ConfigInvalid');
  expect((await ask('PUT', target, { body: { answer: 4 } })).body).toMatchObject({
    status: 'reloaded',
    plugin: { generation: 4 },
  });
  expect(await own()).toEqual({ answer: 4 });
  expect((await ask('DELETE')).body.status).toBe('taken');
  expect(await own()).toEqual({ b: 1 });
});

interface Drawn {
  schema: object;
  /** Fits the schema; every secret in it has `secret`, longer than any name and any other text that is drawn. */
  value: unknown;
}

const name = fc.stringMatching(/^[a-z~/]{1,4}$/);
const drawnLeaf: fc.Arbitrary<Drawn> = fc.oneof(
  fc.integer().map((value) => ({ schema: { type: 'integer' }, value })),
  fc.boolean().map((value) => ({ schema: { type: 'boolean' }, value })),
  fc.string({ maxLength: 5 }).map((value) => ({ schema: { type: 'string' }, value })),
  fc
    .constantFrom(
      { writeOnly: true },
      { format: 'password' },
      { $ref: '#/$defs/secret' },
      { allOf: [{ writeOnly: true }] },
    )
    .map((how) => ({ schema: { type: 'string', ...how }, value: 'secret' })),
);
const { drawn } = fc.letrec<{ drawn: Drawn }>((tie) => ({
  drawn: fc.oneof(
    { maxDepth: 3 },
    drawnLeaf,
    fc.dictionary(name, tie('drawn'), { minKeys: 1, maxKeys: 3 }).map((members) => ({
      schema: {
        type: 'object',
        properties: Object.fromEntries(Object.entries(members).map(([key, { schema }]) => [key, schema])),
        additionalProperties: false,
      },
      value: Object.fromEntries(Object.entries(members).map(([key, { value }]) => [key, value])),
    })),
    tie('drawn').map(({ schema, value }) => ({ schema: { type: 'array', items: schema }, value: [value, value] })),
    tie('drawn').map(({ schema, value }) => ({
      schema: { type: 'object', additionalProperties: schema },
      value: { any: value },
    })),
  ),
}));
const drawnConfig = fc.dictionary(name, drawn, { minKeys: 1, maxKeys: 3 }).map((members) => ({
  schema: ConfigSchema.of(
    JSON.stringify({
      $defs: { secret: { writeOnly: true } },
      properties: Object.fromEntries(Object.entries(members).map(([key, { schema }]) => [key, schema])),
    }),
  ),
  config: Object.fromEntries(Object.entries(members).map(([key, { value }]) => [key, value])),
}));

/** Pointers of all that has no members. */
function leaves(value: unknown, at = ''): string[] {
  if (typeof value !== 'object' || value === null) return [at];
  return Object.entries(value).flatMap(([key, inner]) =>
    leaves(inner, `${at}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`),
  );
}

/** `value` with `null` at a pointer. */
function spoiled(value: unknown, pointer: string, at = ''): unknown {
  if (at === pointer) return null;
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).map(([key, inner]: [string, unknown]) => [
    key,
    spoiled(inner, pointer, `${at}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`),
  ]);
  return Array.isArray(value) ? members.map(([, inner]) => inner) : (Object.fromEntries(members) as unknown);
}

describe('for any schema', () => {
  test('what fits is accepted, and what is wrong at one place is refused at that place', () => {
    fc.assert(
      fc.property(drawnConfig, fc.nat(), ({ schema, config }, at) => {
        expect(schema.flaws(config)).toEqual([]);
        const places = leaves(config);
        const place = places[at % places.length] ?? '';
        expect(schema.flaws(spoiled(config, place) as object as Record<string, unknown>)[0]?.pointer).toBe(place);
      }),
      { numRuns: 100 },
    );
  });

  test('no secret is shown, also where the rest of it is wrong', () => {
    fc.assert(
      fc.property(drawnConfig, fc.nat(), ({ schema, config }, at) => {
        const places = leaves(config);
        const wrong = spoiled(config, places[at % places.length] ?? '') as Record<string, unknown>;
        for (const shown of [maskedConfig(schema, config), maskedConfig(schema, wrong)])
          expect(JSON.stringify(shown)).not.toContain('secret');
      }),
      { numRuns: 100 },
    );
  });
});

test('no secret that was resolved is ever shown, logged or kept', async () => {
  const word = fc.stringMatching(/^[A-Za-z]{1,6}$/);
  const leaf = fc.constantFrom('${A}', '${file:b}', 'x ${A} ${file:b}', 'plain', '$${A}', 3, true, null);
  const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      leaf,
      fc.array(tie('tree'), { maxLength: 3 }),
      fc.dictionary(word, tie('tree'), { maxKeys: 3 }),
    ),
  }));
  await secretFile('b', 'secret-of-a-file\n');
  await start('custom: {a: 1}\nconfigSchema: {properties: {a: {writeOnly: true}}}\n', {
    environment: { A: 'secret-of-a-variable' },
  });
  await fc.assert(
    fc.asyncProperty(fc.dictionary(word, tree, { maxKeys: 4 }), async (config) => {
      const set = await ask('PUT', target, { body: config });
      const seen = await ask('GET');
      const rest = [
        await ask('GET', '/api/v1/plugins/config'),
        await ask('GET', '/api/v1/reloads'),
        await ask('GET', `${target}/history`),
      ];
      expect(JSON.stringify([set, seen, rest]) + hostLog() + registry.dump()).not.toContain('secret-of-a-');
      if (set.status === 200) {
        expect(seen.body.config).toEqual(config);
        expect(JSON.stringify(await own()).includes('secret-of-a-')).toBe(/(?<!\$)\$\{/.test(JSON.stringify(config)));
      }
    }),
    { numRuns: 60 },
  );
});

describe('tenon config', () => {
  async function tenon(...words: string[]): Promise<{ code: unknown; out: string; err: string }> {
    const command = new Command(['config', 'config', ...words], world.directory, { NO_COLOR: '1' });
    const [code] = await command.exit;
    return { code, out: command.out, err: command.err };
  }

  test('shows it, sets keys of it or all of it, checks it, takes it back, and lists what it was', async () => {
    await start(`${schema}custom: {name: shop, nested: {key: "\${file:key}"}}\n`, { hotReload: false });
    await secretFile('key', 'k');
    await world.host.reload('config');
    const reach = ['--url', world.url];
    const seen = await tenon(...reach);
    expect([seen.code, JSON.parse(seen.out), seen.err]).toEqual([
      0,
      { name: 'shop', nested: { key: '${file:key}' } },
      'from config.yaml\n',
    ]);
    expect((await tenon('set', 'port=0', 'other=1', ...reach)).err).toMatch(
      /^\/port must be >= 1\nit must not have|^it must not have[^\n]*\n\/port must be >= 1/,
    );
    expect(await tenon('set', 'port=5', '--dry-run', ...reach)).toMatchObject({
      code: 0,
      out: 'config: valid, revision 0, generation 1\n',
    });
    const set = await tenon('set', 'port=5', 'nested.key=${file:key}', 'name=a=b', ...reach);
    expect([set.code, set.out]).toEqual([0, expect.stringMatching(/^config: taken, revision \d+, generation 1\n$/)]);
    expect(await own()).toEqual({ name: 'a=b', nested: { key: 'k' }, port: 5 });
    await writeFile(path.join(world.directory, 'whole.yaml'), 'name: whole\n');
    expect((await tenon('set', 'whole.yaml', '--json', ...reach)).out).toMatch(/^\{"status":"taken"/);
    expect(await own()).toEqual({ name: 'whole', port: 8080 });
    expect((await tenon('unset', ...reach)).code).toBe(0);
    expect((await tenon('history', ...reach)).out.split('\n').map((line) => line.split(/ {2,}/).at(-1))).toEqual([
      'CONFIG',
      '-',
      '{"name":"whole"}',
      '{"name":"a=b","nested":{"key":"${file:key}"},"port":5}',
      '',
    ]);
  });

  test('is misused with a sentence', async () => {
    await start('custom: {b: 1}\n');
    for (const [words, sentence] of [
      [['sett'], 'there is no action "sett"; did you mean set?'],
      [['set'], 'config set needs a file, or key=value'],
      [['set', 'nowhere.json'], '"nowhere.json" is neither key=value nor a file'],
      [['set', 'a=1', 'b'], '"b" is no key=value'],
      [['get', 'x'], 'config get takes no "x"'],
    ] as const) {
      const { code, err } = await tenon(...words, '--url', world.url);
      expect([code, err]).toEqual([2, expect.stringContaining(sentence)]);
    }
  });
});

test('tenon build says at which place of config.yaml the config is wrong', async () => {
  await world.write('config', 'main.c', '');
  await world.write('config', 'config.yaml', `resources: [main.c]\n${schema}custom:\n  port: 0\n  name: 3\n`);
  const command = new Command(['build', world.folder('config'), '--data', world.data], world.directory, {});
  expect((await command.exit)[0]).toBe(1);
  expect(command.err).toContain('config.yaml:15:9: error: custom/port must be >= 1');
  expect(command.err).toContain('config.yaml:16:9: error: custom/name must be string');
  expect(command.err).toContain('ConfigInvalid');
});

describe('with the embedded registry', () => {
  test('what a plugin could not start without makes it active', async () => {
    await put('configSchema: {required: [b]}\n');
    await world.start({ registry: true, registryWaitMs: 60_000 });
    await until('it is registered', () => world.host.plugin('config').registry?.status === 'invalid');
    expect((await ask('PUT', target, { body: { b: 2 } })).body).toMatchObject({ status: 'reloaded', revision: 2 });
    expect(await own()).toEqual({ b: 2 });
    await until('it is active', () => world.host.plugin('config').registry?.status === 'active');
  });

  test('may be set right after the start, before anybody has registered it', async () => {
    await put('custom: {b: 1}\n');
    await world.start({ registry: true, registryWaitMs: 60_000 });
    expect((await ask('PUT', target, { body: { b: 2 } })).body).toMatchObject({ status: 'taken' });
    expect(await own()).toEqual({ b: 2 });
  });

  test('what is set is there after a restart, and the plugin is told nothing twice', async () => {
    await put(`${schema}custom: {name: shop}\n`);
    await world.start({ environment: { A: 'qqq-secret' }, registry: true, registryWaitMs: 60_000 });
    await until('it is registered', () => world.host.plugin('config').registry?.status === 'active');
    const config = { port: 3, password: '${A}', name: 'a longer name' };
    expect((await ask('PUT', target, { body: config })).body).toMatchObject({ status: 'taken', config });
    const { tag } = await ask('GET');
    expect(await own()).toEqual({ ...config, password: 'qqq-secret' });
    expect((await ask('PUT', target, { body: config })).body.status).toBe('unchanged');
    expect((await world.host.reload('config')).applied).toBeUndefined();
    expect((await ask('PUT', target, { body: { name: 'x', password: 'hunter2' } })).body.error).toBe('ConfigInvalid');
    await world.host.close();
    expect(await readFile(path.join(world.data, 'registry.json'), 'utf8')).toMatch(/\$\{A\}(?!.*qqq)/s);
    await world.start({ environment: { A: 'qqq-secret' }, registry: true, registryWaitMs: 60_000 });
    expect(await own()).toEqual({ ...config, password: 'qqq-secret' });
    const seen = await ask('GET');
    expect(seen).toMatchObject({ tag, body: { config, source: 'registry' } });
    expect((await ask('DELETE', target, { headers: { 'if-match': tag ?? '' } })).body).toMatchObject({
      status: 'taken',
      source: 'config.yaml',
    });
    const { history } = (await ask('GET', `${target}/history`)).body;
    expect(history?.map((entry) => entry.config)).toEqual([null, config]);
  });
});

describe.skipIf(noPostgres !== undefined)(`two hosts on a PostgreSQL server ${noPostgres ?? ''}`, () => {
  let server: PostgresServer;
  let fleet: Fleet;
  let one: World;
  let other: World;
  beforeAll(async () => {
    server = await PostgresServer.start();
  }, 120_000);
  afterAll(() => server.dispose());
  afterEach(() => fleet.close());

  async function begin(config: string, environments: Record<string, string>[] = [{}, {}]): Promise<void> {
    fleet = await Fleet.make(server, 2);
    [one, other] = fleet.worlds as [World, World];
    await fleet.publish('config', await buildPlugin('config'));
    for (const [at, member] of fleet.worlds.entries()) {
      await member.write('config', 'config.yaml', config);
      await member.start({ environment: environments[at] ?? {}, registry: true, databaseUrl: fleet.url });
    }
    await fleet.converged('config');
  }

  async function owns(): Promise<unknown[]> {
    const answers = fleet.worlds.map(async (member) => (await member.request('POST', '/config/own')).body);
    return (await Promise.all(answers)).map((text) => JSON.parse(text) as unknown);
  }

  async function putAt(member: World, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    return member.request('PUT', target, { headers: { authorization: token, ...headers }, body: JSON.stringify(body) });
  }

  test('what one is given by hand both have', async () => {
    await begin('custom: {b: 1}\n');
    expect((await putAt(one, { b: 2 })).status).toBe(200);
    await fleet.converged('config');
    expect(await owns()).toEqual([{ b: 2 }, { b: 2 }]);
    await fleet.steer(`UPDATE plugins SET config = '{"b": 3}'`, 'config');
    expect(await owns()).toEqual([{ b: 3 }, { b: 3 }]);
    expect(fleet.worlds.map((member) => member.host.plugin('config').generation)).toEqual([1, 1]);
  });

  test('a secret in clear that psql writes is reported by both, taken by none, and shown by none', async () => {
    await begin(schema);
    await fleet.steer(`UPDATE plugins SET config = '{"password": "hunter2"}'`, 'config');
    expect(await fleet.reports('config')).toMatchObject(
      [1, 2].map(() => ({ state: 'running', error: { code: 'ConfigInvalid' } })),
    );
    expect(JSON.stringify(await fleet.reports('config'))).not.toContain('hunter2');
    expect(await owns()).toEqual([1, 2].map(() => ({ name: 'tenon', port: 8080 })));
    const { body } = await one.admin('GET', target);
    expect(JSON.parse(body)).toMatchObject({ config: { password: '***' }, source: 'registry' });
    await fleet.steer(`UPDATE plugins SET config = NULL`, 'config');
    expect((await fleet.reports('config')).map(({ error }) => error)).toEqual([undefined, undefined]);
  });

  test('who does not have the secret says so, and goes on', async () => {
    await begin(schema, [{ PASSWORD: 'p' }, {}]);
    expect((await putAt(one, { password: '${PASSWORD}' })).status).toBe(200);
    await fleet.converged('config');
    const [mine, theirs] = await fleet.reports('config');
    expect([mine?.error, theirs?.error?.code]).toEqual([undefined, 'SecretMissing']);
    expect(await owns()).toEqual([
      { name: 'tenon', port: 8080, password: 'p' },
      { name: 'tenon', port: 8080 },
    ]);
  });

  test('what the plugin refuses is put back for both', async () => {
    await begin('custom: {b: 1}\n');
    await putAt(one, { b: 2 });
    await fleet.converged('config');
    expect((await putAt(other, { answer: 1 })).status).toBe(422);
    await fleet.converged('config');
    expect(await fleet.sql('SELECT config FROM plugins')).toBe('{"b": 2}');
    expect(await owns()).toEqual([{ b: 2 }, { b: 2 }]);
    expect((await fleet.reports('config')).map(({ error }) => error)).toEqual([undefined, undefined]);
  });

  test('of those who have seen the same, over either host, one wins', async () => {
    await begin('custom: {b: 1}\n');
    const tag = (await one.admin('GET', target)).headers.get('etag') ?? '';
    expect((await other.admin('GET', target)).headers.get('etag')).toBe(tag);
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, at) => putAt(at % 2 === 0 ? one : other, { b: at + 10 }, { 'if-match': tag })),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 412)).toHaveLength(19);
    await fleet.converged('config');
    const [winner] = answers.filter(({ status }) => status === 200);
    const { config } = JSON.parse(winner?.body ?? '') as { config: unknown };
    expect(await owns()).toEqual([config, config]);
  });

  test('one whose version is pinned to a kept build takes it too', async () => {
    await begin('custom: {b: 1}\n');
    await fleet.sql(`UPDATE plugins SET version = '1.0.0'`);
    await fleet.converged('config');
    expect((await putAt(one, { b: 2 })).status).toBe(200);
    await fleet.converged('config');
    expect(await owns()).toEqual([{ b: 2 }, { b: 2 }]);
  });
});
