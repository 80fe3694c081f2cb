import { once } from 'node:events';
import { connect, type NetConnectOpts, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { answersIn, exchange } from './edge/raw-client.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

const limits = {
  headersMs: 300,
  requestMs: 600,
  keepAliveMs: 1_000,
  stallMs: 400,
};

let world: World;

beforeAll(async () => {
  world = await World.make();
  await world.publish('service', await buildPlugin('service'));
  await world.start(limits);
});
afterAll(() => world.close());

const build = 'GET /service/build HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';

function open(options: Partial<NetConnectOpts> = {}): Socket {
  const socket = connect({ port: Number(new URL(world.url).port), host: '127.0.0.1', ...options });
  socket.on('error', () => {}); // its close says it
  return socket;
}

const counted = (message: string): number =>
  world.log.filter(({ msg }) => msg.startsWith(message)).reduce((sum, { count }) => sum + Number(count), 0);

describe('a client that is slow', () => {
  test.each([
    ['to send a head', 'X-Slow: and slower\r\n', 'GET /service/build HTTP/1.1\r\nHost: x\r\n'],
    ['to send a body', 'x', 'POST /service/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n'],
    [
      'to send a chunked body',
      '1\r\nx\r\n',
      'POST /service/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n',
    ],
  ])('%s is answered 408, and the connection ends', async (_what, more, head) => {
    const socket = open();
    socket.write(head);
    let answer = '';
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      answer += chunk;
    });
    let at = 0;
    const timer = setInterval(() => socket.write(more[at++ % more.length] ?? ''), 20);
    await once(socket, 'close');
    clearInterval(timer);
    const [only, ...others] = answersIn(answer);
    expect([only?.status, only?.headers.get('connection'), others]).toEqual([408, 'close', []]);
    expect(JSON.parse(only?.body ?? '')).toMatchObject({ error: 'RequestTimeout', status: 408 });
  });

  test('to begin is closed without a word', async () => {
    expect(await exchange(world.url, '')).toBe('');
  });

  test('to come again finds its connection closed, after the time that it was told', async () => {
    const answer = await exchange(world.url, build.replace('close', 'keep-alive'));
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    expect(answer).toContain('Keep-Alive: timeout=1\r\n');
  });

  test('to read, at a pace, gets all of an answer', async () => {
    const socket = open();
    let size = 0;
    socket.write('GET /service/stream?chunks=64 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    socket.on('data', (chunk: Buffer) => {
      size += chunk.length;
      socket.pause();
      setTimeout(() => socket.resume(), 2);
    });
    await once(socket, 'close');
    expect(size).toBeGreaterThan(64 * 64 * 1024);
  });
});

describe('a client that takes nothing of an answer', () => {
  test.each([
    ['of a plugin', '/service/big?bytes=64000000'],
    ['of a plugin that streams', '/service/stream?chunks=10000'],
  ])('%s is cut off, and that is told', async (_whose, target) => {
    const before = counted('clients took nothing');
    const socket = open();
    socket.pause();
    socket.write(`GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await until('it is told', () => counted('clients took nothing') === before + 1);
    socket.resume();
    await once(socket, 'close');
    expect((await world.get('/service/build')).body).toBe('one');
  });

  test('is told to the plugin that streams', async () => {
    await expect.poll(async () => (await world.get('/service/cancelled')).body).toBe('yes');
  });
});

describe('connections', () => {
  const most = { connectionLimit: 24, addressConnectionLimit: 16 };
  let shared: World;
  beforeAll(async () => {
    shared = world;
    world = await World.make();
    await world.publish('service', await buildPlugin('service'));
    await world.start(most);
  });
  afterAll(async () => {
    await world.close();
    world = shared;
  });

  test('over the limit of an address are answered 503, of which the log tells once a second', async () => {
    const before = counted('too many connections');
    const linesBefore = world.log.length;
    const held = Array.from({ length: most.addressConnectionLimit }, () => open());
    await Promise.all(held.map((socket) => once(socket, 'connect')));
    const answers = await Promise.all(Array.from({ length: 50 }, () => exchange(world.url, build)));
    for (const answer of answers) {
      const [only] = answersIn(answer);
      expect([only?.status, only?.headers.get('retry-after'), only?.headers.get('connection')]).toEqual([
        503,
        '1',
        'close',
      ]);
      expect(JSON.parse(only?.body ?? '')).toMatchObject({ error: 'TooManyConnections' });
    }
    await until('all are told of', () => counted('too many connections') === before + 50);
    expect(world.log.slice(linesBefore).filter(({ msg }) => msg.startsWith('too many')).length).toBeLessThan(5);
    const elsewhere = open({ localAddress: '127.0.0.2' });
    elsewhere.write(build);
    const [answer] = (await once(elsewhere, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 200 /);
    elsewhere.destroy();
    for (const socket of held) socket.destroy();
    await until('there is room again', async () => (await exchange(world.url, build)).startsWith('HTTP/1.1 200'));
  });

  test('over the limit of all addresses are answered 503', async () => {
    const half = most.connectionLimit / 2;
    const held = ['127.0.0.3', '127.0.0.4'].flatMap((localAddress) =>
      Array.from({ length: half }, () => open({ localAddress })),
    );
    await Promise.all(held.map((socket) => once(socket, 'connect')));
    expect(answersIn(await exchange(world.url, build))[0]?.status).toBe(503);
    for (const socket of held) socket.destroy();
    await until('there is room again', async () => (await exchange(world.url, build)).startsWith('HTTP/1.1 200'));
  });
});

test('requests on one connection are answered in order, whatever they cost', async () => {
  const targets = ['/service/slow?ms=30', '/service/items/1', '/service/big?bytes=3', '/nowhere', '/service/items/2'];
  const requests = targets.map((target) => `GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`);
  const answers = answersIn(await exchange(world.url, requests.join('') + build));
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 404, 200, 200]);
  expect([1, 4].map((at) => answers[at]?.body)).toEqual(['1', '2']);
});

test('clients that abort in the middle of anything cost nobody else', async () => {
  const targets = ['/service/slow?ms=5', '/service/stream?chunks=50', '/service/big?bytes=1000000', '/service/build'];
  for (let round = 0; round < 20; round++) {
    const sockets = targets.map((target) => {
      const socket = open();
      socket.write(`GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`);
      return socket;
    });
    await once(sockets[3] as Socket, 'data');
    for (const socket of sockets) socket.resetAndDestroy();
    expect((await exchange(world.url, build)).startsWith('HTTP/1.1 200')).toBe(true);
  }
});
