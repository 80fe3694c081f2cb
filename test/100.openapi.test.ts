import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { Validator } from '@seriousme/openapi-schema-validator';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { errorCodes } from '../src/base/errors.js';
import { readTree } from './architecture/tree.js';
import { ApiDocument, isOfHost } from './load/documented.js';
import { World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

let world: World;
let document: Record<string, unknown>;

beforeAll(async () => {
  world = await World.make();
  await world.publish('service', await buildPlugin('service'));
  await world.start();
  document = JSON.parse((await world.get('/openapi.json')).body) as Record<string, unknown>;
});

afterAll(() => world.close());

const problemOf = (body: string): unknown => (JSON.parse(body) as { error?: unknown }).error;

describe('/openapi.json', () => {
  test('is valid OpenAPI 3.1, all its references lead somewhere, and every operation has a name of its own', async () => {
    const validator = new Validator();
    expect(await validator.validate(structuredClone(document))).toMatchObject({ valid: true });
    expect(validator.version).toBe('3.1');
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/(\w+)\/(\w+)"/g)];
    const components = document['components'] as Record<string, Record<string, unknown>>;
    expect(references.filter(([, kind = '', name = '']) => components[kind]?.[name] === undefined)).toEqual([]);
    const ids = new ApiDocument(document).operations.map(({ id }) => id);
    expect(ids).toEqual([...new Set(ids)]);
  });

  test('is for everybody, has a tag, names no secret, and is not sent again to whoever has it', async () => {
    const { headers, body } = await world.get('/openapi.json');
    expect(headers.get('content-type')).toBe('application/json; charset=utf-8');
    for (const secret of ['a-token-of-the-tests', world.directory]) expect(body).not.toContain(secret);
    const known = { headers: { 'if-none-match': headers.get('etag') ?? '' } };
    expect(await world.request('GET', '/openapi.json', known)).toMatchObject({ status: 304, body: '' });
    const other = await world.request('GET', '/openapi.json', { headers: { 'if-none-match': '"another"' } });
    expect(other.status).toBe(200);
  });

  test('names every code of an error', () => {
    const { schemas } = new ApiDocument(document);
    expect(schemas['ErrorCode']?.['enum']).toEqual(Object.keys(errorCodes));
  });

  test('has a scope for each operation below /api, and for no other', () => {
    const scopes = Object.fromEntries(
      new ApiDocument(document).operations.map(({ id, path, scope }) => [id, [path.startsWith('/api/'), scope]]),
    );
    for (const [id, [isAdmin, scope]] of Object.entries(scopes))
      expect([id, scope !== undefined]).toEqual([id, isAdmin]);
    expect(scopes).toMatchObject({
      showTrust: [true, 'read'],
      setConfig: [true, 'config'],
      makeBackup: [true, 'config'],
      installPlugin: [true, 'install'],
      changePermissions: [true, 'install'],
      trustKey: [true, 'install'],
    });
  });
});

test('docs/http-api.md lists every operation with its scope, and every event', () => {
  const page = readTree().get('docs/http-api.md') ?? '';
  const rows = [...page.matchAll(/^\| (`[A-Z]+ \/.+?) \| (?:(read|config|install|admin) \| )?/gm)];
  const listed = rows.flatMap(([, calls = '', scope]) => calls.split(', ').map((call) => `${call} ${scope}`));
  const { operations, schemas } = new ApiDocument(document, (path) => isOfHost(path) && !path.startsWith('/docs'));
  expect(listed.filter((call) => !call.startsWith('`GET /docs')).toSorted()).toEqual(
    operations.map(({ method, path, scope }) => `\`${method} ${path}\` ${scope}`).toSorted(),
  );
  const kinds = (schemas['HostEvent']?.['oneOf'] ?? []) as { $ref: string }[];
  const types = JSON.stringify(kinds.map(({ $ref }) => schemas[$ref.replace(/^.*\//, '')]));
  const events = [...types.matchAll(/"type":\{"type":"string","const":"([^"]+)"\}/g)].map(([, type = '']) => type);
  expect(events.filter((type) => !page.includes(`\`${type}\``))).toEqual([]);
  expect(events).toHaveLength(18);
});

describe('the API', () => {
  test.each([
    ['POST', '/api/v1/status', 'GET, HEAD, OPTIONS'],
    ['PUT', '/api/v1/plugins/service', 'GET, HEAD, DELETE, OPTIONS'],
    ['GET', '/api/v1/plugins/service/reload', 'POST, OPTIONS'],
    // what `{id}` serves is served there, too
    ['PUT', '/api/v1/plugins/install', 'GET, HEAD, POST, DELETE, OPTIONS'],
    ['POST', '/livez', 'GET, HEAD, OPTIONS'],
    ['DELETE', '/plugins/service', 'GET, HEAD, OPTIONS'],
  ])('answers %s %s with 405 and what is allowed', async (method, target, allowed) => {
    const sorted = (list: string): string[] => list.split(', ').toSorted();
    const { status, headers, body } = await world.admin(method, target);
    expect([status, problemOf(body)]).toEqual([405, 'MethodNotAllowed']);
    expect(sorted(headers.get('allow') ?? '')).toEqual(sorted(allowed));
    const options = await world.admin('OPTIONS', target);
    expect([options.status, options.headers.get('allow')]).toEqual([204, headers.get('allow')]);
  });

  test('tells nobody without a token what there is', async () => {
    for (const target of ['/api/v1/status', '/api/v1/nothing', '/API/v1/status'])
      for (const method of ['GET', 'POST', 'OPTIONS'])
        expect([target, method, (await world.request(method, target)).status]).toEqual([target, method, 401]);
    expect(problemOf((await world.admin('GET', '/api/v1/nothing')).body)).toBe('RouteNotFound');
  });

  test('answers HEAD as GET, without the body', async () => {
    for (const target of [
      '/livez',
      '/readyz?verbose',
      '/metrics',
      '/openapi.json',
      '/plugins',
      '/api/v1/plugins/service',
    ]) {
      const { status, headers } = await world.admin('GET', target);
      const head = await world.admin('HEAD', target);
      expect([target, head.status, head.body]).toEqual([target, status, '']);
      expect([target, head.headers.get('content-type')]).toEqual([target, headers.get('content-type')]);
    }
    expect((await world.admin('HEAD', '/api/v1/events')).headers.get('content-type')).toBe('text/event-stream');
  });

  test.each([
    ['GET', '/api/v1/plugins?x=1', 'there is no parameter "x" here'],
    ['POST', '/api/v1/plugins/service/rollback?too=1', 'there is no parameter "too" here, only to'],
    ['GET', '/api/v1/reloads?limit=0', 'limit: "0" is not a whole number from 1 upwards'],
    ['GET', '/api/v1/reloads?limit=1&limit=2', 'limit: ["1","2"] is not one value'],
    ['GET', '/api/v1/audit?limit=1001', 'limit: "1001" is not a whole number from 1 to 1000'],
    ['DELETE', '/api/v1/plugins/service?purge=yes', 'purge: "yes" is not true or false'],
    ['POST', '/api/v1/backup?to=somewhere', 'to: "somewhere" is not an absolute path'],
  ])('refuses %s %s', async (method, target, sentence) => {
    const { status, body } = await world.admin(method, target);
    expect([status, problemOf(body)]).toEqual([400, 'BadRequest']);
    expect((JSON.parse(body) as { message: string }).message).toContain(sentence);
  });

  test('is patient with what watches it', async () => {
    for (const target of ['/livez?t=1', '/readyz?x', '/plugins?a=1&a=2'])
      expect((await world.get(target)).status).toBe(200);
    const any = await world.request('GET', '/livez', { headers: { 'if-none-match': '*' } });
    expect([any.status, any.body]).toEqual([200, 'ok\n']);
  });

  test('tells who waits before a body is sent to go on, and who may not that it is not wanted', async () => {
    const ask = async (target: string, token: string, body: string): Promise<string> => {
      const socket = connect(Number(new URL(world.url).port), '127.0.0.1');
      const answer = text(socket);
      socket.write(
        `PUT ${target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\nExpect: 100-continue\r\n` +
          `Connection: close\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n`,
      );
      await new Promise((resolve) => {
        socket.once('data', resolve);
      });
      socket.write(body);
      return answer;
    };
    const place = '/api/v1/hot-reload/config';
    const right = 'a-token-of-the-tests';
    expect(await ask(place, right, '{"maxRetries":7}')).toMatch(
      /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 [^]*"maxRetries":7/,
    );
    expect(await ask(place, 'wrong', '{"maxRetries":8}')).toMatch(/^HTTP\/1\.1 401 /);
    expect(await ask(`${place}?x=1`, right, '{"maxRetries":8}')).toMatch(/^HTTP\/1\.1 400 /);
    expect((await world.admin('GET', '/api/v1/hot-reload/status')).body).toContain('"maxRetries":7');
  });

  test('refuses a body beyond its limit', async () => {
    const headers = { authorization: 'Bearer a-token-of-the-tests' };
    const body = `{"watchPatterns":["${'x'.repeat(65 * 1024)}"]}`;
    const answer = await world.request('PUT', '/api/v1/hot-reload/config', { headers, body });
    expect([answer.status, problemOf(answer.body)]).toEqual([413, 'BodyTooLarge']);
  });
});

test('events are as the document says', async () => {
  const leave = new AbortController();
  const headers = { authorization: 'Bearer a-token-of-the-tests' };
  const stream = await fetch(`${world.url}/api/v1/events`, { headers, signal: leave.signal });
  for (const action of ['reload', 'unload', 'load']) await world.admin('POST', `/api/v1/plugins/service/${action}`);
  await world.write('service', 'config.yaml', 'deadlineMs: never\n');
  expect((await world.admin('POST', '/api/v1/plugins/service/reload')).status).toBe(422);
  const api = new ApiDocument(document);
  const seen = new Set<string>();
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of stream.body ?? []) {
    rest += decoder.decode(chunk as Uint8Array, { stream: true });
    const blocks = rest.split('\n\n');
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const data = /^data: ?(.*)$/m.exec(block)?.[1];
      if (data === undefined) continue;
      const event = JSON.parse(data) as { type: string };
      expect([data, api.flaws('HostEvent', event)]).toEqual([data, undefined]);
      seen.add(event.type);
    }
    if (seen.has('reload.failed') && seen.has('log')) break;
  }
  leave.abort();
  const told = [
    'reload.started',
    'reload.phase',
    'reload.succeeded',
    'reload.failed',
    'plugin.stopped',
    'plugin.serving',
    'log',
  ];
  expect([...seen].toSorted()).toEqual(told.toSorted());
});

describe('answers in tests', () => {
  const exchange = {
    method: 'GET',
    target: '/api/v1/reloads',
    status: 200,
    type: 'application/json',
    body: '{"reloads":[]}',
  };

  test.each([
    ['a status', { status: 201 }, 'the status is not in the document'],
    ['a type', { type: 'text/html' }, 'the type text/html is not in the document'],
    ['a member that is missing', { body: '{}' }, "must have required property 'reloads'"],
    ['a member that nobody has described', { body: '{"reloads":[],"x":1}' }, 'must NOT have additional properties'],
    ['a method', { method: 'PATCH' }, 'nobody has said that this is answered'],
  ])('are complained of for %s that is not in the document', (_name, wrong, complaint) => {
    const api = new ApiDocument(document);
    expect(api.complaint(exchange)).toBeUndefined();
    expect(api.complaint({ ...exchange, ...wrong })).toContain(complaint);
  });
});
