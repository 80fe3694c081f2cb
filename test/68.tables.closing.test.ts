import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';
import { EventReader } from './tables/event-reader.js';
import { SocketClient } from './tables/socket-client.js';

const task = `type Task @table @export {
  id: ID! @primaryKey
  title: String!
}
`;
const subscribe = 'subscription { taskChanged { id } }';

let world: World;
beforeEach(async () => {
  world = await World.make();
  await world.write('todo', 'config.yaml', 'name: Todo\n');
  await world.write('todo', 'schema.graphql', task);
});
afterEach(() => world.close());

const socketUrl = (target: string): string => `${world.url.replace('http', 'ws')}${target}`;
const put = (target: string) =>
  world.request('PUT', target, { headers: { 'content-type': 'application/json' }, body: '{"title":"One"}' });

/** A socket of GraphQL with one subscription, the types of what it hears, and how it is closed. */
async function subscriber(): Promise<{ socket: WebSocket; heard: string[]; closed: Promise<number> }> {
  const socket = new WebSocket(socketUrl('/todo/graphql'), 'graphql-transport-ws');
  const closed = new Promise<number>((resolve) => void socket.once('close', resolve));
  const heard: string[] = [];
  socket.on('error', () => {}); // the close code says it
  socket.on('message', (data: Buffer) => heard.push((JSON.parse(data.toString()) as { type: string }).type));
  await once(socket, 'open');
  socket.send('{"type":"connection_init"}');
  await until('it is let in', () => heard.includes('connection_ack'));
  socket.send(JSON.stringify({ type: 'subscribe', id: '1', payload: { query: subscribe } }));
  await until('it is told of changes', async () => {
    await put('/todo/Task/a');
    return heard.includes('next');
  });
  return { socket, heard, closed };
}

describe('a host that closes', () => {
  test('ends a socket of GraphQL that goes on talking, with 1012 and no `complete`', async () => {
    await world.start();
    const { socket, heard, closed } = await subscriber();
    const talking = setInterval(() => {
      if (socket.readyState === WebSocket.OPEN) socket.send('{"type":"ping"}');
    }, 20);
    await world.host.close();
    clearInterval(talking);
    expect(await closed).toBe(1012);
    expect(heard).not.toContain('complete');
  });

  test('ends event streams of GraphQL without `complete`: their clients come again', async () => {
    await world.start();
    const reader = (await EventReader.open(`${world.url}/todo/graphql?query=${encodeURIComponent(subscribe)}`)).read();
    await until('it is told of changes', async () => {
      await put('/todo/Task/a');
      return reader.text.includes('event: next');
    });
    await world.host.close();
    await until('it has ended', () => reader.closed);
    expect([reader.answer.complete, reader.text.includes('complete')]).toEqual([true, false]);
  });

  test('answers the writes that a socket of changes has asked for, then closes it with 1012', async () => {
    await world.start({ tablesSync: true });
    const client = await SocketClient.open(socketUrl('/todo/Task'));
    const title = 'x'.repeat(400_000);
    for (let i = 0; i < 150; i += 1) client.say({ type: 'put', id: i, key: String(i), record: { title } });
    await until('the first is answered', () => client.told.includes('written 0'));
    await world.host.close();
    expect(await client.closed()).toBe(1012);
    const answered = client.told.filter((told) => told.startsWith('written')).length;
    await world.start();
    const kept = await world.get('/todo/Task?select=id&limit=1000');
    expect(JSON.parse(kept.body)).toHaveLength(answered);
  });
});

describe('a reload that fails', () => {
  test('leaves the listeners of the generation that goes on alone', async () => {
    await world.publish('todo', await buildPlugin('service', { defines: { PLUGIN_ID: '"todo"' } }));
    await world.start();
    const socket = await SocketClient.open(socketUrl('/todo/Task'));
    await socket.ask({ type: 'subscribe' });
    const stream = (await EventReader.open(`${world.url}/todo/Task`)).read();
    await until('the stream has begun', () => stream.told.includes('ready'));

    const failing = await buildPlugin('service', { defines: { PLUGIN_ID: '"todo"', FAIL_READY: '' } });
    await world.publish('todo', failing);
    await world.write('todo', 'schema.graphql', task.replace('title: String!', 'title: String!\n  note: String'));
    await expect(world.host.reload('todo')).rejects.toMatchObject({ code: 'LifecycleFailed' });

    await put('/todo/Task/a');
    await until('both hear it', () => [socket, stream].every(({ told }) => told.includes('put a')));
    socket.leave();
    stream.leave();
  });
});
