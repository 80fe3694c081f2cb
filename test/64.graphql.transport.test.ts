import { once } from 'node:events';
import { connect as connectSocket, type Socket } from 'node:net';
import { createClient } from 'graphql-ws';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { Store } from '../src/binding/store.js';
import { until } from './load/world.js';
import { type GraphqlServer, serveGraphql } from './tables/graphql.js';

const schema = 'type Task @table @export { id: ID! @primaryKey title: String @indexed }';
const json = { 'content-type': 'application/json' };

let server: GraphqlServer;
beforeAll(async () => {
  server = await serveGraphql(schema);
});
afterAll(() => server.close());

const subscribers = (count: number, on = server): Promise<void> =>
  until(`${count} subscribers`, () => on.changes.figures.subscribers === count);

const put = (id: string, title: string, on = server): Promise<unknown> =>
  on.ask('mutation($input: TaskInput!) { putTask(input: $input) { id } }', { input: { id, title } });

/** The store, but for what is done otherwise. */
function storeWith(store: Store, otherwise: Partial<Store>): Store {
  return new Proxy(store, {
    get: (target, name) => {
      const value = Reflect.get(name in otherwise ? otherwise : target, name) as unknown;
      return typeof value === 'function' ? (value as () => void).bind(target) : value;
    },
  });
}

interface HeldWrites {
  readonly server: GraphqlServer;
  begun(): Promise<void>;
  /** Let the writes go on, and give the ids that are written until another client has written too. */
  afterwards(): Promise<string[]>;
}

/** A server whose first write takes as long as the test likes. */
async function holdWrites(): Promise<HeldWrites> {
  const written: string[] = [];
  let goOn = (): void => {};
  const gate = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const own = await serveGraphql(schema, {
    watch: (store) =>
      storeWith(store, {
        write: async (writes) => {
          const { id } = JSON.parse(Buffer.from(writes[0]?.json ?? []).toString()) as { id: string };
          written.push(id);
          if (written.length === 1) await gate;
          return store.write(writes);
        },
      }),
  });
  return {
    server: own,
    begun: () => until('it writes', () => written.length === 1),
    afterwards: async () => {
      goOn();
      await until('the first is written', async () => (await own.store.get(own.number('Task'), 'a')) !== null);
      await put('other', 'of another', own);
      return written;
    },
  };
}

describe('over HTTP', () => {
  test.each([
    ['application/json', 200, 'application/json'],
    ['application/graphql-response+json', 200, 'application/graphql-response+json'],
    ['application/graphql-response+json, application/json', 200, 'application/graphql-response+json'],
    ['application/json, application/graphql-response+json;q=0.5', 200, 'application/json'],
    ['application/*;q=0.3, */*;q=0.1', 200, 'application/json'],
    ['text/event-stream, application/json', 200, 'application/json'],
    ['text/event-stream', 200, 'text/event-stream'],
    ['image/png', 406, 'application/problem+json'],
    ['application/json;q=0', 406, 'application/problem+json'],
  ])('whoever accepts %s gets %i and %s', async (accept, status, type) => {
    const answer = await server.ask('{ __typename }', {}, { accept });
    expect([answer.status, answer.type.split(';')[0]]).toEqual([status, type]);
  });

  test.each<[Record<string, string>, number]>([
    [{ 'content-type': 'text/plain' }, 415],
    [{ 'content-type': 'application/json; charset=latin1' }, 415],
    [{ 'content-type': 'application/json', 'content-encoding': 'gzip' }, 415],
    [{ 'content-type': 'application/json; charset="UTF-8"' }, 200],
  ])('a body with %j is answered %i', async (headers, status) => {
    const body = JSON.stringify({ query: '{ __typename }' });
    expect((await server.send({ method: 'POST', headers, body })).status).toBe(status);
  });

  test.each(['PUT', 'DELETE', 'PATCH', 'OPTIONS'])('%s is not served', async (method) => {
    const { status, headers } = await server.send({ method });
    expect([status, headers.get('allow')]).toEqual([405, 'GET, HEAD, POST']);
  });

  test('a body that is no UTF-8 is refused', async () => {
    const body = Buffer.concat([
      Buffer.from('{"query":"{ __typename }","x":"'),
      Buffer.from([0xff]),
      Buffer.from('"}'),
    ]);
    const answer = await server.send({ method: 'POST', headers: json, body });
    expect([answer.status, answer.body.errors?.[0]?.extensions['code']]).toEqual([400, 'BadRequest']);
  });

  test('a query may come in the address, a mutation may not', async () => {
    const search = (query: string): string =>
      `?${new URLSearchParams({ query, variables: '{"id":"none"}' }).toString()}`;
    const read = await server.send({}, search('query($id: ID!) { task(id: $id) { id } }'));
    expect([read.status, read.body.data]).toEqual([200, { task: null }]);
    const write = await server.send({}, search('mutation($id: ID!) { deleteTask(id: $id) { id } }'));
    expect([write.status, write.headers.get('allow')]).toEqual([405, 'POST']);
    const head = await server.send({ method: 'HEAD' }, search('query($id: ID!) { task(id: $id) { id } }'));
    expect([head.status, head.text]).toEqual([200, '']);
    expect((await server.send({}, '?query={__typename}&variables=nonsense')).status).toBe(400);
  });

  test('one operation of several is run by its name', async () => {
    const query = 'query A { a: __typename } query B { b: __typename }';
    const ask = async (operationName?: string): Promise<unknown> => {
      const body = JSON.stringify({ query, operationName });
      const answer = await server.send({ method: 'POST', headers: json, body });
      return answer.body.data ?? answer.body.errors?.[0]?.message;
    };
    expect(await ask('B')).toEqual({ b: 'Query' });
    expect(await ask()).toContain('operationName');
    expect(await ask('C')).toBe('the document has no operation C');
  });

  test('a list of operations is answered by a list, each with its own errors', async () => {
    const body = JSON.stringify([
      { query: 'mutation { putTask(input: {id: "b1"}) { id } }' },
      { query: '{ nothing }' },
      { query: '{ task(id: "b1") { id } }' },
    ]);
    const { body: results } = await server.send({ method: 'POST', headers: json, body });
    expect(results).toEqual([
      { data: { putTask: { id: 'b1' } } },
      { errors: [expect.objectContaining({ extensions: { code: 'DocumentInvalid' } })] },
      { data: { task: { id: 'b1' } } },
    ]);
  });

  test('for a client that goes nothing more of a list is written', async () => {
    const held = await holdWrites();
    const gone = new AbortController();
    const all = ['a', 'b'].map((id) => ({ query: `mutation { putTask(input: {id: "${id}"}) { id } }` }));
    const init = { method: 'POST', headers: json, body: JSON.stringify(all), signal: gone.signal };
    const answer = held.server.send(init).catch((error: unknown) => error);
    await held.begun();
    gone.abort();
    expect(await answer).toMatchObject({ name: 'AbortError' });
    await until('the server knows', () => held.server.responses[0]?.closed === true);
    expect(await held.afterwards()).toEqual(['a', 'other']);
    await held.server.close();
  });

  test('a subscription needs an event stream', async () => {
    expect((await server.ask('subscription { taskChanged { id } }')).status).toBe(406);
  });
});

/** Reads the events of a stream. */
class Events {
  readonly status: number;
  readonly #reader: AsyncIterator<Uint8Array>;
  readonly #leave: AbortController;
  #text = '';

  private constructor(response: Response, leave: AbortController) {
    this.status = response.status;
    this.#reader = (response.body as ReadableStream<Uint8Array>)[Symbol.asyncIterator]();
    this.#leave = leave;
  }

  static async open(on: GraphqlServer, query: string, variables: object = {}): Promise<Events> {
    const leave = new AbortController();
    const headers = { ...json, accept: 'text/event-stream' };
    const body = JSON.stringify({ query, variables });
    return new Events(await fetch(on.url, { method: 'POST', headers, body, signal: leave.signal }), leave);
  }

  /** The next event but comments; undefined at the end. */
  async next(): Promise<{ event: string; data: unknown } | undefined> {
    for (;;) {
      const end = this.#text.indexOf('\n\n');
      if (end >= 0) {
        const frame = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 2);
        const [, event = '', data = ''] = /^event: (\w+)\ndata: ?(.*)$/.exec(frame) ?? [];
        if (event !== '') return { event, data: data === '' ? undefined : (JSON.parse(data) as unknown) };
      } else {
        const { done, value } = await this.#reader.next();
        if (done === true) return undefined;
        this.#text += Buffer.from(value).toString();
      }
    }
  }

  leave(): void {
    this.#leave.abort();
  }
}

const changed =
  'subscription($id: ID, $filter: TaskFilter, $after: String) { taskChanged(id: $id, filter: $filter, after: $after) { kind id cursor task { title } } }';

function change(kind: string, id: string, title?: string): unknown {
  const task = title === undefined ? null : { title };
  return { data: { taskChanged: { kind, id, cursor: expect.any(String) as string, task } } };
}

describe('over an event stream', () => {
  test('a query is one result, and so is what is wrong with one', async () => {
    const query = await Events.open(server, '{ __typename }');
    expect(await query.next()).toEqual({ event: 'next', data: { data: { __typename: 'Query' } } });
    expect(await query.next()).toEqual({ event: 'complete', data: undefined });
    expect(await query.next()).toBeUndefined();
    const wrong = await Events.open(server, '{ nothing }');
    expect(await wrong.next()).toMatchObject({
      event: 'next',
      data: { errors: [{ extensions: { code: 'DocumentInvalid' } }] },
    });
    expect(await wrong.next()).toEqual({ event: 'complete', data: undefined });
  });

  test('changes come in order, of the records that were asked for', async () => {
    await put('s0', 'before');
    const all = await Events.open(server, changed);
    const one = await Events.open(server, changed, { id: 's2' });
    const some = await Events.open(server, changed, { filter: { title: { starts: 'b' } } });
    await subscribers(3);
    await put('s1', 'a');
    await put('s2', 'b');
    await server.ask('mutation { deleteTask(id: "s1") { id } }');
    expect((await all.next())?.data).toEqual(change('PUT', 's1', 'a'));
    expect((await all.next())?.data).toEqual(change('PUT', 's2', 'b'));
    expect((await all.next())?.data).toEqual(change('DELETE', 's1'));
    expect((await one.next())?.data).toEqual(change('PUT', 's2', 'b'));
    expect((await some.next())?.data).toEqual(change('PUT', 's2', 'b'));
    expect((await some.next())?.data).toEqual(change('DELETE', 's1'));
    for (const events of [all, one, some]) events.leave();
    await subscribers(0);
  });

  test('whoever comes again goes on after the last change it saw', async () => {
    const first = await Events.open(server, changed);
    await subscribers(1);
    await put('r1', 'one');
    const seen = (await first.next())?.data as { data: { taskChanged: { cursor: string } } };
    first.leave();
    await put('r2', 'two');
    const second = await Events.open(server, changed, { after: seen.data.taskChanged.cursor });
    await put('r3', 'three');
    expect((await second.next())?.data).toEqual(change('PUT', 'r2', 'two'));
    expect((await second.next())?.data).toEqual(change('PUT', 'r3', 'three'));
    second.leave();
  });

  test.each([
    ['nonsense', 'BadRequest'],
    ['00000000-1', 'ChangesGone'],
  ])('after %s there is nothing: %s', async (after, code) => {
    const events = await Events.open(server, changed, { after });
    expect(await events.next()).toMatchObject({ event: 'next', data: { errors: [{ extensions: { code } }] } });
    expect(await events.next()).toEqual({ event: 'complete', data: undefined });
  });

  test('a client that does not read is ended, and told why', async () => {
    const own = await serveGraphql(schema, { queueBytes: 64 * 1024 });
    try {
      const slow = await Events.open(own, changed);
      await subscribers(1, own);
      const title = 'x'.repeat(256 * 1024);
      for (let i = 0; own.changes.figures.tooSlow === 0; i += 1) await put(`t${i}`, title, own);
      const codes: unknown[] = [];
      for (let each = await slow.next(); each?.event === 'next'; each = await slow.next())
        codes.push((each.data as { errors?: { extensions: { code: string } }[] }).errors?.[0]?.extensions.code);
      expect(codes.at(-1)).toBe('SubscriberTooSlow');
    } finally {
      await own.close();
    }
  });
});

describe('a client that never reads', () => {
  let own: GraphqlServer;
  let deaf: Socket;
  beforeEach(async () => {
    own = await serveGraphql(schema, { queueBytes: 64 * 1024, heartbeatMs: 30, limits: { clients: 1 } });
  });
  afterEach(async () => {
    deaf.destroy();
    await own.close();
  });

  /** Asks for an event stream and leaves what comes where it is. */
  async function ask(query: string): Promise<void> {
    const { hostname, port } = new URL(own.url);
    const body = JSON.stringify({ query });
    deaf = connectSocket(Number(port), hostname);
    deaf.on('error', () => {}); // it is cut off
    deaf.pause();
    await once(deaf, 'connect');
    const headers = `host: ${hostname}\r\naccept: text/event-stream\r\ncontent-type: application/json\r\n`;
    deaf.write(`POST /graphql HTTP/1.1\r\n${headers}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  }

  /** Status of whoever comes once it is cut off and its place is free. */
  async function afterwards(): Promise<number> {
    let status = 0;
    await until('it is cut off', () => own.log.some(({ msg }) => String(msg).includes('did not read: cut off')));
    await until('its place is free', async () => {
      const events = await Events.open(own, '{ __typename }');
      events.leave();
      status = events.status;
      return status !== 503;
    });
    return status;
  }

  test('of changes is cut off', async () => {
    await ask('subscription { taskChanged { task { title } } }');
    await subscribers(1, own);
    const title = 'x'.repeat(256 * 1024);
    let count = 0;
    await until('nobody listens', async () => {
      await put(`d${count++}`, title, own);
      return own.changes.figures.subscribers === 0;
    });
    expect(await afterwards()).toBe(200);
  });

  test('of one large result is cut off too', async () => {
    await Promise.all(Array.from({ length: 20 }, (_, i) => put(String(i), 'x'.repeat(512 * 1024), own)));
    await ask('{ tasks { nodes { title } } }');
    expect(await afterwards()).toBe(200);
  });
});

describe('over a WebSocket', () => {
  const address = (on = server): string => on.url.replace('http:', 'ws:');
  const connect = (on = server): ReturnType<typeof createClient> =>
    createClient({ url: address(on), webSocketImpl: WebSocket, retryAttempts: 0 });

  test('queries, mutations and subscriptions share a socket', async () => {
    const client = connect();
    const changes = client.iterate({ query: changed });
    const first = changes.next();
    await subscribers(1);
    const made = client.iterate({ query: 'mutation { putTask(input: {id: "w1", title: "w"}) { id } }' });
    expect((await made.next()).value).toEqual({ data: { putTask: { id: 'w1' } } });
    expect((await first).value).toEqual(change('PUT', 'w1', 'w'));
    await changes.return?.();
    await subscribers(0);
    await client.dispose();
  });

  test('what is refused is refused as over HTTP', async () => {
    const client = connect();
    const ask = async (query: string): Promise<unknown> => {
      try {
        return (await client.iterate({ query }).next()).value;
      } catch (errors) {
        return errors;
      }
    };
    expect(await ask('{ nothing }')).toEqual([expect.objectContaining({ extensions: { code: 'DocumentInvalid' } })]);
    expect(await ask('{ tasks(first: 5000) { nodes { id } } }')).toEqual([
      expect.objectContaining({ extensions: expect.objectContaining({ code: 'QueryTooComplex' }) as object }),
    ]);
    expect(await ask('mutation { deleteTask(id: "none") { id } }')).toMatchObject({
      errors: [{ extensions: { code: 'RecordNotFound' } }],
    });
    await client.dispose();
  });

  /** The code a socket is closed with. */
  function closing(act: (socket: WebSocket) => void, protocol = 'graphql-transport-ws', on = server): Promise<number> {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(address(on), protocol === '' ? [] : [protocol]);
      socket.on('error', reject);
      socket.on('close', (code) => resolve(code));
      socket.on('open', () => act(socket));
    });
  }

  test.each([
    ['nothing that is a message', 4400, (socket: WebSocket) => socket.send('nonsense')],
    ['bytes', 1003, (socket: WebSocket) => socket.send(Buffer.from('{}'))],
    [
      'an operation before it was let in',
      4401,
      (socket: WebSocket) => socket.send('{"type":"subscribe","id":"1","payload":{"query":"{ __typename }"}}'),
    ],
    [
      'the same long id twice',
      4409,
      (socket: WebSocket) => {
        const subscribe = JSON.stringify({ type: 'subscribe', id: 'x'.repeat(500), payload: { query: changed } });
        socket.on('message', () => {
          socket.send(subscribe);
          socket.send(subscribe);
        });
        socket.send('{"type":"connection_init"}');
      },
    ],
    ['a message that is too large', 1009, (socket: WebSocket) => socket.send('x'.repeat(1024 * 1024 + 1))],
    [
      'a flood',
      1008,
      (socket: WebSocket) => {
        for (let i = 0; i < 200; i += 1) socket.send('{"type":"ping"}');
      },
    ],
  ])('a client that sends %s is closed with %i', async (_, code, act) => {
    expect(await closing(act)).toBe(code);
  });

  test('a client of too many subscriptions is refused some, and keeps the others', async () => {
    const codes: unknown[] = [];
    await closing((socket) => {
      socket.on('message', (data: Buffer) => {
        const { type, payload } = JSON.parse(data.toString()) as {
          type: string;
          payload: { extensions: { code: string } }[];
        };
        if (type === 'connection_ack')
          for (let id = 0; id < 32; id += 1)
            socket.send(JSON.stringify({ type: 'subscribe', id: String(id), payload: { query: changed } }));
        if (type !== 'error') return;
        codes.push(payload[0]?.extensions.code);
        if (codes.length === 2) void subscribers(30).then(() => socket.close());
      });
      socket.send('{"type":"connection_init"}');
    });
    expect(codes).toEqual(['QueryTooComplex', 'QueryTooComplex']);
    await subscribers(0);
  });

  test.each([
    ['goes', (socket: WebSocket) => socket.terminate()],
    ['says complete', (socket: WebSocket) => socket.send('{"type":"complete","id":"many"}')],
  ])('for a client that %s nothing more is written', async (_, act) => {
    const held = await holdWrites();
    const query = 'mutation { a: putTask(input: {id: "a"}) { id } b: putTask(input: {id: "b"}) { id } }';
    const socket = new WebSocket(address(held.server), ['graphql-transport-ws']);
    socket.on('open', () => socket.send('{"type":"connection_init"}'));
    const pong = new Promise<void>((resolve) => {
      socket.on('close', () => resolve());
      socket.on('message', (data: Buffer) => {
        const { type } = JSON.parse(data.toString()) as { type: string };
        if (type === 'connection_ack')
          socket.send(JSON.stringify({ type: 'subscribe', id: 'many', payload: { query } }));
        if (type === 'pong') resolve();
      });
    });
    await held.begun();
    act(socket);
    if (socket.readyState === socket.OPEN) socket.send('{"type":"ping"}');
    await pong;
    // The host has heard of it when it has closed, or answered, what came later.
    if (socket.readyState !== socket.OPEN) await until('the socket is gone', () => held.server.endpoint.clients === 0);
    expect(await held.afterwards()).toEqual(['a', 'other']);
    socket.terminate();
    await held.server.close();
  });

  test('when the endpoint closes, what runs on a socket is answered first', async () => {
    let begun = false;
    let goOn = (): void => {};
    const gate = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const own = await serveGraphql(schema, {
      watch: (store) =>
        storeWith(store, {
          write: async (...given) => {
            begun = true;
            await gate;
            return store.write(...given);
          },
        }),
    });
    const heard: string[] = [];
    const code = closing(
      (socket) => {
        socket.on('message', (data: Buffer) => {
          const { type, id = '' } = JSON.parse(data.toString()) as { type: string; id?: string };
          heard.push(`${type} ${id}`);
          if (type !== 'connection_ack') return;
          const query = 'mutation { putTask(input: {id: "last"}) { id } }';
          socket.send(JSON.stringify({ type: 'subscribe', id: 'changes', payload: { query: changed } }));
          socket.send(JSON.stringify({ type: 'subscribe', id: 'write', payload: { query } }));
        });
        socket.send('{"type":"connection_init"}');
      },
      undefined,
      own,
    );
    await until('it writes', () => begun);
    const closed = own.endpoint.close();
    goOn();
    expect(await code).toBe(1012);
    await closed;
    expect(heard).toEqual(['connection_ack ', 'next write', 'complete write']);
    await own.close();
  });

  test('when the endpoint closes, sockets and streams end so that clients come again', async () => {
    const own = await serveGraphql(schema);
    const events = await Events.open(own, changed);
    let open = (): void => {};
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    const code = closing(() => open(), undefined, own);
    await opened;
    // Changes that end at once have nothing more to say to streams that do.
    await Promise.all([own.endpoint.close(), own.changes.close()]);
    expect(await code).toBe(1012);
    expect(await events.next()).toBeUndefined();
    expect(await closing(() => {}, undefined, own)).toBe(1012);
    await own.close();
  });
});

describe('in a browser', () => {
  const browser = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8';

  test('there is GraphiQL, which may run nothing but its own script', async () => {
    const page = await server.send({ headers: { accept: browser } });
    expect([page.status, page.type]).toEqual([200, 'text/html; charset=utf-8']);
    expect(page.text).toContain('<title>GraphiQL</title>');
    expect(page.headers.get('content-security-policy')).toMatch(/default-src 'none'; script-src 'sha256-[^']+';/);
    expect(page.text).not.toMatch(/<(?:script|link|img)[^>]+(?:src|href)="https?:/);
    const etag = page.headers.get('etag') ?? '';
    const again = await server.send({ headers: { accept: browser, 'if-none-match': etag } });
    expect([again.status, again.text]).toEqual([304, '']);
    const plain = await server.send({ headers: { accept: browser, 'accept-encoding': 'identity' } });
    expect(plain.text).toBe(page.text);
  });

  test('a query in the address is not answered by a page when JSON is wanted', async () => {
    const { type } = await server.send({ headers: { accept: 'application/json' } }, '?query={__typename}');
    expect(type).toBe('application/json; charset=utf-8');
  });
});
