import { getIntrospectionQuery } from 'graphql';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { GraphqlLimits } from '../src/http/graphql.js';
import { type GraphqlAnswer, type GraphqlServer, serveGraphql } from './tables/graphql.js';

const schema = `
type User @table @export {
  id: ID! @primaryKey
  bossId: ID @indexed
  boss: User @relationship(from: "bossId")
  staff: [User!]! @relationship(to: "bossId")
}
`;

let server: GraphqlServer;
beforeAll(async () => {
  server = await serveGraphql(schema);
  await server.ask(
    'mutation { a: createUser(input: {id: "u"}) { id } b: createUser(input: {id: "v", bossId: "u"}) { id } }',
  );
});
afterAll(() => server.close());

function tooComplex({ status, body }: GraphqlAnswer): unknown {
  return { status, data: body.data, code: body.errors?.[0]?.extensions['code'], count: body.errors?.length };
}
const refused = { status: 400, data: undefined, code: 'QueryTooComplex', count: 1 };

function chain(levels: number): string {
  return `{ user(id: "v") ${'{ boss '.repeat(levels)}{ id }${' }'.repeat(levels)} }`;
}

function aliases(count: number): string {
  return `{ user(id: "u") { ${Array.from({ length: count }, (_, i) => `a${i}: id`).join(' ')} } }`;
}

describe('before anything runs, a request is refused with 400 for', () => {
  test('its depth', async () => {
    expect((await server.ask(chain(8))).body.errors).toBeUndefined();
    expect(tooComplex(await server.ask(chain(9)))).toEqual(refused);
    expect(tooComplex(await server.ask(chain(400)))).toEqual(refused);
  });

  test('depth that fragments hide', async () => {
    const fragments = Array.from({ length: 9 }, (_, i) => `fragment f${i} on User { boss { ...f${i + 1} } }`).join(' ');
    expect(tooComplex(await server.ask(`{ user(id: "v") { ...f0 } } ${fragments} fragment f9 on User { id }`))).toEqual(
      refused,
    );
  });

  test.each([
    ['{ users(first: 999) { nodes { id } } }', {}, true],
    ['{ users(first: 1000) { nodes { id } } }', {}, false],
    ['query($n: Int) { users(first: $n) { nodes { id } } }', { n: 999 }, true],
    ['query($n: Int) { users(first: $n) { nodes { id } } }', { n: 1000 }, false],
    ['query($n: Int = 1000) { users(first: $n) { nodes { id } } }', {}, false],
    ['query($n: Int = 1000) { users(first: $n) { nodes { id } } }', { n: 1 }, true],
    ['{ users(last: 1000) { nodes { id } } }', {}, false],
    ['{ users(first: 30) { nodes { staff(first: 30) { nodes { id } } } } }', {}, true],
    ['{ users(first: 40) { nodes { staff(first: 40) { nodes { id } } } } }', {}, false],
    ['{ users { nodes { staff { nodes { staff { nodes { id } } } } } } }', {}, false],
    ['{ users(first: 100) { nodes { staff(first: 1) { totalCount } } } }', {}, false],
    ['mutation($i: [UserInput!]!) { createUsers(inputs: $i) { id } }', { i: new Array(1000).fill({}) }, false],
  ])('its cost: %s with %j', async (query, variables, runs) => {
    const answer = await server.ask(query, variables);
    expect(tooComplex(answer)).toEqual(runs ? expect.objectContaining({ status: 200, code: undefined }) : refused);
  });

  test('cost that fragments multiply', async () => {
    const fragments = Array.from(
      { length: 30 },
      (_, i) => `fragment f${i} on User { id ...f${i + 1} boss { ...f${i + 1} } }`,
    ).join(' ');
    const query = `{ user(id: "v") { ...f0 } } ${fragments} fragment f30 on User { id }`;
    expect(tooComplex(await server.ask(query))).toEqual(refused);
  });

  test('its aliases', async () => {
    expect((await server.ask(aliases(30))).body.errors).toBeUndefined();
    expect(tooComplex(await server.ask(aliases(31)))).toEqual(refused);
    expect(tooComplex(await server.ask(aliases(600)))).toEqual(refused);
  });

  test('its length, and for repeating itself', async () => {
    const list = (count: number): string => `{ users(filter: {id: {in: [${'"u" '.repeat(count)}]}}) { nodes { id } } }`;
    expect((await server.ask(list(970))).body.errors).toBeUndefined();
    expect(tooComplex(await server.ask(list(1_000)))).toEqual(refused);
    expect(tooComplex(await server.ask(`{ user(id: "u") { ${'id '.repeat(980)} } }`))).toEqual(refused);
  });

  test('the number of its operations, and what they cost together', async () => {
    const batch = (count: number, query = '{ __typename }'): Promise<GraphqlAnswer> =>
      server.send({
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(new Array(count).fill({ query })),
      });
    expect((await batch(10)).status).toBe(200);
    expect(tooComplex(await batch(11))).toEqual(refused);
    expect((await batch(4, '{ users(first: 249) { nodes { id } } }')).status).toBe(200);
    expect(tooComplex(await batch(4, '{ users(first: 250) { nodes { id } } }'))).toEqual(refused);
  });

  test('questions about the schema that are nested or repeated', async () => {
    const answer = await server.ask(getIntrospectionQuery({ descriptions: true, specifiedByUrl: true }));
    expect(answer.body.errors).toBeUndefined();
    const nested =
      '{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }';
    expect((await server.ask(nested, {}, { accept: 'application/graphql-response+json' })).status).toBe(400);
    const repeated = Array.from({ length: 11 }, (_, i) => `a${i}: __schema { queryType { name } }`).join(' ');
    expect(tooComplex(await server.ask(`{ ${repeated} }`))).toEqual(refused);
  });

  test('fragments in a ring', async () => {
    const ring = '{ user(id: "u") { ...a } } fragment a on User { boss { ...b } } fragment b on User { boss { ...a } }';
    const { status, body } = await server.ask(ring, {}, { accept: 'application/graphql-response+json' });
    expect([status, body.errors?.[0]?.extensions['code']]).toEqual([400, 'DocumentInvalid']);
  });
});

describe('limits of an endpoint', () => {
  let own: GraphqlServer | undefined;
  const serve = async (limits: Partial<GraphqlLimits>): Promise<GraphqlServer> => {
    own = await serveGraphql(schema, { limits });
    return own;
  };
  afterEach(() => own?.close());

  test('bound the body, told or not', async () => {
    const small = await serve({ bodyBytes: 100 });
    const headers = { 'content-type': 'application/json' };
    const body = JSON.stringify({ query: `{ __typename }${' '.repeat(100)}` });
    expect((await small.send({ method: 'POST', headers, body })).status).toBe(413);
    const stream = new Blob([body]).stream();
    expect((await small.send({ method: 'POST', headers, body: stream, duplex: 'half' })).status).toBe(413);
  });

  test('bound the clients that follow results', async () => {
    const { url } = await serve({ clients: 1 });
    const headers = { 'content-type': 'application/json', accept: 'text/event-stream' };
    const body = JSON.stringify({ query: 'subscription { userChanged { id } }' });
    const leave = new AbortController();
    const first = await fetch(url, { method: 'POST', headers, body, signal: leave.signal });
    const second = await fetch(url, { method: 'POST', headers, body });
    expect([first.status, second.status]).toEqual([200, 503]);
    expect(await second.json()).toMatchObject({ error: 'TooManySubscribers' });
    const socket = new WebSocket(url.replace('http:', 'ws:'), ['graphql-transport-ws']);
    expect(await new Promise((resolve) => void socket.on('close', resolve))).toBe(1013);
    leave.abort();
  });

  test('may hide the schema, and what would tell of it', async () => {
    const silent = await serve({ introspection: false });
    expect((await silent.ask('{ __schema { types { name } } }')).text).toContain('introspection');
    expect((await silent.ask('{ usrs { nodes { id } } }')).text).not.toMatch(/did you mean|"users"/i);
    expect((await silent.ask('{ __typename }')).body.data).toEqual({ __typename: 'Query' });
  });
});

describe('a request that takes too long', () => {
  test('is answered 504, and reads nothing more', async () => {
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const asked: string[] = [];
    const slow = await serveGraphql(schema, {
      limits: { timeoutMs: 50 },
      watch: (store) =>
        new Proxy(store, {
          get: (target, name) => {
            const value = Reflect.get(target, name) as unknown;
            if (typeof value !== 'function') return value;
            return async (...given: unknown[]) => {
              asked.push(String(name));
              const result = await (value as (...all: unknown[]) => Promise<unknown>).apply(target, given);
              if (name === 'query') await held;
              return result;
            };
          },
        }),
    });
    try {
      await slow.store.write([
        { table: slow.number('User'), kind: 'put', json: Buffer.from('{"id":"v","bossId":"v"}') },
      ]);
      const answer = await slow.ask('{ users { nodes { boss { id } } } }');
      expect([answer.status, answer.body.errors?.[0]?.extensions['code']]).toEqual([504, 'DeadlineExceeded']);
      release();
      await new Promise((resolve) => void setImmediate(resolve));
      expect(asked).toEqual(['query']);
    } finally {
      await slow.close();
    }
  });
});

describe('an event of a subscription that takes too long', () => {
  test('ends the subscription, with the reason', async () => {
    let hold = false;
    const slow = await serveGraphql(schema, {
      limits: { timeoutMs: 2000 },
      watch: (store) =>
        new Proxy(store, {
          get: (target, name) => {
            if (name === 'getMany' && hold) return () => new Promise(() => {});
            const value = Reflect.get(target, name) as unknown;
            return typeof value === 'function' ? (value.bind(target) as unknown) : value;
          },
        }),
    });
    try {
      const query = 'subscription { userChanged { user { boss { id } } } }';
      const answer = await fetch(slow.url, {
        method: 'POST',
        headers: { accept: 'text/event-stream', 'content-type': 'application/json' },
        body: JSON.stringify({ query }),
      });
      const write = (id: string): Promise<unknown> =>
        slow.store.write([
          { table: slow.number('User'), kind: 'put', json: Buffer.from(`{"id":"${id}","bossId":"v"}`) },
        ]);
      await write('v');
      let told = '';
      for await (const piece of answer.body ?? []) {
        told += Buffer.from(piece as Uint8Array).toString();
        if (hold || !told.includes('"boss":{"id":"v"}')) continue;
        hold = true;
        await write('w');
      }
      expect(told).toMatch(/"boss":\{"id":"v"\}[^]*"code":"DeadlineExceeded"[^]*event: complete/);
    } finally {
      await slow.close();
    }
  });
});
