import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { until } from './load/world.js';
import { ChangeWorld, type ChangeWorldOptions } from './tables/change-world.js';
import { SocketClient } from './tables/socket-client.js';

let world: ChangeWorld;
const clients: SocketClient[] = [];
const raws: Socket[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.leave();
  for (const raw of raws.splice(0)) raw.destroy();
  await world.close();
});

async function make(options: ChangeWorldOptions = {}): Promise<void> {
  world = await ChangeWorld.make(options);
}

async function open(target: string, options?: Parameters<typeof SocketClient.open>[1]): Promise<SocketClient> {
  const client = await SocketClient.open(`ws://${world.host}${target}`, options);
  clients.push(client);
  return client;
}

const handshake = {
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  'sec-websocket-version': '13',
};

interface Refusal {
  status: number | undefined;
  headers: IncomingMessage['headers'];
  body: string;
}

/** What a handshake that is not granted is answered with. */
async function refusal(target: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Refusal> {
  const outgoing = request(`http://${world.host}${target}`, {
    method,
    headers: { ...handshake, ...headers },
    agent: false,
  });
  outgoing.on('upgrade', (_answer, socket) =>
    outgoing.destroy(socket.destroy().errored ?? new Error('it was granted')),
  );
  outgoing.end();
  const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
  let body = '';
  for await (const chunk of answer.setEncoding('utf8')) body += String(chunk);
  return { status: answer.statusCode, headers: answer.headers, body };
}

function codeOf({ body }: Refusal): string {
  return (JSON.parse(body) as { error: string }).error;
}

/** A socket that speaks bytes, after its handshake. */
async function raw(target: string): Promise<Socket> {
  const [host = '', port = ''] = world.host.split(':');
  const socket = connect(Number(port), host);
  raws.push(socket);
  socket.on('error', () => {}); // its end says it
  const lines = Object.entries(handshake).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`GET ${target} HTTP/1.1\r\nhost: ${world.host}\r\n${lines.join('')}\r\n`);
  await once(socket, 'readable');
  expect(String(socket.read())).toMatch(/^HTTP\/1\.1 101 /);
  return socket;
}

/** A frame of a client, its mask of zeros. */
function frame(head: number, payload: Buffer): Buffer {
  const length =
    payload.length < 126 ? [0x80 | payload.length] : [0x80 | 126, payload.length >> 8, payload.length & 0xff];
  return Buffer.concat([Buffer.from([head, ...length, 0, 0, 0, 0]), payload]);
}

describe('changes over a WebSocket', () => {
  test('come as put and delete, each under the id of its subscription', async () => {
    await make();
    const client = await open('/Task');
    client.say({ type: 'subscribe', id: 7 });
    client.say({ type: 'subscribe', id: 'one', key: '1' });
    await until('both are ready', () => client.heard.length === 2);
    await world.put({ id: '1', title: 'a' });
    await world.put({ id: '2', title: 'b' });
    await world.remove('2');
    await until('all is told', () => client.heard.length === 6);
    const of = (id: string | number): unknown[] =>
      client.heard.filter((heard) => heard.id === id).map(({ type, key, record }) => [type, key, record?.['title']]);
    expect(of(7)).toEqual([
      ['ready', undefined, undefined],
      ['put', '1', 'a'],
      ['put', '2', 'b'],
      ['delete', '2', undefined],
    ]);
    expect(of('one')).toEqual([
      ['ready', undefined, undefined],
      ['put', '1', 'a'],
    ]);
  });

  test('go on from what was heard last, and begin with reset where that is not possible', async () => {
    await make();
    const first = await open('/Task');
    const { resume: from } = await first.ask({ type: 'subscribe' });
    await world.put({ id: '1' });
    await world.put({ id: '2' });
    const second = await open('/Task');
    await second.ask({ type: 'subscribe', from });
    await until('all is told', () => second.heard.length === 3);
    expect(second.told).toEqual(['ready', 'put 1', 'put 2']);
    expect(second.heard[0]).toMatchObject({ resume: from, resumed: true });
    const third = await open('/Task');
    await third.ask({ type: 'subscribe', from: second.heard[1]?.resume });
    await until('all is told', () => third.heard.length === 2);
    expect(third.told).toEqual(['ready', 'put 2']);
    const foreign = await open('/Task');
    await foreign.ask({ type: 'subscribe', from: '00000000-1' });
    await until('it is ready', () => foreign.heard.length === 2);
    expect(foreign.told).toEqual(['reset', 'ready']);
  });

  test('are filtered, and can begin with all records', async () => {
    await make();
    await world.put({ id: '1', state: 'open' });
    await world.put({ id: '2', state: 'done' });
    const client = await open('/Task');
    client.say({ type: 'subscribe', id: 1, snapshot: true, filter: { field: 'state', op: 'eq', value: 'open' } });
    await until('it is ready', () => client.told.includes('ready'));
    await world.put({ id: '3', state: 'done' });
    await world.put({ id: '4', state: 'open' });
    await until('all is told', () => client.heard.length === 4);
    expect(client.told).toEqual(['reset', 'put 1', 'ready', 'put 4']);
  });

  test('stop with unsubscribe, and the id is free again', async () => {
    await make();
    const client = await open('/Task');
    client.say({ type: 'subscribe', id: 1 });
    client.say({ type: 'unsubscribe', id: 1 });
    await until('it is over', () => client.told.includes('unsubscribed'));
    await until('nobody listens', () => world.changes.figures.subscribers === 0);
    await world.put({ id: '1' });
    expect((await client.ask({ type: 'ping' })).type).toBe('pong');
    expect(client.told.filter((told) => told.startsWith('put'))).toEqual([]);
    client.say({ type: 'subscribe', id: 1 });
    await until('it is ready', () => client.told.at(-1) === 'ready');
  });

  test('that were stopped before they began have no position either', async () => {
    await make({ pingMs: 30 });
    const client = await open('/Task');
    client.say({ type: 'subscribe', id: 'stays' });
    const query = world.store.query.bind(world.store);
    world.store.query = async (...asked) => {
      client.say({ type: 'unsubscribe', id: 'stopped' });
      await until('it is stopped', () => client.told.includes('unsubscribed'));
      return query(...asked);
    };
    client.say({ type: 'subscribe', id: 'stopped', snapshot: true });
    await until('it is stopped', () => client.told.includes('unsubscribed'));
    client.heard.splice(0);
    const positions = (): unknown[] => client.heard.filter(({ type }) => type === 'position').map(({ id }) => id);
    await until('positions are told', () => positions().length >= 3);
    expect(new Set(positions())).toEqual(new Set(['stays']));
  });

  test('end with the socket', async () => {
    await make();
    const client = await open('/Task');
    await client.ask({ type: 'subscribe' });
    expect(world.changes.figures.subscribers).toBe(1);
    client.leave();
    await until('nobody listens', () => world.changes.figures.subscribers === 0 && world.sockets.size === 0);
  });
});

describe('writes over a WebSocket', () => {
  test('are put, patch and delete, answered with what became of them', async () => {
    await make();
    const client = await open('/Task');
    const created = await client.ask({ type: 'put', key: '1', record: { title: 'a', priority: 1 } });
    expect(created).toMatchObject({ type: 'written', outcome: 'created', key: '1', record: { id: '1', title: 'a' } });
    expect(created.revision).toMatch(/^[\da-f]{16}$/);
    expect(await client.ask({ type: 'patch', key: '1', record: { title: 'b' } })).toMatchObject({
      outcome: 'updated',
      record: { title: 'b', priority: 1 },
    });
    expect(await client.ask({ type: 'delete', key: '1' })).toMatchObject({ outcome: 'removed', key: '1' });
    expect(await client.ask({ type: 'delete', key: '1' })).toMatchObject({ type: 'error', error: 'RecordNotFound' });
    const fresh = await client.ask({ type: 'put', record: { title: 'c' } });
    expect(fresh.outcome).toBe('created');
    expect(fresh.record?.['id']).toBe(fresh.key);
  });

  test('keep to revisions', async () => {
    await make();
    const client = await open('/Task');
    const { revision } = await client.ask({ type: 'put', key: '1', record: { title: 'a' } });
    expect(await client.ask({ type: 'put', key: '1', record: { title: 'b' }, ifNoneMatch: '*' })).toMatchObject({
      error: 'PreconditionFailed',
    });
    expect(await client.ask({ type: 'put', key: '1', record: { title: 'b' }, ifMatch: [revision] })).toMatchObject({
      outcome: 'updated',
    });
    expect(await client.ask({ type: 'delete', key: '1', ifMatch: [revision] })).toMatchObject({
      error: 'PreconditionFailed',
    });
  });

  test('of one client are done in its order', async () => {
    await make({ messagesPerSecond: 1000 });
    const client = await open('/Task');
    for (let i = 0; i < 200; i++) client.say({ type: 'put', id: i, key: '1', record: { priority: i } });
    await until('all are answered', () => client.heard.length === 200);
    expect(client.heard.map(({ id }) => id)).toEqual(Array.from({ length: 200 }, (_, i) => i));
    const record = await world.store.get(world.task.number, '1');
    expect(JSON.parse(record?.json.toString() ?? '')).toMatchObject({ priority: 199 });
  });

  test('reach the store as they were sent', async () => {
    await make();
    const client = await open('/Task');
    client.socket.send(' { "record" : {"weight":1e999} , "type":"put", "id": 1, "key":"1" } ');
    client.socket.send('{"record":{"title":"a","title":"b"},"type":"put","id":2,"key":"1"}');
    client.socket.send('{"record":{"colour":"red"},"type":"put","id":3,"key":"1"}');
    client.socket.send('{"record":{"title":"\\u00fc, \\"}\\""},"type":"put","id":4,"key":"1"}');
    await until('all are answered', () => client.heard.length === 4);
    expect(client.told).toEqual(['error RecordInvalid', 'error RecordInvalid', 'error RecordInvalid', 'written 1']);
    expect(client.heard[3]?.record?.['title']).toBe('ü, "}"');
  });

  test.each(['StoreFull', 'StoreFailed', undefined])(
    'that fail in the store with %s are told without its words, which the log has',
    async (code) => {
      await make();
      const words = 'IO error: While appending to file: /disk/data/000007.log';
      world.store.write = () => Promise.reject(Object.assign(new Error(words), code === undefined ? {} : { code }));
      const client = await open('/Task');
      const answer = await client.ask({ type: 'put', key: '1', record: {} });
      expect(answer).toMatchObject({ type: 'error', error: code ?? 'Internal' });
      expect(JSON.stringify(answer)).not.toContain('/disk/data');
      expect(JSON.stringify(world.log)).toContain('/disk/data');
    },
  );

  test('on the socket of one record are about that record', async () => {
    await make();
    const client = await open('/Task/1');
    expect(await client.ask({ type: 'put', record: { title: 'a' } })).toMatchObject({ key: '1' });
    expect(await client.ask({ type: 'put', key: '2', record: { title: 'a' } })).toMatchObject({ error: 'BadRequest' });
    expect(await client.ask({ type: 'subscribe', key: '2' })).toMatchObject({ error: 'BadRequest' });
    await client.ask({ type: 'subscribe' });
    await world.put({ id: '2' });
    await client.ask({ type: 'delete', key: '1' });
    await until('it is told', () => client.told.includes('delete 1'));
    expect(client.told).not.toContain('put 2');
  });
});

describe('a client that misbehaves', () => {
  test('is told what is wrong with a message, and goes on', async () => {
    await make();
    const client = await open('/Task');
    const wrong = [
      'nonsense',
      '[]',
      '{}',
      '{"type":"shout","id":1}',
      '{"type":"subscribe"}',
      '{"type":"subscribe","id":{}}',
      '{"type":"subscribe","id":1,"form":"x"}',
      '{"type":"subscribe","id":1,"from":"x"}',
      '{"type":"put","id":1,"key":"1"}',
      '{"type":"delete","id":1}',
      '{"type":"__proto__","id":1}',
      `${'['.repeat(100_000)}`,
    ];
    for (const text of wrong) client.socket.send(text);
    await until('all are answered', () => client.heard.length === wrong.length);
    expect(new Set(client.told)).toEqual(new Set(['error BadRequest']));
    const filter = { field: 'colour', op: 'eq', value: 'red' };
    expect(await client.ask({ type: 'subscribe', filter })).toMatchObject({ error: 'QueryInvalid' });
    expect((await client.ask({ type: 'ping' })).type).toBe('pong');
  });

  test('may not have any number of subscriptions', async () => {
    await make();
    const client = await open('/Task');
    for (let i = 0; i < 33; i++) client.say({ type: 'subscribe', id: i });
    await until('all are answered', () => client.heard.length === 33);
    expect(client.told.filter((told) => told === 'error BadRequest')).toHaveLength(1);
    expect(world.changes.figures.subscribers).toBe(32);
  });

  test('is closed with 1009 for a message over 1 MiB, 1003 for one that is not text', async () => {
    await make();
    const large = await open('/Task');
    large.say({ type: 'put', id: 1, record: { title: 'x'.repeat(1024 * 1024) } });
    expect(await large.closed()).toBe(1009);
    const binary = await open('/Task');
    binary.socket.send(Buffer.from('{}'));
    expect(await binary.closed()).toBe(1003);
  });

  test('is closed with 1013 when it is one too many, until another goes; a stream is answered 503', async () => {
    await make({ clients: 1 });
    const first = await open('/Task');
    expect(await (await open('/Task')).closed()).toBe(1013);
    expect((await first.ask({ type: 'ping' })).type).toBe('pong');
    first.leave();
    await until('it is gone', () => world.sockets.size === 0);
    expect((await (await open('/Task')).ask({ type: 'ping' })).type).toBe('pong');
    const leave = new AbortController();
    const streams = await Promise.all([1, 2].map(() => fetch(`http://${world.host}/Task`, { signal: leave.signal })));
    expect(streams.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 503]);
    leave.abort();
  });

  test('gets a snapshot in portions, not at once', async () => {
    await make();
    const title = 'x'.repeat(128 * 1024);
    for (let i = 0; i < 40; i += 1) await world.put({ id: String(i), title });
    const sizes: number[] = [];
    const query = world.store.query.bind(world.store);
    world.store.query = async (...asked) => {
      const page = await query(...asked);
      sizes.push(page.json.length);
      return page;
    };
    const client = await open('/Task');
    client.say({ type: 'subscribe', id: 1, snapshot: true });
    await until('it is ready', () => client.told.at(-1) === 'ready');
    expect(client.told.filter((told) => told.startsWith('put'))).toHaveLength(40);
    // The first portion does not know yet how large records are.
    expect(Math.max(...sizes)).toBeLessThan(3 * 1024 * 1024);
  });

  test('is closed with 1008 for too many messages, or too many pings', async () => {
    await make({ messagesPerSecond: 5 });
    const chatty = await open('/Task');
    for (let i = 0; i < 50; i++) chatty.say({ type: 'ping' });
    expect(await chatty.closed()).toBe(1008);
    const pinging = await open('/Task');
    for (let i = 0; i < 50; i++) pinging.socket.ping();
    expect(await pinging.closed()).toBe(1008);
  });

  test('is closed for a message in endless pieces', async () => {
    await make();
    const socket = await raw('/Task');
    socket.resume();
    socket.write(frame(0x01, Buffer.from('x')));
    for (let i = 0; i < 2000 && !socket.destroyed; i++) socket.write(frame(0x00, Buffer.from('x')));
    await until('it is closed', () => world.sockets.size === 0);
    expect(world.changes.figures.subscribers).toBe(0);
  });

  test('does not hold up others, were it two hundred', async () => {
    await make({ messagesPerSecond: 50 });
    const polite = await open('/Task');
    await polite.ask({ type: 'subscribe' });
    const flooding = await Promise.all(Array.from({ length: 200 }, () => open('/Task')));
    for (const client of flooding) for (let i = 0; i < 150; i++) client.say({ type: 'put', id: i, record: 0 });
    expect(await polite.ask({ type: 'put', key: '1', record: {} })).toMatchObject({ outcome: 'created' });
    await until('it is told', () => polite.told.includes('put 1'));
    await until('all are closed', () => world.sockets.size === 1);
    expect(new Set(flooding.map(({ code }) => code))).toEqual(new Set([1008]));
  });

  test('is cut off when it does not answer pings', async () => {
    await make({ pingMs: 30 });
    const silent = await open('/Task', { autoPong: false });
    const polite = await open('/Task');
    await silent.closed();
    expect((await polite.ask({ type: 'ping' })).type).toBe('pong');
  });

  test('is closed when it does not read its changes, while others go on', async () => {
    await make({ queueBytes: 64 * 1024 });
    const deaf = await raw('/Task');
    deaf.pause();
    deaf.write(frame(0x81, Buffer.from('{"type":"subscribe","id":1}')));
    const client = await open('/Task');
    await client.ask({ type: 'subscribe' });
    let written = 0;
    await until('the deaf one is cut off', async () => {
      for (let i = 0; i < 20; i++) await world.put({ id: String(written++), title: 'x'.repeat(20_000) });
      return world.sockets.size === 1;
    });
    await until('all is told', () => client.heard.length === written + 1);
    expect(world.changes.figures.tooSlow).toBe(1);
  });

  test('is closed when it asks on and does not read the answers', async () => {
    await make({ messagesPerSecond: 1e9 });
    const deaf = await raw('/Task');
    deaf.pause();
    const question = frame(0x81, Buffer.from(JSON.stringify({ type: 'shout', id: 'x'.repeat(128) })));
    const many = Buffer.concat(Array.from({ length: 1000 }, () => question));
    await until('it is cut off', () => {
      deaf.write(many);
      return world.sockets.size === 0;
    });
    expect(world.changes.figures.tooSlow).toBe(0);
  });
});

describe('an upgrade', () => {
  test('is refused in plain HTTP where nothing is served', async () => {
    await make();
    const answer = await refusal('/Nothing');
    expect([answer.status, codeOf(answer)]).toEqual([404, 'RouteNotFound']);
    expect(answer.headers).toMatchObject({ 'content-type': 'application/problem+json', connection: 'close' });
  });

  test('is refused with 426 for another version of the protocol', async () => {
    await make();
    const answer = await refusal('/Task', { 'sec-websocket-version': '7' });
    expect([answer.status, codeOf(answer)]).toEqual([426, 'UpgradeRequired']);
    expect(answer.headers).toMatchObject({ upgrade: 'websocket', 'sec-websocket-version': '13' });
  });

  test('to another protocol is an ordinary request', async () => {
    await make();
    const answer = await refusal('/anything', { upgrade: 'h2c' });
    expect([answer.status, answer.body]).toEqual([200, 'plain /anything']);
    const posted = await refusal('/anything', { upgrade: 'h2c', 'content-length': '0' }, 'POST');
    expect([posted.status, codeOf(posted)]).toEqual([426, 'UpgradeRequired']);
  });

  test('is refused with 503 while the host closes', async () => {
    await make();
    world.upgrades.close();
    const answer = await refusal('/Task');
    expect([answer.status, codeOf(answer)]).toEqual([503, 'HostClosing']);
    expect(answer.headers['retry-after']).toBe('1');
  });

  test('of a client that goes at once harms nobody', async () => {
    await make();
    const [host = '', port = ''] = world.host.split(':');
    const lines = Object.entries(handshake).map(([name, value]) => `${name}: ${value}\r\n`);
    for (const target of ['/Nothing', '/Task', '/Task']) {
      const socket = connect(Number(port), host);
      socket.write(`GET ${target} HTTP/1.1\r\nhost: ${world.host}\r\n${lines.join('')}\r\n`);
      await once(socket, 'connect');
      socket.resetAndDestroy();
    }
    expect((await (await open('/Task')).ask({ type: 'ping' })).type).toBe('pong');
    await until('only one is left', () => world.sockets.size === 1);
  });

  test('is granted to pages of the host itself and of origins that are allowed', async () => {
    await make({ origins: ['https://example.org'] });
    const answer = await refusal('/Task', { origin: 'https://evil.example' });
    expect([answer.status, codeOf(answer)]).toEqual([403, 'OriginNotAllowed']);
    expect((await refusal('/Task', { origin: 'null' })).status).toBe(403);
    for (const origin of ['https://example.org', `http://${world.host}`]) {
      const client = await open('/Task', { origin });
      expect((await client.ask({ type: 'ping' })).type).toBe('pong');
    }
  });

  test('is refused under a name that the host does not know', async () => {
    await make({ hosts: ['localhost'] });
    const answer = await refusal('/Task');
    expect([answer.status, codeOf(answer)]).toEqual([403, 'OriginNotAllowed']);
    const client = await open('/Task', { headers: { host: 'LOCALHOST:80' } });
    expect((await client.ask({ type: 'ping' })).type).toBe('pong');
  });

  test('compresses nothing', async () => {
    await make();
    expect((await open('/Task')).socket.extensions).toBe('');
  });
});

describe('closing', () => {
  test('an application closes its sockets with 1012 once its writes are answered', async () => {
    await make();
    const client = await open('/Task');
    await client.ask({ type: 'subscribe' });
    for (let i = 0; i < 10; i++) client.say({ type: 'put', id: i, key: String(i), record: {} });
    await until('the first is answered', () => client.told.includes('written 0'));
    await world.sockets.end([world.note]);
    expect(world.sockets.size).toBe(1);
    await world.sockets.end([world.task]);
    expect(await client.closed()).toBe(1012);
    const kept = await world.store.count(world.task.number);
    expect(client.heard.filter(({ type }) => type === 'written')).toHaveLength(kept);
  });

  test('the host closes every socket with 1012, also one that does not answer', async () => {
    await make();
    const client = await open('/Task');
    await raw('/Task');
    await world.sockets.close();
    expect(await client.closed()).toBe(1012);
    expect(world.sockets.size).toBe(0);
    const late = await open('/Task');
    expect(await late.closed()).toBe(1012);
  });
});
