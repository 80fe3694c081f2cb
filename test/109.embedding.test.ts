import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import middie from '@fastify/middie';
import express from 'express';
import fastify from 'fastify';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { HostEvent, TenonHost } from '../src/index.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

const examples = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', 'examples');

/** The example, running. */
class Program {
  readonly url: Promise<string>;
  readonly ended: Promise<number | null>;
  readonly #child: ChildProcess;
  readonly #data = mkdtempSync(path.join(os.tmpdir(), 'tenon-embedded-'));

  constructor() {
    const child = spawn(process.execPath, [path.join(examples, 'embed-express', 'server.mjs'), '0'], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, TENON_DATA: this.#data },
    });
    this.#child = child;
    this.ended = new Promise((resolve) => child.once('exit', resolve));
    let out = '';
    this.url = new Promise((resolve, reject) => {
      child.stdout.on('data', (chunk: Buffer) => {
        out += chunk.toString();
        const url = /^http:\/\/\S+$/m.exec(out)?.[0];
        if (url !== undefined) resolve(url);
      });
      child.once('exit', (status) => reject(new Error(`ended with ${status}: ${out}`)));
    });
  }

  stop(): void {
    this.#child.kill('SIGTERM');
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.ended;
    rmSync(this.#data, { recursive: true, force: true });
  }
}

let world: World;
beforeAll(async () => {
  world = await World.make();
  await world.publish('service', await buildPlugin('service', { defines: { BUILD: '"one"' } }));
  await world.start();
});
afterAll(() => world.close());

describe('inject', () => {
  test('asks a plugin without a socket', async () => {
    expect(await world.host.inject('/service/build')).toMatchObject({ status: 200, text: 'one' });
  });

  test('sends method, headers and body', async () => {
    const authorization = 'Bearer a-token-of-the-tests';
    const asked = { method: 'POST', url: '/api/v1/plugins/service/reload', headers: { authorization } } as const;
    const answer = await world.host.inject(asked);
    expect(answer.status).toBe(200);
    expect(answer.json()).toMatchObject({ status: 'unchanged', plugin: { id: 'service' } });
    const config = { method: 'PUT', url: '/api/v1/hot-reload/config', headers: { authorization } } as const;
    expect((await world.host.inject({ ...config, body: { nothing: 1 } })).json()).toMatchObject({
      error: 'BadRequest',
    });
  });

  test('is refused as a request over the network is', async () => {
    const answer = await world.host.inject({ url: '/api/v1/plugins' });
    expect([answer.status, answer.headers['content-type']]).toEqual([401, 'application/problem+json']);
  });

  test('is a TypeError without a path', async () => {
    const nothing = world.host.inject(undefined as unknown as string);
    await expect(nothing).rejects.toThrow('inject: a path that begins with /');
    await expect(world.host.inject('service')).rejects.toThrow(/url "service" is no path/);
  });
});

describe('on', () => {
  test('tells the events of one type until it is ended', async () => {
    const told: HostEvent[] = [];
    const end = world.host.on('reload.succeeded', (event) => told.push(event));
    await world.host.reload('service');
    expect(told).toMatchObject([{ type: 'reload.succeeded', plugin: 'service', record: { unchanged: true } }]);
    end();
    end();
    await world.host.reload('service');
    expect(told).toHaveLength(1);
  });

  test('logs what a listener throws, and tells the others', async () => {
    const told: string[] = [];
    const ends = [
      world.host.on('reload.started', () => {
        throw new Error('first');
      }),
      world.host.on('reload.started', () => Promise.reject(new Error('second'))),
      world.host.on('reload.started', ({ plugin }) => told.push(plugin)),
    ];
    await world.host.reload('service');
    expect(told).toEqual(['service']);
    const thrown = (): unknown[] =>
      world.log.filter(({ msg }) => msg === 'a listener of events threw').map(({ err }) => err);
    await until('both are logged', () => thrown().length === 2);
    expect(thrown()).toMatchObject([{ message: 'first' }, { message: 'second' }]);
    for (const end of ends) end();
  });

  test('is a TypeError for an event that there is not', () => {
    const on = world.host.on.bind(world.host) as (type: string, listener: unknown) => void;
    expect(() => on('reload.finished', () => {})).toThrow('there is no event "reload.finished"');
    expect(() => on('reload.started', 1)).toThrow('is no function');
  });
});

/** What answers at three paths of a server that `host` is part of. */
async function answersOf(url: string): Promise<string[]> {
  const answers = await Promise.all(
    ['/service/build', '/own', '/nowhere'].map(async (path) => {
      const answer = await fetch(url + path);
      return `${answer.status} ${(await answer.text()).slice(0, 40)}`;
    }),
  );
  return answers;
}

describe('handler', () => {
  test('is a middleware of Express: what the host does not serve goes on', async () => {
    const app = express();
    app.use(world.host.handler());
    app.get('/own', (_request, response) => void response.send('own'));
    app.use((_request: express.Request, response: express.Response) => void response.status(404).send('nothing'));
    const server = app.listen(0, '127.0.0.1');
    await until('it listens', () => server.listening);
    const { port } = server.address() as AddressInfo;
    expect(await answersOf(`http://127.0.0.1:${port}`)).toEqual(['200 one', '200 own', '404 nothing']);
    await new Promise((resolve) => server.close(resolve));
  });

  test('is one below a path of Express', async () => {
    const app = express();
    app.use('/plugins-of-ours', world.host.handler());
    const server = app.listen(0, '127.0.0.1');
    await until('it listens', () => server.listening);
    const { port } = server.address() as AddressInfo;
    const answer = await fetch(`http://127.0.0.1:${port}/plugins-of-ours/service/build`);
    expect(await answer.text()).toBe('one');
    await new Promise((resolve) => server.close(resolve));
  });

  test('is a middleware of Fastify', async () => {
    const app = fastify();
    await app.register(middie);
    app.use(world.host.handler());
    app.get('/own', () => 'own');
    app.setNotFoundHandler((_request, reply) => reply.code(404).send('nothing'));
    const url = await app.listen({ port: 0, host: '127.0.0.1' });
    expect(await answersOf(url)).toEqual(['200 one', '200 own', '404 nothing']);
    await app.close();
  });

  test('is a listener of node:http: nobody is behind it', async () => {
    const server = createServer(world.host.handler()).listen(0, '127.0.0.1');
    await until('it listens', () => server.listening);
    const { port } = server.address() as AddressInfo;
    const [served, own] = await answersOf(`http://127.0.0.1:${port}`);
    expect([served, own?.slice(0, 3)]).toEqual(['200 one', '404']);
    await new Promise((resolve) => server.close(resolve));
  });

  test('leaves a stopped plugin to nobody else', async () => {
    const app = express();
    app.use(world.host.handler());
    app.use((_request: express.Request, response: express.Response) => void response.status(404).send('nothing'));
    const server = app.listen(0, '127.0.0.1');
    await until('it listens', () => server.listening);
    const { port } = server.address() as AddressInfo;
    const host: TenonHost = world.host;
    await host.unload('service');
    expect((await fetch(`http://127.0.0.1:${port}/service/build`)).status).toBe(503);
    await host.load('service');
    expect((await fetch(`http://127.0.0.1:${port}/service/build`)).status).toBe(200);
    await new Promise((resolve) => server.close(resolve));
  });
});

test('the example serves what is its own, its plugins and its tables, and ends when asked', async () => {
  const program = new Program();
  try {
    const url = await program.url;
    expect(await (await fetch(`${url}/greeter/greeting?name=Ada`)).text()).toBe('Good day, Ada');
    expect((await (await fetch(`${url}/clock/now`)).text()).slice(0, 2)).toBe('20');
    const echo = await fetch(`${url}/echo`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"a":1}',
    });
    expect(await echo.json()).toEqual({ a: 1 });
    expect(await (await fetch(`${url}/`)).text()).toContain('greeter: running');
    program.stop();
    expect(await program.ended).toBe(0);
  } finally {
    await program.kill();
  }
});

test('a host in a program reads no tenon.yaml of the working directory', async () => {
  const other = await World.make();
  const before = process.cwd();
  try {
    await writeFile(path.join(other.directory, 'tenon.yaml'), 'limits: {deadlineMs: 777}\nwrong: 1\n');
    process.chdir(other.directory);
    await other.start();
    expect(other.host.settings.deadlineMs).toBe(30_000);
  } finally {
    process.chdir(before);
    await other.close();
  }
});
