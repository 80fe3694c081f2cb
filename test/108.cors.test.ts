import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import WebSocket from 'ws';
import type { CorsRules } from '../src/compiler/config.js';
import { allowedOrigin, preflightHeaders } from '../src/http/cors.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

const preflight = (origin: string, method = 'POST', more: Record<string, string> = {}): RequestInit => ({
  method: 'OPTIONS',
  headers: { origin, 'access-control-request-method': method, ...more },
});

describe('what an application lets pages of other origins read', () => {
  let world: World;
  const ask = (target: string, init: RequestInit = {}): Promise<Response> =>
    fetch(world.url + target, { redirect: 'manual', ...init });
  const from = (origin: string): RequestInit => ({ headers: { origin } });
  const own = (answer: Response): Record<string, string> =>
    Object.fromEntries([...answer.headers].filter(([name]) => name.startsWith('access-control-') || name === 'vary'));

  beforeAll(async () => {
    world = await World.make();

    await world.write('echo', 'config.yaml', 'name: echo\nstatic_files: public\ncors: true\n');
    await world.write('echo', 'public/a.txt', 'a');
    await world.publish('cross', await buildPlugin('cross'));
    await world.write('cross', 'config.yaml', 'cors: {origins: [https://named.example]}\n');
    await world.publish('service', await buildPlugin('service'));
    await world.write('service', 'config.yaml', 'name: service\n');
    await world.write(
      'shop',
      'config.yaml',
      'cors:\n  origins: [https://shop.example, "https://*.shop.example"]\n  credentials: true\n  expose: [etag]\n  maxAgeSeconds: 5\n',
    );
    await world.write(
      'shop',
      'schema.graphql',
      'type Item @table @export(rest: true, sse: true, ws: true, graphql: true) { id: ID! @primaryKey  name: String }\n',
    );
    await world.start();
  }, 180_000);
  afterAll(() => world.close());

  test('is everything of it, for everybody, where config.yaml says true', async () => {
    expect(own(await ask('/echo/a.txt', from('https://any.example')))).toMatchObject({
      'access-control-allow-origin': '*',
    });
    const missing = await ask('/echo/none.txt', from('https://any.example'));
    expect([missing.status, missing.headers.get('access-control-allow-origin')]).toEqual([404, '*']);
  });

  test('has the last word where it says something, and the rest of the answer stays the plugin’s', async () => {
    const named = await ask('/cross/hello', from('https://named.example'));
    expect([await named.text(), own(named)]).toEqual([
      'hello',
      { 'access-control-allow-origin': 'https://named.example', vary: 'x-mine, Origin' },
    ]);
    expect(own(await ask('/cross/hello', from('https://other.example')))).toEqual({ vary: 'x-mine, Origin' });
    expect((await ask('/cross/hello', preflight('https://named.example', 'GET'))).status).toBe(204);
    const before = await (await ask('/cross/hello')).text();
    expect(before).toBe('hello');
  });

  test('is nothing where it says nothing', async () => {
    expect(own(await ask('/service/build', from('https://any.example')))).toEqual({});
    const asked = await ask('/service/build', preflight('https://any.example'));
    expect([asked.status, own(asked)]).toEqual([204, {}]);
  });

  test('is told by name to those that are listed, and depends on who asks', async () => {
    const told = { 'access-control-allow-credentials': 'true', 'access-control-expose-headers': 'etag' };
    for (const origin of ['https://shop.example', 'https://a.shop.example', 'https://a.b.shop.example'])
      expect(own(await ask('/shop/Item', from(origin)))).toMatchObject({
        ...told,
        'access-control-allow-origin': origin,
        vary: expect.stringContaining('Origin'),
      });
    for (const origin of ['https://shop.example.org', 'http://shop.example', 'https://badshop.example', 'null'])
      expect(own(await ask('/shop/Item', from(origin)))).toEqual({ vary: expect.stringContaining('Origin') });
    expect(own(await ask('/shop/Item'))).toEqual({ vary: expect.stringContaining('Origin') });
  });

  test('holds for GraphQL, for streams and for refusals', async () => {
    const origin = 'https://shop.example';
    const query = await ask('/shop/graphql', {
      method: 'POST',
      headers: { origin, 'content-type': 'application/json' },
      body: '{"query":"{__typename}"}',
    });
    expect(query.headers.get('access-control-allow-origin')).toBe(origin);
    const refused = await ask('/shop/Item', { method: 'DELETE', headers: { origin } });
    expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([405, origin]);
    const stop = new AbortController();
    const stream = await ask('/shop/Item', { headers: { origin, accept: 'text/event-stream' }, signal: stop.signal });
    expect(stream.headers.get('content-type')).toContain('text/event-stream');
    expect(stream.headers.get('access-control-allow-origin')).toBe(origin);
    expect(stream.headers.get('content-encoding')).toBeNull();
    stop.abort();
  });

  test('is asked about before a request is sent, and nobody else is asked', async () => {
    const asked = await ask(
      '/shop/Item',
      preflight('https://shop.example', 'POST', { 'access-control-request-headers': 'content-type, x-mine' }),
    );
    expect(asked.status).toBe(204);
    expect(own(asked)).toEqual({
      'access-control-allow-origin': 'https://shop.example',
      'access-control-allow-credentials': 'true',
      'access-control-allow-methods': 'GET, POST, HEAD',
      'access-control-allow-headers': 'content-type, x-mine',
      'access-control-max-age': '5',
      vary: 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers',
    });
    const other = await ask('/shop/Item', preflight('https://other.example'));
    expect([other.status, Object.keys(own(other))]).toEqual([204, ['vary']]);
    expect((await ask('/shop/Item', { method: 'OPTIONS' })).headers.get('allow')).toBe('GET, POST, HEAD, OPTIONS');
  });

  test('is whose pages may open its sockets, when they are listed', async () => {
    const open = (target: string, origin: string): Promise<string> =>
      new Promise((resolve) => {
        const socket = new WebSocket(world.url.replace('http', 'ws') + target, { origin });
        socket.on('open', () => {
          socket.terminate();
          resolve('open');
        });
        socket.on('error', (error) => resolve(error.message));
      });
    expect(await open('/shop/Item', 'https://a.shop.example')).toBe('open');
    expect(await open('/shop/Item', 'https://other.example')).toContain('403');
  });

  test('changes with config.yaml, and what runs goes on', async () => {
    const { generation } = world.host.plugin('service');
    await world.write('service', 'config.yaml', 'name: service\ncors: {origins: [https://a.example]}\n');
    expect(await world.host.reload('service')).toMatchObject({ unchanged: true, applied: ['cors'] });
    expect(own(await ask('/service/build', from('https://a.example')))).toEqual({
      'access-control-allow-origin': 'https://a.example',
      vary: 'Origin',
    });
    await world.write('service', 'config.yaml', 'name: service\ncors: false\n');
    await world.host.reload('service');
    await until(
      'nothing is said',
      async () => Object.keys(own(await ask('/service/build', from('https://a.example')))).length === 0,
    );
    expect(world.host.plugin('service').generation).toBe(generation);
  });

  test.each([
    ['cors: 7', 2, 'cors must be true, false, or a mapping'],
    ['cors: {}', 2, 'cors needs `origins`'],
    ['cors: {origins: "*", credentials: true}', 2, 'cors cannot have `credentials` for the origins "*"'],
    ['cors: {orgins: "*", origins: "*"}', 2, 'unknown key "cors.orgins"; did you mean "cors.origins"?'],
    ['cors:\n  origins: ["https://a.example/"]', 3, 'which is no origin'],
    ['cors:\n  origins: ["https://a.example:443"]', 3, 'which browsers never say'],
    ['cors:\n  origins: ["https://a.*.example"]', 3, 'which is no origin'],
    ['cors:\n  origins: ["null"]', 3, 'which is no origin'],
    ['cors:\n  origins: ["*"]', 3, 'which stands alone'],
    ['cors:\n  origins: "*"\n  methods: [get]', 4, 'methods in capitals'],
    ['cors:\n  origins: "*"\n  maxAgeSeconds: -1', 4, 'must be a whole number'],
    ['static_files: ../x', 2, 'must be a folder below the application'],
    ['static_files: .', 2, 'must be a folder below the application'],
    ['static_files: /etc', 2, 'must be a folder below the application'],
    ['static_files: {path: /}', 2, 'needs `directory`'],
    ['static_files:\n  directory: web\n  fallback: ../a.html', 4, 'must be the path of a file below'],
    ['static_files:\n  directory: web\n  dotfiles: allow', 4, 'must be deny'],
  ])('%s is refused, with its place', async (text, line, sentence) => {
    await world.write('service', 'config.yaml', `name: service\n${text}\n`);
    await expect(world.host.reload('service')).rejects.toMatchObject({
      code: 'ConfigInvalid',
      message: expect.stringContaining(sentence),
      details: { line },
    });
    expect((await ask('/service/build')).status).toBe(200);
  });
});

describe('whether an origin may', () => {
  const label = fc.stringMatching(/^[a-z][a-z\d]{0,5}$/);
  const host = fc.array(label, { minLength: 1, maxLength: 3 }).map((labels) => labels.join('.'));
  const scheme = fc.constantFrom('https', 'http', 'app');
  const port = fc.constantFrom('', ':81');
  const plain = fc.tuple(scheme, host, port).map(([s, h, p]) => `${s}://${h}${p}`);
  const listed = fc
    .tuple(scheme, fc.constantFrom('', '*.'), host, port)
    .map(([s, star, h, p]) => `${s}://${star}${h}${p}`);

  /** By the labels of names, from the end. */
  const model = (origins: readonly string[], origin: string): boolean =>
    origins.some((one) => {
      const [s1, h1 = ''] = one.split('://');
      const [s2, h2 = ''] = origin.split('://');
      if (s1 !== s2) return false;
      const want = h1.split('.').toReversed();
      const have = h2.split('.').toReversed();
      if (want.at(-1) !== '*') return h1 === h2;
      const fixed = want.slice(0, -1);
      return have.length > fixed.length && fixed.every((name, at) => have[at] === name);
    });

  test('is as a plain model has it', () => {
    const rules = (origins: readonly string[], credentials: boolean): CorsRules => ({
      origins,
      credentials,
      expose: [],
      maxAgeSeconds: 1,
    });
    const pair = fc.array(listed, { minLength: 1, maxLength: 4 }).chain((origins) =>
      fc.record({
        origins: fc.constant(origins),
        origin: fc.oneof(
          plain,
          fc.constantFrom(...origins).chain((one) => host.map((name) => one.replace('*', name))),
          fc.constantFrom(...origins).map((one) => one.replace('*.', '')),
          fc.constantFrom(...origins).map((one) => `${one.replace('*', 'x')}.evil`),
          fc.constant('null'),
        ),
        credentials: fc.boolean(),
      }),
    );
    let allowed = 0;
    fc.assert(
      fc.property(pair, ({ origins, origin, credentials }) => {
        const said = allowedOrigin(rules(origins, credentials), origin);
        const may = model(origins, origin);
        if (may) allowed += 1;
        expect(said).toBe(may ? origin : undefined);
        const answer = preflightHeaders(rules(origins, credentials), ['GET'], { headers: { origin } });
        expect(answer['access-control-allow-origin']).toBe(may ? origin : undefined);
        expect(answer['access-control-allow-credentials']).toBe(may && credentials ? 'true' : undefined);
        expect(answer['vary']).toContain('Origin');
      }),
      { numRuns: 500 },
    );
    expect(allowed).toBeGreaterThan(50);
  });
});
