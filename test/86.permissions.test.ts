import { once } from 'node:events';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { stage } from './load/actors.js';
import { type Answer, until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';
import { EventReader } from './tables/event-reader.js';
import { SocketClient } from './tables/socket-client.js';

let world: World;
beforeEach(async () => {
  world = await World.make();
});
afterEach(() => world.close());

/** An application with these tables, which lists the extension of keys. */
async function start(schema: string, config = 'extensions: [keys]'): Promise<void> {
  await world.write('keys', 'config.yaml', 'extension: true\n');
  await world.publish('keys', await buildPlugin('keys'));
  await stage(world, 'app', { config });
  await world.write('app', 'schema.graphql', schema);
  await world.start();
}

const key = (roles: string | undefined): Record<string, string> =>
  roles === undefined ? {} : { authorization: `ApiKey ${roles}` };

/** A request of whoever has these roles; of nobody without any. */
function ask(roles: string | undefined, method: string, target: string, body?: object): Promise<Answer> {
  const type = body === undefined ? {} : { 'content-type': 'application/json' };
  return world.request(method, target, {
    headers: { ...key(roles), ...type },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

const errorOf = ({ status, body }: Answer): string =>
  status < 400 ? String(status) : `${status} ${(JSON.parse(body) as { error: string }).error}`;

interface GraphqlAnswer {
  status: number;
  headers: Headers;
  data: Record<string, unknown> | null | undefined;
  codes: string[];
}

async function graphql(roles: string | undefined, query: string): Promise<GraphqlAnswer> {
  const { status, headers, body } = await ask(roles, 'POST', '/app/graphql', { query });
  const { data, errors = [] } = JSON.parse(body) as {
    data?: Record<string, unknown>;
    errors?: { path?: string[]; extensions: { code: string } }[];
  };
  return { status, headers, data, codes: errors.map(({ path, extensions }) => `${path?.[0]} ${extensions.code}`) };
}

const tasks = `
type Task @table @export @allow(role: "reader", to: [read]) @allow(role: "writer", to: [create])
    @allow(role: "editor", to: [update]) @allow(role: "admin") {
  id: ID! @primaryKey
  title: String
  secret: Secret @relationship(from: "secretId")
  secretId: ID
}
type Secret @table @export @allow(role: "admin") { id: ID! @primaryKey word: String }
type Notice @table @export @allow(role: "anyone", to: [read]) @allow(role: "identity", to: [create]) {
  id: ID! @primaryKey
}
`;

describe('over REST', () => {
  test('who is not known is asked who they are, and who may not is told what is needed', async () => {
    await start(tasks);
    const { status, headers, body } = await ask(undefined, 'GET', '/app/Task');
    expect([status, headers.get('www-authenticate'), headers.get('x-keys')]).toEqual([
      401,
      'ApiKey realm="test"',
      'looked',
    ]);
    expect(JSON.parse(body)).toMatchObject({ error: 'Unauthenticated', details: { table: 'Task', action: 'read' } });
    const refused = await ask('writer', 'GET', '/app/Task');
    expect(refused.status).toBe(403);
    expect(JSON.parse(refused.body)).toMatchObject({
      error: 'Forbidden',
      details: { plugin: 'app', table: 'Task', action: 'read', roles: ['reader', 'admin'] },
    });
    const answered = await ask('reader', 'GET', '/app/Task');
    expect([answered.status, answered.body, answered.headers.get('x-keys')]).toEqual([200, '[]', 'looked']);
    const heads = [await ask('reader', 'HEAD', '/app/Task'), await ask(undefined, 'HEAD', '/app/Task/1')];
    expect(heads.map((head) => head.status)).toEqual([200, 401]);
    expect(errorOf(await ask('wrong', 'GET', '/app/Notice'))).toBe('401 Unauthenticated');
    expect(errorOf(await ask(undefined, 'GET', '/app/Notice'))).toBe('200');
    expect(errorOf(await ask(undefined, 'POST', '/app/Notice', { id: '1' }))).toBe('401 Unauthenticated');
    expect(errorOf(await ask('any', 'POST', '/app/Notice', { id: '1' }))).toBe('201');
    const never = await ask(undefined, 'DELETE', '/app/Notice/1');
    expect([errorOf(never), never.body.includes('allowed to nobody')]).toEqual(['403 Forbidden', true]);
  });

  test('a put makes nothing for who may only update, and replaces nothing for who may only create', async () => {
    await start(tasks);
    expect(errorOf(await ask('editor', 'PUT', '/app/Task/1', { title: 'a' }))).toBe('403 Forbidden');
    const made = await ask('writer', 'PUT', '/app/Task/1', { title: 'a' });
    expect([made.status, made.body]).toEqual([201, '']);
    expect(errorOf(await ask('writer', 'PUT', '/app/Task/1', { title: 'b' }))).toBe('403 Forbidden');
    expect(errorOf(await ask('writer', 'PATCH', '/app/Task/1', { title: 'b' }))).toBe('403 Forbidden');
    const changed = await ask('editor,reader', 'PUT', '/app/Task/1', { title: 'c' });
    expect([changed.status, JSON.parse(changed.body)]).toEqual([200, { id: '1', title: 'c' }]);
    const all = [{ id: '2' }, { id: '1', title: 'd' }];
    expect(errorOf(await ask('writer', 'POST', '/app/Task?mode=upsert', all))).toBe('403 Forbidden');
    expect(errorOf(await ask('editor', 'POST', '/app/Task?mode=upsert', all))).toBe('403 Forbidden');
    expect(JSON.parse((await ask('reader', 'GET', '/app/Task')).body)).toEqual([{ id: '1', title: 'c' }]);
    expect(errorOf(await ask('writer,editor', 'POST', '/app/Task?mode=upsert', all))).toBe('201');
    expect(errorOf(await ask('editor', 'DELETE', '/app/Task/1'))).toBe('403 Forbidden');
    expect(errorOf(await ask('admin', 'DELETE', '/app/Task/1'))).toBe('204');
  });

  test('a body is not read of who may not send one', async () => {
    await start(tasks);
    const body = JSON.stringify({ title: 'x'.repeat(64 * 1024 * 1024) });
    const answer = await world
      .request('POST', '/app/Task', { headers: { 'content-type': 'application/json' }, body })
      .catch(() => undefined); // the connection may be cut before the whole of it was sent
    if (answer !== undefined) expect(errorOf(answer)).toBe('401 Unauthenticated');
    expect(errorOf(await ask('writer', 'POST', '/app/Task', {}))).toBe('201');
  });
});

test('who may do what is shown with the routes', async () => {
  await start(`${tasks} type Note @table @export { id: ID! @primaryKey }`);
  const needs = world.host
    .plugin('app')
    .routes.filter(({ execution }) => execution === 'table')
    .map((route) => [`${route.method} ${route.path}`, route.needs.join(' ')]);
  expect(Object.fromEntries(needs)).toMatchObject({
    'GET /app/Task': 'reader admin',
    'POST /app/Task': 'writer admin',
    'PUT /app/Task/:key': 'writer admin editor',
    'DELETE /app/Secret/:key': 'admin',
    'GET /app/Notice': 'anyone',
    'POST /app/Notice': 'identity',
    'PATCH /app/Notice/:key': '',
    'GET /app/Note': 'identity',
    'POST /app/graphql': 'anyone',
  });
});

describe('without @allow', () => {
  const plain = 'type Task @table @export { id: ID! @primaryKey }';

  test('tables are for whoever is known where an extension knows somebody', async () => {
    await start(plain);
    expect(errorOf(await ask(undefined, 'GET', '/app/Task'))).toBe('401 Unauthenticated');
    expect(errorOf(await ask('any', 'GET', '/app/Task'))).toBe('200');
  });

  test('and for everybody where the application says so', async () => {
    await start(plain, 'extensions: [keys]\nauth: open');
    expect(errorOf(await ask(undefined, 'POST', '/app/Task', {}))).toBe('201');
  });
});

describe('over GraphQL', () => {
  test('what is not allowed is null, and all the rest is answered', async () => {
    await start(tasks);
    await ask('admin', 'POST', '/app/Secret', { id: 's', word: 'x' });
    await ask('admin', 'POST', '/app/Task', { id: '1', title: 'a', secretId: 's' });
    const query = '{ tasks { nodes { title secret { word } } } secrets { totalCount } notices { totalCount } }';
    const read = await graphql('reader', query);
    expect(read).toMatchObject({
      status: 200,
      data: { tasks: { nodes: [{ title: 'a', secret: null }] }, secrets: null, notices: { totalCount: 0 } },
    });
    expect(read.codes.toSorted()).toEqual(['secrets Forbidden', 'tasks Forbidden']);
    expect((await graphql('admin', query)).data).toMatchObject({ secrets: { totalCount: 1 } });
    const nobody = await graphql(undefined, query);
    expect([nobody.status, nobody.codes.toSorted()]).toEqual([
      200,
      ['secrets Unauthenticated', 'tasks Unauthenticated'],
    ]);
    const none = await graphql(undefined, '{ tasks { totalCount } }');
    expect([none.status, none.headers.get('www-authenticate'), none.codes]).toEqual([
      401,
      'ApiKey realm="test"',
      ['tasks Unauthenticated'],
    ]);
    expect((await graphql(undefined, '{ __schema { queryType { name } } }')).status).toBe(200);
  });

  test('who may write and not read is told the key, or nothing is written', async () => {
    await start(tasks);
    const create = 'mutation { createTask(input: {id: "1", title: "a"})';
    const hidden = await graphql('writer', `${create} { ...F } } fragment F on Task { title }`);
    expect(hidden.codes).toEqual(['createTask Forbidden']);
    const keyOnly = await graphql('writer', `${create} { __typename ...F ... { id } } } fragment F on Task { id }`);
    expect(keyOnly.data).toEqual({ createTask: { id: '1', __typename: 'Task' } });
    const put = (roles: string, id: string): Promise<GraphqlAnswer> =>
      graphql(roles, `mutation { putTask(input: {id: "${id}", title: "b"}) { id } }`);
    expect((await put('writer', '1')).codes).toEqual(['putTask Forbidden']);
    expect((await put('editor', '2')).codes).toEqual(['putTask Forbidden']);
    expect((await put('editor', '1')).codes).toEqual([]);
    expect((await graphql('editor', 'mutation { deleteTask(id: "1") { id } }')).codes).toEqual([
      'deleteTask Forbidden',
    ]);
  });

  test('a subscription needs the right to read', async () => {
    await start(tasks);
    const subscribe = (roles: string | undefined): Promise<EventReader> =>
      EventReader.open(`${world.url}/app/graphql?query=subscription{taskChanged{id}}`, {
        accept: 'text/event-stream',
        ...key(roles),
      });
    const stranger = await subscribe(undefined);
    expect([stranger.answer.statusCode, stranger.answer.headers['www-authenticate']]).toEqual([
      401,
      'ApiKey realm="test"',
    ]);
    const reader = await subscribe('reader');
    expect(reader.answer.statusCode).toBe(200);
    reader.leave();
  });
});

describe('over streams and sockets', () => {
  const open = (target: string, roles: string | undefined, protocol: string[] = []): Promise<string> =>
    new Promise((resolve) => {
      const socket = new WebSocket(`${world.url.replace('http', 'ws')}${target}`, protocol, { headers: key(roles) });
      socket.once('upgrade', ({ statusCode, headers }) => {
        resolve(`${statusCode} ${String(headers['x-keys'])}`);
      });
      socket.once('unexpected-response', (request, { statusCode, headers }) => {
        resolve(`${statusCode} ${headers['www-authenticate'] ?? ''}`.trim());
        request.destroy();
      });
      socket.once('open', () => socket.terminate());
      socket.on('error', () => {}); // what came of it is told
    });

  test('changes are told to who may read', async () => {
    await start(tasks);
    const follow = (roles: string | undefined): Promise<EventReader> =>
      EventReader.open(`${world.url}/app/Task`, { accept: 'text/event-stream', ...key(roles) });
    const [stranger, writer, reader] = [await follow(undefined), await follow('writer'), await follow('reader')];
    expect([stranger, writer, reader].map(({ answer }) => answer.statusCode)).toEqual([401, 403, 200]);
    expect(reader.answer.headers['x-keys']).toBe('looked');
    for (const one of [stranger, writer, reader]) one.leave();
  });

  test('a socket is opened for who may do anything, and each message is looked at', async () => {
    await start(tasks);
    expect(await open('/app/Task', undefined)).toBe('401 ApiKey realm="test"');
    expect(await open('/app/Task', 'stranger')).toBe('403');
    expect(await open('/app/Task/1', 'writer')).toBe('101 looked');
    const client = await SocketClient.open(`${world.url.replace('http', 'ws')}/app/Task`, { headers: key('writer') });
    expect(await client.ask({ type: 'subscribe' })).toMatchObject({ type: 'error', error: 'Forbidden' });
    const written = await client.ask({ type: 'put', key: '1', record: { title: 'a' } });
    expect(written).toMatchObject({ type: 'written', outcome: 'created', key: '1' });
    expect(written.record).toBeUndefined();
    expect(await client.ask({ type: 'put', key: '1', record: {} })).toMatchObject({ error: 'Forbidden' });
    expect(await client.ask({ type: 'patch', key: '1', record: {} })).toMatchObject({ error: 'Forbidden' });
    expect(await client.ask({ type: 'delete', key: '1' })).toMatchObject({ error: 'Forbidden' });
    client.socket.terminate();
  });

  test('who may only GET writes nothing over a socket, and is told why', async () => {
    await start(tasks);
    const ws = world.url.replace('http', 'ws');
    expect(errorOf(await ask('admin,looker', 'PUT', '/app/Task/1', {}))).toBe('403 Forbidden');
    expect(errorOf(await ask('admin', 'PUT', '/app/Task/1', {}))).toBe('201');
    for (const target of ['/app/Task', '/app/Task/1']) {
      const client = await SocketClient.open(`${ws}${target}`, { headers: key('admin,looker') });
      for (const wish of [{ type: 'put', record: {} }, { type: 'patch', record: {} }, { type: 'delete' }])
        expect(await client.ask({ ...wish, key: '1' })).toMatchObject({
          error: 'Forbidden',
          message: expect.stringContaining(`refuses a ${wish.type.toUpperCase()}`) as string,
        });
      client.socket.terminate();
    }
    expect(await open('/app/Task', 'writer,looker')).toBe('403');
    const socket = new WebSocket(`${ws}/app/graphql`, ['graphql-transport-ws'], { headers: key('admin,looker') });
    const heard: string[] = [];
    socket.on('message', (data: Buffer) => heard.push(data.toString()));
    await once(socket, 'open');
    const say = async (message: object, answer: string): Promise<void> => {
      socket.send(JSON.stringify(message));
      await until(`${answer} is heard in ${heard.join()}`, () => heard.some((one) => one.includes(answer)));
    };
    const run = (id: string, query: string, answer: string): Promise<void> =>
      say({ type: 'subscribe', id, payload: { query } }, answer);
    await say({ type: 'connection_init' }, 'connection_ack');
    await run('1', 'mutation { deleteTask(id: "1") { id } }', 'refuses a POST');
    await run('2', '{ tasks { totalCount } }', '"totalCount":1');
    socket.terminate();
  });

  test('a message over a socket may do what its method may', async () => {
    await start(tasks);
    const client = await SocketClient.open(`${world.url.replace('http', 'ws')}/app/Task`, {
      headers: key('admin,poster'),
    });
    const refused = (method: string): object => ({
      error: 'Forbidden',
      message: expect.stringContaining(`refuses a ${method} here`) as string,
    });
    const record = { id: '1', title: 'a' };
    expect(await client.ask({ type: 'put', record })).toMatchObject({ type: 'written', outcome: 'created' });
    expect(await client.ask({ type: 'put', key: '1', record })).toMatchObject(refused('PUT'));
    expect(await client.ask({ type: 'patch', key: '1', record: {} })).toMatchObject(refused('PATCH'));
    expect(await client.ask({ type: 'delete', key: '1' })).toMatchObject(refused('DELETE'));
    client.socket.terminate();
  });

  test('a GraphQL socket has the identity of its opening', async () => {
    await start(tasks);
    const ws = ['graphql-transport-ws'];
    expect(await open('/app/graphql', undefined, ws)).toBe('101 looked');
    const socket = new WebSocket(`${world.url.replace('http', 'ws')}/app/graphql`, ws, { headers: key('reader') });
    const heard: { type: string; payload?: unknown }[] = [];
    socket.on('message', (data: Buffer) => heard.push(JSON.parse(data.toString()) as { type: string }));
    await once(socket, 'open');
    socket.send('{"type":"connection_init"}');
    await once(socket, 'message');
    socket.send('{"type":"subscribe","id":"1","payload":{"query":"{ tasks { totalCount } secrets { totalCount } }"}}');
    await once(socket, 'message');
    expect(heard[1]).toMatchObject({
      type: 'next',
      payload: {
        data: { tasks: { totalCount: 0 }, secrets: null },
        errors: [{ path: ['secrets'], extensions: { code: 'Forbidden' } }],
      },
    });
    socket.terminate();
  });

  test('nothing is answered and nothing opened while an extension that is needed does not run', async () => {
    await start(tasks);
    await world.host.unload('keys');
    expect(errorOf(await ask('admin', 'GET', '/app/Task'))).toBe('503 ExtensionUnavailable');
    expect(errorOf(await ask('admin', 'POST', '/app/graphql', { query: '{ __typename }' }))).toBe(
      '503 ExtensionUnavailable',
    );
    expect(await open('/app/Task', 'admin')).toBe('503');
    await world.host.load('keys');
    expect(await open('/app/Task', 'admin')).toBe('101 looked');
  });

  test('who waits for an extension keeps nobody else waiting', async () => {
    await start(tasks, 'extensions: [keys]\nconcurrency: 2');
    const slow = ask('slow,reader', 'GET', '/app/Task').then(errorOf);
    const alsoSlow = ask('slow', 'GET', '/app/Notice').then(errorOf);
    expect((await world.get('/livez')).status).toBe(200);
    expect(errorOf(await ask('release', 'GET', '/app/Notice'))).toBe('200');
    expect([await slow, await alsoSlow]).toEqual(['200', '200']);
  });
});

test('who waits for an extension while the tables are replaced is sent to those that serve then', async () => {
  await start(tasks, 'extensions: [keys]\nconcurrency: 8');
  const follow = (roles: string): Promise<EventReader> =>
    EventReader.open(`${world.url}/app/Task`, { accept: 'text/event-stream', ...key(roles) });
  const before = (await follow('reader')).read();
  const waiting = [ask('slow', 'GET', '/app/Task'), ask('slow', 'POST', '/app/graphql', { query: '{ __typename }' })];
  const stream = follow('slow');
  const ws = world.url.replace('http', 'ws');
  const sockets = ['/app/Task', '/app/graphql'].map((target) => {
    const protocols = target === '/app/graphql' ? ['graphql-transport-ws'] : [];
    return once(new WebSocket(`${ws}${target}`, protocols, { headers: key('slow') }), 'close');
  });
  await until('all of them wait', async () => (await ask('five', 'GET', '/app/Notice')).status === 200);
  await world.write('app', 'schema.graphql', `${tasks}\ntype More @table @export { id: ID! @primaryKey }`);
  const reload = world.host.reload('app');
  await until('the tables are replaced', () => before.closed);
  await ask('release', 'GET', '/app/Notice');
  await reload;
  expect((await Promise.all(waiting)).map(errorOf)).toEqual(['503 PluginStopped', '503 PluginStopped']);
  const ended = (await stream).read();
  await until('the stream has ended', () => ended.closed);
  expect([ended.answer.statusCode, ended.text]).toEqual([200, 'retry: 2000\n\n']);
  expect((await Promise.all(sockets)).map(([code]) => code as number)).toEqual([1012, 1012]);
});

describe('a schema', () => {
  const guarded = '\ntype Task @table @export(graphql: true)\n  @allow(role: "admin") { id: ID! @primaryKey }';

  test('that asks for somebody is refused where nobody can be known, with the place', async () => {
    await stage(world, 'app');
    await world.write('app', 'schema.graphql', guarded);
    await world.start();
    expect(world.host.plugin('app')).toMatchObject({
      state: 'failed',
      error: {
        code: 'SchemaInvalid',
        message: expect.stringContaining('schema.graphql:3:3: @allow of Task is for admin') as string,
        details: { file: 'schema.graphql', line: 3, column: 3 },
      },
    });
    await world.write('app', 'schema.graphql', guarded.replace('admin', 'anyone'));
    await world.host.reload('app');
    expect((await graphql(undefined, '{ tasks { totalCount } }')).data).toEqual({ tasks: { totalCount: 0 } });
  });

  test('that asks for somebody keeps its extension', async () => {
    await start(guarded);
    await world.write('app', 'config.yaml', 'app_id: app\n');
    await expect(world.host.reload('app')).rejects.toMatchObject({ code: 'SchemaInvalid' });
    expect((await graphql(undefined, '{ tasks { totalCount } }')).status).toBe(401);
  });

  test('without anybody to know, what is allowed to everybody is all that is', async () => {
    await stage(world, 'app');
    const schema = 'type Task @table @export @allow(role: "anyone", to: [read, create]) { id: ID! @primaryKey }';
    await world.write('app', 'schema.graphql', schema);
    await world.start();
    expect(errorOf(await ask(undefined, 'POST', '/app/Task', { id: '1' }))).toBe('201');
    expect(errorOf(await ask(undefined, 'PUT', '/app/Task/1', {}))).toBe('403 Forbidden');
    expect(errorOf(await ask(undefined, 'PUT', '/app/Task/2', {}))).toBe('201');
    expect(errorOf(await ask(undefined, 'DELETE', '/app/Task/1'))).toBe('403 Forbidden');
  });
});

test('a shared table is read by plugin code of who lists its extension, and by nobody else', async () => {
  await stage(world, 'lender', { config: 'extension: true' });
  const table = (name: string, directive: string): string =>
    `type ${name} @table @export(rest: true) ${directive} { id: ID! @primaryKey }\n`;
  await world.write('lender', 'schema.graphql', table('Open', '@shared') + table('Kept', ''));
  for (const [id, config] of [
    ['tables', 'extensions: [lender]'],
    ['stranger', 'permissions: ["tables:read:other.Thing"]'],
  ] as const) {
    await world.write(id, 'config.yaml', `app_id: ${id}\n${config}\n`);
    await world.publish(id, await buildPlugin('tables', { defines: { PLUGIN_ID: `"${id}"` } }));
  }
  await world.start();
  await world.request('POST', '/lender/Open', { headers: { 'content-type': 'application/json' }, body: '{"id":"1"}' });
  const get = async (id: string, name: string): Promise<string> =>
    (await world.request('POST', `/${id}/pool?op=get&table=lender.${name}&key=1`)).body;
  expect(await get('tables', 'Open')).toContain('{"id":"1"}');
  expect([await get('tables', 'Kept'), await get('stranger', 'Open')]).toEqual([
    expect.stringContaining('DENIED'),
    expect.stringContaining('DENIED'),
  ]);
  const put = await world.request('POST', '/tables/pool?op=put&table=lender.Open', { body: '{"id":"2"}' });
  expect(put.body).toContain('DENIED');
});

const verbs = ['read', 'create', 'update', 'delete'] as const;
type Verb = (typeof verbs)[number];
interface Drawn {
  role: string;
  to: Verb[];
}

/** What `@allow` is to mean, said once more and otherwise. */
function mayDo(allowed: readonly Drawn[], roles: readonly string[] | undefined, verb: Verb): boolean {
  const own = new Set(['anyone', ...(roles === undefined ? [] : ['identity', ...roles])]);
  return allowed.length === 0
    ? roles !== undefined
    : allowed.some(({ role, to }) => own.has(role) && to.includes(verb));
}

test('every set of @allow means the same over REST and GraphQL', async () => {
  const drawn = fc.sample(
    fc.array(
      fc.record({
        role: fc.constantFrom('anyone', 'identity', 'a', 'b'),
        to: fc.subarray([...verbs], { minLength: 1 }),
      }),
      { maxLength: 4 },
    ),
    { numRuns: 24, seed: 86 },
  );
  const directives = drawn.map((allowed) =>
    allowed.map(({ role, to }) => `@allow(role: "${role}", to: [${to.join(', ')}])`).join(' '),
  );
  await start(
    directives.map((text, at) => `type T${at} @table @export ${text} { id: ID! @primaryKey n: Int }\n`).join(''),
  );
  for (const [at, allowed] of drawn.entries())
    for (const roles of [undefined, 'c', 'a', 'a,b'])
      for (const surface of ['rest', 'graphql'] as const) {
        const may = (verb: Verb): boolean => mayDo(allowed, roles?.split(','), verb);
        const what = `T${at} ${directives[at]} ${roles} ${surface}`;
        const id = `${surface}-${roles ?? 'nobody'}`;
        const isDone = async (target: string, method: string, body: object | undefined, query: string) =>
          surface === 'rest'
            ? (await ask(roles, method, `/app/T${at}${target}`, body)).status < 400
            : (await graphql(roles, query)).codes.length === 0;
        const record = `input: {id: "${id}"}`;
        const done = [
          await isDone('', 'POST', { id }, `mutation { createT${at}(${record}) { id } }`),
          await isDone('', 'GET', undefined, `{ t${at}s { totalCount } }`),
          may('create') &&
            (await isDone(`/${id}`, 'PATCH', { n: 1 }, `mutation { updateT${at}(id: "${id}", input: {n: 1}) { id } }`)),
          await isDone(`/${id}`, 'PUT', {}, `mutation { putT${at}(${record}) { id } }`),
          may('create') &&
            (await isDone(`/${id}`, 'DELETE', undefined, `mutation { deleteT${at}(id: "${id}") { id } }`)),
        ];
        const there = may('create');
        expect([what, ...done]).toEqual([
          what,
          may('create'),
          may('read'),
          there && may('update'),
          there ? may('update') : false,
          there && may('delete'),
        ]);
      }
}, 120_000);
