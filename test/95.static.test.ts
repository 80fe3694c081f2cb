import { once } from 'node:events';
import { type IncomingMessage, request as send } from 'node:http';
import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { CreateHostOptions, StaticPlugin, StaticRoute } from '../src/index.js';
import { stage } from './load/actors.js';
import { type Answer, until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';
import { Fleet } from './registry/fleet.js';
import { noPostgres, PostgresServer } from './registry/postgres.js';

let world: World;
beforeEach(async () => {
  world = await World.make();
});
afterEach(() => world.close());

type Handle = StaticRoute['handle'];

const hello: StaticRoute = {
  method: 'GET',
  path: '/hello',
  handle: (_request, response) => void response.end('hello'),
};

function get(path: string, handle: Handle, more: Partial<StaticRoute> = {}): StaticRoute {
  return { method: 'GET', path, handle, ...more };
}

function start(plugin: Partial<StaticPlugin>, options: CreateHostOptions = {}): Promise<void> {
  return world.start({ plugins: [{ id: 'clock', ...plugin }], ...options });
}

function problem({ body }: Answer): { error: string; message: string; details: Record<string, unknown> } {
  return JSON.parse(body) as { error: string; message: string; details: Record<string, unknown> };
}

describe('a static plugin', () => {
  test('serves its routes below its prefix, with parameters, config and the body as a stream', async () => {
    await start({
      config: { greeting: 'ahoy' },
      routes: [
        get('/', (_request, response) => void response.end('root')),
        get('/say/:name/*', (_request, response, { params, config, plugin }) => {
          response.setHeader('content-type', 'application/json');
          response.end(JSON.stringify({ params, config, plugin }));
        }),
        {
          method: 'POST',
          path: '/echo',
          handle: async (request, response) => {
            for await (const chunk of request) response.write(chunk);
            response.end();
          },
        },
      ],
    });
    expect((await world.get('/clock')).body).toBe('root');
    expect(JSON.parse((await world.get('/clock/say/J%C3%BCrgen/a/b?c=d')).body)).toEqual({
      params: { name: 'Jürgen', '*': 'a/b' },
      config: { greeting: 'ahoy' },
      plugin: 'clock',
    });
    expect((await world.request('POST', '/clock/echo', { body: 'x'.repeat(100_000) })).body).toHaveLength(100_000);
    expect((await world.request('HEAD', '/clock')).status).toBe(200);
    const wrong = await world.request('PUT', '/clock');
    expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'GET, HEAD, OPTIONS']);
  });

  test('is listed beside native ones, for everybody and for its operator', async () => {
    await world.publish('service', await buildPlugin('service'));
    await start({ version: '1.2.3', description: 'Tells the time', routes: [get('/now', hello.handle)] });
    const { plugins } = JSON.parse((await world.get('/plugins')).body) as { plugins: unknown[] };
    expect(plugins).toMatchObject([
      {
        id: 'clock',
        type: 'static',
        state: 'running',
        version: '1.2.3',
        generation: 1,
        routes: [{ method: 'GET', path: '/clock/now', execution: 'static', deadlineMs: 30_000, bodyLimit: 0 }],
      },
      { id: 'service', type: 'dynamic' },
    ]);
    expect(JSON.parse((await world.admin('GET', '/api/v1/plugins/clock')).body)).toMatchObject({
      type: 'static',
      description: 'Tells the time',
      generations: [],
      folder: '',
    });
    expect(world.host.plugin('clock').loadedAt).toMatch(/^\d{4}-/);
    expect(JSON.parse((await world.admin('GET', '/api/v1/plugins/clock/versions')).body)).toEqual({ versions: [] });
    await world.get('/clock/now');
    expect((await world.get('/metrics')).body).toContain('tenon_plugin_calls_total{plugin="clock"} 1\n');
  });

  test('comes as a module, a function or a promise, and an instance of a class', async () => {
    class Counting implements StaticPlugin {
      readonly id = 'counting';
      #count = 0;
      readonly routes = [get('/', (_request, response) => void response.end(String(this.#count)))];
      initialize(): void {
        this.#count = 7;
      }
    }
    const of = (id: string): StaticPlugin => ({ id, routes: [hello] });
    await world.start({
      plugins: [
        { default: of('one') },
        () => of('two'),
        Promise.resolve({ default: async () => of('three') }),
        new Counting(),
      ],
    });
    expect(world.host.plugins().map(({ id, state }) => `${id} ${state}`)).toEqual([
      'counting running',
      'one running',
      'three running',
      'two running',
    ]);
    expect((await world.get('/counting')).body).toBe('7');
  });

  test('lives from initialize to shutdown: before native ones, and after them', async () => {
    await world.publish('service', await buildPlugin('service'));
    const told: string[] = [];
    const stateOf = async (id: string): Promise<string> => {
      const answer = await world.get(`/plugins/${id}`);
      return (JSON.parse(answer.body) as { state: string }).state;
    };
    const living = (id: string): StaticPlugin => ({
      id,
      routes: [hello],
      initialize: () => void told.push(`${id} initialize`),
      ready: async () => void told.push(`${id} ready ${await stateOf(id)}`),
      shutdown: () => void told.push(`${id} shutdown`),
    });
    await world.open({
      plugins: [living('one'), living('two')],
      onEvent: (event) =>
        void ('plugin' in event && /serving|stopped/.test(event.type) && told.push(`${event.plugin} ${event.type}`)),
    });
    await world.host.discover();
    await world.host.close();
    expect(told).toEqual([
      'one initialize',
      'one ready running',
      'one plugin.serving',
      'two initialize',
      'two ready running',
      'two plugin.serving',
      'service plugin.serving',
      'service plugin.stopped',
      'two shutdown',
      'two plugin.stopped',
      'one shutdown',
      'one plugin.stopped',
    ]);
  });

  test('is stopped and started again by hand, and neither reloaded nor rolled back', async () => {
    let lives = 0;
    await start({ routes: [hello], initialize: () => void lives++ });
    const unloaded = await world.admin('POST', '/api/v1/plugins/clock/unload');
    expect(JSON.parse(unloaded.body)).toMatchObject({ status: 'unloaded', plugin: { state: 'stopped' } });
    const gone = await world.get('/clock/hello');
    expect([gone.status, problem(gone).error]).toEqual([503, 'PluginStopped']);
    await world.host.discover();
    expect(world.host.plugin('clock').state).toBe('stopped');
    const loaded = await world.admin('POST', '/api/v1/plugins/clock/load');
    expect(JSON.parse(loaded.body)).toMatchObject({ status: 'loaded', plugin: { state: 'running', generation: 2 } });
    expect([(await world.get('/clock/hello')).body, lives]).toEqual(['hello', 2]);
    for (const place of ['plugins/clock/reload', 'plugins/clock/rollback', 'hot-reload/trigger/clock']) {
      const answer = await world.admin('POST', `/api/v1/${place}`);
      expect([answer.status, problem(answer).error]).toEqual([409, 'PluginStatic']);
    }
  });

  test('has its id and its routes before native ones', async () => {
    await world.publish('service', await buildPlugin('service'));
    await world.publish('clock', await buildPlugin('service'));
    await start({ prefix: '/service', routes: [get('/build', hello.handle)] });
    expect(world.host.plugin('service').error).toMatchObject({
      code: 'RouteConflict',
      details: { owner: 'clock', path: '/service/build' },
    });
    expect(world.log.filter(({ code }) => code === 'ConfigInvalid').map(({ msg }) => msg)).toEqual([
      expect.stringContaining('the app_id clock belongs to a plugin of the program'),
    ]);
    expect((await world.get('/service/build')).body).toBe('hello');
  });
});

describe('what goes wrong in a static plugin', () => {
  test('is an answer when a handler throws, rejects, or leaves a half-made one', async () => {
    await start({
      routes: [
        get('/throws', () => {
          throw new Error('a secret of the program');
        }),
        get('/rejects', (_request, response) => {
          response.setHeader('content-length', '3');
          response.setHeader('x-half', 'made');
          response.statusMessage = 'Half';
          return Promise.reject(new Error('no'));
        }),
        get('/cut', (_request, response) => {
          response.write('begun');
          throw new Error('too late');
        }),
        get('/twice', (_request, response) => {
          response.end('once');
          response.end('twice');
          response.write('thrice');
          response.setHeader('x', 'y');
        }),
      ],
    });
    for (const path of ['/clock/throws', '/clock/rejects']) {
      const answer = await world.get(path);
      expect([answer.status, problem(answer).error, answer.headers.get('x-half')]).toEqual([
        500,
        'HandlerFailed',
        null,
      ]);
      expect(answer.headers.get('content-type')).toBe('application/problem+json');
      expect(answer.body).not.toContain('secret');
    }
    await expect(world.get('/clock/cut')).rejects.toThrow();
    expect((await world.get('/clock/twice')).body).toBe('once');
    const logged = world.log.filter(({ code }) => code === 'HandlerFailed');
    expect(logged.map(({ plugin, path }) => `${plugin} ${String(path)}`)).toEqual(
      ['throws', 'rejects', 'cut', 'twice'].map((name) => `clock /clock/${name}`),
    );
    expect((await world.get('/metrics')).body).toContain('tenon_plugin_faults_total{plugin="clock"} 3\n');
  });

  test('is told when the deadline passes: the handler by its signal, the client with 504', async () => {
    let reason: unknown;
    await start({
      routes: [
        get(
          '/slow',
          async (_request, response, { signal }) => {
            await once(signal, 'abort');
            ({ reason } = signal);
            response.setHeader('x-late', '1');
          },
          { deadlineMs: 50 },
        ),
      ],
    });
    const answer = await world.get('/clock/slow');
    expect([answer.status, problem(answer).error]).toEqual([504, 'DeadlineExceeded']);
    await until('the handler is told', () => reason !== undefined);
    expect(reason).toMatchObject({ code: 'DeadlineExceeded' });
    expect(world.host.plugin('clock').waiting).toBe(0);
  });

  test('is no body that a client asks for leave to send: it may when the handler is called', async () => {
    await start({
      routes: [
        {
          method: 'POST',
          path: '/size',
          handle: async (request, response) => {
            let size = 0;
            for await (const chunk of request) size += (chunk as Buffer).length;
            response.end(String(size));
          },
        },
      ],
    });
    const client = send(`${world.url}/clock/size`, {
      method: 'POST',
      headers: { expect: '100-continue', 'content-length': '5' },
    });
    client.flushHeaders();
    await once(client, 'continue');
    client.end('abcde');
    const [answer] = (await once(client, 'response')) as [IncomingMessage];
    expect((await answer.setEncoding('utf8').toArray()).join('')).toBe('5');
  });

  test('of 300 requests at once is an answer each, and nobody is left in it', async () => {
    await start({
      routes: [
        get('/some/:n', async (_request, response, { params }) => {
          await new Promise((resolve) => {
            setImmediate(resolve);
          });
          if (Number(params['n']) % 3 === 0) throw new Error('every third');
          response.end(params['n']);
        }),
      ],
    });
    const all = await Promise.all(Array.from({ length: 300 }, (_, n) => world.get(`/clock/some/${n}`)));
    expect(all.map(({ status }) => status)).toEqual(all.map((_, n) => (n % 3 === 0 ? 500 : 200)));
    await until('all have left', () => world.host.plugin('clock').waiting === 0);
    expect((await world.get('/metrics')).body).toContain('tenon_plugin_faults_total{plugin="clock"} 100\n');
  });

  test('is told to a handler whose client has gone', async () => {
    let told = false;
    let begun = (): void => {};
    const entered = new Promise<void>((resolve) => {
      begun = resolve;
    });
    await start({
      routes: [
        get('/wait', async (_request, _response, { signal }) => {
          signal.addEventListener('abort', () => {
            told = true;
          });
          begun();
          await once(signal, 'abort');
        }),
      ],
    });
    const client = send(`${world.url}/clock/wait`).on('error', () => {});
    client.end();
    await entered;
    expect(world.host.plugin('clock').waiting).toBe(1);
    client.destroy();
    await until('the handler is told', () => told);
    await until('it has left', () => world.host.plugin('clock').waiting === 0);
  });

  test('is no leak of requests that wait behind an unfinished answer of a connection that is gone', async () => {
    await start({ routes: [get('/wait', (_request, _response, { signal }) => once(signal, 'abort'))] });
    const { hostname, port } = new URL(world.url);
    const client = connect(Number(port), hostname).on('error', () => {});
    client.write('GET /clock/wait HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(3));
    await until('all are in it', () => world.host.plugin('clock').waiting === 3);
    client.destroy();
    await until('all have left', () => world.host.plugin('clock').waiting === 0);
    expect((await world.get('/metrics')).body).toContain('tenon_plugin_calls_total{plugin="clock"} 3\n');
  });

  test.each([
    ['initialize', 'failed: no clock here', { initialize: () => Promise.reject(new Error('no clock here')) }],
    [
      'ready',
      'failed: not yet',
      {
        ready: () => {
          throw new Error('not yet');
        },
      },
    ],
  ])('is its error when %s fails, and stops no other', async (step, why, plugin) => {
    let ended = 0;
    await world.start({
      plugins: [
        { id: 'clock', routes: [hello], ...plugin, shutdown: () => void ended++ },
        { id: 'other', routes: [hello] },
      ],
    });
    expect(world.host.plugin('clock')).toMatchObject({
      state: 'failed',
      routes: [],
      error: { code: 'LifecycleFailed', message: `clock: ${step} ${why}`, details: { plugin: 'clock', step } },
    });
    expect(ended).toBe(step === 'ready' ? 1 : 0);
    expect((await world.get('/other/hello')).body).toBe('hello');
    const answer = await world.admin('POST', '/api/v1/plugins/clock/load');
    expect([answer.status, problem(answer).error]).toEqual([500, 'LifecycleFailed']);
  });

  test('is a deadline that initialize misses: what it still begins is shut down, and only then it may begin again', async () => {
    let letGo = (): void => {};
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    let lives = 0;
    let aborted = false;
    await start(
      {
        routes: [hello],
        initialize: async ({ signal }) => {
          lives++;
          if (lives > 1) return;
          signal.addEventListener('abort', () => {
            aborted = true;
          });
          await held;
        },
        shutdown: () => void lives--,
      },
      { lifecycleMs: 50 },
    );
    expect(world.host.plugin('clock').error).toMatchObject({
      code: 'LifecycleTimeout',
      details: { step: 'initialize' },
    });
    expect(aborted).toBe(true);
    await expect(world.host.load('clock')).rejects.toMatchObject({ code: 'LifecycleTimeout' });
    letGo();
    await until('it was shut down', () => lives === 0);
    lives = 1;
    await until('it may begin', () =>
      world.host.load('clock').then(
        () => true,
        () => false,
      ),
    );
    expect((await world.get('/clock/hello')).body).toBe('hello');
  });

  test('is told by its health, which may hang and hold up nothing else', async () => {
    let ill: (() => Promise<void>) | undefined;
    await start({ health: () => ill?.() }, { lifecycleMs: 200 });
    expect((await world.get('/readyz')).status).toBe(200);
    ill = () => Promise.reject(new Error('it is late'));
    await until('it is seen', async () => (await world.get('/readyz')).status === 503);
    const verbose = JSON.parse((await world.admin('GET', '/readyz?verbose')).body) as { plugins: unknown[] };
    expect(verbose.plugins).toMatchObject([
      { id: 'clock', healthy: false, health: expect.stringContaining('it is late') },
    ]);
    ill = () => new Promise(() => {});
    await until('it is seen', async () => (await world.admin('GET', '/readyz?verbose')).body.includes('has not ended'));
    await world.host.unload('clock');
  });

  test('is logged when its shutdown fails: it is stopped all the same', async () => {
    await start({ routes: [hello], shutdown: () => Promise.reject(new Error('it does not want to')) });
    await world.host.unload('clock');
    expect(world.host.plugin('clock')).toMatchObject({ state: 'stopped', error: { code: 'LifecycleFailed' } });
    await world.host.load('clock');
    expect((await world.get('/clock/hello')).body).toBe('hello');
  });
});

describe('a static plugin that is stopped', () => {
  test('ends its requests first, and those that do not end are cut off', async () => {
    let reason: unknown;
    let finish = (): void => {};
    const told: string[] = [];
    await start(
      {
        routes: [
          get('/ends', (_request, response) => {
            finish = () => void response.end('in time');
          }),
          get('/hangs', async (_request, _response, { signal }) => {
            await once(signal, 'abort');
            ({ reason } = signal);
          }),
        ],
        shutdown: () => void told.push('shutdown'),
      },
      { drainMs: 300 },
    );
    const ends = world.get('/clock/ends').then((answer) => told.push(answer.body));
    const hangs = world.get('/clock/hangs');
    await until('both are in it', () => world.host.plugin('clock').waiting === 2);
    const unloaded = world.host.unload('clock');
    expect((await world.get('/clock/ends')).status).toBe(503);
    finish();
    await ends;
    const cut = await hangs;
    expect([cut.status, problem(cut).error]).toEqual([503, 'PluginStopped']);
    await unloaded;
    expect([told, reason]).toMatchObject([['in time', 'shutdown'], { code: 'PluginStopped' }]);
  });

  test('ends its event streams as complete answers', async () => {
    let aborted = false;
    await start({
      routes: [
        get('/events', (_request, response, { signal }) => {
          response.writeHead(200, { 'content-type': 'text/event-stream' });
          response.write('data: 1\n\n');
          signal.addEventListener('abort', () => {
            aborted = true;
          });
        }),
      ],
    });
    const stream = await fetch(`${world.url}/clock/events`, { headers: { accept: 'text/event-stream' } });
    const text = stream.text();
    await world.host.unload('clock');
    expect([await text, aborted]).toEqual(['data: 1\n\n', true]);
  });
});

describe('a static plugin that lists extensions', () => {
  const ada = { headers: { authorization: 'Key ada' } };
  const root = { headers: { authorization: 'Key root' } };
  const login = { config: 'extension: true', defines: { WITH_PROVIDER: '1', WITH_MIDDLEWARE: '1' } };
  const who = get('/who', (_request, response, { caller }) => void response.end(caller?.subject ?? 'nobody'));

  test('is called by whom they know, behind their middleware, and says who may', async () => {
    await stage(world, 'login', login);
    await start({
      extensions: ['login'],
      routes: [who, { ...who, path: '/open', auth: 'open' }, { ...who, path: '/roles', roles: ['admin'] }],
    });
    const known = await world.request('GET', '/clock/who', ada);
    expect([known.status, known.body, known.headers.get('x-through')]).toEqual([200, 'ada', 'login']);
    const unknown = await world.get('/clock/who');
    expect([unknown.status, problem(unknown).error, unknown.headers.get('www-authenticate')]).toEqual([
      401,
      'Unauthenticated',
      'Key realm="test"',
    ]);
    expect((await world.get('/clock/open')).body).toBe('nobody');
    expect((await world.request('GET', '/clock/open', ada)).body).toBe('ada');
    const forbidden = await world.request('GET', '/clock/roles', ada);
    expect([forbidden.status, problem(forbidden).error]).toEqual([403, 'Forbidden']);
    expect((await world.request('GET', '/clock/roles', root)).status).toBe(403);
    expect(world.host.plugin('login')).toMatchObject({ consumers: ['clock'], requiredBy: ['clock'] });
    expect(world.host.plugin('clock').extensions).toMatchObject([{ id: 'login', required: true, state: 'running' }]);
    expect(world.host.plugin('clock').routes.map(({ needs }) => needs)).toEqual([['identity'], ['anyone'], ['admin']]);
  });

  test('is closed while one of them does not run, and open to it again by itself', async () => {
    await stage(world, 'login', login);
    await start({ extensions: ['login'], routes: [who] });
    await world.host.unload('login');
    const away = await world.request('GET', '/clock/who', ada);
    expect([away.status, problem(away).error]).toEqual([503, 'ExtensionUnavailable']);
    await world.host.load('login');
    expect((await world.request('GET', '/clock/who', ada)).body).toBe('ada');
    await world.host.unload('clock');
    await world.host.load('clock');
    expect((await world.request('GET', '/clock/who', ada)).body).toBe('ada');
    expect((await world.get('/clock/who')).status).toBe(401);
    expect((await world.get('/metrics')).body.match(/^tenon_plugin_calls_total\{plugin="clock"\} .*$/gm)).toHaveLength(
      1,
    );
  });

  test('warns of one that is not there, and is refused where nobody can be known', async () => {
    await world.start({
      plugins: [
        { id: 'clock', extensions: ['nobody'], routes: [who] },
        { id: 'closed', auth: 'identity', routes: [who] },
      ],
    });
    expect(world.host.plugin('clock').warnings).toEqual(['clock lists the extension nobody, which is not there']);
    expect((await world.get('/clock/who')).status).toBe(503);
    expect(world.host.plugin('closed').error).toMatchObject({ code: 'RouteInvalid' });
  });
});

/** What it reads, what it was told of, and what it refuses. */
function configured(): { plugin: StaticPlugin; told: unknown[] } {
  const told: unknown[] = [];
  const plugin: StaticPlugin = {
    id: 'clock',
    version: '1.0.0',
    config: { zone: 'UTC', key: '${KEY}' },
    configSchema: {
      type: 'object',
      properties: {
        zone: { type: 'string' },
        key: { type: 'string', writeOnly: true },
        step: { type: 'integer', minimum: 1, default: 60 },
      },
      additionalProperties: false,
    },
    routes: [get('/config', (_request, response, { config }) => void response.end(JSON.stringify(config)))],
    initialize: ({ config }) => void told.push({ initialize: config }),
    changed: (config) => {
      if (config['zone'] === 'Atlantis') throw new Error('there is no such zone');
      told.push({ changed: config });
    },
  };
  return { plugin, told };
}

describe('the config of a static plugin', () => {
  const options = { registry: true, registryWaitMs: 60_000, environment: { KEY: 'qqq-secret' } };
  const target = '/api/v1/plugins/clock/config';
  const ask = async (method: string, body?: object): Promise<{ status: number; body: Record<string, unknown> }> => {
    const answer = await world.request(method, target, {
      headers: { authorization: 'Bearer a-token-of-the-tests' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: answer.status, body: JSON.parse(answer.body) as Record<string, unknown> };
  };
  const read = async (): Promise<unknown> => JSON.parse((await world.get('/clock/config')).body) as unknown;

  test('is set while it runs, told to it, refused by its schema and by itself, taken back, and there after a restart', async () => {
    const { plugin, told } = configured();
    await world.start({ plugins: [plugin], ...options });
    const first = { zone: 'UTC', key: 'qqq-secret', step: 60 };
    expect([await read(), told]).toEqual([first, [{ initialize: first }]]);
    expect((await ask('GET')).body).toMatchObject({ config: plugin.config, schema: plugin.configSchema, revision: 0 });

    const set = await ask('PUT', { zone: 'CET', step: 5 });
    expect([set.status, set.body]).toMatchObject([
      200,
      { status: 'taken', plugin: { state: 'running', generation: 1 } },
    ]);
    const second = { zone: 'CET', step: 5 };
    expect([await read(), told.at(-1)]).toEqual([second, { changed: second }]);

    for (const [wrong, pointer] of [
      [{ step: 0 }, '/step'],
      [{ zone: 'Atlantis' }, ''],
      [{ key: 'in clear' }, '/key'],
    ] as const) {
      const { status, body } = await ask('PUT', wrong);
      expect([status, body]).toMatchObject([422, { error: 'ConfigInvalid', details: { errors: [{ pointer }] } }]);
      expect([await read(), world.host.plugin('clock').error]).toEqual([second, undefined]);
    }

    await world.host.close();
    await world.start({ plugins: [plugin], ...options });
    expect([await read(), told.at(-1)]).toEqual([second, { initialize: second }]);
    expect((await ask('DELETE')).body).toMatchObject({ status: 'taken', config: plugin.config });
    expect(await read()).toEqual(first);
    expect(JSON.stringify([world.log, world.host.plugins()])).not.toContain('qqq-secret');
  });

  test('in force is told once more when another one is taken too late', async () => {
    const { plugin, told } = configured();
    let letGo = (): void => {};
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const changed: StaticPlugin['changed'] = async (config) => {
      if (config['zone'] === 'CET') await held;
      told.push({ changed: config });
    };
    await world.start({ plugins: [{ ...plugin, changed }], ...options, lifecycleMs: 300 });
    expect((await ask('PUT', { zone: 'CET' })).status).not.toBe(200);
    const first = { zone: 'UTC', key: 'qqq-secret', step: 60 };
    expect(await read()).toEqual(first);
    letGo();
    await until('it has what is in force', () => JSON.stringify(told.at(-1)) === JSON.stringify({ changed: first }));
    expect(told.slice(1)).toEqual([{ changed: { zone: 'CET', step: 60 } }, { changed: first }]);
  });

  test('that cannot be keeps it from starting until it can', async () => {
    const { plugin } = configured();
    await world.start({ plugins: [plugin], ...options, environment: {} });
    expect(world.host.plugin('clock')).toMatchObject({ state: 'failed', error: { code: 'SecretMissing' } });
    expect((await ask('PUT', { zone: 'CET' })).status).toBe(200);
    expect(await read()).toEqual({ zone: 'CET', step: 60 });
  });

  test('without anybody to be told is what handlers see next', async () => {
    const { plugin } = configured();
    const members = Object.entries(plugin).filter(([name]) => name !== 'changed');
    const silent = Object.fromEntries(members) as unknown as StaticPlugin;
    await world.start({ plugins: [silent], ...options });
    expect((await ask('PUT', { zone: 'CET' })).body).toMatchObject({ status: 'taken' });
    expect(await read()).toEqual({ zone: 'CET', step: 60 });
  });

  test('is one of what can be disabled: it is not started again before it is enabled', async () => {
    const { plugin, told } = configured();
    await world.start({ plugins: [plugin], ...options });
    expect((await world.admin('POST', '/api/v1/plugins/clock/disable')).status).toBe(200);
    expect((await world.get('/clock/config')).status).toBe(404);
    await world.host.close();
    await world.start({ plugins: [plugin], ...options });
    expect(world.host.plugin('clock')).toMatchObject({ state: 'disabled', error: { code: 'PluginDisabled' } });
    expect(told).toHaveLength(1);
    expect((await world.admin('POST', '/api/v1/plugins/clock/load')).status).toBe(409);
    const enabled = await world.admin('POST', '/api/v1/plugins/clock/enable');
    expect(JSON.parse(enabled.body)).toMatchObject({ status: 'enabled', plugin: { state: 'running' } });
    expect((await world.get('/clock/config')).status).toBe(200);
  });
});

describe.skipIf(noPostgres !== undefined)(`a static plugin on two hosts of one registry ${noPostgres ?? ''}`, () => {
  let server: PostgresServer;
  let fleet: Fleet;
  beforeAll(async () => {
    server = await PostgresServer.start();
  }, 120_000);
  afterAll(() => server.dispose());
  beforeEach(async () => {
    fleet = await Fleet.make(server, 2);
  });
  afterEach(() => fleet.close());

  test('is registered, and what psql says of it holds on both', async () => {
    const { plugin, told } = configured();
    await fleet.start({ plugins: [plugin], environment: { KEY: 'k' } });
    await fleet.converged('clock');
    expect(await fleet.sql('SELECT name, version, type, source_path, status FROM plugins')).toBe(
      'clock|1.0.0|static||active',
    );
    await until('its routes are listed', async () =>
      (await fleet.sql('SELECT method, path, execution FROM plugin_endpoints')).includes('GET|/clock/config|static'),
    );
    const reported = (await fleet.reports('clock')).map(({ state, version, generation }) => [
      state,
      version,
      generation,
    ]);
    expect(reported).toEqual([1, 2].map(() => ['running', '1.0.0', 1]));

    await fleet.steer(`UPDATE plugins SET config = '{"zone": "CET"}'`, 'clock');
    const bodies = await Promise.all(fleet.worlds.map(async (one) => (await one.get('/clock/config')).body));
    expect(bodies.map((body) => (JSON.parse(body) as { zone: string }).zone)).toEqual(['CET', 'CET']);
    await fleet.steer(`UPDATE plugins SET config = '{"zone": "Atlantis"}'`, 'clock');
    expect((await fleet.reports('clock')).map(({ error }) => error?.code)).toEqual([
      'LifecycleFailed',
      'LifecycleFailed',
    ]);
    expect(await fleet.statuses('/clock/config')).toEqual([200, 200]);
    await fleet.steer('UPDATE plugins SET config = NULL', 'clock');

    const before = told.length;
    await fleet.steer('UPDATE plugins SET reload_at = now()', 'clock');
    expect(told).toHaveLength(before);
    await fleet.steer(`UPDATE plugins SET version = '2.0.0'`, 'clock');
    expect((await fleet.reports('clock')).map(({ state, error }) => [state, error?.code])).toEqual(
      [1, 2].map(() => ['running', 'VersionUnavailable']),
    );
    await fleet.steer('UPDATE plugins SET pinned = false', 'clock');
    expect((await fleet.reports('clock')).map(({ error }) => error)).toEqual([undefined, undefined]);

    await fleet.steer(`UPDATE plugins SET status = 'disabled'`, 'clock');
    expect(await fleet.statuses('/clock/config')).toEqual([404, 404]);
    await fleet.steer(`UPDATE plugins SET status = 'active'`, 'clock');
    expect(await fleet.statuses('/clock/config')).toEqual([200, 200]);
    await fleet.steer('DELETE FROM plugins', 'clock');
    expect(fleet.worlds.map((one) => one.host.plugin('clock').state)).toEqual(['stopped', 'stopped']);
    await fleet.steer(`INSERT INTO plugins (name, type) VALUES ('clock', 'static')`, 'clock');
    expect(await fleet.statuses('/clock/config')).toEqual([200, 200]);

    const [first] = fleet.worlds;
    const remove = (): Promise<Answer> | undefined => first?.admin('POST', '/api/v1/plugins/clock/forget');
    expect(JSON.parse((await remove())?.body ?? '')).toEqual({
      status: 'forgotten',
      plugin: { id: 'clock', state: 'stopped' },
    });
    await until('both have stopped', async () => (await fleet.statuses('/clock/config')).join() === '503,503');
    expect((await remove())?.status).toBe(404);
    await first?.host.load('clock');
    await until('it is registered again', async () => (await fleet.sql('SELECT name FROM plugins')) === 'clock');
  });
});

describe('createHost refuses', () => {
  test.each([
    ['id', { id: 'Clock' }, 'plugins[0].id: must be 1 to 63 of'],
    ['version', { version: '1' }, 'plugins[0].version: must be a semantic version'],
    ['prefix', { prefix: '/:id' }, 'plugins[0].prefix: must be a path'],
    ['reserved', { id: 'metrics', routes: [hello] }, 'plugins[0].routes[0]: GET /metrics/hello belongs to the host'],
    ['method', { routes: [{ ...hello, method: 'HEAD' }] }, 'plugins[0].routes[0].method: must be one of GET'],
    ['path', { routes: [{ ...hello, path: '/a//b' }] }, 'plugins[0].routes[0].path: "/a//b" has the segment ""'],
    ['handle', { routes: [{ method: 'GET', path: '/' }] }, 'plugins[0].routes[0].handle: must be a function'],
    ['roles', { routes: [{ ...hello, roles: [] }] }, 'plugins[0].routes[0].roles: must be a list'],
    [
      'deadlineMs',
      { routes: [{ ...hello, deadlineMs: 0 }] },
      'plugins[0].routes[0].deadlineMs: must be a whole number',
    ],
    [
      'twice',
      { routes: [get('/:a', hello.handle), get('/:b', hello.handle)] },
      'plugins[0].routes[1]: GET /clock/:b belongs to clock',
    ],
    ['config', { config: { at: new Date(0) } }, 'plugins[0].config: must hold nothing but what JSON can'],
    ['configSchema', { configSchema: { type: 'nonsense' } }, 'plugins[0].configSchema: '],
    [
      'its config',
      { config: { port: 0 }, configSchema: { properties: { port: { minimum: 1 } } } },
      'plugins[0].config: /port must be >= 1',
    ],
    ['extensions', { extensions: ['clock'] }, 'plugins[0].extensions: must be a list of ids'],
    ['initialize', { initialize: 1 }, 'plugins[0].initialize: must be a function'],
  ])('a wrong %s', async (_, wrong, message) => {
    const plugin = { id: 'clock', ...wrong } as unknown as StaticPlugin;
    const refused = await world.start({ plugins: [plugin] }).catch((error: unknown) => error as Error);
    expect(refused).toBeInstanceOf(TypeError);
    expect((refused as Error).message).toContain(message);
  });

  test('two of one id, two of one route, a promise that rejects, and what is no list', async () => {
    const given: [unknown, string][] = [
      [[{ id: 'a' }, { id: 'a' }], 'plugins[1].id: a is there twice'],
      [
        [
          { id: 'a', prefix: '/x', routes: [hello] },
          { id: 'b', prefix: '/x', routes: [hello] },
        ],
        'plugins[1].routes[0]: GET /x/hello belongs to a',
      ],
      [[Promise.reject(new Error('no module'))], 'plugins[0]: could not be had: no module'],
      [[7], 'plugins[0]: must be a plugin'],
      [{}, 'plugins: must be a list'],
    ];
    for (const [plugins, message] of given)
      await expect(world.start({ plugins } as CreateHostOptions)).rejects.toThrow(message);
  });
});
