import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type ClientOptions, WebSocket } from 'ws';
import { World } from './load/world.js';
import { EventReader } from './tables/event-reader.js';
import { SocketClient } from './tables/socket-client.js';

const table = (name: string, exports: string): string =>
  `type ${name} @table @export(${exports}) { id: ID! @primaryKey }\n`;

describe('the address of a table', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.make();
    await world.write('todo', 'config.yaml', 'name: Todo\n');
    const schema = [table('Both', 'rest: true, sse: true'), table('Told', 'sse: true'), table('Spoken', 'ws: true')];
    await world.write('todo', 'schema.graphql', schema.join(''));
    await world.start();
  });
  afterEach(() => world.close());

  /** Type of the answer to a client that accepts this, and what it varies by. */
  const typeOf = async (target: string, accept: string): Promise<unknown[]> => {
    const reader = await EventReader.open(`${world.url}${target}`, { accept });
    const { headers } = reader.answer;
    reader.leave();
    return [headers['content-type'], headers.vary];
  };

  test.each([
    ['/todo/Both', 'text/event-stream', 'text/event-stream'],
    ['/todo/Both', 'text/event-stream;q=0', 'application/problem+json'],
    ['/todo/Both', 'application/json, text/event-stream;q=0.5', 'application/json'],
    ['/todo/Both', 'TEXT/EVENT-STREAM, */*;q=0.1', 'text/event-stream'],
    ['/todo/Both', 'text/event-streams, */*', 'application/json'],
    ['/todo/Told', 'application/json, text/event-stream;q=0.5', 'text/event-stream'],
    ['/todo/Told', 'application/json', 'application/problem+json'],
  ])('%s answers a client that accepts %s with %s', async (target, accept, type) => {
    const [answered, vary] = await typeOf(target, accept);
    expect(answered).toBe(type);
    // Of JSON it says that it may be compressed, too.
    if (type !== 'application/problem+json') expect(vary).toMatch(/^accept(?:, Accept-Encoding)?$/);
  });

  test('says how a table is reached that is exported to WebSockets only', async () => {
    const { status, headers, body } = await world.get('/todo/Spoken');
    expect([status, headers.get('upgrade')]).toEqual([426, 'websocket']);
    expect(JSON.parse(body)).toMatchObject({
      error: 'UpgradeRequired',
      message: expect.stringContaining('open a WebSocket') as string,
    });
    expect(body).not.toContain('event-stream');
  });
});

describe('a WebSocket', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.make();
    await world.write('todo', 'config.yaml', 'name: Todo\n');
    await world.write('todo', 'schema.graphql', table('Spoken', 'ws: true'));
  });
  afterEach(() => world.close());

  /** 101, or the status of the refusal. */
  const statusOf = (url: string, options: ClientOptions): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const socket = new WebSocket(`${url.replace('http', 'ws')}/todo/Spoken`, options);
      socket.once('upgrade', ({ statusCode }) => resolve(statusCode));
      socket.once('unexpected-response', (_request, { statusCode }) => resolve(statusCode));
      socket.once('open', () => socket.terminate());
      socket.once('error', reject);
    });

  test('may be opened by pages of the origins, and under the names, that the settings allow', async () => {
    await world.start({
      tablesOrigins: 'https://one.example, https://two.example',
      tablesHosts: '127.0.0.1, Known.example',
    });
    expect(await statusOf(world.url, { origin: 'https://two.example' })).toBe(101);
    expect(await statusOf(world.url, { origin: 'https://evil.example' })).toBe(403);
    expect(await statusOf(world.url, { headers: { host: 'known.example:80' } })).toBe(101);
    expect(await statusOf(world.url, { headers: { host: 'strange.example' } })).toBe(403);
  });

  test('is served by a server around the host', async () => {
    await world.start();
    const server = createServer(world.host.handle).on('upgrade', world.host.handleUpgrade);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const client = await SocketClient.open(`${url.replace('http', 'ws')}/todo/Spoken`);
    expect(await client.ask({ type: 'put', key: 'a', record: {} })).toMatchObject({ outcome: 'created' });
    await world.host.close();
    expect(await client.closed()).toBe(1012);
    server.close();
    server.closeAllConnections();
  });
});
