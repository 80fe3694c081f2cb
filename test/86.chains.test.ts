import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { TenonError } from '../src/base/errors.js';
import { mayPass } from '../src/host/passing.js';
import type { CreateHostOptions } from '../src/index.js';
import { journal, stage } from './load/actors.js';
import { isIsolated } from './load/isolation.js';
import { tenon } from './load/tenon.js';
import { type Answer, type LogLine, until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

let world: World;
beforeEach(async () => {
  world = await World.make();
  journal.begin();
});
afterEach(async () => {
  await world.close();
  journal.end();
});

const ada = { headers: { authorization: 'Key ada' } };
const who = (id: string, init?: RequestInit): Promise<string> =>
  world
    .request('GET', `/${id}/who`, init)
    .then(({ status, body }) => (status === 200 ? body : `${status} ${(JSON.parse(body) as { error: string }).error}`));
const login = { config: 'extension: true', defines: { WITH_PROVIDER: '1' } };

describe('a request of an application', () => {
  test('is from somebody whom a listed extension knows, and of nobody else', async () => {
    await stage(world, 'login', login);
    await stage(world, 'app', { config: 'extensions: [login]' });
    await stage(world, 'open', { config: 'extensions: [login]\nauth: open' });
    await stage(world, 'apart');
    await world.start();
    expect(await who('app', ada)).toBe('ada');
    const { status, headers, body } = await world.get('/app/who');
    expect([status, headers.get('www-authenticate'), headers.get('content-type')]).toEqual([
      401,
      'Key realm="test"',
      'application/problem+json',
    ]);
    expect(JSON.parse(body)).toMatchObject({ error: 'Unauthenticated', details: { plugin: 'app' } });
    expect([await who('open'), await who('open', ada)]).toEqual(['nobody', 'ada']);
    expect([await who('apart'), await who('apart', ada)]).toEqual(['nobody', 'nobody']);
  });

  test('goes on with each new build of an extension, and waits for none that is stopped', async () => {
    await stage(world, 'login', login);
    await stage(world, 'app', { config: 'extensions: [login]' });
    await stage(world, 'lax', { config: 'extensions: [{id: login, required: false}]\nauth: open' });
    await world.start();
    await stage(world, 'login', { ...login, defines: { ...login.defines, BUILD: '"2"' } });
    await world.host.reload('login');
    expect(await who('app', ada)).toBe('ada');
    await world.host.unload('login');
    const { status, headers, body } = await world.request('GET', '/app/who', ada);
    expect([status, headers.get('retry-after')]).toEqual([503, '1']);
    expect(JSON.parse(body)).toMatchObject({
      error: 'ExtensionUnavailable',
      message: expect.stringContaining('login'),
    });
    expect(await who('lax', ada)).toBe('nobody');
    await world.host.load('login');
    expect([await who('app', ada), await who('lax', ada)]).toEqual(['ada', 'ada']);
    expect(world.host.plugin('app').generation).toBe(1);
  });

  test('is also for a library that was built with older headers, whose routes say less', async () => {
    await stage(world, 'login', login);
    const defines = { ROUTE_SIZE: 'offsetof(tenon_route_t,roles)', ROUTE_AUTH: 'TENON_AUTH_IDENTITY' };
    await stage(world, 'app', { config: 'extensions: [login]', defines });
    await world.start();
    expect([await who('app'), await who('app', ada)]).toEqual(['401 Unauthenticated', 'ada']);
  });

  test('by HEAD passes what one by GET does, and has no body', async () => {
    await stage(world, 'login', { ...login, defines: { ...login.defines, WITH_MIDDLEWARE: '1' } });
    await stage(world, 'app', { config: 'extensions: [login]' });
    await world.start();
    const head = async (init?: RequestInit): Promise<(string | number | null)[]> => {
      const { status, headers, body } = await world.request('HEAD', '/app/who', init);
      const named = ['x-through', 'www-authenticate'].map((name) => headers.get(name));
      return [status, body, ...named];
    };
    expect(await head(ada)).toEqual([200, '', 'login', null]);
    const [status, body, , challenge] = await head();
    expect([status, body, challenge]).toEqual([401, '', 'Key realm="test"']);
  });

  test('passes the middleware of what the application lists now', async () => {
    await stage(world, 'one', { config: 'extension: true', defines: { WITH_MIDDLEWARE: '1' } });
    await stage(world, 'two', { config: 'extension: true', defines: { WITH_MIDDLEWARE: '1' } });
    await stage(world, 'early', { config: 'extension: true', defines: { WITH_MIDDLEWARE: '-1' } });
    const through = async (): Promise<string | null> => (await world.get('/app/who')).headers.get('x-through');
    await stage(world, 'app', { config: 'extensions: [two, one, early]' });
    await world.start();
    expect(await through()).toBe('early, two, one');
    await stage(world, 'app', { config: 'extensions: [one, two]' });
    await world.host.reload('app');
    expect(await through()).toBe('one, two');
    await stage(world, 'app');
    await world.host.reload('app');
    expect(await through()).toBeNull();
    expect(world.host.plugin('app').generation).toBe(1);
  });
});

const gate = (defines: Record<string, string>): Promise<string> => buildPlugin('gate', { defines });
const through = async (): Promise<string | null> => (await world.get('/app/who')).headers.get('x-through');
/** Where `gate` writes. */
const waiting = (): string => path.join(world.directory, 'waiting');
/** A host with the extension `gate` and the application `app` that lists it. */
async function beginGate(defines: Record<string, string>, options: CreateHostOptions): Promise<void> {
  await mkdir(waiting());
  const isolation = isIsolated ? `isolation: { writable: [${waiting()}] }\n` : '';
  await world.write('gate', 'config.yaml', `app_id: gate\nextension: true\n${isolation}`);
  await world.publish('gate', await gate(defines));
  await stage(world, 'app', { config: 'extensions: [gate]' });
  await world.start(options);
}

describe('a call that hangs in an extension without state', () => {
  const hang = async (): Promise<{ answer: Promise<Answer>; letGo: () => Promise<void> }> => {
    const file = path.join(waiting(), 'until');
    const answer = world.request('GET', '/app/who', { headers: { 'x-until': file } });
    await until('it is in the extension', () => existsSync(`${file}.in`));
    return { answer, letGo: () => writeFile(file, '') };
  };
  test('holds up no reload of it, and no other request', async () => {
    await beginGate({}, { lifecycleMs: 30_000 });
    const { answer, letGo } = await hang();
    await world.publish('gate', await gate({ BUILD: '"two"' }));
    const reloaded = world.host.reload('gate');
    await until('the new build serves', () => world.host.plugin('gate').generation === 2);
    expect(await through()).toBe('two');
    await letGo();
    expect((await answer).headers.get('x-through')).toBe('one');
    expect((await reloaded).phases.migrate).toBeUndefined();
  });

  test('fails the reload of one that quiesces, which is not tried again', async () => {
    await beginGate({ QUIESCES: '1' }, { lifecycleMs: 500 });
    const { answer, letGo } = await hang();
    await world.publish('gate', await gate({ QUIESCES: '1', BUILD: '"two"' }));
    const reloaded = await world.host.reload('gate').catch((error: unknown) => error as TenonError);
    expect(reloaded).toMatchObject({
      code: 'StillInUse',
      message:
        'gate generation 1: 1 calls did not end within 500 ms, so it could not let go of what its successor needs',
    });
    expect(mayPass('StillInUse')).toBe(false);
    expect(await through()).toBe('one');
    await letGo();
    expect((await answer).headers.get('x-through')).toBe('one');
  });
});

describe('an extension that fails requests', () => {
  test('is answered for without its words, logged once with all of them, and taken back on probation', async () => {
    await beginGate({}, {});
    await world.publish('gate', await gate({ BUILD: '"two"', THROWS: '"secret 42"' }));
    await world.host.reload('gate');
    const { status, body } = await world.get('/app/who');
    expect([status, JSON.parse(body)]).toMatchObject([
      500,
      { error: 'ExtensionFailed', message: 'extension gate: its middleware failed' },
    ]);
    expect(body).not.toContain('secret');
    const { requestId } = JSON.parse(body) as { requestId: string };
    const told = (): LogLine[] => world.log.filter((line) => JSON.stringify(line).includes(`"${requestId}"`));
    await until('it is logged', () => told().length > 0);
    expect(told()).toMatchObject([
      {
        msg: 'its middleware failed: secret 42',
        plugin: 'gate',
        generation: 2,
        fields: { request_id: requestId, extension: 'gate', step: 'before', application: 'app' },
      },
    ]);
    await until('the build before it serves', async () => (await through()) === 'one');
    expect(world.host.plugin('gate').error).toMatchObject({ code: 'ProbationFailed' });
    expect(world.host.plugin('app')).toMatchObject({ generation: 1, generations: [{ counters: { faults: 0 } }] });
    expect(JSON.stringify(world.events)).not.toContain('app generation');
  });

  test('or answers them itself makes no calls and no faults of the application', async () => {
    await beginGate({ ANSWERS: '503' }, {});
    for (let i = 0; i < 30; i++) expect((await world.get('/app/who')).status).toBe(503);
    const counters = (id: string): object | undefined => world.host.plugin(id).generations[0]?.counters;
    expect(counters('app')).toMatchObject({ calls: 0, faults: 0 });
    expect(counters('gate')).toMatchObject({ calls: 30, faults: 0 });
  });
});

test('a stranger is told which extension is away that might have known who asks', async () => {
  await stage(world, 'login', login);
  await stage(world, 'other', { config: 'extension: true', defines: { WITH_PROVIDER: '1' } });
  const optional = (list: string): string => `extensions: [${list}]\nauth: identity`;
  await stage(world, 'app', { config: optional('{id: login, required: false}') });
  await stage(world, 'both', { config: optional('{id: login, required: false}, other') });
  await stage(world, 'table', { config: optional('{id: login, required: false}') });
  await world.write('table', 'schema.graphql', 'type T @table @export { id: ID! @primaryKey }');
  await world.start();
  await world.host.unload('login');
  const app = await world.get('/app/who');
  expect([app.status, JSON.parse(app.body)]).toMatchObject([
    503,
    {
      error: 'ExtensionUnavailable',
      message: 'GET /app/who needs somebody who is known; its extension login is not running',
    },
  ]);
  const both = await world.get('/both/who');
  expect([both.status, both.headers.get('www-authenticate'), JSON.parse(both.body)]).toMatchObject([
    401,
    'Key realm="test", Key realm="test"',
    { message: 'GET /both/who needs somebody who is known; its extension login is not running' },
  ]);
  const table = await world.get('/table/T');
  expect([table.status, table.headers.get('www-authenticate')]).toEqual([401, 'Key realm="test"']);
});

describe('who has to be known', () => {
  test('is refused at the load where nobody can be', async () => {
    await stage(world, 'plain', { config: 'extension: true' });
    await stage(world, 'route', { defines: { ROUTE_AUTH: 'TENON_AUTH_IDENTITY' } });
    await stage(world, 'setting', { config: 'auth: identity\nextensions: [plain]' });
    await world.start();
    expect(world.host.plugin('route').error).toMatchObject({
      code: 'RouteInvalid',
      message:
        'route: GET /route/who asks for somebody who is known, and the application lists no extension: nobody can be known there',
    });
    expect(world.host.plugin('setting').error).toMatchObject({
      code: 'RouteInvalid',
      message:
        'setting: its config.yaml asks for somebody who is known, and the application lists plain only: nobody can be known there',
    });
  });

  test('is asked for again once an extension can know somebody', async () => {
    await stage(world, 'login', { config: 'extension: true' });
    const config = 'extensions: [login]';
    await stage(world, 'route', { config, defines: { ROUTE_AUTH: 'TENON_AUTH_IDENTITY' } });
    await stage(world, 'setting', { config: `${config}\nauth: identity` });
    await stage(world, 'table', { config });
    const schema = 'type T @table @export @allow(role: "identity") { id: ID! @primaryKey }';
    await world.write('table', 'schema.graphql', schema);
    await world.start();
    const states = (): string[] => world.host.plugins().map(({ id, error }) => `${id} ${error?.code ?? 'runs'}`);
    expect(states()).toEqual(['login runs', 'route RouteInvalid', 'setting RouteInvalid', 'table SchemaInvalid']);
    await stage(world, 'login', { config: 'extension: true', defines: { BUILD: '"2"' } });
    await world.host.reload('login');
    expect(states().slice(1)).not.toContain('route runs');
    await stage(world, 'login', login);
    await world.host.reload('login');
    await until('all of them run', () => states().every((one) => one.endsWith(' runs')));
    expect([await who('route'), await who('route', ada)]).toEqual(['401 Unauthenticated', 'ada']);
  });

  test('is known to an extension with providers on its own routes', async () => {
    const { defines } = login;
    await stage(world, 'login', { ...login, defines: { ...defines, ROUTE_AUTH: 'TENON_AUTH_IDENTITY' } });
    await world.start();
    expect([await who('login'), await who('login', ada)]).toEqual(['401 Unauthenticated', 'ada']);
    await stage(world, 'login', login);
    await world.host.reload('login');
    expect([await who('login'), await who('login', ada)]).toEqual(['nobody', 'ada']);
  });

  test('is shown with each route, and a save that lets everybody in is warned of', async () => {
    const needs = (id: string): unknown => world.host.plugin(id).routes[0]?.needs;
    await stage(world, 'login', login);
    await stage(world, 'app', { config: 'extensions: [login]' });
    await stage(world, 'free', { config: 'extensions: [login]\nauth: open' });
    await world.start();
    expect([needs('app'), needs('free'), needs('login')]).toEqual([['identity'], ['anyone'], ['anyone']]);
    expect(JSON.parse((await world.get('/plugins/app')).body)).toMatchObject({ routes: [{ needs: ['identity'] }] });
    expect(await tenon(world.directory, 'routes', 'app', '--data', 'state')).toMatchObject({
      out: expect.stringMatching(/^GET +\/app\/who +app +identity +/m),
    });
    await stage(world, 'app', { config: 'extensions: [{id: logn, required: false}]' });
    const { warnings, applied } = await world.host.reload('app');
    expect(warnings).toContainEqual(expect.stringMatching(/^app: .* open to everybody now; before they were for/));
    expect(world.log.filter(({ level, msg }) => level === 40 && msg.includes('open to everybody'))).toHaveLength(1);
    expect([applied, needs('app')]).toEqual([['extensions'], ['anyone']]);
    expect(world.log).toContainEqual(
      expect.objectContaining({ level: 30, applied, msg: 'takes up extensions of its config' }),
    );
    const told = await tenon(world.directory, 'reloads', 'app', '--data', 'state');
    expect(told.out).toMatch(/app: unchanged, takes up extensions \(api\)/);
  });

  test('is kept out from the moment an extension can tell, and stays out when it cannot any more', async () => {
    await stage(world, 'login', { config: 'extension: true' });
    await stage(world, 'app', { config: 'extensions: [login]' });
    await world.start();
    expect(await who('app')).toBe('nobody');
    await stage(world, 'login', login);
    await world.host.reload('login');
    expect([await who('app'), await who('app', ada)]).toEqual(['401 Unauthenticated', 'ada']);
    await stage(world, 'login', { config: 'extension: true' });
    await world.host.reload('login');
    expect(await who('app')).toBe('401 Unauthenticated');
  });

  test('stays needed while the list cannot be taken from a route that asks for it', async () => {
    await stage(world, 'login', login);
    await stage(world, 'app', { config: 'extensions: [login]', defines: { ROUTE_AUTH: 'TENON_AUTH_IDENTITY' } });
    await world.start();
    await stage(world, 'app', { defines: { ROUTE_AUTH: 'TENON_AUTH_IDENTITY' } });
    await expect(world.host.reload('app')).rejects.toMatchObject({ code: 'RouteInvalid' });
    expect([await who('app'), await who('app', ada)]).toEqual(['401 Unauthenticated', 'ada']);
    expect(world.host.plugin('app').routes).toMatchObject([{ path: '/app/who', auth: 'identity' }]);
  });
});

describe('a body', () => {
  /** All that is answered to these bytes, until `end` is in it. */
  function wire(text: string, end: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const { hostname, port } = new URL(world.url);
      let answer = '';
      const socket = connect(Number(port), hostname, () => socket.write(text));
      socket.setEncoding('latin1');
      socket.on('data', (chunk: string) => {
        answer += chunk;
        if (chunk.includes('100 Continue')) socket.write('abcde');
        if (answer.includes(end)) socket.destroy();
      });
      socket.on('close', () => resolve(answer));
      socket.on('error', reject);
    });
  }
  const head = (target: string, fields: string[]): string =>
    [`POST ${target} HTTP/1.1`, 'Host: x', ...fields, '', ''].join('\r\n');
  const key = 'Authorization: ApiKey writer';
  const expecting = ['Expect: 100-continue', 'Content-Length: 5', 'Content-Type: application/json'];

  beforeEach(async () => {
    await world.write('keys', 'config.yaml', 'extension: true\n');
    await world.publish('keys', await buildPlugin('keys'));
    await stage(world, 'audit', { config: 'extension: true', defines: { WITH_MIDDLEWARE: '1' } });
    await world.write('service', 'config.yaml', 'extensions: [keys, audit]\n');
    await world.write('service', 'schema.graphql', 'type Task @table @export { id: ID! @primaryKey }\n');
    await world.publish('service', await buildPlugin('service'));
    await world.start();
  });

  test('is not read of who is not known', async () => {
    const unknown = /^HTTP\/1\.1 401 /;
    expect(await wire(head('/service/echo', ['Transfer-Encoding: chunked']), '\r\n\r\n')).toMatch(unknown);
    expect(await wire(head('/service/echo', expecting), '\r\n\r\n')).toMatch(
      /^HTTP\/1\.1 401 [\s\S]*\r\nconnection: close\r\n/i,
    );
    expect(await wire(head('/service/Task', expecting), '\r\n\r\n')).toMatch(unknown);
    const looker = ['Authorization: ApiKey looker', 'Transfer-Encoding: chunked'];
    expect(await wire(head('/service/echo', looker), '\r\n\r\n')).toMatch(/^HTTP\/1\.1 403 /);
  });

  test('is read of who is, and goes through the middleware once', async () => {
    const answer = await wire(head('/service/echo', [...expecting, key]), 'abcde');
    expect(answer).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 [\s\S]*\r\nabcde$/);
    expect(answer.match(/x-through: audit/g)).toHaveLength(1);
    expect(answer).not.toMatch(/connection: close/i);
    expect(await wire(head('/service/Task', [...expecting, key]), 'BadRequest')).toMatch(/^HTTP\/1\.1 100 /);
    const chunked = head('/service/echo', ['Transfer-Encoding: chunked', key]) + '3\r\nabc\r\n0\r\n\r\n';
    expect(await wire(chunked, '\r\n\r\nabc')).toMatch(/^HTTP\/1\.1 200 /);
    const init = { body: 'x'.repeat(1000), headers: { authorization: 'ApiKey writer' } };
    expect((await world.request('POST', '/service/echo', init)).body).toHaveLength(1000);
    expect(world.host.plugin('service').generations[0]?.counters).toMatchObject({ calls: 3 });
  });
});

test('tenon show says what is listed, what is set there by its keys, and who needs it', async () => {
  const show = async (id: string): Promise<string> => (await tenon(world.directory, 'show', id, '--data', 'state')).out;
  await stage(world, 'login', login);
  await stage(world, 'app', { config: 'extensions: [{id: login, settings: {password: word}}]' });
  await stage(world, 'lax', { config: 'extensions: [{id: login, required: false}]\nauth: open' });
  await world.start();
  expect(await show('app')).toMatch(/^extension +login: running; sets password$/m);
  expect(await show('login')).toMatch(/^is extension +true\nused by +app, lax \(not required\)$/m);
  await world.host.unload('login');
  expect(await show('app')).toMatch(/^error +ExtensionUnavailable: app answers 503 /m);
  const { out } = await tenon(world.directory, 'list', '--data', 'state');
  expect(out).toMatch(/^app +running .* ExtensionUnavailable$/m);
});

test('what an extension offers is in the ledger of its generation', async () => {
  await stage(world, 'login', {
    config: 'extension: true',
    defines: { WITH_PROVIDER: '1', WITH_MIDDLEWARE: '7', WITH_HOOK: '1' },
  });
  await world.start();
  await until('it runs', () => world.host.plugin('login').state === 'running');
  expect(world.host.plugin('login').generations).toMatchObject([
    { ledger: { providers: ['Key'], hooks: ['actor.greet/1'], middleware: true } },
  ]);
});
