import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { type Answer, World } from './load/world.js';

const before = `type Task @table @export {
  id: ID! @primaryKey
  title: String!
  rank: Int
  home: Place
  past: [Place!]
}
input Place { city: String  street: String }
`;
const after = before.replace('  rank: Int\n', '').replace('  street: String', '');
const record = {
  id: 'a',
  title: 'Paint',
  rank: 3,
  home: { city: 'Bonn', street: 'Am "Hof", 1' },
  past: [{ city: 'Ulm', street: 'Neue' }, { street: 'Alte' }],
};
const shown = { id: 'a', title: 'Paint', home: { city: 'Bonn' }, past: [{ city: 'Ulm' }, {}] };

describe('a field that is gone from the schema', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.make();
    await world.write('todo', 'config.yaml', 'name: Todo\n');
    await world.write('todo', 'schema.graphql', before);
    await world.start();
    await send('PUT', '/todo/Task/a', record);
    await change(after);
  });
  afterEach(() => world.close());

  const send = (method: string, target: string, body: unknown): Promise<Answer> =>
    world.request(method, target, { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  const read = async (target: string): Promise<unknown> => JSON.parse((await world.get(target)).body) as unknown;
  async function change(schema: string): Promise<void> {
    await world.write('todo', 'schema.graphql', schema);
    await world.host.reload('todo');
  }

  test('is not shown, at any depth, by reads, lists, answers to writes and streams', async () => {
    expect(await read('/todo/Task/a')).toEqual(shown);
    expect(await read('/todo/Task')).toEqual([shown]);
    const lines = await world.request('GET', '/todo/Task', { headers: { accept: 'application/x-ndjson' } });
    expect(lines.body).toBe(`${JSON.stringify(shown)}\n`);
    expect(JSON.parse((await send('PATCH', '/todo/Task/a', { title: 'Dry' })).body)).toEqual({
      ...shown,
      title: 'Dry',
    });
    const stop = new AbortController();
    const stream = await fetch(`${world.url}/todo/Task?snapshot=true`, {
      headers: { accept: 'text/event-stream' },
      signal: stop.signal,
    });
    let told = '';
    for await (const piece of stream.body ?? []) {
      told += Buffer.from(piece).toString();
      if (told.includes('event: ready') && !told.includes('Once more'))
        void send('PATCH', '/todo/Task/a', { title: 'Once more' });
      if (/Once more.*\n\n/.test(told)) break;
    }
    stop.abort();
    expect(told).toContain(JSON.stringify({ ...shown, title: 'Dry' }));
    expect(told).toContain(JSON.stringify({ ...shown, title: 'Once more' }));
    expect(told).not.toMatch(/rank|street/);
  });

  test('is read by who asks for it by its name', async () => {
    expect(await read('/todo/Task/a?select=id,rank,home')).toEqual({ id: 'a', rank: 3, home: record.home });
    expect(await read('/todo/Task?rank==3&select=rank')).toEqual([{ rank: 3 }]);
    expect(await read('/todo/Task?home.street=Neue')).toEqual([]);
    expect(await read('/todo/Task?sort=-rank')).toEqual([shown]);
  });

  test.each([
    ['PUT', '/todo/Task/a', { title: 'x', rank: 1 }, 'rank'],
    ['PATCH', '/todo/Task/a', { rank: null }, 'rank'],
    ['PATCH', '/todo/Task/a', { home: { street: 'x' } }, 'home.street'],
    ['POST', '/todo/Task', { title: 'x', past: [{ city: 'y' }, { street: 'x' }] }, 'past[1].street'],
    ['POST', '/todo/Task', [{ title: 'x' }, { title: 'x', rank: 1 }], 'rank'],
  ])('is refused in a write: %s %s %j', async (method, target, body, field) => {
    const answer = await send(method, target, body);
    expect(answer.status).toBe(400);
    expect(JSON.parse(answer.body)).toMatchObject({ error: 'RecordInvalid', details: { table: 'Task', field } });
    expect(await read('/todo/Task')).toEqual([shown]);
  });

  test('is refused over a WebSocket too, and not shown by what it answers', async () => {
    const socket = new WebSocket(`${world.url.replace('http', 'ws')}/todo/Task`);
    const answers: { id: number }[] = [];
    socket.on('open', () => {
      socket.send(JSON.stringify({ type: 'patch', id: 1, key: 'a', record: { rank: 1 } }));
      socket.send(JSON.stringify({ type: 'patch', id: 2, key: 'a', record: { title: 'Dry' } }));
    });
    await new Promise<void>((resolve, reject) => {
      socket.on('error', reject);
      socket.on('message', (data) => {
        answers.push(JSON.parse((data as Buffer).toString()) as { id: number });
        if (answers.length === 2) resolve();
      });
    });
    socket.terminate();
    expect(answers).toMatchObject([
      { id: 1, type: 'error', error: 'RecordInvalid' },
      { id: 2, type: 'written' },
    ]);
    expect(answers[1]).toHaveProperty('record', { ...shown, title: 'Dry' });
  });

  test('stays in records that are changed, and comes back when it is declared again', async () => {
    await send('PATCH', '/todo/Task/a', { title: 'Dry', home: { city: 'Ulm' } });
    await change(before);
    expect(await read('/todo/Task/a')).toEqual({ ...record, title: 'Dry', home: { ...record.home, city: 'Ulm' } });
  });

  test('may come back as another type only when no record has it, and what is refused says what to do', async () => {
    const retyped = after.replace('title: String!', 'title: String!\n  rank: String @indexed');
    const refusal: unknown = await change(retyped).catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: 'SchemaIncompatible', details: { table: 'todo.Task', field: 'rank' } });
    expect((refusal as Error).message).toContain(
      'records still have it: rank is stored as Int and cannot become String',
    );
    expect(refusal).toHaveProperty('next', expect.stringContaining('set it to null in every record'));
    expect(await read('/todo/Task')).toEqual([shown]);

    await change(before);
    await send('PATCH', '/todo/Task/a', { rank: null });
    await change(after);
    await change(retyped);
    expect(await send('PATCH', '/todo/Task/a', { rank: 'first' })).toMatchObject({ status: 200 });
    expect(await read('/todo/Task?rank=first&select=id,rank')).toEqual([{ id: 'a', rank: 'first' }]);
    expect(await read('/todo/Task/a')).toEqual({ ...shown, rank: 'first' });
    await world.host.close();
    await world.start();
    expect(await read('/todo/Task/a')).toEqual({ ...shown, rank: 'first' });
  });
});
