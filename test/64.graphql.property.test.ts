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
