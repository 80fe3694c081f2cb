import fc from 'fast-check';
import { buildSchema, printSchema, validateSchema } from 'graphql';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TenonError } from '../src/base/errors.js';
import type { Store } from '../src/binding/store.js';
import { makeGraphqlSchema } from '../src/http/graphql-schema.js';
import type { Changes } from '../src/tables/changes.js';
import { readSchema } from '../src/tables/schema.js';
import { type GraphqlServer, serveGraphql } from './tables/graphql.js';

describe('whatever a schema says', () => {
  // Names that are likely to meet, also those of what is made of others.
  const typeNames = [
    'Task',
    'Tasks',
    'TaskInput',
    'TaskFilter',
    'Place',
    'PlaceList',
    'PlacePatch',
    'Category',
    'ID',
    'Kind',
  ];
  const fieldNames = [
    'id',
    'name',
    'or',
    'null',
    'kind',
    'cursor',
    'node',
    'edges',
    'constructor',
    'toString',
    'first',
  ];
  const scalar = fc.constantFrom('ID', 'String', 'Int', 'Float', 'Boolean', 'Date', 'Any');
  const shape = fc.constantFrom('T', 'T!', '[T]', '[T!]!', '[[T!]]');
  const field = fc.tuple(fc.constantFrom(...fieldNames), shape, scalar, fc.nat());
  const type = fc.record({
    name: fc.constantFrom(...typeNames),
    what: fc.constantFrom('table', 'table', 'type', 'enum', 'hidden'),
    fields: fc.uniqueArray(field, { minLength: 1, maxLength: 5, selector: ([name]) => name }),
  });
  const types = fc.uniqueArray(type, { minLength: 1, maxLength: 6, selector: ({ name }) => name });
  type Drawn = typeof types extends fc.Arbitrary<infer T> ? T : never;

  function written(drawn: Drawn): string {
    // Fields may be of the types that come before theirs, so that no type holds itself.
    return drawn
      .map(({ name, what, fields }, index) => {
        if (what === 'enum') return `enum ${name} { ${fields.map(([value]) => value).join(' ')} }`;
        const nested = drawn.slice(0, index).filter((one) => one.what === 'type' || one.what === 'enum');
        const lines = fields.map(([own, form, kind, pick]) => {
          const choice = pick % (nested.length + 1);
          return `${own}: ${form.replace('T', nested[choice]?.name ?? kind)}`;
        });
        const head = { table: ' @table @export', hidden: ' @table', type: '' }[what];
        return `type ${name}${head} { ${what === 'type' ? '' : 'theKey: ID! @primaryKey '}${lines.join(' ')} }`;
      })
      .join('\n');
  }

  test('its GraphQL is refused by name, or is a schema that others can read', () => {
    let made = 0;
    fc.assert(
      fc.property(types, (drawn) => {
        try {
          const schema = readSchema([{ file: 'schema.graphql', text: written(drawn) }], 'todo');
          fc.pre(schema.tables.some((table) => table.exports.graphql));
          const tables = schema.tables.map((table, number) => ({
            application: 'todo',
            number,
            schema: table,
            definition: table.definition,
          }));
          const served = { application: 'todo', prefix: '', store: {} as Store, schema, tables };
          const graphql = makeGraphqlSchema(served, {} as Changes);
          expect(validateSchema(graphql)).toEqual([]);
          expect(() => buildSchema(printSchema(graphql))).not.toThrow();
          made += 1;
        } catch (error) {
          if (!(error instanceof TenonError)) throw error;
          expect(error.code).toBe('SchemaInvalid');
        }
      }),
      { numRuns: 300 },
    );
    expect(made).toBeGreaterThan(5);
  });
});

describe('a table over GraphQL and a map in memory', () => {
  interface Row {
    id: string;
    title: string;
    rank: number | null;
  }
  const schema = 'type Row @table @export { id: ID! @primaryKey title: String! rank: Int @indexed }';
  let server: GraphqlServer;
  beforeAll(async () => {
    server = await serveGraphql(schema);
  });
  afterAll(() => server.close());

  const row = fc.record({
    id: fc.constantFrom('a', 'b', 'c', 'd', 'é', '0', 'x y/z'),
    title: fc.string({ unit: 'grapheme', maxLength: 8 }),
    rank: fc.option(fc.integer({ min: -3, max: 3 })),
  });
  const step = fc.oneof(
    row.map((input) => ({ kind: 'create' as const, ...input })),
    row.map((input) => ({ kind: 'put' as const, ...input })),
    row.map((input) => ({ kind: 'update' as const, ...input })),
    row.map((input) => ({ kind: 'delete' as const, ...input })),
    row.map((input) => ({ kind: 'list' as const, ...input })),
  );
  const fields = '{ id title rank }';

  async function ask(query: string, variables: object): Promise<unknown> {
    const { body } = await server.ask(query, variables);
    const code = body.errors?.[0]?.extensions['code'];
    return code ?? Object.values(body.data as Record<string, unknown>)[0];
  }

  /** What the model says, having done the same. */
  function expected(model: Map<string, Row>, kind: string, given: Row): unknown {
    const old = model.get(given.id);
    if (kind === 'create' && old !== undefined) return 'RecordExists';
    if ((kind === 'update' || kind === 'delete') && old === undefined) return 'RecordNotFound';
    if (kind === 'delete') model.delete(given.id);
    else model.set(given.id, given);
    return kind === 'delete' ? old : given;
  }

  function listed(model: Map<string, Row>, rank: number | null): Row[] {
    const rows = [...model.values()].filter((one) => one.rank !== null && (rank === null || one.rank >= rank));
    return rows.toSorted(
      (one, other) => (other.rank ?? 0) - (one.rank ?? 0) || Buffer.compare(Buffer.from(other.id), Buffer.from(one.id)),
    );
  }

  const mutations: Record<string, string> = {
    create: `mutation($input: RowInput!) { createRow(input: $input) ${fields} }`,
    put: `mutation($input: RowInput!) { putRow(input: $input) ${fields} }`,
    update: `mutation($id: ID!, $patch: RowPatch!) { updateRow(id: $id, input: $patch) ${fields} }`,
    delete: `mutation($id: ID!) { deleteRow(id: $id) ${fields} }`,
  };
  const list = `query($filter: RowFilter) { rows(filter: $filter, order: [{field: rank, direction: DESC}]) { nodes ${fields} } }`;

  test('say the same after every step', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        for (const key of ['a', 'b', 'c', 'd', 'é', '0', 'x y/z']) await ask(mutations['delete'] ?? '', { id: key });
        const model = new Map<string, Row>();
        for (const { kind, ...input } of steps) {
          if (kind === 'list') {
            const filter = { rank: input.rank === null ? { null: false } : { ge: input.rank } };
            expect(await ask(list, { filter })).toEqual({ nodes: listed(model, input.rank) });
          } else {
            const { id, ...patch } = input;
            const answer = await ask(mutations[kind] ?? '', variablesOf(kind, input, patch));
            expect(answer).toEqual(expected(model, kind, input));
            expect(await ask(`query($id: ID!) { row(id: $id) ${fields} }`, { id })).toEqual(model.get(id) ?? null);
          }
        }
      }),
      { numRuns: 20 },
    );
  });

  function variablesOf(kind: string, input: Row, patch: object): object {
    if (kind === 'update') return { id: input.id, patch };
    return kind === 'delete' ? { id: input.id } : { input };
  }
});

describe('whatever a client sends', () => {
  let server: GraphqlServer;
  beforeAll(async () => {
    server = await serveGraphql(
      'type Part { n: Int any: Any } type Row @table @export { id: ID! @primaryKey rank: Int @indexed part: Part upId: ID @indexed up: Row @relationship(from: "upId") down: [Row!]! @relationship(to: "upId") }',
    );
    await server.ask('mutation { createRow(input: {id: "a", rank: 1, upId: "a"}) { id } }');
  });
  afterAll(() => server.close());

  const values = [
    'null',
    'true',
    '-1',
    '2147483648',
    '9e999',
    '"a"',
    '"\\u0000"',
    '[]',
    '{}',
    '[[{}]]',
    '$v',
    'ASC',
    '{eq: "a"}',
    '{n: {gt: 1}}',
  ];
  const value = fc.constantFrom(...values);
  const argument = fc
    .tuple(fc.constantFrom('id', 'filter', 'order', 'first', 'after', 'last', 'before', 'input', 'inputs'), value)
    .map(([name, given]) => `${name}: ${given}`);
  const name = fc.constantFrom(
    'row',
    'rows',
    'up',
    'down',
    'nodes',
    'edges',
    'node',
    'pageInfo',
    'part',
    'id',
    'rank',
    'totalCount',
    'createRow',
    'updateRow',
    'deleteRow',
    '__typename',
    '__schema',
    '...f',
    '... on Row',
  );
  const written = (field: string, args: string[], inner: string): string =>
    `${field}${args.length === 0 || field.startsWith('...') ? '' : `(${args.join(' ')})`} ${inner}`;
  const args = fc.array(argument, { maxLength: 2 });
  const leaf = fc.tuple(name, args).map(([field, given]) => written(field, given, ''));
  const { selection } = fc.letrec<{ selection: string }>((tie) => ({
    selection: fc.oneof(
      { maxDepth: 4 },
      leaf,
      fc
        .tuple(name, args, fc.array(tie('selection'), { minLength: 1, maxLength: 3 }))
        .map(([field, given, inner]) => written(field, given, `{ ${inner.join(' ')} }`)),
    ),
  }));
  /** Sound but for what stands in their places. */
  const sound = fc
    .tuple(
      fc.constantFrom(
        'query { row(A) { id up { id } down(A) { totalCount nodes { id } } } }',
        'query { rows(A) { edges { cursor node { rank part { n any } } } pageInfo { endCursor hasNextPage hasPreviousPage } } }',
        'query($v: Any) { rows(A) { totalCount } }',
        'mutation { createRow(input: {id: "a", A}) { id } }',
        'mutation { putRow(input: {rank: V, part: {any: V}}) { part { any } } }',
        'mutation($v: RowPatch!) { updateRow(id: V, input: $v) { id rank part { n any } } }',
        'mutation($v: [RowInput!]!) { createRows(inputs: $v) { id } }',
        'mutation { deleteRow(id: V) { id } }',
        'subscription { rowChanged(A) { id } }',
      ),
      fc.array(argument, { minLength: 4, maxLength: 4 }),
      fc.array(value, { minLength: 2, maxLength: 2 }),
    )
    .map(([template, given, some]) =>
      template
        .replace('(A)', () => (given[0] === undefined ? '' : `(${given[0]})`))
        .replaceAll('A)', () => `${given.at(1) ?? ''})`)
        .replaceAll(/\bV\b/g, () => some.pop() ?? 'null'),
    );
  const drawn = fc
    .tuple(
      fc.constantFrom('query', 'mutation', 'query($v: Any)', 'query($v: RowFilter)', 'query($v: Int = 5)'),
      selection,
      fc.boolean(),
    )
    .map(([head, body, fragment]) => `${head} { ${body} } ${fragment ? 'fragment f on Row { id }' : ''}`);
  const document = fc.oneof(sound, drawn);
  const request = fc.record(
    {
      query: fc.oneof({ weight: 8, arbitrary: document }, fc.string({ unit: 'grapheme' }), fc.anything()),
      variables: fc.oneof(fc.constant({}), fc.record({ v: fc.jsonValue() }), fc.anything()),
      operationName: fc.option(fc.string()),
    },
    { requiredKeys: ['query'] },
  );

  test('is answered by a result or by what is wrong with it, and nothing of it is the host', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(request, fc.array(request, { maxLength: 3 })), async (given) => {
        const body = JSON.stringify(given, (_key, each: unknown) => (typeof each === 'bigint' ? String(each) : each));
        const answer = await server.send({ method: 'POST', headers: { 'content-type': 'application/json' }, body });
        expect([200, 400, 406]).toContain(answer.status);
        expect(answer.text).not.toContain('"Internal"');
      }),
      { numRuns: 150 },
    );
  });
});
