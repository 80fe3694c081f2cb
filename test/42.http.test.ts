import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { Agent, createServer, request as send } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import path from 'node:path';
import express from 'express';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createHost } from '../src/index.js';
import { isIsolated } from './load/isolation.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

interface Raw {
  status: number;
  /** Names and values in turn, as they came. */
  rawHeaders: string[];
  body: string;
}

describe('HTTP', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.make();
    await world.publish('service', await buildPlugin('service'));
    await world.start({ drainMs: 500, lifecycleMs: 500 });
  });
  afterAll(() => world.close());

  function raw(method: string, target: string, headers: string[] = [], body?: string): Promise<Raw> {
    return new Promise((resolve, reject) => {
      const { hostname, port } = new URL(world.url);
      const fields: Record<string, string[]> = {};
      for (let i = 0; i + 1 < headers.length; i += 2) (fields[headers[i] ?? ''] ??= []).push(headers[i + 1] ?? '');
      const outgoing = send({ hostname, port, method, path: target, headers: fields, agent: false }, (answer) => {
        let text = '';
        answer.setEncoding('latin1');
        answer.on('data', (chunk: string) => {
          text += chunk;
        });
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, rawHeaders: answer.rawHeaders, body: text }));
        answer.on('error', reject);
      });
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  }

  /** Send bytes as they are, and read until the server closes. */
  function wire(text: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const { hostname, port } = new URL(world.url);
      const socket = connect(Number(port), hostname, () => socket.write(text));
      let answer = '';
      socket.setEncoding('latin1');
      socket.on('data', (chunk: string) => {
        answer += chunk;
      });
      socket.on('end', () => socket.end());
      socket.on('close', () => resolve(answer));
      socket.on('error', reject);
    });
  }

  test('parameters, rest and query reach the plugin', async () => {
    expect((await world.get('/service/items/a%20b?x=1')).body).toBe('a b');
    expect((await world.get(`/service/items/${'x'.repeat(500)}`)).body).toBe('x'.repeat(500));
    expect((await world.get('/service/files/one/two.txt')).body).toBe('one/two.txt');
    expect((await world.get('/service/slow?ms=1')).body).toBe('one');
  });

  test('a target in absolute form is served', async () => {
    const answer = await wire(`GET ${world.url}/service/items/9 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    expect(answer).toMatch(/\r\n9$/);
  });

  test('headers reach the plugin as they came: order, case, duplicates', async () => {
    const { body } = await raw('GET', '/service/seen', [
      'X-Second',
      'b',
      'x-first',
      'a',
      'X-Twice',
      '1',
      'X-Twice',
      '2',
    ]);
    expect(body).toMatch(/^X-Second: b\nx-first: a\nX-Twice: 1\nX-Twice: 2\n/);
  });

  test('headers of the plugin reach the client, duplicates too, with the length', async () => {
    const { status, rawHeaders } = await raw('GET', '/service/cookies');
    expect(status).toBe(201);
    const pairs = rawHeaders.flatMap((name, i) => (i % 2 === 0 ? [`${name.toLowerCase()}: ${rawHeaders[i + 1]}`] : []));
    expect(pairs).toEqual(
      expect.arrayContaining(['set-cookie: a=1', 'set-cookie: b=2', 'x-build: one', 'content-length: 0']),
    );
  });

  test('a body goes in and comes out, byte for byte', async () => {
    const bytes = String.fromCharCode(...Array.from({ length: 256 }, (_, code) => code));
    const answer = await fetch(`${world.url}/service/echo`, { method: 'POST', body: Buffer.from(bytes, 'latin1') });
    expect(Buffer.from(await answer.arrayBuffer()).toString('latin1')).toBe(bytes);
  });

  test('a chunked body is read as a whole', async () => {
    const chunks = ['3\r\nabc\r\n', '2\r\nde\r\n', '0\r\n\r\n'].join('');
    const head = 'POST /service/echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n';
    expect(await wire(head + chunks)).toMatch(/\r\nabcde$/);
  });

  test('a body over the limit of the route is 413, announced or not', async () => {
    const announced = await world.request('POST', '/service/echo', { body: 'x'.repeat(1001) });
    expect(announced.status).toBe(413);
    expect(JSON.parse(announced.body)).toMatchObject({ error: 'BodyTooLarge', details: { limit: 1000 } });
    const stream = new Blob(['x'.repeat(5000)]).stream();
    const init = { body: stream, duplex: 'half' } as RequestInit;
    expect((await world.request('POST', '/service/echo', init)).status).toBe(413);
    expect((await world.request('POST', '/service/echo', { body: 'x'.repeat(1000) })).status).toBe(200);
  });

  test('a client that asks before it sends a body hears no or yes at once', async () => {
    const ask = (length: number, body: string): Promise<string> =>
      wire(
        `POST /service/echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: ${length}\r\n` +
          `${body === '' ? '' : 'Connection: close\r\n'}\r\n${body}`,
      );
    expect(await ask(1001, '')).toMatch(/^HTTP\/1\.1 413 [\s\S]*\r\nconnection: close\r\n/i);
    expect(await ask(5, 'abcde')).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 [\s\S]*\r\nabcde$/);
  });

  test('a client that leaves in the middle of its body disturbs nobody', async () => {
    const { hostname, port } = new URL(world.url);
    await new Promise<void>((resolve) => {
      const socket = connect(Number(port), hostname, () => {
        socket.write('POST /service/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nabc', () =>
          socket.destroy(),
        );
      });
      socket.on('close', () => resolve());
    });
    expect((await world.request('POST', '/service/echo', { body: 'after' })).body).toBe('after');
  });

  test('a request that offers another protocol is an ordinary one, with its body, and the connection goes on', async () => {
    const { hostname, port } = new URL(world.url);
    const socket = connect(Number(port), hostname);
    let answer = '';
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      answer += text;
    });
    const offer = 'Host: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n';
    socket.write(`POST /service/echo HTTP/1.1\r\n${offer}Content-Length: 10\r\n\r\nfirst`);
    socket.write(' half');
    await until('the body came back', () => answer.includes('first half'));
    socket.write(`POST /service/echo HTTP/1.1\r\n${offer}Transfer-Encoding: chunked\r\n\r\n6\r\nchunks\r\n0\r\n\r\n`);
    await until('the next one too', () => answer.includes('chunks'));
    socket.write(`GET /service/build HTTP/1.1\r\n${offer}\r\nGET /service/build HTTP/1.1\r\nHost: x\r\n\r\n`);
    const answered = (): number => answer.match(/HTTP\/1\.1 200 /g)?.length ?? 0;
    await until('all are answered', () => answered() === 4);
    // Behind one that is not answered yet, which another protocol must not write into.
    const slow = 'GET /service/slow?ms=100 HTTP/1.1\r\nHost: x\r\n\r\n';
    socket.write(`${slow}${slow}GET /service/build HTTP/1.1\r\n${offer}\r\n`);
    await until('they are answered one after the other', () => answered() === 7);
    const ended = once(socket, 'close');
    const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n';
    socket.write(`${slow}GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${key}\r\n`);
    await ended;
    expect([answered(), /HTTP\/1\.1 404 /.test(answer)]).toEqual([8, true]);
  });

  test('HEAD is served by the route of GET, without the body', async () => {
    const { status, rawHeaders, body } = await raw('HEAD', '/service/build');
    expect({ status, body }).toEqual({ status: 200, body: '' });
    expect(rawHeaders.map((text) => text.toLowerCase())).toContain('text/plain');
  });

  test('another method is 405 with Allow; OPTIONS tells the same; an unknown path is 404', async () => {
    const wrong = await world.request('DELETE', '/service/build');
    expect(wrong.status).toBe(405);
    expect(wrong.headers.get('allow')).toBe('GET, HEAD, OPTIONS');
    expect(wrong.headers.get('content-type')).toBe('application/problem+json');
    const options = await world.request('OPTIONS', '/service/echo');
    expect({ status: options.status, allow: options.headers.get('allow') }).toEqual({
      status: 204,
      allow: 'POST, OPTIONS',
    });
    const nowhere = await world.get('/service/nowhere?x=1');
    expect(nowhere.status).toBe(404);
    expect(JSON.parse(nowhere.body)).toMatchObject({ error: 'RouteNotFound', details: { path: '/service/nowhere' } });
  });

  test.each(['/service/items/%zz', '/service/items/%ff', '/service/build%2', '/%', '/plugins/%', '/%zz?x=1'])(
    'a path that is no text is 400: %s',
    async (target) => {
      const { status, body } = await raw('GET', target);
      expect(status).toBe(400);
      expect(JSON.parse(body)).toMatchObject({ error: 'BadRequest', details: { path: target.replace('?x=1', '') } });
    },
  );

  test('an escape that is broken in the query only is the business of the plugin', async () => {
    expect((await raw('GET', '/service/items/%25?x=%zz')).body).toBe('%');
  });

  test('the type of a problem is the address of its explanation', async () => {
    const { type } = JSON.parse((await world.get('/service/nowhere')).body) as { type: string };
    const address = new URL(type, `${world.url}/service/nowhere`);
    const page = await world.get(address.pathname);
    expect(page.status).toBe(200);
    expect(page.body).toContain(`<a id="${address.hash.slice(1)}"></a>\`RouteNotFound\``);
  });

  test('a failure of the plugin is a problem with its sentence', async () => {
    const { status, headers, body } = await world.get('/service/fail');
    expect(status).toBe(500);
    expect(headers.get('content-type')).toBe('application/problem+json');
    const problem = JSON.parse(body) as Record<string, unknown>;
    expect(problem).toMatchObject({
      title: 'The plugin failed to answer',
      status: 500,
      error: 'HandlerFailed',
      message: 'the shelf is empty',
      detail: 'the shelf is empty',
      details: { plugin: 'service', route: 'GET /service/fail' },
    });
    expect(problem['requestId']).toMatch(/./);
    expect(world.log.find((line) => line['requestId'] === problem['requestId'])).toMatchObject({
      plugin: 'service',
      generation: 1,
    });
  });

  test('a missed deadline is 504, and others are served meanwhile', async () => {
    const hanging = world.get('/service/hang');
    expect((await world.get('/service/slow?ms=1')).body).toBe('one');
    const { status, body } = await hanging;
    expect(status).toBe(504);
    expect(JSON.parse(body)).toMatchObject({ error: 'DeadlineExceeded' });
  });

  test('a long stream comes whole, through a client that reads slowly', async () => {
    const { hostname, port } = new URL(world.url);
    const size = await new Promise<number>((resolve, reject) => {
      send({ hostname, port, path: '/service/stream?chunks=64', agent: false }, (answer) => {
        let total = 0;
        answer.on('readable', () => {
          const piece = answer.read(50_000) ?? answer.read();
          if (piece !== null) total += (piece as Buffer).length;
          setTimeout(() => answer.emit('readable'), 1).unref();
        });
        answer.on('end', () => resolve(total));
        answer.on('error', reject);
      })
        .on('error', reject)
        .end();
    });
    expect(size).toBe(64 * 64 * 1024);
  });

  test('a client that leaves a stream is told to the plugin', async () => {
    expect((await world.get('/service/cancelled')).body).toBe('no');
    const { hostname, port } = new URL(world.url);
    const outgoing = send({ hostname, port, path: '/service/stream?chunks=100000', agent: false }, (answer) => {
      answer.once('data', () => outgoing.destroy());
      answer.on('error', () => {});
    });
    outgoing.on('error', () => {});
    outgoing.end();
    await until('the plugin has noticed', async () => (await world.get('/service/cancelled')).body === 'yes');
  });

  test('a client that leaves takes along what it asked for behind an unfinished answer', async () => {
    const leases = (): number => world.host.plugin('service').generations[0]?.leases ?? 0;
    const before = leases(); // a call that hangs for ever keeps its own
    const { hostname, port } = new URL(world.url);
    const get = (target: string): string => `GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`;
    const post = 'POST /service/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc';
    const socket = connect(Number(port), hostname, () =>
      socket.write(get('/service/slow?ms=300') + post + get('/service/stream?chunks=100000').repeat(4)),
    );
    await until('its calls are in', () => leases() >= before + 4);
    socket.destroy();
    await until('they are given up', () => leases() === before);
    expect((await world.get('/service/slow?ms=1')).body).toBe('one');
  });

  test('HEAD of a stream ends with the head', async () => {
    expect(await raw('HEAD', '/service/stream?chunks=100000')).toMatchObject({ status: 200, body: '' });
  });

  test('requests on one connection are answered in order', async () => {
    const get = (target: string, close = ''): string => `GET ${target} HTTP/1.1\r\nHost: x\r\n${close}\r\n`;
    const text =
      get('/service/slow?ms=50') + get('/service/items/2') + get('/service/items/3', 'Connection: close\r\n');
    const bodies = [...(await wire(text)).matchAll(/\r\n\r\n([^H]*)/g)].map((match) => match[1]);
    expect(bodies).toEqual(['one', '2', '3']);
  });

  test('the host answers for itself: alive, ready, plugins', async () => {
    expect((await world.get('/livez')).body).toBe('ok\n');
    expect((await world.get('/readyz')).status).toBe(200);
    const verbose = JSON.parse((await world.get('/readyz?verbose')).body) as Record<string, unknown>;
    expect(verbose).toMatchObject({ ready: true, plugins: [{ id: 'service', state: 'running', generation: 1 }] });
    const { plugins } = JSON.parse((await world.get('/plugins')).body) as { plugins: Record<string, unknown>[] };
    expect(plugins).toMatchObject([{ id: 'service', version: '1.0.0', state: 'running' }]);
    expect(plugins[0]).not.toHaveProperty('folder');
    expect(JSON.parse((await world.get('/plugins/service')).body)).toMatchObject({ id: 'service' });
    const missing = await world.get('/plugins/nobody');
    expect({ status: missing.status, error: (JSON.parse(missing.body) as { error: string }).error }).toEqual({
      status: 404,
      error: 'PluginNotFound',
    });
  });

  test('the admin API wants the token', async () => {
    const calls = [
      'GET /api/v1/plugins',
      'POST /api/v1/plugins/service/reload',
      'GET /api/v1/reloads',
      'GET /api/v1/nothing',
    ];
    for (const call of calls) {
      const [method = '', target = ''] = call.split(' ');
      for (const authorization of [
        undefined,
        'Bearer ',
        'Bearer wrong',
        'Basic a-token-of-the-tests',
        'Bearer a-token-of-the-test',
      ]) {
        const init = authorization === undefined ? {} : { headers: { authorization } };
        const { status, headers } = await world.request(method, target, init);
        expect({ call, authorization, status }).toEqual({ call, authorization, status: 401 });
        expect(headers.get('www-authenticate')).toContain('Bearer');
      }
    }
    expect((await world.get('/api/v1/plugins?token=a-token-of-the-tests')).status).toBe(401);
    expect(world.events.filter((event) => event.type === 'reload.started').length).toBe(1);
  });

  test('the admin API lists, reloads, unloads and loads', async () => {
    const list = await world.admin('GET', '/api/v1/plugins');
    expect(JSON.parse(list.body)).toMatchObject({ plugins: [{ id: 'service', generations: [{ state: 'ready' }] }] });
    // A thread of the first generation hangs: the same bytes are loaded anew, and then they may stay. A process that hangs is none.
    const hung = isIsolated ? 0 : 1;
    const lost = (): boolean => world.host.plugin('service').generations.some(({ threads }) => threads.lost > 0);
    await until('a process that hangs has ended', () => !isIsolated || !lost());
    for (const status of ['reloaded', 'unchanged'].slice(1 - hung)) {
      const same = await world.admin('POST', '/api/v1/plugins/service/reload');
      expect({ status: same.status, body: JSON.parse(same.body) as unknown }).toMatchObject({
        status: 200,
        body: { status, plugin: { id: 'service', version: '1.0.0', generation: 1 + hung } },
      });
    }
    await world.publish('service', await buildPlugin('service', { defines: { BUILD: '"two"' } }));
    const reloaded = await world.admin('POST', '/api/v1/plugins/service/reload');
    expect(JSON.parse(reloaded.body)).toMatchObject({ status: 'reloaded', plugin: { generation: 2 + hung } });
    expect(JSON.parse((await world.admin('POST', '/api/v1/plugins/service/unload')).body)).toMatchObject({
      status: 'unloaded',
    });
    const absent = await world.get('/service/build');
    expect([absent.status, JSON.parse(absent.body)]).toMatchObject([503, { error: 'PluginStopped' }]);
    expect(absent.body).toContain('/api/v1/plugins/service/load');
    expect(JSON.parse((await world.admin('POST', '/api/v1/plugins/service/load')).body)).toMatchObject({
      status: 'loaded',
    });
    expect((await world.get('/service/build')).body).toBe('two');
    const reloads = JSON.parse((await world.admin('GET', '/api/v1/reloads?plugin=service&limit=2')).body) as {
      reloads: unknown[];
    };
    expect(reloads.reloads.length).toBe(2);
    expect((await world.admin('GET', '/api/v1/reloads?limit=none')).status).toBe(400);
    expect((await world.admin('POST', '/api/v1/plugins/nobody/reload')).status).toBe(404);
    expect((await world.admin('GET', '/api/v1/nothing')).status).toBe(404);
  });

  test('a connection is kept for the next request', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const { hostname, port } = new URL(world.url);
    const ports = new Set<number | undefined>();
    for (const target of ['/service/build', '/service/slow?ms=1', '/service/fail', '/livez', '/service/nowhere'])
      await new Promise<void>((resolve, reject) => {
        send({ hostname, port, path: target, agent }, (answer) => {
          ports.add(answer.socket.localPort);
          answer.resume().on('end', resolve);
        })
          .on('error', reject)
          .end();
      });
    agent.destroy();
    expect(ports.size).toBe(1);
  });
});

/** A header of the request `Host`, which fetch does not send as it is told. */
function statusFor(url: string, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    send(`${url}/api/v1/plugins`, { headers, agent: false }, (answer) => {
      answer.resume().on('end', () => resolve(answer.statusCode ?? 0));
    })
      .on('error', reject)
      .end();
  });
}

describe('a host of its own', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.make();
  });
  afterEach(() => world.close());

  const authorization = 'Bearer a-token-of-the-tests';
  const parsed = async (target: string, init?: RequestInit): Promise<unknown> =>
    JSON.parse((await world.request('GET', target, init)).body);

  test('is not ready before the first look at the applications, and when a plugin is not well', async () => {
    await world.publish('fault', await buildPlugin('falls_ill'));
    await world.open();
    expect((await world.get('/livez')).status).toBe(200);
    expect((await world.get('/readyz')).status).toBe(503);
    await world.host.discover();
    await until('it is ready', async () => (await world.get('/readyz')).status === 200);
    await until('it is not ready', async () => (await world.get('/readyz')).status === 503);
    expect(await parsed('/readyz?verbose')).toEqual({
      ready: false,
      started: true,
      plugins: [{ id: 'fault', state: 'running', generation: 1, healthy: false }],
    });
    expect(await parsed('/readyz?verbose', { headers: { authorization } })).toMatchObject({
      plugins: [{ id: 'fault', health: expect.stringContaining('the moon has set') }],
    });
  });

  test('tells what is wrong with an application to whoever has the token only', async () => {
    await world.write('broken', 'config.yaml', 'nmae: Broken\n');
    await world.start();
    expect(await parsed('/readyz?verbose')).toEqual({
      ready: true,
      started: true,
      plugins: [{ id: 'broken', state: 'failed' }],
    });
    expect(await parsed('/readyz?verbose', { headers: { authorization } })).toMatchObject({
      plugins: [{ id: 'broken', error: expect.stringContaining('config.yaml:1:1') }],
    });
  });

  test('says when to come back while a plugin has too much to do', async () => {
    await world.publish('service', await buildPlugin('service'));
    await world.start({ concurrency: 1, queueLimit: 0 });
    const first = world.get('/service/slow?ms=500');
    await until('the call is in', () => world.host.plugin('service').generations[0]?.leases === 1);
    const { status, headers, body } = await world.get('/service/slow?ms=1');
    expect({ status, retryAfter: headers.get('retry-after') }).toEqual({ status: 503, retryAfter: '1' });
    expect(JSON.parse(body)).toMatchObject({ error: 'PluginBusy', details: { plugin: 'service' } });
    expect((await first).status).toBe(200);
  });

  test('serves its admin API under addresses and known names only', async () => {
    await world.start({ adminHosts: 'admin.example, other.example' });
    const named = (host: string): Promise<number> => statusFor(world.url, { host, authorization });
    for (const host of ['127.0.0.1', '10.0.0.1:80', '[::1]:8080', 'localhost:1', 'a.localhost', 'ADMIN.example:443'])
      expect({ host, status: await named(host) }).toEqual({ host, status: 200 });
    for (const host of ['evil.example', 'localhost.evil.example', '127.1', 'dmin.example', 'admin.example.evil', ':80'])
      expect({ host, status: await named(host) }).toEqual({ host, status: 421 });
  });

  test('does not listen to an address that has sent 20 wrong tokens', async () => {
    await world.start();
    const guess = { headers: { authorization: 'Bearer wrong' } };
    for (let turn = 0; turn < 10; turn++) {
      expect((await world.request('GET', '/api/v1/plugins', guess)).status).toBe(401);
      expect((await world.request('GET', '/readyz?verbose', guess)).status).toBe(200);
    }
    for (const token of ['wrong', 'a-token-of-the-tests']) {
      const init = { headers: { authorization: `Bearer ${token}` } };
      const { status, headers } = await world.request('GET', '/api/v1/plugins', init);
      expect(status).toBe(429);
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
    }
  });

  test('does not say that it has loaded a disabled application', async () => {
    await world.publish('service', await buildPlugin('service'));
    await world.write('service', 'config.yaml', 'enabled: false\n');
    await world.start();
    const loaded = await world.admin('POST', '/api/v1/plugins/service/load');
    expect({ status: loaded.status, body: JSON.parse(loaded.body) as unknown }).toMatchObject({
      status: 409,
      body: { error: 'PluginDisabled', details: { plugin: 'service' } },
    });
    const reloaded = await world.admin('POST', '/api/v1/plugins/service/reload');
    expect(JSON.parse(reloaded.body)).toMatchObject({ status: 'disabled', plugin: { state: 'disabled' } });
  });

  test('keeps the headers of a server around it, also on its errors', async () => {
    await world.publish('service', await buildPlugin('service'));
    await world.start();
    const app = express();
    app.use((_request, response, next) => {
      response.setHeader('access-control-allow-origin', '*');
      response.setHeader('x-request-id', '7');
      next();
    });
    app.use(world.host.handle);
    const server = createServer(app).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    for (const [target, expected] of [
      ['/service/build', 200],
      ['/service/nowhere', 404],
      ['/service/fail', 500],
      ['/service/echo', 405],
      ['/api/v1/plugins', 401],
    ] as const) {
      const { status, headers } = await fetch(url + target);
      expect({ status, origin: headers.get('access-control-allow-origin'), id: headers.get('x-request-id') }).toEqual({
        status: expected,
        origin: '*',
        id: '7',
      });
    }
    server.close();
    server.closeAllConnections();
  });

  test('says so when a body parser has read the body before it', async () => {
    await world.publish('service', await buildPlugin('service'));
    await world.start();
    const server = createServer(express().use(express.json()).use(world.host.handle)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/service/echo`;
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(url, { method: 'POST', headers, body: '{}' });
    expect({ status: answer.status, body: await answer.json() }).toMatchObject({
      status: 500,
      body: { message: expect.stringContaining('let the host handle requests before any body parser') },
    });
    expect(await (await fetch(url, { method: 'POST', body: 'text' })).text()).toBe('text');
    server.close();
    server.closeAllConnections();
  });

  test('while it closes, every answer ends its connection', async () => {
    await world.publish('service', await buildPlugin('service'));
    await world.start();
    const { hostname, port } = new URL(world.url);
    const socket = connect(Number(port), hostname);
    let answer = '';
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      answer += text;
    });
    socket.write('GET /service/slow?ms=300 HTTP/1.1\r\nHost: x\r\n\r\n');
    await until('the call is in', () => world.host.plugin('service').generations[0]?.leases === 1);
    const closed = once(socket, 'close');
    const closing = world.host.close();
    socket.write('GET /service/nowhere HTTP/1.1\r\nHost: x\r\n\r\n');
    await Promise.all([closed, closing]);
    expect(answer).toMatch(/one[\s\S]*HTTP\/1\.1 404 [\s\S]*\r\nconnection: close\r\n/i);
  });

  test('answers a request that comes on an idle connection while it closes, and ends the connection with it', async () => {
    await world.publish('service', await buildPlugin('service'));
    await world.start();
    const { hostname, port } = new URL(world.url);
    const socket = connect(Number(port), hostname);
    let answer = '';
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      answer += text;
    });
    socket.write('GET /livez HTTP/1.1\r\nHost: x\r\n\r\n');
    await until('it was answered', () => /^HTTP\/1\.1 200 [\s\S]*\r\n\r\n/.test(answer));
    const closed = once(socket, 'close');
    const closing = world.host.close();
    socket.write('GET /service/build HTTP/1.1\r\nHost: x\r\n\r\n');
    await Promise.all([closed, closing]);
    expect(answer).toMatch(/HTTP\/1\.1 200 [\s\S]*HTTP\/1\.1 200 [\s\S]*\r\nconnection: close\r\n[\s\S]*one$/i);
  });

  test('lets an answer that has not left yet reach a slow client before it closes', async () => {
    const bytes = 30_000_000;
    await world.publish('service', await buildPlugin('service'));
    await world.start();
    const { hostname, port } = new URL(world.url);
    const socket = connect(Number(port), hostname);
    let received = 0;
    socket.on('data', (chunk: Buffer) => {
      if (received === 0) socket.pause();
      received += chunk.length;
    });
    socket.write(`GET /service/big?bytes=${bytes} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await until('the answer has begun', () => received > 0);
    await until('the plugin has let go', () => world.host.plugin('service').generations[0]?.leases === 0);
    const closed = once(socket, 'close');
    const closing = world.host.close();
    await new Promise((resolve) => setImmediate(resolve));
    socket.resume();
    await Promise.all([closed, closing]);
    expect(received).toBeGreaterThan(bytes);
  });

  test('refuses to listen twice, and to listen or look around once it is closed', async () => {
    await world.start();
    await expect(world.host.listen()).rejects.toThrow(TypeError);
    expect((await world.get('/livez')).status).toBe(200);
    const taken = await createHost({
      port: Number(new URL(world.url).port),
      data: path.join(world.directory, 'other'),
      applications: world.applications,
      hotReload: false,
      registry: false,
    });
    for (let turn = 0; turn < 2; turn++) await expect(taken.listen()).rejects.toMatchObject({ code: 'AddressInUse' });
    await taken.close();
    await world.host.close();
    await expect(world.host.listen()).rejects.toMatchObject({ code: 'HostClosing' });
    await expect(world.host.discover()).rejects.toMatchObject({ code: 'HostClosing' });
    await expect(fetch(world.url)).rejects.toThrow();
  });

  test.each(['data', 'applications'] as const)('refuses a file as the directory %s', async (setting) => {
    const file = path.join(world.directory, 'file');
    await writeFile(file, '');
    await expect(world.start({ [setting]: file })).rejects.toMatchObject({
      code: 'SettingsInvalid',
      message: `${setting}: ${file} is not a directory`,
      next: `name a directory with the setting ${setting}`,
    });
  });

  test.skipIf(process.platform !== 'linux')(
    'refuses a data directory where the system makes none (/proc: Linux alone)',
    async () => {
      await expect(world.start({ data: '/proc/tenon/data' })).rejects.toMatchObject({
        code: 'SettingsInvalid',
        message: expect.stringContaining('data: /proc/tenon/data cannot be made'),
      });
    },
  );

  test('refuses a token that no request could carry', async () => {
    for (const adminToken of ['a b', 'schlüssel', 'a\n'])
      await expect(world.start({ adminToken })).rejects.toThrow(
        'adminToken: the value is not visible ASCII characters',
      );
    await world.write('..', 'state/admin-token', `${'secret '.repeat(5)}\n`);
    await expect(world.start({ adminToken: undefined })).rejects.toMatchObject({
      code: 'SettingsInvalid',
      message: expect.stringContaining('admin-token: the token has a blank'),
    });
  });
});
