import { once } from 'node:events';
import { Agent, type ClientRequest, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { EventReader } from './tables/event-reader.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

let world: World;

beforeEach(async () => {
  world = await World.make();
  await world.publish('service', await buildPlugin('service'));
  await world.write('shop', 'config.yaml', 'name: Shop\n');
  const schema = 'type Item @table @export(rest: true, sse: true, ws: true, graphql: true) { id: ID! @primaryKey }\n';
  await world.write('shop', 'schema.graphql', schema);
  const plugins = [
    {
      id: 'ticker',
      name: 'Ticker',
      version: '1.0.0',
      routes: [
        {
          method: 'GET' as const,
          path: '/ticks',
          handle: (_request: IncomingMessage, response: ServerResponse): void => {
            response.setHeader('content-type', 'text/event-stream');
            response.write('data: tick\n\n');
          },
        },
      ],
    },
  ];
  await world.start({ plugins });
});
afterEach(() => world.close());

/** One client that asks again and again on one connection; what became of each request. */
class Lane {
  readonly faults: string[] = [];
  answered = 0;
  /** The last answer said that the connection ends. */
  told = false;
  readonly done: Promise<void>;

  constructor(target: string) {
    this.done = this.#run(target);
  }

  async #run(target: string): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    while (!this.told) {
      const outgoing: ClientRequest = request(world.url + target, { agent });
      outgoing.end();
      try {
        const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
        answer.resume();
        await once(answer, 'end');
        if (answer.statusCode === 200) this.answered += 1;
        else this.faults.push(String(answer.statusCode));
        this.told = answer.headers.connection === 'close';
      } catch (error) {
        this.faults.push(String(error));
        break;
      }
    }
    agent.destroy();
  }
}

test('all kinds of clients at once hear the end of a host, each in its own words, and none is reset', async () => {
  const lanes = ['/service/build', '/service/slow?ms=5', '/shop/Item', '/plugins'].flatMap((target) =>
    Array.from({ length: 6 }, () => new Lane(target)),
  );
  const streams = await Promise.all([
    EventReader.open(`${world.url}/api/v1/events`, { authorization: 'Bearer a-token-of-the-tests' }),
    EventReader.open(`${world.url}/shop/Item`),
    EventReader.open(`${world.url}/shop/graphql?query=subscription{shop_Item{__typename}}`),
    EventReader.open(`${world.url}/ticker/ticks`),
  ]);
  const faults: unknown[] = [];
  const texts = streams.map(() => '');
  for (const [at, { answer }] of streams.entries()) {
    answer.on('error', (error) => faults.push(error));
    answer.on('data', (chunk: Buffer) => {
      texts[at] += chunk.toString();
    });
  }
  const address = `${world.url.replace('http', 'ws')}/shop`;
  const sockets = [new WebSocket(`${address}/Item`), new WebSocket(`${address}/graphql`, 'graphql-transport-ws')];
  const closes = sockets.map(
    (socket) => new Promise<number>((resolve) => void socket.on('close', (code) => resolve(code))),
  );
  await Promise.all(sockets.map((socket) => once(socket, 'open')));
  // Whoever does not say so is closed after a while, with 4408.
  sockets[1]?.send('{"type":"connection_init"}');
  const idle = connect({ port: Number(new URL(world.url).port), host: '127.0.0.1' });
  idle.on('error', (error) => faults.push(error));
  idle.resume();
  idle.write('GET /service/build HTTP/1.1\r\nHost: x\r\n\r\n');
  await once(idle, 'data');
  const left = once(idle, 'end');
  await until('all are answered', () => lanes.every(({ answered }) => answered > 20));

  await world.host.close();

  await Promise.all([...lanes.map(({ done }) => done), left]);
  expect(lanes.flatMap((lane) => lane.faults)).toEqual([]);
  expect(lanes.every(({ told }) => told)).toBe(true);
  expect(await Promise.all(closes)).toEqual([1012, 1012]);
  await until('every stream has ended', () => streams.every(({ answer }) => answer.readableEnded));
  expect(streams.map(({ answer }) => [answer.statusCode, answer.complete])).toEqual(streams.map(() => [200, true]));
  expect(texts.slice(0, 2).map((text) => /^retry: ?\d+/m.test(text))).toEqual([true, true]);
  expect(faults).toEqual([]);
});
