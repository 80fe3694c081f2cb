import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import http, { type RequestListener } from 'node:http';
import https from 'node:https';
import net, { type AddressInfo, type Server } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { OutgoingRequest } from '../src/binding/outgoing.js';
import { Outgoing } from '../src/host/outgoing.js';
import { CoreBench, type Life } from './load/core-bench.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

const cancelled = '9';

interface Done {
  outcome: string;
  status: string;
  size: string;
  headers: string;
  body: string;
  message: string;
}

let bench: CoreBench;
let outgoing: Outgoing;
let asked: OutgoingRequest[];
let ends: (() => unknown)[];
let number = 0;

/** What the plugin was told of the request that it calls `own`. */
function toldOf(own: number): Done | undefined {
  const record = bench.log.find(({ message, fields }) => message === 'done' && fields['number'] === String(own));
  return record?.fields as Done | undefined;
}

/** Have the plugin ask; its own number, and the host's. */
async function start(query: Record<string, string>, body = ''): Promise<{ own: number; given: string }> {
  const own = ++number;
  return { own, given: await bench.post('/start', { own: String(own), ...query }, body) };
}

/** Have the plugin ask; what it was told in the end. */
async function fetch(query: Record<string, string>, body = ''): Promise<Done> {
  const { own, given } = await start(query, body);
  expect(given).toMatch(/^\d+$/);
  await until(`an end of ${JSON.stringify(query)}`, () => toldOf(own) !== undefined);
  return toldOf(own) as Done;
}

async function listen(server: Server): Promise<number> {
  const sockets = new Set<net.Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {}); // the other side may break it
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  ends.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => {
      server.close(resolve);
    });
  });
  return (server.address() as AddressInfo).port;
}

async function serve(listener: RequestListener): Promise<string> {
  return `http://127.0.0.1:${await listen(http.createServer(listener))}`;
}

/** Writes `text` to everybody who has said something, and does no more. */
async function say(text: string, then: (socket: net.Socket) => void = () => {}): Promise<string> {
  const server = net.createServer((socket) => {
    socket.once('data', () => socket.write(text, () => then(socket)));
  });
  return `http://127.0.0.1:${await listen(server)}`;
}

let life: Life | undefined;

beforeEach(async () => {
  ends = [];
  asked = [];
  bench = new CoreBench('outgoing', {
    onFetch: (requests) => {
      asked.push(...requests);
      outgoing.take(requests);
    },
  });
  outgoing = new Outgoing((which, answer) => bench.front.fetched(which, answer));
  life = await bench.start();
});

afterEach(async () => {
  bench.plugin.swap(null);
  if ((await life?.end()) === false) throw new Error('its calls did not end');
  outgoing.close();
  bench.close();
  for (const end of ends.reverse()) await end();
});

describe('a plugin that asks another server', () => {
  test('is told what it answers', async () => {
    const url = await serve((request, response) => {
      const pieces: Buffer[] = [];
      request.on('data', (piece: Buffer) => pieces.push(piece));
      request.on('end', () => {
        response.writeHead(418, { 'X-Two': ['1', '2'], 'X-Latin': 'caf\u00e9' });
        const { method, url: target, headers } = request;
        response.end(JSON.stringify({ method, target, headers, body: Buffer.concat(pieces).toString() }));
      });
    });
    const done = await fetch({ url: `${url}/a%20b?c=d#e`, method: 'PUT', name: 'X-Asked', value: 'yes' }, 'what');
    expect(done).toMatchObject({ outcome: '0', status: '418', message: '' });
    const seen = JSON.parse(done.body) as { headers: Record<string, string> };
    expect(seen).toMatchObject({ method: 'PUT', target: '/a%20b?c=d', body: 'what' });
    expect(seen.headers).toMatchObject({ host: url.slice(7), 'x-asked': 'yes', 'content-length': '4' });
    expect(done.headers).toContain('x-two: 1\nx-two: 2\n');
    expect(done.size).toBe(String(Buffer.byteLength(done.body)));
  });

  test('frames a body of any method, and none where there is none', async () => {
    const url = await serve((request, response) => {
      let size = 0;
      request.on('data', (piece: Buffer) => (size += piece.byteLength));
      request.on('end', () => response.end(`${request.headers['content-length']} ${size}`));
    });
    expect((await fetch({ url, method: 'GET' }, 'four')).body).toBe('4 4');
    expect((await fetch({ url, method: 'DELETE' }, 'four')).body).toBe('4 4');
    expect((await fetch({ url, method: 'GET' })).body).toBe('undefined 0');
    expect((await fetch({ url, method: 'POST' })).body).toBe('0 0');
  });

  test('is not sent elsewhere', async () => {
    const url = await serve((request, response) => {
      expect(request.url).toBe('/');
      response.writeHead(302, { location: '/elsewhere' }).end();
    });
    expect(await fetch({ url })).toMatchObject({ outcome: '0', status: '302', size: '0' });
  });

  test('gets a body as large as the limit, and no larger', async () => {
    const limit = 64 * 1024 * 1024;
    const piece = Buffer.alloc(1024 * 1024, 'x');
    const url = await serve((request, response) => {
      const [, length = '0'] = request.url?.split('?') ?? [];
      let left = Number(length);
      const more = (): void => {
        while (left > 0) {
          const part = piece.subarray(0, Math.min(left, piece.byteLength));
          left -= part.byteLength;
          if (!response.write(part)) {
            response.once('drain', more);
            return;
          }
        }
        response.end();
      };
      more();
    });
    expect(await fetch({ url: `${url}/?${limit}` })).toMatchObject({ outcome: '0', size: String(limit) });
    const { outcome, message } = await fetch({ url: `${url}/?${limit + 1}` });
    expect([outcome, message]).toEqual(['1', `${url.slice(7)} answered with more than ${limit} bytes`]);
  });

  test('uses a connection again, and asks once more on a fresh one when it was closed before, if nothing changes by that', async () => {
    const answered = new Map<net.Socket, number>();
    const server = http.createServer((request, response) => {
      const count = answered.get(request.socket) ?? 0;
      answered.set(request.socket, count + 1);
      if (count === 2) request.socket.resetAndDestroy();
      else response.end(`${answered.size} ${count}`);
    });
    const url = `http://127.0.0.1:${await listen(server)}`;
    expect((await fetch({ url })).body).toBe('1 0');
    expect((await fetch({ url })).body).toBe('1 1');
    expect((await fetch({ url })).body).toBe('2 0');
    expect((await fetch({ url })).body).toBe('2 1');
    expect(await fetch({ url, method: 'POST' }, 'x')).toMatchObject({
      outcome: '1',
      message: `${url.slice(7)} broke the connection before its answer was complete`,
    });
    expect(answered.size).toBe(2);
  });

  test('reads nothing of a server whose certificate nobody trusts, whatever the environment allows', async () => {
    const directory = await mkdtemp(path.join(os.tmpdir(), 'tenon-certificate-'));
    ends.push(() => rm(directory, { recursive: true }));
    const [key, cert] = [path.join(directory, 'key.pem'), path.join(directory, 'cert.pem')];
    const words = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    execFileSync('openssl', [...words, '-keyout', key, '-out', cert, '-subj', '/CN=localhost'], { stdio: 'ignore' });
    let requests = 0;
    const server = https.createServer({ key: await readFile(key), cert: await readFile(cert) }, (_, response) => {
      requests++;
      response.end('secret');
    });
    const port = await listen(server);
    for (const allowed of ['1', '0']) {
      vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', allowed);
      const done = await fetch({ url: `https://127.0.0.1:${port}/` });
      vi.unstubAllEnvs();
      expect(done).toMatchObject({ outcome: '1', status: '0', body: '' });
      expect(done.message).toBe(
        `the certificate of 127.0.0.1:${port} is not trusted: self-signed certificate (DEPTH_ZERO_SELF_SIGNED_CERT)`,
      );
    }
    expect(requests).toBe(0);
  });
});

describe('a server that misbehaves is named, and costs nothing more:', () => {
  test('it is not there', async () => {
    const server = net.createServer();
    const port = await listen(server);
    await ends.pop()?.();
    const done = await fetch({ url: `http://127.0.0.1:${port}/` });
    expect(done).toMatchObject({ outcome: '1', message: `127.0.0.1:${port} refused the connection` });
  });

  test('it has no name', async () => {
    const { outcome, message } = await fetch({ url: 'http://nobody.invalid/' });
    expect(outcome).toBe('1');
    expect(message).toMatch(/^there is no host of the name nobody\.invalid$|^the name nobody\.invalid could not/);
  });

  test('the URL is none', async () => {
    expect(await fetch({ url: 'http://[::1' })).toMatchObject({ outcome: '1', message: 'the URL is none' });
    expect(await fetch({ url: 'http://host:99999/' })).toMatchObject({ outcome: '1', message: 'the URL is none' });
  });

  test('it never answers', async () => {
    const url = await say('');
    const { outcome, message } = await fetch({ url, deadline: '300' });
    expect(outcome).toBe(cancelled);
    expect(message).toMatch(new RegExp(`^${url.slice(7)} did not answer in the \\d+ ms there were$`));
  });

  test('it never ends', async () => {
    let written = 0;
    const url = await serve((_, response) => {
      const more = (): void => {
        if (response.destroyed) return;
        written += 1;
        response.write('x', () => setTimeout(more, 5));
      };
      more();
    });
    expect((await fetch({ url, deadline: '300' })).outcome).toBe(cancelled);
    expect(written).toBeGreaterThan(0);
  });

  test('it breaks the connection, before its answer and in the middle of it', async () => {
    const before = await say('', (socket) => socket.resetAndDestroy());
    const middle = await say('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf', (socket) => socket.destroy());
    for (const url of [before, middle])
      expect(await fetch({ url })).toMatchObject({
        outcome: '1',
        message: `${url.slice(7)} broke the connection before its answer was complete`,
      });
  });

  test('it does not speak HTTP, or too much of it', async () => {
    const other = await say('220 mail ready\r\n');
    expect((await fetch({ url: other })).message).toMatch(/did not answer in HTTP: .*\(HPE_/);
    const both = await say('HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n');
    expect((await fetch({ url: both })).message).toMatch(/did not answer in HTTP/);
    const large = await say(`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(70_000)}\r\n\r\n`);
    expect((await fetch({ url: large })).message).toMatch(/too large headers/);
    const odd = await say('HTTP/1.1 799 Odd\r\nContent-Length: 0\r\n\r\n');
    expect((await fetch({ url: odd })).message).toMatch(/status 799, which is none/);
    const changed = await say('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n');
    expect((await fetch({ url: changed })).message).toMatch(/changed the protocol|broke the connection/);
  });
});

describe('a request', () => {
  test('is sent from ready until shutdown only, and within its bounds', async () => {
    const early = bench.log.find(({ message }) => message === 'early');
    expect(early?.fields['status']).toBe('3');
    expect((await start({ url: 'ftp://example.test/' })).given).toBe('status 2');
    expect((await start({ url: 'http://example.test/', name: 'Host', value: 'x' })).given).toBe('status 2');
    expect(asked).toEqual([]);
  });

  test('that is cancelled leaves its server alone', async () => {
    let arrived = false;
    let gone = false;
    const url = await serve((request) => {
      arrived = true;
      request.socket.on('close', () => (gone = true));
    });
    const { own, given } = await start({ url });
    await until('the server has it', () => arrived);
    expect(await bench.post('/cancel', { number: given })).toBe('status 0');
    await until('its end', () => toldOf(own) !== undefined);
    expect(toldOf(own)).toMatchObject({ outcome: cancelled, message: 'it was cancelled' });
    expect(await bench.post('/cancel', { number: given })).toBe('status 6');
    await until('the connection is closed', () => gone);
  });

  test('that is open when its generation is taken down ends before shutdown, and its server is left alone', async () => {
    let open = 0;
    const url = await serve((request) => {
      open++;
      request.socket.on('close', () => open--);
    });
    const { own } = await start({ url });
    await until('the server has it', () => open === 1);
    const first = life as Life;
    const second = await bench.start({ defines: { PLUGIN_VERSION: '"2.0.0"' } });
    life = second;
    expect(await first.end()).toBe(true);
    const trace = bench.log.filter(({ generation }) => generation === 1).map(({ message }) => message);
    expect(trace).toEqual(['early', 'done', 'shutdown', 'late']);
    expect(toldOf(own)).toMatchObject({ outcome: cancelled, message: 'the plugin is being replaced or stopped' });
    expect(bench.log.find(({ message }) => message === 'late')?.fields['status']).toBe('3');
    await until('the server is left alone', () => open === 0);
  });

  test('that is open when the host closes is cancelled, and none is made afterwards', async () => {
    let open = 0;
    const url = await serve(() => open++);
    const { own } = await start({ url });
    await until('the server has it', () => open === 1);
    outgoing.close();
    outgoing.close();
    await until('its end', () => toldOf(own) !== undefined);
    expect(toldOf(own)).toMatchObject({ outcome: cancelled, message: 'the host is shutting down' });
    expect(await fetch({ url })).toMatchObject({ outcome: cancelled, message: 'the host is shutting down' });
    expect(open).toBe(1);
  });
});

describe('a host', () => {
  test('makes requests for its plugins, from one generation to the next, until it closes', async () => {
    const world = await World.make();
    ends.push(() => world.close());
    const held = new Set<net.Socket>();
    const url = await serve((request, response) => {
      if (request.url === '/answer') response.end('here');
      else held.add(request.socket);
    });
    const begin = async (own: number, target: string): Promise<void> => {
      const query = new URLSearchParams({ own: String(own), url: `${url}${target}` });
      const { body } = await world.request('POST', `/outgoing/start?${query.toString()}`);
      expect(body).toMatch(/^\d+$/);
    };
    const outcomeOf = (own: number): string | undefined =>
      world.log.find(({ msg, fields }) => msg === 'done' && fields?.['number'] === String(own))?.fields?.['outcome'];
    const said = (which: number): string[] =>
      world.log.filter(({ plugin, generation }) => plugin === 'outgoing' && generation === which).map(({ msg }) => msg);

    await world.publish('outgoing', await buildPlugin('outgoing'));
    await world.start();
    expect(readFileSync(path.join(world.data, 'token-key')).byteLength).toBe(32);
    await begin(1, '/hold');
    await until('the server has it', () => held.size === 1);
    await world.publish('outgoing', await buildPlugin('outgoing', { defines: { PLUGIN_VERSION: '"2.0.0"' } }));
    await world.host.reload('outgoing');
    await until('its end', () => outcomeOf(1) !== undefined && said(1).includes('late'));
    expect(outcomeOf(1)).toBe(cancelled);
    const first = said(1);
    expect(first.indexOf('done')).toBeGreaterThanOrEqual(0);
    expect(first.indexOf('done')).toBeLessThan(first.indexOf('shutdown'));
    expect(world.host.plugin('outgoing').generations.map(({ number: which }) => which)).toEqual([2]);

    await begin(2, '/answer');
    await until('its end', () => outcomeOf(2) !== undefined);
    expect(outcomeOf(2)).toBe('0');
    await begin(3, '/hold');
    await until('the server has it', () => held.size === 2);
    await world.close();
    expect(outcomeOf(3)).toBe(cancelled);
    expect(said(2).indexOf('shutdown')).toBeGreaterThan(said(2).lastIndexOf('done'));
  });
});
