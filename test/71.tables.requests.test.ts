import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { request as send } from 'node:http';
import { connect } from 'node:net';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { World } from './load/world.js';

const seed = Number(process.env['TENON_TEST_SEED'] ?? Date.now() % 2 ** 31);

const schema = `type Task @table @export {
  id: ID! @primaryKey
  title: String! @indexed
  rank: Int
  weight: Float
  place: Place
  tags: [String!]
  extra: Any
}
input Place { city: String }
`;

const json = { 'content-type': 'application/json' };
const polluted = (): unknown => (({}) as Record<string, unknown>)['polluted'];

let world: World;
const prototype = Object.getOwnPropertyNames(Object.prototype).toSorted();
beforeAll(async () => {
  world = await World.make();
  await world.write('todo', 'config.yaml', 'name: Todo\n');
  await world.write('todo', 'schema.graphql', schema);
  await world.start();
});
afterAll(() => world.close());

interface Reply {
  status: number;
  text: string;
  error: string | undefined;
}

function replyOf(status: number, text: string): Reply {
  const body = /^\s*\{/.test(text) ? (JSON.parse(text) as { error?: string }) : {};
  return { status, text, error: body.error };
}

/** The target as it is written, which `fetch` would tidy up. */
async function raw(method: string, target: string, body?: string | Buffer): Promise<Reply> {
  const { hostname, port } = new URL(world.url);
  const outgoing = send({
    hostname,
    port,
    method,
    path: target,
    headers: body === undefined ? {} : json,
    agent: false,
  });
  outgoing.end(body);
  const [answer] = (await once(outgoing, 'response')) as [AsyncIterable<Buffer> & { statusCode: number }];
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk);
  return replyOf(answer.statusCode, Buffer.concat(chunks).toString());
}

const put = (key: string, body: string): Promise<Reply> => raw('PUT', `/todo/Task/${encodeURIComponent(key)}`, body);
const graphql = (body: string): Promise<Reply> => raw('POST', '/todo/graphql', body);
const ask = (query: string, variables: object = {}): Promise<Reply> => graphql(JSON.stringify({ query, variables }));

async function keys(): Promise<string[]> {
  const { text } = await raw('GET', '/todo/Task?limit=10000');
  return (JSON.parse(text) as { id: string }[]).map(({ id }) => id);
}

async function clear(): Promise<void> {
  for (const key of await keys()) await raw('DELETE', `/todo/Task/${encodeURIComponent(key)}`);
}

beforeEach(clear);
afterEach(expectUntouched);

/** What all objects have is as it was. */
function expectUntouched(): void {
  expect(polluted()).toBeUndefined();
  expect(Object.getOwnPropertyNames(Object.prototype).toSorted()).toEqual(prototype);
}

const putTask = 'mutation($input: TaskInput!) { putTask(input: $input) { id } }';
const refusedByGraphql = /"code":"(?:BadRequest|DocumentInvalid|QueryInvalid|QueryTooComplex|RecordInvalid)"/;
const variables = (input: string): string => `{"query":${JSON.stringify(putTask)},"variables":{"input":${input}}}`;

describe('names that mean something to JavaScript', () => {
  const pollution = '{"polluted":true}';

  test.each(['__proto__', 'constructor', 'prototype', 'toString'])('%s is no field of a record', async (name) => {
    for (const body of [`{"title":"a","${name}":${pollution}}`, `{"title":"a","place":{"${name}":${pollution}}}`]) {
      expect(await put('a', body)).toMatchObject({ status: 400, error: 'RecordInvalid' });
      expect(await raw('POST', '/todo/Task', `[${body}]`)).toMatchObject({ status: 400, error: 'RecordInvalid' });
      const refused = await graphql(variables(body.replace('{', '{"id":"a",')));
      expect(refused.text).toContain('"code":"DocumentInvalid"');
    }
    expect(await keys()).toEqual([]);
  });

  test.each(['__proto__', 'constructor'])('%s is data in a field that takes any JSON, by every way', async (name) => {
    const extra = `{"${name}":${pollution},"a":[{"${name}":1}]}`;
    await put('rest', `{"title":"a","extra":${extra}}`);
    await graphql(variables(`{"id":"variables","title":"a","extra":${extra}}`));
    const literal = `{${name}: {polluted: true}, a: [{${name}: 1}]}`;
    await ask(`mutation { putTask(input: {id: "literal", title: "a", extra: ${literal}}) { id } }`);
    await put('patched', '{"title":"a"}');
    await raw('PATCH', '/todo/Task/patched', `{"extra":${extra}}`);
    for (const key of ['rest', 'variables', 'literal', 'patched']) {
      expect((await raw('GET', `/todo/Task/${key}`)).text).toBe(`{"id":"${key}","title":"a","extra":${extra}}`);
      expect((await ask(`{ task(id: "${key}") { extra } }`)).text).toBe(`{"data":{"task":{"extra":${extra}}}}`);
    }
  });

  test('are primary keys like others', async () => {
    for (const key of ['__proto__', 'constructor', 'hasOwnProperty'])
      expect(await put(key, '{"title":"a"}')).toMatchObject({ status: 201 });
    expect(await keys()).toEqual(['__proto__', 'constructor', 'hasOwnProperty']);
    const { text } = await ask('{ a: task(id: "__proto__") { id } b: task(id: "toString") { id } }');
    expect(text).toBe('{"data":{"a":{"id":"__proto__"},"b":null}}');
  });

  test.each(['__proto__', 'constructor', 'toString', '__defineGetter__'])(
    '%s is no table, parameter, operation or field',
    async (name) => {
      for (const target of [`/todo/${name}`, `/todo/${name}/a`, `/${name}`, `/${name}/Task`])
        expect(await raw('GET', target)).toMatchObject({ status: 404 });
      for (const query of [
        `${name}=1`,
        `filter=${name}==1`,
        `sort=${name}`,
        `select=${name}`,
        `filter=place.${name}==1`,
      ])
        expect(await raw('GET', `/todo/Task?${query}`)).toMatchObject({ status: 400, error: 'QueryInvalid' });
      for (const query of [
        `{ ${name} }`,
        `{ tasks(filter: {${name}: {eq: 1}}) { totalCount } }`,
        `{ tasks { nodes { ${name} } } }`,
      ])
        expect((await ask(query)).text).toContain('"code":"DocumentInvalid"');
      const named = await graphql(`{"query":"query a { tasks { totalCount } }","operationName":"${name}"}`);
      expect(named.text).toContain('"errors"');
      expect((await graphql(`{"${name}":${pollution},"query":"{ tasks { totalCount } }"}`)).status).toBe(200);
    },
  );
});

describe('JSON that goes too far', () => {
  const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);

  test('is refused when it is nested too deeply, and the host goes on', async () => {
    expect(await put('fits', `{"title":"a","extra":${nested(60)}}`)).toMatchObject({ status: 201 });
    for (const depth of [70, 10_000, 200_000]) {
      const body = `{"title":"a","extra":${nested(depth)}}`;
      expect(await put('a', body)).toMatchObject({ status: 400, error: 'RecordInvalid' });
      expect(await raw('PATCH', '/todo/Task/fits', body)).toMatchObject({ status: 400, error: 'RecordInvalid' });
      expect(await raw('POST', '/todo/Task', `[${body}]`)).toMatchObject({ status: 400, error: 'RecordInvalid' });
      const { status, text } = await graphql(variables(`{"id":"a",${body.slice(1)}`));
      expect([status < 500, text]).toEqual([true, expect.stringMatching(refusedByGraphql)]);
    }
    expect(await keys()).toEqual(['fits']);
  });

  test('is refused in a document of GraphQL likewise', async () => {
    for (const depth of [100, 50_000]) {
      const documents = [
        `{ task(id: "a") ${'{ task '.repeat(depth)}${'}'.repeat(depth)} }`,
        `mutation { putTask(input: {id: "a", title: "a", extra: ${nested(depth)}}) { id } }`,
        `{ tasks(filter: ${'{not: '.repeat(depth)}{title: {eq: "a"}}${'}'.repeat(depth)}) { totalCount } }`,
      ];
      for (const query of documents) {
        const { status, text } = await ask(query);
        expect([status < 500, text]).toEqual([true, expect.stringMatching(refusedByGraphql)]);
      }
    }
    expect(await keys()).toEqual([]);
  });

  test.each([
    ['rank', '9007199254740992'],
    ['rank', '-9007199254740993'],
    ['rank', '1.5'],
    ['rank', '1e400'],
    ['rank', `1${'0'.repeat(10_000)}`],
    ['weight', '1e999'],
    ['weight', '-1e999'],
  ])('a number that %s cannot be is refused: %s', async (field, number) => {
    expect(await put('a', `{"title":"a","${field}":${number}}`)).toMatchObject({ status: 400, error: 'RecordInvalid' });
    for (const { text } of [
      await graphql(variables(`{"id":"a","title":"a","${field}":${number}}`)),
      await ask(`mutation { putTask(input: {id: "a", title: "a", ${field}: ${number}}) { id } }`),
    ])
      expect(text).toMatch(refusedByGraphql);
    expect([400, 414]).toContain((await raw('GET', `/todo/Task?${field}==${number}`)).status);
    expect(await keys()).toEqual([]);
  });

  test('a number that only text can hold is kept as it is by REST, and refused by GraphQL', async () => {
    for (const extra of ['1e999', '{"a":[-1e999]}']) {
      expect((await put('a', `{"title":"a","extra":${extra}}`)).text).toBe(`{"id":"a","title":"a","extra":${extra}}`);
      const literal = extra.replaceAll('"', '');
      for (const { text } of [
        await graphql(variables(`{"id":"a","title":"b","extra":${extra}}`)),
        await ask(`mutation { putTask(input: {id: "a", title: "b", extra: ${literal}}) { id } }`),
      ])
        expect(text).toContain('"code":"DocumentInvalid"');
      expect((await raw('GET', '/todo/Task/a')).text).toBe(`{"id":"a","title":"a","extra":${extra}}`);
    }
    expect((await ask('{ tasks(filter: {weight: {lt: 1e999}}) { totalCount } }')).text).toContain('"DocumentInvalid"');
  });

  test.each(['NaN', 'Infinity', '-', '01', '.5', '1.', '+1', '0x10', '1e', '1_000', "'1'"])(
    'what is no number of JSON is refused: %s',
    async (number) => {
      for (const field of ['rank', 'weight', 'extra'])
        expect(await put('a', `{"title":"a","${field}":${number}}`)).toMatchObject({ status: 400 });
      expect(await graphql(variables(`{"id":"a","title":"a","extra":${number}}`))).toMatchObject({ status: 400 });
      expect(await keys()).toEqual([]);
    },
  );

  test.each([
    '{"title":"a","title":"b"}',
    String.raw`{"title":"a","t\u0069tle":"b"}`,
    '{"title":"a","place":{"city":"b","city":"c"}}',
    '{"title":"a","extra":{"b":1,"b":2}}',
    '{"title":"a","extra":[{"__proto__":1,"__proto__":2}]}',
  ])('a name twice is refused: %s', async (body) => {
    expect(await put('a', body)).toMatchObject({ status: 400, error: 'RecordInvalid' });
    expect(await raw('POST', '/todo/Task?mode=upsert', `[{"title":"fits"},${body}]`)).toMatchObject({ status: 400 });
    await put('fits', '{"title":"fits"}');
    expect(await raw('PATCH', '/todo/Task/fits', body)).toMatchObject({ status: 400, error: 'RecordInvalid' });
    expect(await keys()).toEqual(['fits']);
  });

  test('a name twice is refused in a document of GraphQL', async () => {
    for (const input of ['id: "a", title: "a", title: "b"', 'id: "a", title: "a", extra: {b: 1, b: 2}'])
      expect((await ask(`mutation { putTask(input: {${input}}) { id } }`)).text).toContain('"code":"DocumentInvalid"');
    expect(await keys()).toEqual([]);
  });

  test(`whatever the bytes are, no answer is a failure of the host (TENON_TEST_SEED=${seed})`, async () => {
    const whole =
      '{"id":"a","title":"a\\u00e4","rank":1,"weight":-2.5e3,"place":{"city":null},"tags":["b"],"extra":{"c":[1]}}';
    const bodies = [whole, `[${whole}]`, variables(whole)];
    const damage = fc.record({ at: fc.nat(), remove: fc.nat(3), insert: fc.uint8Array({ maxLength: 3 }) });
    const targets = ['PUT /todo/Task/a', 'PATCH /todo/Task/a', 'POST /todo/Task', 'POST /todo/graphql'];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...bodies),
        fc.array(damage, { minLength: 1, maxLength: 4 }),
        fc.constantFrom(...targets),
        async (body, damages, target) => {
          let bytes = Buffer.from(body);
          for (const { at, remove, insert } of damages) {
            const from = at % bytes.length;
            bytes = Buffer.concat([bytes.subarray(0, from), insert, bytes.subarray(from + remove)]);
          }
          const [method = '', where = ''] = target.split(' ');
          const { status, text } = await raw(method, where, bytes);
          expect({ status: status < 500, internal: text.includes('"Internal"') }).toEqual({
            status: true,
            internal: false,
          });
        },
      ),
      { numRuns: 300, seed },
    );
  });
});

describe('paths that want to lead elsewhere', () => {
  const files = async (): Promise<string[]> => {
    const all = await readdir(world.directory, { recursive: true });
    return all.filter((file) => !file.startsWith(path.join('state', 'tables'))).toSorted();
  };

  test.each([
    ['..%2f..%2f..%2fetc%2fpasswd', '../../../etc/passwd'],
    ['..%5c..%5cetc%5cpasswd', String.raw`..\..\etc\passwd`],
    ['%252e%252e%252f', '%2e%2e%2f'],
    ['%2e%2e', '..'],
    ['..', '..'],
    ['.', '.'],
    ['...', '...'],
    ['a.', 'a.'],
    ['%2fetc%2fpasswd', '/etc/passwd'],
    ['%ef%bc%8f..%e2%88%95', '\uff0f..\u2215'],
    ['file:%2f%2f%2fetc%2fpasswd', 'file:///etc/passwd'],
    ['schema.graphql', 'schema.graphql'],
    ['C:', 'C:'],
  ])('are keys, as text: %s', async (segment, key) => {
    const before = await files();
    const target = `/todo/Task/${segment}`;
    expect(await raw('PUT', target, '{"title":"a"}')).toMatchObject({ status: 201 });
    expect(await keys()).toEqual([key]);
    expect(JSON.parse((await raw('GET', target)).text)).toEqual({ id: key, title: 'a' });
    expect(await raw('DELETE', target)).toMatchObject({ status: 204 });
    expect(await files()).toEqual(before);
  });

  test.each([
    ['no UTF-8, of two bytes for one', '%c0%ae%c0%ae%c0%af'],
    ['no UTF-8, of three bytes for one', '%e0%80%af'],
    ['half of a pair', '%ed%a0%80'],
    ['half of an escape', '%'],
    ['no escape', '%zz'],
    ['an escape of another kind', '%u002e'],
    ['a key that is too long', 'a'.repeat(1025)],
    ['a key that is far too long', 'a'.repeat(12_000)],
  ])('are refused as keys: %s', async (_what, segment) => {
    const before = await files();
    for (const method of ['PUT', 'PATCH', 'GET', 'DELETE']) {
      const { status } = await raw(
        method,
        `/todo/Task/${segment}`,
        method.startsWith('P') ? '{"title":"a"}' : undefined,
      );
      expect([400, 404, 414]).toContain(status);
    }
    expect(await keys()).toEqual([]);
    expect(await files()).toEqual(before);
  });

  test.each([
    '/todo/Task/../../../../etc/passwd',
    '/todo/Task/a/../../Task',
    '/todo/../todo/Task',
    '/todo/./Task',
    '/todo//Task',
    '//todo/Task',
    '/todo/Task//',
    String.raw`/todo\Task`,
    '/todo%2fTask',
    '/todo/Task%2fa',
    '/todo/Task%00',
    '/todo/Task;a',
    '/todo/task',
    '/Todo/Task',
    '/todo/..%2f..%2fstate%2fhost.json',
    '/..%2fstate/tables/CURRENT',
    '/todo/schema.graphql',
    '/todo/config.yaml',
  ])('is not served: %s', async (target) => {
    const before = await files();
    for (const method of ['GET', 'PUT', 'DELETE']) {
      const { status, text } = await raw(method, target, method === 'PUT' ? '{"title":"a"}' : undefined);
      expect([400, 404]).toContain(status);
      expect(text).not.toMatch(/root:|@table|MANIFEST|startedAt/);
    }
    expect(await keys()).toEqual([]);
    expect(await files()).toEqual(before);
  });

  test('a key with a zero byte is a key or is refused, the same by every way', async () => {
    const { status } = await put('a\u0000b', '{"title":"a"}');
    const { text } = await ask(putTask, { input: { id: 'a\u0000b', title: 'a' } });
    expect(text.includes('"errors"')).toBe(status >= 400);
    expect(await keys()).toEqual(status < 400 ? ['a\u0000b'] : []);
  });
});

describe('bodies that are slow or do not come', () => {
  const record = '{"title":"slow"}';
  const head = (method: string, target: string, more: string): string =>
    `${method} ${target} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${more}\r\n\r\n`;

  async function open(): Promise<ReturnType<typeof connect>> {
    const { hostname, port } = new URL(world.url);
    const socket = connect(Number(port), hostname);
    socket.setEncoding('utf8');
    socket.on('error', () => {}); // the end says it
    await once(socket, 'connect');
    return socket;
  }

  test.each([
    ['a record', 'PUT', '/todo/Task/a', `Content-Length: ${record.length + 1}`, record],
    ['a patch', 'PATCH', '/todo/Task/there', 'Content-Length: 1000', '{"title":"other"}'],
    ['a list', 'POST', '/todo/Task', 'Content-Length: 1000', `[${record},${record}]`],
    ['a list in chunks', 'POST', '/todo/Task', 'Transfer-Encoding: chunked', `10\r\n${record}\r\n`],
    ['a mutation', 'POST', '/todo/graphql', 'Content-Length: 9999', variables('{"id":"a","title":"a"}')],
  ])('%s that ends too early changes nothing', async (_what, method, target, length, body) => {
    await put('there', '{"title":"there"}');
    const socket = await open();
    socket.write(head(method, target, length) + body);
    // The host has read it all when it answers the next one.
    expect(await keys()).toEqual(['there']);
    socket.destroy();
    await once(socket, 'close');
    expect(await keys()).toEqual(['there']);
    expect((await raw('GET', '/todo/Task/there')).text).toBe('{"id":"there","title":"there"}');
  });

  test('a body that comes byte by byte is taken when it is whole', async () => {
    const socket = await open();
    socket.write(head('PUT', '/todo/Task/a', `Content-Length: ${record.length}`));
    for (const byte of record.slice(0, -1)) {
      socket.write(byte);
      expect(await keys()).toEqual([]);
    }
    socket.write(record.slice(-1));
    const [answer] = (await once(socket, 'data')) as [string];
    expect(answer).toMatch(/^HTTP\/1.1 201 /);
    expect(await keys()).toEqual(['a']);
    socket.destroy();
  });

  test('chunks that are none are refused', async () => {
    const socket = await open();
    socket.write(`${head('PUT', '/todo/Task/a', 'Transfer-Encoding: chunked')}zz\r\n${record}\r\n0\r\n\r\n`);
    const [answer] = (await once(socket, 'data')) as [string];
    expect(answer).toMatch(/^HTTP\/1.1 400 /);
    expect(await keys()).toEqual([]);
    socket.destroy();
  });

  test.each(['/todo/Task/a', '/todo/graphql'])(
    'a body that is too large is refused before it has come: %s',
    async (target) => {
      const method = target === '/todo/graphql' ? 'POST' : 'PUT';
      const announced = await open();
      announced.write(head(method, target, 'Content-Length: 99999999999'));
      expect((await once(announced, 'data'))[0]).toMatch(/^HTTP\/1.1 413 /);
      announced.destroy();

      const chunked = await open();
      chunked.write(head(method, target, 'Transfer-Encoding: chunked'));
      const answered = once(chunked, 'data');
      const chunk = `10000\r\n${'x'.repeat(65_536)}\r\n`;
      for (let sent = 0; sent < 4 * 1024 * 1024 && !chunked.destroyed; sent += 65_536) chunked.write(chunk);
      expect((await answered)[0]).toMatch(/^HTTP\/1.1 413 /);
      chunked.destroy();
      expect(await keys()).toEqual([]);
    },
  );
});
