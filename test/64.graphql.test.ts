import { buildClientSchema, getIntrospectionQuery, type IntrospectionQuery, printType } from 'graphql';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Store, TableQuery } from '../src/binding/store.js';
import { checkGraphqlNames, lowerFirst, plural } from '../src/tables/graphql-names.js';
import { readSchema } from '../src/tables/schema.js';
import { type GraphqlServer, serveGraphql } from './tables/graphql.js';

const schema = `
"""Somebody who does tasks."""
type User @table @export {
  id: ID! @primaryKey
  name: String!
  tasks: [Task!]! @relationship(to: "ownerId")
}
enum State { open done }
type Place { city: String! street: String }
"""What is to be done."""
type Task @table @export {
  id: ID! @primaryKey
  "In one line."
  title: String!
  state: State @indexed
  priority: Int @indexed
  weight: Float
  urgent: Boolean
  due: Date
  tags: [String!]
  place: Place
  extra: Any
  ownerId: ID @indexed
  owner: User @relationship(from: "ownerId")
  madeAt: Date @createdTime
}
type Note @table @export { id: ID! @primaryKey text: String writerId: ID! @indexed writer: User! @relationship(from: "writerId") }
type Secret @table @export(rest: true) { id: ID! @primaryKey }
`;

/** A store that counts what is asked of it. */
class Counting {
  readonly calls: string[] = [];

  readonly watch = (store: Store): Store =>
    new Proxy(store, {
      get: (target, name) => {
        const value = Reflect.get(target, name) as unknown;
        if (typeof value !== 'function') return value;
        return (...given: unknown[]): unknown => {
          this.calls.push(String(name));
          return (value as (...all: unknown[]) => unknown).apply(target, given);
        };
      },
    });

  count(name: string): number {
    return this.calls.filter((call) => call === name).length;
  }
}

const counting = new Counting();
let server: GraphqlServer;
beforeAll(async () => {
  server = await serveGraphql(schema, { watch: counting.watch });
});
afterAll(() => server.close());

const createTasks = 'mutation($inputs: [TaskInput!]!) { createTasks(inputs: $inputs) { id } }';

async function empty(): Promise<void> {
  for (const { number } of server.tables) {
    const { json } = await server.store.query(number, { limit: 10_000 });
    const keys = (JSON.parse(json.toString()) as { id: string }[]).map(({ id }) => id);
    if (keys.length > 0) await server.store.write(keys.map((key) => ({ table: number, kind: 'remove', key })));
  }
}
beforeEach(empty);

async function data<T = Record<string, unknown>>(query: string, variables: object = {}): Promise<T> {
  const { body, text } = await server.ask(query, variables);
  if (body.errors !== undefined) throw new Error(text);
  return body.data as T;
}

async function refusal(query: string, variables: object = {}): Promise<Record<string, unknown>> {
  const { body } = await server.ask(query, variables);
  const [error] = body.errors ?? [];
  return { message: error?.message, ...error?.extensions };
}

describe('names', () => {
  test.each([
    ['Task', 'task', 'Tasks'],
    ['Category', 'category', 'Categories'],
    ['Day', 'day', 'Days'],
    ['Address', 'address', 'Addresses'],
    ['Box', 'box', 'Boxes'],
    ['URLEntry', 'urlEntry', 'URLEntries'],
    ['ID', 'id', 'IDs'],
    ['todo', 'todo', 'todos'],
  ])('%s is one %s and many %s', (name, one, many) => {
    expect([lowerFirst(name), plural(name)]).toEqual([one, many]);
  });

  const key = '{ id: ID! @primaryKey }';
  test.each([
    [
      `type Task @table @export ${key} type Tasks @table @export ${key}`,
      'the table Task (its list) and the table Tasks (one record) both give the GraphQL query tasks',
    ],
    [
      `type Task @table @export ${key} type TaskFilter @table @export ${key}`,
      'the table Task and the table TaskFilter both give the GraphQL type TaskFilter',
    ],
    [`type PageInfo @table @export ${key}`, 'every schema and the table PageInfo both give the GraphQL type PageInfo'],
    [
      'type Task @table @export { id: ID! @primaryKey or: Int }',
      'the table Task has a field or, which is a word of every GraphQL filter',
    ],
    [`type Kind @table @export ${key}`, 'the table Kind would be called kind in its changes, as another field is'],
  ])('that meet are refused: %s', (text, sentence) => {
    expect(() => checkGraphqlNames(readSchema([{ file: 'a.graphql', text }], 'todo'))).toThrow(
      expect.objectContaining({ code: 'SchemaInvalid', message: expect.stringContaining(sentence) as string }),
    );
  });

  test('of tables that are not exported meet nobody', () => {
    const text = `type Task @table @export ${key} type Tasks @table @export(rest: true) ${key}`;
    expect(() => checkGraphqlNames(readSchema([{ file: 'a.graphql', text }], 'todo'))).not.toThrow();
  });
});

describe('the schema', () => {
  test('is what the tables say, with their descriptions', async () => {
    const told = buildClientSchema(await data<IntrospectionQuery>(getIntrospectionQuery()));
    const type = (name: string): string => printType(told.getType(name) as never);
    expect(type('Task')).toBe(`"""What is to be done."""
type Task {
  id: ID!

  """In one line."""
  title: String!
  state: State
  priority: Int
  weight: Float
  urgent: Boolean
  due: Date
  tags: [String!]
  place: Place
  extra: Any
  ownerId: ID
  madeAt: Date
  owner: User
}`);
    expect(type('TaskInput')).toContain('  id: ID\n');
    expect(type('TaskInput')).not.toContain('madeAt');
    expect(type('TaskPatch')).not.toMatch(/\bid:|title: String!/);
    expect(type('PlaceInput')).toContain('city: String!');
    expect(type('PlacePatch')).toContain('city: String\n');
    expect(type('TaskOrderField')).not.toMatch(/tags|place|extra/);
    expect(told.getType('Secret')).toBeUndefined();
  });
});

describe('a record', () => {
  test('is made, read, changed, replaced and taken away', async () => {
    const fields = '{ id title state priority weight urgent due tags place { city street } extra }';
    const task = {
      id: 't1',
      title: 'Write "it" down 🖊',
      state: 'open',
      priority: 3_000_000_000,
      weight: 0.5,
      urgent: true,
      due: '2026-01-31T12:00:00.000Z',
      tags: ['a', 'b'],
      place: { city: 'Ulm', street: null },
      extra: { any: [1, null, 'x'] },
    };
    const made = await data(`mutation($input: TaskInput!) { createTask(input: $input) ${fields} }`, { input: task });
    expect(made.createTask).toEqual(task);
    expect((await data(`{ task(id: "t1") ${fields} }`)).task).toEqual(task);
    const changed = await data(
      'mutation { updateTask(id: "t1", input: {state: done, tags: null}) { title state tags priority } }',
    );
    expect(changed.updateTask).toEqual({ title: task.title, state: 'done', tags: null, priority: task.priority });
    const put = await data('mutation { putTask(input: {id: "t1", title: "new"}) { title state priority } }');
    expect(put.putTask).toEqual({ title: 'new', state: null, priority: null });
    expect((await data('mutation { deleteTask(id: "t1") { title } }')).deleteTask).toEqual({ title: 'new' });
    expect((await data('{ task(id: "t1") { id } }')).task).toBeNull();
  });

  test('without a key gets one', async () => {
    const { createTask } = await data<{ createTask: { id: string; madeAt: string } }>(
      'mutation { createTask(input: {title: "x"}) { id madeAt } }',
    );
    expect(createTask.id).toMatch(/^[\w-]{16,}$/);
    expect(Date.parse(createTask.madeAt)).toBeGreaterThan(0);
  });

  test('may have a field that every object has', async () => {
    const own = await serveGraphql(
      'type A @table @export { id: ID! @primaryKey toString: String constructor: String }',
    );
    try {
      await own.ask('mutation { createA(input: {id: "1", constructor: "c"}) { id } }');
      const { body } = await own.ask('{ a(id: "1") { toString constructor } }');
      expect(body.data).toEqual({ a: { toString: null, constructor: 'c' } });
    } finally {
      await own.close();
    }
  });
});

describe('any table', () => {
  const odd = `
    enum Colour { red green }
    type Part { eq: Int null: Int size: Size }
    type Size { like: String colour: Colour }
    type Thing @table @export {
      number: Int! @primaryKey
      colours: [Colour!] parts: [Part!] part: Part many: [[Int]]
      at: Int! @createdTime
      ends: Date! @expiresAt
    }
    type Only @table @export { key: String! @primaryKey }
  `;
  let own: GraphqlServer;
  beforeAll(async () => {
    own = await serveGraphql(odd);
    const inputs = [
      {
        number: 7,
        colours: ['red'],
        part: { eq: 1, size: { like: 'a', colour: 'red' } },
        ends: '2096-01-01T00:00:00Z',
      },
      { number: -8, colours: [], parts: [{ null: 2 }], many: [[1, null], null], ends: 4_000_000_000_000 },
    ];
    const made = await own.ask('mutation($inputs: [ThingInput!]!) { createThings(inputs: $inputs) { number } }', {
      inputs,
    });
    if (made.body.errors !== undefined) throw new Error(made.text);
  });
  afterAll(() => own.close());

  test.each([
    ['{ thing(id: 7) { number ends } }', { thing: { number: 7, ends: '2096-01-01T00:00:00.000Z' } }],
    [
      '{ thing(id: "-8") { number many parts { null eq } } }',
      { thing: { number: -8, many: [[1, null], null], parts: [{ null: 2, eq: null }] } },
    ],
    ['{ thing(id: "eight") { number } }', { thing: null }],
    ['{ thing(id: "") { number } }', { thing: null }],
    [`{ only(id: "${'x'.repeat(5_000)}") { key } }`, { only: null }],
    ['{ things(filter: {colours: {contains: red}}) { nodes { number } } }', { things: { nodes: [{ number: 7 }] } }],
    ['{ things(filter: {part: {eq: {eq: 1}}}) { nodes { number } } }', { things: { nodes: [{ number: 7 }] } }],
    [
      '{ things(filter: {part: {size: {like: {like: "*"}}}}) { nodes { number } } }',
      { things: { nodes: [{ number: 7 }] } },
    ],
    ['{ things(filter: {parts: {null: false}}) { nodes { number } } }', { things: { nodes: [{ number: -8 }] } }],
    [
      '{ things(order: [{field: number, direction: DESC}]) { nodes { number } } }',
      { things: { nodes: [{ number: 7 }, { number: -8 }] } },
    ],
    [
      'mutation { updateThing(id: 7, input: {part: {size: {colour: green}}}) { part { eq size { like colour } } } }',
      { updateThing: { part: { eq: 1, size: { like: 'a', colour: 'green' } } } },
    ],
    ['mutation { createOnly(input: {key: "k"}) { key } }', { createOnly: { key: 'k' } }],
    ['{ onlies { nodes { key } } }', { onlies: { nodes: [{ key: 'k' }] } }],
  ])('%s', async (query, expected) => {
    const { body } = await own.ask(query);
    expect(body).toEqual({ data: expected });
  });

  test('without anything but a key has nothing to update', async () => {
    const { body } = await own.ask('mutation { updateOnly(id: "k", input: {}) { key } }');
    expect(body.errors?.[0]?.extensions['code']).toBe('DocumentInvalid');
  });
});

describe('a write that is refused says why', () => {
  beforeEach(() => data('mutation { createTask(input: {id: "t1", title: "x"}) { id } }'));

  test.each([
    ['mutation { createTask(input: {id: "t1", title: "y"}) { id } }', 'RecordExists', 'Task t1'],
    ['mutation { updateTask(id: "t2", input: {title: "y"}) { id } }', 'RecordNotFound', 'there is no Task t2'],
    ['mutation { deleteTask(id: "t2") { id } }', 'RecordNotFound', 'there is no Task t2'],
    ['mutation { updateTask(id: "t1", input: {title: null}) { id } }', 'RecordInvalid', 'title'],
    ['mutation { createTask(input: {id: "t3"}) { id } }', 'DocumentInvalid', 'title'],
  ])('%s', async (mutation, code, words) => {
    expect(await refusal(mutation)).toMatchObject({ code, message: expect.stringContaining(words) });
  });

  test('and does not take the results of others with it', async () => {
    const { body } = await server.ask(
      'mutation { a: createTask(input: {id: "a", title: "a"}) { id } b: createTask(input: {id: "t1", title: "b"}) { id } }',
    );
    expect(body.data).toEqual({ a: { id: 'a' }, b: null });
    expect(body.errors?.[0]?.path).toEqual(['b']);
  });

  test('when it is nested too deeply to be written', async () => {
    for (const depth of [1_000, 100_000]) {
      const extra = `${'['.repeat(depth)}${']'.repeat(depth)}`;
      const query = 'mutation($extra: Any) { putTask(input: {id: "deep", title: "x", extra: $extra}) { id } }';
      const body = `{"query":${JSON.stringify(query)},"variables":{"extra":${extra}}}`;
      const headers = { 'content-type': 'application/json' };
      const answer = await server.send({ method: 'POST', headers, body });
      expect(answer.body.errors?.[0]?.extensions['code']).toBe('RecordInvalid');
    }
  });

  test('and of many none is done when one is not', async () => {
    const inputs = [
      { id: 'n1', title: 'a' },
      { id: 't1', title: 'b' },
    ];
    expect(await refusal(createTasks, { inputs })).toMatchObject({
      code: 'RecordExists',
      message: expect.stringContaining('inputs[1]'),
      details: { index: 1, key: 't1' },
    });
    expect((await data('{ task(id: "n1") { id } }')).task).toBeNull();
  });
});

describe('null', () => {
  test('stands for a record that is not there, and for a field without a value', async () => {
    await data('mutation { createTask(input: {id: "t", title: "x", ownerId: "nobody"}) { id } }');
    expect(await data('{ task(id: "t") { state owner { name } place { city } } none: task(id: "u") { id } }')).toEqual({
      task: { state: null, owner: null, place: null },
      none: null,
    });
  });

  test('where a relationship needs somebody empties what is around it, and the error says who is missing', async () => {
    await data('mutation { createNote(input: {id: "n", text: "x", writerId: "u9"}) { id } }');
    const { body } = await server.ask('{ note(id: "n") { text writer { name } } tasks { totalCount } }');
    expect(body.data).toEqual({ note: null, tasks: { totalCount: 0 } });
    expect(body.errors).toEqual([
      expect.objectContaining({
        path: ['note', 'writer'],
        message: 'there is no User u9, which writerId names',
        extensions: { code: 'RecordNotFound' },
      }),
    ]);
  });
});

interface Tasks {
  tasks: {
    nodes: { id: string }[];
    edges: { cursor: string }[];
    totalCount: number;
    pageInfo: { hasNextPage: boolean; hasPreviousPage: boolean; startCursor: string; endCursor: string };
  };
}

describe('pages', () => {
  const page = `query($first: Int, $after: String, $last: Int, $before: String, $filter: TaskFilter, $order: [TaskOrder!]) {
    tasks(first: $first, after: $after, last: $last, before: $before, filter: $filter, order: $order) {
      nodes { id } edges { cursor node { id } } totalCount
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }`;
  beforeEach(async () => {
    const inputs = Array.from({ length: 10 }, (_, i) => ({
      id: `t${i}`,
      title: `task ${i}`,
      priority: 10 - i,
      state: i % 2 === 0 ? 'open' : 'done',
      tags: i < 3 ? ['low', `n${i}`] : [],
      place: { city: i < 5 ? 'Ulm' : 'Bonn' },
      due: new Date(Date.UTC(2026, 0, i + 1)).toISOString(),
    }));
    await data(createTasks, { inputs });
  });
  const ids = (result: { tasks: { nodes: { id: string }[] } }): string =>
    result.tasks.nodes.map(({ id }) => id.slice(1)).join('');

  test('follow each other forwards and backwards, in the order that was asked for', async () => {
    for (const order of [[], [{ field: 'priority' }], [{ field: 'state', direction: 'DESC' }, { field: 'title' }]]) {
      const whole = ids(await data<Tasks>(page, { first: 10, order }));
      expect(whole.split('').toSorted().join('')).toBe('0123456789');
      let walked = '';
      let after: string | null = null;
      for (let more = true; more; ) {
        const { tasks }: Tasks = await data<Tasks>(page, { first: 4, after, order });
        walked += ids({ tasks });
        expect(tasks.pageInfo.hasPreviousPage).toBe(after !== null);
        ({ endCursor: after, hasNextPage: more } = tasks.pageInfo);
      }
      expect(walked).toBe(whole);
      let before: string | null = null;
      walked = '';
      for (let more = true; more; ) {
        const { tasks }: Tasks = await data<Tasks>(page, { last: 4, before, order });
        walked = ids({ tasks }) + walked;
        expect(tasks.pageInfo.hasNextPage).toBe(before !== null);
        ({ startCursor: before, hasPreviousPage: more } = tasks.pageInfo);
      }
      expect(walked).toBe(whole);
    }
  });

  test('go on after any of their records', async () => {
    const order = [{ field: 'priority', direction: 'DESC' }];
    const { tasks } = await data<Tasks>(page, { first: 10, order });
    for (const [index, { cursor }] of tasks.edges.entries()) {
      expect(ids(await data<Tasks>(page, { first: 2, after: cursor, order }))).toBe(
        '0123456789'.slice(index + 1, index + 3),
      );
      expect(ids(await data<Tasks>(page, { last: 2, before: cursor, order }))).toBe(
        '0123456789'.slice(Math.max(0, index - 2), index),
      );
    }
  });

  test.each([
    [{ state: { eq: 'open' } }, '02468'],
    [{ state: { ne: 'open' }, priority: { gt: 5 } }, '13'],
    [{ or: [{ id: { eq: 't1' } }, { id: { in: ['t3', 't5'] } }] }, '135'],
    [{ not: { state: { eq: 'open' } } }, '13579'],
    [{ and: [{ priority: { ge: 3 } }, { priority: { le: 4 } }] }, '67'],
    [{ title: { starts: 'task', ends: '7' } }, '7'],
    [{ title: { like: '*k 3' } }, '3'],
    [{ tags: { contains: 'n2' } }, '2'],
    [{ place: { city: { eq: 'Bonn' } } }, '56789'],
    [{ due: { lt: '2026-01-03T00:00:00Z' } }, '01'],
    [{ weight: { null: true }, id: { nin: ['t0', 't1', 't2', 't3', 't4'] } }, '56789'],
    [{}, '0123456789'],
  ])('show what meets the filter %j', async (filter, expected) => {
    const { tasks } = await data<Tasks>(page, { first: 10, filter });
    expect(ids({ tasks })).toBe(expected);
    expect(tasks.totalCount).toBe(expected.length);
  });

  test('are of 20 when nothing is said, and are not read when nothing of them is asked for', async () => {
    const inputs = Array.from({ length: 15 }, (_, i) => ({ title: `more ${i}` }));
    await data(createTasks, { inputs });
    counting.calls.length = 0;
    expect(await data('{ tasks { totalCount } }')).toEqual({ tasks: { totalCount: 25 } });
    expect(counting.calls).toEqual(['count']);
    counting.calls.length = 0;
    const { tasks } = await data<Tasks>('{ tasks { nodes { id } edges { cursor } pageInfo { hasNextPage } } }');
    expect([tasks.nodes.length, tasks.edges.length, tasks.pageInfo.hasNextPage]).toEqual([20, 20, true]);
    expect(counting.calls).toEqual(['query']);
  });

  test('of none are empty', async () => {
    expect(await data('{ tasks(first: 0) { nodes { id } pageInfo { endCursor } } }')).toEqual({
      tasks: { nodes: [], pageInfo: { endCursor: null } },
    });
  });

  test.each([
    ['first: 1, last: 1', 'BadRequest', 'first and last'],
    ['first: -1', 'BadRequest', '0 to 10000'],
    ['first: 1, before: "x"', 'BadRequest', 'last'],
    ['after: "nonsense"', 'CursorInvalid', ''],
  ])('are refused for %s', async (args, code, words) => {
    const query = `{ tasks(${args}) { nodes { id } } }`;
    expect(await refusal(query)).toMatchObject({ code, message: expect.stringContaining(words) });
  });
});

describe('relationships', () => {
  beforeEach(async () => {
    await data(
      'mutation { createUsers(inputs: [{id: "u0", name: "Ann"}, {id: "u1", name: "Bo"}, {id: "u2", name: "Cy"}]) { id } }',
    );
    const inputs = Array.from({ length: 30 }, (_, i) => ({ id: `t${i}`, title: `task ${i}`, ownerId: `u${i % 3}` }));
    await data(createTasks, { inputs });
  });

  test('to one are read together, each record once', async () => {
    const asked: string[][] = [];
    const own = await serveGraphql(schema, {
      watch: (store) =>
        new Proxy(store, {
          get: (target, name) => {
            if (name === 'getMany')
              return (table: number, keys: string[]) => {
                asked.push(keys);
                return target.getMany(table, keys);
              };
            const value = Reflect.get(target, name) as unknown;
            return typeof value === 'function' ? (value as () => void).bind(target) : value;
          },
        }),
    });
    try {
      await own.ask('mutation { createUsers(inputs: [{id: "u0", name: "Ann"}, {id: "u1", name: "Bo"}]) { id } }');
      const inputs = Array.from({ length: 30 }, (_, i) => ({ title: `task ${i}`, ownerId: `u${i % 2}` }));
      await own.ask(createTasks, { inputs });
      const { body } = await own.ask('{ tasks(first: 30) { nodes { title owner { id name } } } }');
      const { tasks } = body.data as { tasks: { nodes: { title: string; owner: { id: string } }[] } };
      expect(tasks.nodes.every(({ title, owner }) => owner.id === `u${Number(title.slice(5)) % 2}`)).toBe(true);
      expect(asked.map((keys) => keys.toSorted())).toEqual([['u0', 'u1']]);
    } finally {
      await own.close();
    }
  });

  test('to many are pages of their own, and go back', async () => {
    const one = await data(
      '{ user(id: "u1") { tasks(first: 2, filter: {title: {ends: "9"}}) { totalCount nodes { id owner { name } } } } }',
    );
    expect(one).toEqual({ user: { tasks: { totalCount: 1, nodes: [{ id: 't19', owner: { name: 'Bo' } }] } } });
    const all = await data('{ users { nodes { name tasks(last: 1) { totalCount nodes { ownerId } } } } }');
    const nodes = ['u0', 'u1', 'u2'].map((ownerId, i) => ({
      name: ['Ann', 'Bo', 'Cy'][i],
      tasks: { totalCount: 10, nodes: [{ ownerId }] },
    }));
    expect(all).toEqual({ users: { nodes } });
  });
});

describe('what fails inside', () => {
  let failing: GraphqlServer;
  afterEach(() => failing.close());

  test('is told by its code when it has one, and else only logged', async () => {
    const failures: Error[] = [
      Object.assign(new Error('No space left on device: /disk/data/000007.log'), { code: 'StoreFull' }),
      new Error('password=hunter2'),
    ];
    failing = await serveGraphql(schema, {
      watch: (store) =>
        new Proxy(store, {
          get: (target, name) => {
            if (name === 'query')
              return (_table: number, _query: TableQuery) =>
                Promise.reject(failures.shift() ?? new Error('asked too often'));
            const value = Reflect.get(target, name) as unknown;
            return typeof value === 'function' ? (value as () => void).bind(target) : value;
          },
        }),
    });
    const query = '{ tasks { nodes { id } } }';
    const full = await failing.ask(query);
    expect(full.body.errors?.[0]).toMatchObject({
      message: 'there is no space left for tables: nothing was written, and reads go on',
      extensions: { code: 'StoreFull' },
    });
    const inner = await failing.ask(query);
    expect(inner.body.errors?.[0]).toMatchObject({ extensions: { code: 'Internal' } });
    expect(inner.text).not.toContain('hunter2');
    expect(JSON.stringify(failing.log)).toContain('hunter2');
    expect(full.text).not.toContain('/disk/data');
    expect(JSON.stringify(failing.log)).toContain('/disk/data');
  });
});
