import { afterAll, beforeAll, expect, test } from 'vitest';
import { ApiDocument } from './load/document.js';
import { World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

const schema = `
"Something to do"
type Task @table @export { id: ID! @primaryKey  title: String!  state: State!  place: Place  n: Int  many: [State!] }
type Secret @table { id: ID! @primaryKey }
type Feed @table @export(sse: true) { n: Int! @primaryKey }
type Talk @table @export(ws: true) { n: Int! @primaryKey }
enum State { open done }
input Place { city: String!  since: Date }
`;

let world: World;
let document: ApiDocument;

async function read(): Promise<ApiDocument> {
  return new ApiDocument((await world.get('/openapi.json')).body);
}

async function publish(id: string, defines: Record<string, string> = {}): Promise<void> {
  const built = await buildPlugin('documented', { defines: { PLUGIN_ID: `"${id}"`, ...defines } });
  await world.publish(id, built);
}

const warningsOf = (id: string): string[] =>
  world.host
    .reloads()
    .filter(({ plugin }) => plugin === id)
    .flatMap(({ warnings }) => warnings);

beforeAll(async () => {
  world = await World.make();
  await publish('documented');
  await world.publish('resource', await buildPlugin('documented_resource'));
  await world.write('keys', 'config.yaml', 'extension: true\n');
  await world.publish('keys', await buildPlugin('keys'));
  await world.write('todo', 'config.yaml', 'name: Todo\n');
  await world.write('todo', 'schema.graphql', schema);
  await world.write('crew', 'config.yaml', 'extensions: [keys]\n');
  await world.write(
    'crew',
    'schema.graphql',
    `type Task @table @export(rest: true) @allow(role: "anyone", to: [read]) @allow(role: "boss")
     { code: String! @primaryKey }`,
  );
  await world.start({
    plugins: [
      {
        id: 'own',
        routes: [
          {
            method: 'POST',
            path: '/hello/:name',
            summary: 'Greet somebody',
            openapi: {
              requestBody: { content: { 'text/plain': {} } },
              responses: { 200: { description: 'A greeting' } },
            },
            handle: (_request, response) => response.end('hello'),
          },
        ],
      },
    ],
  });
  document = await read();
});

afterAll(() => world.close());

test('the document of plugins and tables is valid OpenAPI 3.1, and tells of no answer twice', async () => {
  await expect(document.flaws()).resolves.toBeUndefined();
  const operations = Object.values(document.json.paths).flatMap((item) => Object.values(item));
  const ids = operations.map(({ operationId }) => operationId);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids).toEqual(
    expect.arrayContaining(['documented.getItemsById', 'todo.getTaskByKey', 'crew.postTask', 'own.postHelloByName']),
  );
});

test('routes of a plugin in C are as they say', () => {
  const one = document.operation('GET', '/documented/items/{id}');
  expect(one).toMatchObject({
    summary: 'Read an item',
    description: 'Items have *numbers*.',
    tags: ['application documented: items'],
    parameters: [{ name: 'id', in: 'path', required: true, schema: { type: 'integer' } }],
    security: [],
  });
  expect(one.responses['200']?.content?.['application/json']?.schema).toMatchObject({ required: ['id'] });
  expect(one.responses['504']?.description).toContain('`DeadlineExceeded`');
  const other = document.operation('DELETE', '/documented/items/{id}');
  expect(other).toMatchObject({ summary: 'Take an item away', deprecated: true });
  expect(one.deprecated).toBeUndefined();
  const file = document.operation('POST', '/documented/files/{rest}/{rest_}');
  expect(file.parameters?.map(({ name }) => name)).toEqual(['rest', 'rest_']);
  expect(file.responses['413']?.description).toContain('`BodyTooLarge`');
});

test('an answer of a plugin is as its document says', async () => {
  const { status, headers, body } = await world.get('/documented/items/7');
  const answered = { status, type: headers.get('content-type'), body };
  expect(document.flaw('GET', '/documented/items/{id}', answered)).toBeUndefined();
});

test('resources in C++ have words for all of their methods, and for one', () => {
  const said = { description: 'Reports are *short*.', tags: ['application resource: reports'] };
  expect(document.operation('GET', '/resource/report')).toMatchObject({ summary: 'Work with reports', ...said });
  expect(document.operation('GET', '/resource/report').deprecated).toBeUndefined();
  const post = document.operation('POST', '/resource/report');
  expect(post).toMatchObject({ summary: 'Make a report', deprecated: true, ...said });
  expect(document.operation('GET', '/resource/plain').summary).toBeUndefined();
});

test('routes of a static plugin are as they say', () => {
  const post = document.operation('POST', '/own/hello/{name}');
  expect(post).toMatchObject({ summary: 'Greet somebody', requestBody: { content: { 'text/plain': {} } } });
  expect(post.responses['200']?.description).toBe('A greeting');
});

test('tables are told of as they are exported, each under the name of its application', () => {
  const paths = Object.entries(document.json.paths).flatMap(([path, item]) =>
    Object.keys(item).map((method) => `${method} ${path}`),
  );
  expect(paths.filter((path) => / \/todo\//.test(path)).toSorted()).toEqual([
    'delete /todo/Task/{key}',
    'get /todo/Feed',
    'get /todo/Feed/{key}',
    'get /todo/Talk',
    'get /todo/Talk/{key}',
    'get /todo/Task',
    'get /todo/Task/{key}',
    'get /todo/graphql',
    'patch /todo/Task/{key}',
    'post /todo/Task',
    'post /todo/graphql',
    'put /todo/Task/{key}',
  ]);
  const schemas = Object.keys(document.json.components.schemas).filter((name) => name.includes('.'));
  expect(schemas.filter((name) => name.startsWith('crew.'))).toEqual([
    'crew.Task',
    'crew.Task.Part',
    'crew.Task.Input',
    'crew.Task.Patch',
  ]);
  expect(schemas.filter((name) => name.includes('Secret') || name.startsWith('todo.Feed.Input'))).toEqual([]);
  expect(document.resolve({ $ref: '#/components/schemas/todo.Task' })).toMatchObject({
    description: 'Something to do',
    required: ['id', 'title', 'state'],
    properties: {
      id: { type: 'string' },
      state: { $ref: '#/components/schemas/todo.State' },
      place: { anyOf: [{ $ref: '#/components/schemas/todo.Place' }, { type: 'null' }] },
      n: { type: ['integer', 'null'] },
      many: { type: ['array', 'null'], items: { $ref: '#/components/schemas/todo.State' } },
    },
  });
  expect(Object.keys(document.operation('GET', '/todo/Feed').responses['200']?.content ?? {})).toEqual([
    'text/event-stream',
  ]);
  expect(document.operation('GET', '/todo/Talk').responses['426']?.description).toContain('`UpgradeRequired`');
});

test('who may call is said by the schemes of the extensions, and by the roles', () => {
  expect(document.operation('GET', '/crew/Task').security).toEqual([]);
  const post = document.operation('POST', '/crew/Task');
  expect(post).toMatchObject({ security: [{ 'caller.ApiKey': [] }], 'x-roles': ['boss'] });
  expect(document.json.components.securitySchemes).toMatchObject({
    'caller.ApiKey': { type: 'http', scheme: 'apikey' },
  });
  expect(post.responses['403']?.description).toContain('`Forbidden`');
  expect(document.operation('POST', '/todo/Task').responses['403']).toBeUndefined();
});

test('a reload changes the document, and its tag', async () => {
  await publish('changing');
  await world.host.discover();
  const before = await world.get('/openapi.json');
  expect(new ApiDocument(before.body).operation('GET', '/changing/items/{id}').summary).toBe('Read an item');
  await publish('changing', { SUMMARY: '"Look at an item"' });
  await world.host.reload('changing');
  const after = await world.get('/openapi.json');
  expect(new ApiDocument(after.body).operation('GET', '/changing/items/{id}').summary).toBe('Look at an item');
  expect(after.headers.get('etag')).not.toBe(before.headers.get('etag'));
  await world.host.unload('changing');
  expect(Object.keys((await read()).json.paths).filter((path) => path.startsWith('/changing'))).toEqual([]);
});

const hostile: readonly [id: string, defines: Record<string, string>, told: RegExp][] = [
  ['long-line', { SUMMARY: `"${'s'.repeat(300)}"` }, /its summary has 300 bytes, more than 256/],
  ['no-text', { DESCRIPTION: String.raw`"\xff\xfe"` }, /its description is no UTF-8/],
  ['huge', { OPENAPI_BYTES: '70000' }, /its openapi has 70000 bytes, more than 65536/],
  ['no-json', { OPENAPI: '"{"' }, /its openapi: it is not JSON/],
  ['deep', { OPENAPI: `"${'['.repeat(70)}${']'.repeat(70)}"` }, /its openapi: it is deeper than 64 levels/],
  ['no-object', { OPENAPI: '"[]"' }, /its openapi: it must be an object/],
  [
    'elsewhere',
    {
      OPENAPI: String.raw`"{\"requestBody\":{\"content\":{\"a/b\":{\"schema\":{\"$ref\":\"https://example.org/x\"}}}}}"`,
    },
    /\$ref leads elsewhere/,
  ],
  [
    'above',
    { OPENAPI: String.raw`"{\"x-a\":{\"$ref\":\"#/components/schemas/Task\"}}"` },
    /refers to Task, which is no schema of its tables/,
  ],
  [
    'wrong-kind',
    { OPENAPI: String.raw`"{\"responses\":{\"200\":{\"description\":5}}}"` },
    /\/responses\/200\/description must be a text/,
  ],
  [
    'wrong-schema',
    { OPENAPI: String.raw`"{\"requestBody\":{\"content\":{\"a/b\":{\"schema\":{\"type\":\"text\"}}}}}"` },
    /schema\/type must be one of/,
  ],
  ['own-id', { OPENAPI: String.raw`"{\"operationId\":\"listPlugins\"}"` }, /\/operationId is not read here/],
  [
    'not-there',
    { OPENAPI: String.raw`"{\"parameters\":[{\"name\":\"nr\",\"in\":\"path\"}]}"` },
    /is none of the path \/items\/:id: nr/,
  ],
  ['proto', { OPENAPI: String.raw`"{\"__proto__\":{\"summary\":\"x\"}}"` }, /__proto__ is not read here/],
];

test('words that cannot be taken are told and left out; the route is served', async () => {
  for (const [id, defines] of hostile) await publish(id, defines);
  await world.host.discover();
  const now = await read();
  await expect(now.flaws()).resolves.toBeUndefined();
  for (const [id, , told] of hostile) {
    expect(warningsOf(id), id).toEqual([expect.stringMatching(told)]);
    expect(warningsOf(id)[0]).toContain(`${id}: GET /items/:id is not documented as it says`);
    expect(now.operation('GET', `/${id}/items/{id}`).responses['504'], id).toBeDefined();
    expect((await world.get(`/${id}/items/1`)).status, id).toBe(200);
  }
});

test('a plugin may refer to the schemas of its tables', async () => {
  const openapi = String.raw`"{\"responses\":{\"200\":{\"content\":{\"application/json\":{\"schema\":{\"$ref\":\"#/components/schemas/Note.Input\"}}}}}}"`;
  await publish('notes', { OPENAPI: openapi });
  await world.write('notes', 'schema.graphql', 'type Note @table @export(rest: true) { id: ID! @primaryKey }\n');
  await world.host.discover();
  expect(warningsOf('notes')).toEqual([]);
  const answer = (await read()).operation('GET', '/notes/items/{id}').responses['200'];
  expect(answer?.content?.['application/json']?.schema).toEqual({ $ref: '#/components/schemas/notes.Note.Input' });
});

test('the page needs nothing from anywhere else, and nothing else runs in it', async () => {
  for (const path of ['/docs', '/docs/']) {
    const { status, headers, body } = await world.get(path);
    expect([status, headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
    const policy = headers.get('content-security-policy') ?? '';
    expect(policy).toMatch(/^default-src 'none'; script-src 'self'; .*frame-ancestors 'none'$/);
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(body).not.toMatch(/https?:|<script>/);
    expect(body).toContain('spec-url="/openapi.json"');
  }
});

test('the script of the page is kept for good by whoever has its version', async () => {
  const { body } = await world.get('/docs');
  const [, script = ''] = /src="([^"]+)"/.exec(body) ?? [];
  const { status, headers } = await world.get(script);
  expect([status, headers.get('content-type')]).toEqual([200, 'text/javascript; charset=utf-8']);
  expect(headers.get('cache-control')).toContain('immutable');
  expect(headers.get('x-content-type-options')).toBe('nosniff');
  const again = await world.request('GET', script, { headers: { 'if-none-match': headers.get('etag') ?? '' } });
  expect([again.status, again.body]).toEqual([304, '']);
  const other = await world.request('GET', '/docs/explorer.js', { headers: { 'accept-encoding': 'identity' } });
  expect([other.status, other.headers.get('content-encoding')]).toEqual([200, null]);
  expect(other.headers.get('cache-control')).toBe('no-cache');
  expect(other.body).toContain('openapi-explorer');
});
