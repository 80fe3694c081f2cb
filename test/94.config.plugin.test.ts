import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ConfigWorld, schema, target } from './load/config-world.js';
import { until } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

const given = vi.hoisted((): { door: unknown } => ({ door: undefined }));
vi.mock(import('../src/registry/none.js'), async (original) => {
  const { noRegistry } = await original();
  return { noRegistry: () => (given.door as ReturnType<typeof noRegistry> | undefined) ?? noRegistry() };
});

let at: ConfigWorld;

beforeEach(async () => {
  at = await ConfigWorld.make();
  given.door = at.registry.door();
});
afterEach(() => at.close());

describe('a plugin is given', () => {
  test('the defaults of its schema on top of what it has', async () => {
    await at.start(`${schema}custom: {name: shop}\n`);
    expect(await at.own()).toEqual({ name: 'shop', port: 8080 });
    expect((await at.ask('GET')).body).toMatchObject({ config: { name: 'shop' }, source: 'config.yaml', revision: 0 });
  });

  test('what variables and files hold, inside of texts too', async () => {
    await at.secretFile('token', 'line one\nline two\n');
    const environment = { USER_NAME: 'ada', EMPTY: '' };
    await at.start(
      'custom: {url: "http://${USER_NAME}:${file:token}@h${EMPTY}", plain: "$${USER_NAME} $5 {}", list: ["${USER_NAME}"]}\n',
      { environment },
    );
    expect(await at.own()).toEqual({
      url: 'http://ada:line one\nline two@h',
      plain: '${USER_NAME} $5 {}',
      list: ['ada'],
    });
    expect((await at.ask('GET')).body.config).toMatchObject({ url: 'http://${USER_NAME}:${file:token}@h${EMPTY}' });
    await at.world.host.close();
    const kept = await readFile(path.join(at.world.data, 'versions/config/config.json'), 'utf8');
    expect(kept).toContain('${file:token}');
    expect(kept).not.toMatch(/ada|line one/);
    expect(at.hostLog()).not.toMatch(/ada|line one/);
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
    await at.secretFile('large', 'x'.repeat(65_537));
    await at.secretFile('binary', '\u00ff');
    await writeFile(path.join(at.world.data, 'secrets', 'binary'), Buffer.from([0xff, 0xfe]));
    await mkdir(path.join(at.world.data, 'secrets', 'folder'));
    await at.start(`custom: {a: {"b/c": [${JSON.stringify(text)}]}}\n`);
    const { state, error } = at.world.host.plugin('config');
    expect([state, error?.code]).toEqual(['failed', code]);
    expect(error?.message).toContain(sentence);
    expect(error?.message).toContain('/a/b~1c/0');
  });

  test('nothing, when with its secrets it is not as its schema says; and no value is told', async () => {
    const text =
      'configSchema: {properties: {a: {type: string, writeOnly: true, maxLength: 3}}}\ncustom: {a: "${A}"}\n';
    await at.start(text, { environment: { A: 'far-too-long' } });
    const { error } = at.world.host.plugin('config');
    expect(error).toMatchObject({
      code: 'ConfigInvalid',
      details: { errors: [{ pointer: '/a', message: 'must NOT have more than 3 characters' }] },
    });
    expect(JSON.stringify(at.world.host.plugins()) + at.hostLog()).not.toContain('far-too-long');
  });

  test('another secret at the next reload', async () => {
    await at.secretFile('key', 'one');
    await at.start('custom: {key: "${file:key}"}\n');
    await at.secretFile('key', 'two');
    expect(await at.own()).toEqual({ key: 'one' });
    expect(await at.world.host.reload('config')).toMatchObject({ unchanged: true, applied: ['custom'] });
    expect(await at.own()).toEqual({ key: 'two' });
    expect((await at.world.host.reload('config')).applied).toBeUndefined();
  });

  test('the secrets it had, when it goes back to the build before and they are gone', async () => {
    const environment: Record<string, string> = { KEY: 'one' };
    await at.start('custom: {key: "${KEY}"}\n', { environment });
    await at.world.publish('config', await buildPlugin('config', { flags: ['-O1'] }));
    await at.world.host.reload('config');
    delete environment['KEY'];
    const record = await at.world.host.rollback('config');
    expect(record.warnings).toEqual([
      expect.stringMatching(/the variable KEY, which is not set; config goes on with the config it had/),
    ]);
    expect(await at.own()).toEqual({ key: 'one' });
  });
});

describe('reloadOnChange', () => {
  test('gives each change a new generation', async () => {
    await at.start('reloadOnChange: true\ncustom: {b: 1}\n');
    await at.world.write('config', 'config.yaml', 'reloadOnChange: true\ncustom: {b: 2}\n');
    const record = await at.world.host.reload('config');
    expect(record.to?.generation).toBe(2);
    expect(await at.own()).toEqual({ b: 2 });
    expect((await at.world.host.reload('config')).unchanged).toBe(true);
  });
});

describe('over HTTP a config', () => {
  test('is seen with its source, schema and tag, and is not sent again to who has it', async () => {
    await at.start(schema);
    const first = await at.ask('GET');
    expect(first.body).toMatchObject({ config: {}, source: 'defaults', revision: 0, schema: { type: 'object' } });
    expect(first.tag).toMatch(/^"[^"]+"$/);
    expect((await at.ask('GET', target, { headers: { 'if-none-match': first.tag ?? '' } })).status).toBe(304);
    expect((await at.ask('GET', '/api/v1/plugins/confg/config')).body.error).toBe('PluginNotFound');
    expect((await at.world.get(target)).status).toBe(401);
  });

  test('is set, and the plugin takes it', async () => {
    await at.start(`${schema}custom: {name: shop}\n`);
    const { tag } = await at.ask('GET');
    const set = await at.ask('PUT', target, { body: { name: 'bar', port: 1 } });
    expect([set.status, set.body]).toMatchObject([
      200,
      {
        status: 'taken',
        config: { name: 'bar', port: 1 },
        source: 'registry',
        plugin: { id: 'config', state: 'running', generation: 1 },
      },
    ]);
    expect(await at.own()).toEqual({ name: 'bar', port: 1 });
    const seen = await at.ask('GET');
    expect(seen).toMatchObject({
      tag: set.tag,
      body: { config: { name: 'bar', port: 1 }, source: 'registry', revision: set.body.revision },
    });
    expect(seen.tag).not.toBe(tag);
    expect((await at.ask('PUT', target, { body: { port: 1, name: 'bar' } })).body).toMatchObject({
      status: 'unchanged',
      revision: set.body.revision,
    });
    expect((await at.ask('DELETE')).body).toMatchObject({
      status: 'taken',
      config: { name: 'shop' },
      source: 'config.yaml',
    });
    expect(await at.own()).toEqual({ name: 'shop', port: 8080 });
    const { history } = (await at.ask('GET', `${target}/history`)).body;
    expect(history?.map(({ config, changedBy }) => [config, changedBy])).toEqual([
      [null, 'host'],
      [{ name: 'bar', port: 1 }, 'host'],
    ]);
  });

  test('is set with a new generation, when the plugin asks for one', async () => {
    await at.start('custom: {b: 1}\n');
    expect((await at.ask('PUT', target, { body: { answer: 4 } })).body).toMatchObject({
      status: 'reloaded',
      plugin: { generation: 2 },
    });
    expect(await at.own()).toEqual({ answer: 4 });
  });

  test('that the plugin refuses is put back, and told in its words', async () => {
    await at.start('custom: {b: 1}\n');
    await at.ask('PUT', target, { body: { b: 2 } });
    const refused = await at.ask('PUT', target, { body: { answer: 1 } });
    expect([refused.status, refused.body.error]).toEqual([422, 'ConfigInvalid']);
    expect(refused.body.message).toMatch(/^config does not take this config, .*: no;/);
    expect(at.registry.row('config').config).toEqual({ b: 2 });
    expect(await at.own()).toEqual({ b: 2 });
    expect((await at.ask('GET')).body.config).toEqual({ b: 2 });
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
    await at.start(schema);
    const refused = await at.ask('PUT', target, { body });
    expect([refused.status, refused.body.error]).toEqual([422, 'ConfigInvalid']);
    const [first] = refused.body.details?.errors ?? [];
    expect(`${first?.pointer} ${first?.message}`.replace(/^ +/, ' ').slice(0, sentence.length)).toBe(sentence);
    expect(refused.body.message).not.toContain('hunter2');
    expect(at.registry.row('config').configRevision).toBe(0);
  });

  test('tells all that is wrong', async () => {
    await at.start(schema);
    const { body } = await at.ask('PUT', target, { body: { port: 0, name: 3, other: 1 } });
    expect(body.details?.errors?.map(({ pointer }) => pointer).toSorted()).toEqual(['', '/name', '/port']);
  });

  test.each([
    ['', 400],
    ['{"a":', 400],
    ['null', 400],
    [`"${'x'.repeat(600_000)}"`, 413],
  ])('that cannot be read is refused', async (body, status) => {
    await at.start(schema);
    expect((await at.ask('PUT', target, { body })).status).toBe(status);
  });

  test('with a secret that is not there is refused by its name', async () => {
    await at.start(schema);
    const { status, body } = await at.ask('PUT', target, { body: { password: '${NOWHERE}' } });
    expect([status, body.error, body.details]).toMatchObject([
      422,
      'SecretMissing',
      { pointer: '/password', name: 'NOWHERE' },
    ]);
    expect(at.registry.row('config').configRevision).toBe(0);
  });

  test('is only tried with dryRun', async () => {
    await at.start(schema);
    const tried = await at.ask('PUT', `${target}?dryRun=true`, { body: { port: 5 } });
    expect(tried.body).toMatchObject({ status: 'valid', config: { port: 5 } });
    expect((await at.ask('PUT', `${target}?dryRun=true`, { body: { port: 0 } })).body.error).toBe('ConfigInvalid');
    expect((await at.ask('PUT', `${target}?dryRun=perhaps`, { body: {} })).status).toBe(400);
    expect((await at.ask('PUT', `${target}?dryrun=true`, { body: { port: 6 } })).status).toBe(400);
    expect(await at.own()).toEqual({ name: 'tenon', port: 8080 });
    expect(at.registry.row('config').configRevision).toBe(0);
  });

  test('with a number that JSON has not is not valid for dryRun either', async () => {
    await at.start('custom: {b: 1}\n');
    for (const place of [`${target}?dryRun=true`, target])
      expect(await at.ask('PUT', place, { body: '{"b": [1e999]}' })).toMatchObject({
        status: 422,
        body: { error: 'ConfigInvalid', details: { errors: [{ pointer: '/b/0' }] } },
      });
  });

  test('is replaced by who has seen it last only: one of a hundred', async () => {
    await at.start(schema);
    const { tag } = await at.ask('GET');
    const headers = { 'if-match': tag ?? '' };
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, port) => at.ask('PUT', target, { headers, body: { port: port + 1 } })),
    );
    const [winner, ...others] = answers.filter(({ status }) => status === 200);
    expect([others.length, answers.filter(({ status }) => status === 412).length]).toEqual([0, 99]);
    expect((await at.ask('GET')).body.config).toEqual(winner?.body.config);
    expect((await at.ask('DELETE', target, { headers })).body.error).toBe('PreconditionFailed');
    expect((await at.ask('PUT', target, { headers: { 'if-match': '*' }, body: { port: 7 } })).status).toBe(200);
    expect((await at.ask('PUT', target, { headers: { 'if-match': 'x' }, body: {} })).status).toBe(400);
  });

  test('of config.yaml shows no secret that stands there in clear', async () => {
    await at.start(`${schema}custom: {password: hunter2, nested: {key: "\${KEY}"}}\n`, { environment: { KEY: 'k' } });
    expect((await at.ask('GET')).body.config).toEqual({ password: '***', nested: { key: '${KEY}' } });
    expect(await at.own()).toMatchObject({ password: 'hunter2', nested: { key: 'k' } });
  });

  test('is seen without a registry, and not set', async () => {
    await at.start('custom: {b: 1}\n');
    at.registry.away = true;
    expect((await at.ask('GET')).body.config).toEqual({ b: 1 });
    for (const [method, place] of [
      ['PUT', target],
      ['DELETE', target],
      ['GET', `${target}/history`],
    ] as const)
      expect((await at.ask(method, place, method === 'PUT' ? { body: { b: 2 } } : {})).body.error).toBe(
        'RegistryUnavailable',
      );
    expect(await at.own()).toEqual({ b: 1 });
  });

  test('of a plugin has no place as long as its config.yaml disables it, and that is said', async () => {
    await at.put('enabled: false\n');
    await at.world.start();
    expect(await at.ask('PUT', target, { body: { b: 2 } })).toMatchObject({
      status: 409,
      body: { error: 'PluginDisabled', message: expect.stringContaining('its config.yaml disables it') as string },
    });
  });

  test('of a plugin that is stopped is stored for its next load', async () => {
    await at.start('custom: {b: 1}\n');
    await at.world.host.unload('config');
    expect((await at.ask('PUT', target, { body: { b: 2 } })).body).toMatchObject({
      status: 'stored',
      plugin: { state: 'stopped' },
    });
    await at.world.host.load('config');
    expect(await at.own()).toEqual({ b: 2 });
  });

  test('may be what a plugin that does not start has waited for', async () => {
    await at.start('configSchema: {required: [b]}\n');
    expect(at.world.host.plugin('config')).toMatchObject({ state: 'failed', error: { code: 'ConfigInvalid' } });
    expect((await at.ask('PUT', target, { body: { b: 2 } })).body).toMatchObject({
      status: 'reloaded',
      plugin: { state: 'running' },
    });
    expect(await at.own()).toEqual({ b: 2 });
  });
});

describe('a config that came by SQL', () => {
  test.each([
    [{ password: 'hunter2' }, 'ConfigInvalid'],
    [{ port: 'x' }, 'ConfigInvalid'],
    [{ password: '${NOWHERE}' }, 'SecretMissing'],
  ])('and is wrong is reported, and what is in force stays', async (config, code) => {
    await at.start(schema);
    at.registry.write('config', config);
    await expect(at.world.host.reload('config')).rejects.toMatchObject({ code });
    expect(at.world.host.plugin('config')).toMatchObject({ state: 'running', generation: 1, error: { code } });
    expect(await at.own()).toEqual({ name: 'tenon', port: 8080 });
    expect(JSON.stringify((await at.ask('GET')).body) + at.hostLog()).not.toContain('hunter2');
    expect((await at.ask('GET', `${target}/history`)).body.history?.[0]?.config).not.toMatchObject({
      password: 'hunter2',
    });
  });

  test('is taken up, and a reordering of it is nothing', async () => {
    await at.start(schema);
    at.registry.write('config', { port: 2, name: 'a' });
    expect((await at.world.host.reload('config')).applied).toEqual(['custom']);
    await at.world.write('config', 'config.yaml', `${schema}custom: {name: b}\n`);
    expect(await at.world.host.reload('config')).not.toHaveProperty('applied');
    expect(await at.own()).toEqual({ name: 'a', port: 2 });
  });

  test('is in force also when the build before is gone back to', async () => {
    await at.start('custom: {b: 1}\n');
    await at.world.publish('config', await buildPlugin('config', { flags: ['-O1'] }));
    await at.world.host.reload('config');
    at.registry.write('config', { b: 2 });
    await at.world.host.rollback('config');
    expect(await at.own()).toEqual({ b: 2 });
    at.registry.write('config', null);
    await at.world.host.reload('config');
    expect(await at.own()).toEqual({ b: 1 });
  });

  test('is not in force again once it was taken back, where the application cannot be read', async () => {
    await at.start('custom: {b: 1}\n');
    await at.world.publish('config', await buildPlugin('config', { flags: ['-O1'] }));
    at.registry.write('config', { b: 2 });
    await at.world.host.reload('config');
    expect(await at.own()).toEqual({ b: 2 });
    await at.world.write('config', 'config.yaml', 'custom: [\n');
    at.registry.write('config', null);
    await at.world.host.rollback('config');
    expect(await at.own()).toEqual({ b: 1 });
    await at.world.host.close();
    expect(await readFile(path.join(at.world.data, 'versions/config/config.json'), 'utf8')).toContain('{\\"b\\":1}');
  });
});

test('what is set is for the build that serves, also when the application has one that was taken back', async () => {
  await at.start('custom: {b: 1}\n', { probationMs: 60_000 });
  await at.world.publish('config', await buildPlugin('config', { defines: { IS_ILL: '1' } }));
  await at.world.host.reload('config');
  await until('the build before serves', () => at.world.host.plugin('config').generation === 3);
  expect((await at.ask('PUT', target, { body: { b: 2 } })).body).toMatchObject({
    status: 'taken',
    plugin: { generation: 3 },
  });
  expect(await at.own()).toEqual({ b: 2 });
  expect((await at.ask('PUT', target, { body: { answer: 1 } })).body.error).toBe('ConfigInvalid');
  expect((await at.ask('PUT', target, { body: { answer: 4 } })).body).toMatchObject({
    status: 'reloaded',
    plugin: { generation: 4 },
  });
  expect(await at.own()).toEqual({ answer: 4 });
  expect((await at.ask('DELETE')).body.status).toBe('taken');
  expect(await at.own()).toEqual({ b: 1 });
});
