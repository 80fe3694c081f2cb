import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { World } from './load/world.js';
import { EventReader } from './tables/event-reader.js';

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
    if (type !== 'application/problem+json') expect(vary).toBe('accept');
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
