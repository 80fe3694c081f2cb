import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ApiDocument, type OperationObject } from './load/document.js';
import { World } from './load/world.js';

const schema = `
type Task @table @export {
  id: ID! @primaryKey
  title: String!
  state: State! @indexed
  priority: Int
  weight: Float
  urgent: Boolean!
  due: Date
  tags: [String!]
  grid: [[Int]]
  place: Place
  states: [State]
  notes: Any
  limit: Int
  createdAt: Date! @createdTime
  updatedAt: Float @updatedTime
}
type Code @table @export(rest: true) { code: Int! @primaryKey  places: [Place!]! }
enum State { open doing done }
input Place { city: String!  since: Date  inner: Inner }
input Inner { states: [State!]!  any: Any }
`;

let world: World;
let document: ApiDocument;

beforeAll(async () => {
  world = await World.make();
  await world.write('todo', 'config.yaml', 'name: Todo\n');
  await world.write('todo', 'schema.graphql', schema);
  await world.start();
  document = new ApiDocument((await world.get('/openapi.json')).body);
});

afterAll(() => world.close());

type Schema = Readonly<Record<string, unknown>>;

const text = fc.oneof(
  fc.constantFrom('', 'a', 'open', '1', '2026-01-31', '2026-01-31T12:00:00Z', 'id', '-title,state', '*', 'x==1;y'),
  fc.string({ unit: 'grapheme', maxLength: 8 }),
);
const anything = fc.jsonValue({ maxDepth: 2, depthSize: 'small' }) as fc.Arbitrary<unknown>;

/** Values that `schema` takes, as far as it says. */
function valuesOf(given: Schema, depth = 0): fc.Arbitrary<unknown> {
  const one = document.resolve(given);
  const branches = (one['anyOf'] ?? []) as Schema[];
  if (branches.length > 0) return fc.oneof(...branches.map((branch) => valuesOf(branch, depth)));
  if (one['allOf'] !== undefined) return valuesOf((one['allOf'] as Schema[])[0] ?? {}, depth);
  if (one['enum'] !== undefined) return fc.constantFrom(...(one['enum'] as unknown[]));
  const types = [one['type'] ?? []].flat() as string[];
  if (types.length === 0) return anything;
  return fc.oneof(...types.map((type) => valuesOfType(type, one, depth)));
}

function valuesOfType(type: string, one: Schema, depth: number): fc.Arbitrary<unknown> {
  switch (type) {
    case 'null':
      return fc.constant(null);
    case 'boolean':
      return fc.boolean();
    case 'integer':
      return fc.oneof(fc.integer({ min: -3, max: 30 }), fc.maxSafeInteger());
    case 'number':
      return fc.double({ noNaN: true, noDefaultInfinity: true });
    case 'string':
      return text;
    case 'array':
      return fc.array(valuesOf((one['items'] ?? {}) as Schema, depth + 1), { maxLength: 3 });
    default: {
      const properties = Object.entries((one['properties'] ?? {}) as Record<string, Schema>);
      const members = properties.map(([name, inner]) => [name, valuesOf(inner, depth + 1)]);
      return fc.record(Object.fromEntries(members) as Record<string, fc.Arbitrary<unknown>>, {
        requiredKeys: (one['required'] ?? []) as string[],
      });
    }
  }
}

interface Drawn {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly key: string;
  readonly body: string | undefined;
  readonly type: string;
}

const key = fc.oneof({ weight: 5, arbitrary: fc.constantFrom('a', '1', '2') }, fc.constantFrom('ä b', '%', ';', '.x'));
const accept = fc.option(fc.constantFrom('application/json', 'application/x-ndjson', '*/*', 'image/png'), { freq: 4 });
const tag = fc.constantFrom('*', '"0123456789abcdef"', 'W/"0123456789abcdef"', 'none');

function requestsOf(
  method: string,
  path: string,
  { parameters = [], requestBody }: OperationObject,
): fc.Arbitrary<Drawn> {
  const inQuery = parameters.filter((one) => one.in === 'query' && !['from', 'snapshot'].includes(one.name));
  const query = fc
    .subarray(inQuery, { maxLength: Math.min(3, inQuery.length) })
    .chain((some) => fc.record(Object.fromEntries(some.map(({ name, schema: of }) => [name, valuesOf(of)]))));
  const inHeaders = parameters.filter((one) => one.in === 'header' && one.name !== 'Last-Event-ID');
  const values = inHeaders.map(({ name }) => [
    name,
    fc.option(name === 'Prefer' ? fc.constant('return=minimal') : tag, { freq: 4, nil: undefined }),
  ]);
  const headers = fc.record({
    accept,
    ...(Object.fromEntries(values) as Record<string, fc.Arbitrary<unknown>>),
  });
  const bodies = Object.entries(requestBody?.content ?? {}).map(([type, { schema: of }]) =>
    fc.record({
      type: fc.constant(type),
      body: fc.oneof(
        {
          weight: 8,
          arbitrary: type.endsWith('ndjson')
            ? fc
                .array(valuesOf(recordOf(path)), { maxLength: 3 })
                .map((all) => all.map((each) => JSON.stringify(each)).join('\n'))
            : valuesOf(of).map((each) => JSON.stringify(each)),
        },
        { weight: 1, arbitrary: anything.map((each) => JSON.stringify(each)) },
        { weight: 1, arbitrary: text },
      ),
    }),
  );
  const body = bodies.length === 0 ? fc.constant({ type: '', body: undefined }) : fc.oneof(...bodies);
  return fc
    .record({ query, headers, key, body })
    .map((drawn) => ({ method, path, ...drawn, body: drawn.body.body, type: drawn.body.type }));
}

function recordOf(path: string): Schema {
  return { $ref: `#/components/schemas/todo.${path.split('/')[2]}.Input` };
}

async function send({ method, path, query, headers, key: of, body, type }: Drawn): Promise<number> {
  const search = new URLSearchParams(
    Object.entries(query).map(([name, value]): [string, string] => [name, String(value)]),
  );
  const target = `${path.replace('{key}', encodeURIComponent(of))}${search.size === 0 ? '' : `?${search.toString()}`}`;
  const given = Object.entries(headers).filter(([, value]) => typeof value === 'string') as [string, string][];
  const answer = await world.request(method.toUpperCase(), target, {
    headers: [...given, ...(type === '' ? [] : [['content-type', type] as [string, string]])],
    ...(body === undefined ? {} : { body }),
  });
  const answered = { status: answer.status, type: answer.headers.get('content-type'), body: answer.body };
  expect(document.flaw(method, path, answered)).toBeUndefined();
  return answer.status;
}

test('whatever is sent to a table as its document has it is answered as the document has it', async () => {
  const operations = Object.entries(document.json.paths)
    .filter(([path]) => path.startsWith('/todo/') && path !== '/todo/graphql')
    .flatMap(([path, item]) => Object.entries(item).map(([method, one]) => requestsOf(method, path, one)));
  expect(operations.length).toBe(12);
  const statuses = new Map<number, number>();
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(...operations), { minLength: 4, maxLength: 12 }), async (requests) => {
      for (const request of requests) {
        const status = await send(request);
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }
    }),
    { numRuns: 80 },
  );
  // Otherwise it has looked at nothing.
  expect([...statuses.keys()]).toEqual(expect.arrayContaining([200, 201, 204, 400, 404, 406, 412]));
});

test('a record that the document allows is taken, and comes back as the document has it', async () => {
  const input = { $ref: '#/components/schemas/todo.Task.Input' };
  const dates = fc.option(fc.constantFrom<unknown>('2026-01-31', '2026-01-31T12:00:00.5+02:00', 0, 1e12));
  const records = valuesOf(input).chain((record) =>
    fc.record({ due: dates, place: fc.constant({ city: 'Ulm' }) }).map((more) => {
      const others = Object.entries(record as object).filter(([name]) => !name.endsWith('edAt'));
      return { ...Object.fromEntries(others), ...more };
    }),
  );
  await fc.assert(
    fc.asyncProperty(records, async (record) => {
      const headers = { 'content-type': 'application/json' };
      const {
        status,
        headers: sent,
        body,
      } = await world.request('PUT', '/todo/Task/one', {
        headers,
        body: JSON.stringify({ ...record, id: 'one' }),
      });
      const answered = { status, type: sent.get('content-type'), body };
      expect(document.flaw('put', '/todo/Task/{key}', answered)).toBeUndefined();
      expect([200, 201], body).toContain(status);
    }),
    { numRuns: 100 },
  );
});

test('results of GraphQL are as the document has them', async () => {
  const queries = ['{ tasks { nodes { id } } }', '{ nothing }', '{', 'mutation { deleteTask(id: "none") { id } }'];
  for (const query of queries) {
    for (const accepted of ['application/json', 'application/graphql-response+json']) {
      const { status, headers, body } = await world.request('POST', '/todo/graphql', {
        headers: { 'content-type': 'application/json', accept: accepted },
        body: JSON.stringify({ query }),
      });
      const answered = { status, type: headers.get('content-type'), body };
      expect(document.flaw('post', '/todo/graphql', answered)).toBeUndefined();
    }
    const target = `/todo/graphql?query=${encodeURIComponent(query)}`;
    const { status, headers, body } = await world.get(target);
    const answered = { status, type: headers.get('content-type'), body };
    expect(document.flaw('get', '/todo/graphql', answered)).toBeUndefined();
  }
});
