import { rm } from 'node:fs/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';
import { type Door, Doors, doors, plainKey } from './tables/doors.js';
import {
  bodiesOf,
  type DrawnTable,
  drawnTables,
  isScalar,
  keysOf,
  type Row,
  schemaOf,
  valuesOf,
} from './tables/drawn-schema.js';
import { type Condition, compare, meets, type ModelWrite, TableModel } from './tables/table-model.js';

const long = process.env['TENON_TEST_LONG'] === '1';
const seed = Number(process.env['TENON_TEST_SEED'] ?? Date.now() % 2 ** 31);
const runs = long ? 500 : 30;

type Step =
  | { do: 'write'; door: Door; write: ModelWrite }
  | { do: 'together'; door: Door; writes: ModelWrite[] }
  | { do: 'query'; table: DrawnTable; condition: Condition; descending: boolean };

function writesOf(table: DrawnTable, kinds: readonly ModelWrite['kind'][]): fc.Arbitrary<ModelWrite> {
  return fc
    .constantFrom(...kinds)
    .chain((kind) =>
      fc
        .record({ key: keysOf(table.keyKind), given: bodiesOf(table, kind === 'patch') })
        .map(({ key, given }) => ({ kind, table, key, ...given })),
    );
}

function queriesOf(table: DrawnTable): fc.Arbitrary<Step> {
  return fc.constantFrom(...table.fields.filter(isScalar)).chain((field) =>
    fc
      .record({
        op:
          field.kind === 'Boolean' || field.kind === 'State'
            ? fc.constantFrom('eq', 'ne')
            : fc.constantFrom('eq', 'ne', 'lt', 'le', 'gt', 'ge'),
        value: field.name === table.key ? keysOf(table.keyKind) : valuesOf(field),
        descending: fc.boolean(),
      })
      .map(
        ({ op, value, descending }): Step => ({
          do: 'query',
          table,
          condition: { field, op, value },
          descending,
        }),
      ),
  );
}

function stepsOf(tables: readonly DrawnTable[]): fc.Arbitrary<Step[]> {
  const table = fc.constantFrom(...tables);
  const door = fc.constantFrom(...doors);
  const write = table.chain((each) =>
    writesOf(each, ['put', 'put', 'put', 'create', 'patch', 'patch', 'patch', 'remove']),
  );
  const mixed = fc.array(write, { minLength: 1, maxLength: 5 });
  const alike = (kind: 'put' | 'create'): fc.Arbitrary<ModelWrite[]> =>
    table.chain((each) => fc.array(writesOf(each, [kind]), { minLength: 1, maxLength: 5 }));
  const step = fc.oneof<fc.WeightedArbitrary<Step>[]>(
    { weight: 12, arbitrary: fc.record({ do: fc.constant('write'), door, write }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('together'), door: fc.constant('plugin'), writes: mixed }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('together'), door, writes: alike('create') }) },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant('together'), door: fc.constant('rest'), writes: alike('put') }),
    },
    { weight: 4, arbitrary: table.chain(queriesOf) },
  );
  return fc.array(step, { minLength: 20, maxLength: 90, size: 'max' });
}

const drawn = drawnTables.chain((tables) => stepsOf(tables).map((steps) => ({ tables, steps })));

let world: World;
let ways: Doors;
beforeAll(async () => {
  world = await World.make();
  ways = new Doors(world);
  await world.publish('tables', await buildPlugin('tables', { defines: { PLUGIN_ID: '"tables"' } }));
  await world.write('tables', 'config.yaml', 'name: Tables\n');
});
afterAll(() => world.close());

const quoted = (text: string): string => `"${text.replaceAll(/["\\]/g, String.raw`\$&`)}"`;

function expressionOf({ field, op, value }: Condition): string {
  const operator = op === 'eq' ? '==' : op === 'ne' ? '!=' : `=${op}=`;
  return field.name + operator + (typeof value === 'string' ? quoted(value) : String(value));
}

const keysIn = (table: DrawnTable, rows: readonly Row[]): unknown[] => rows.map((row) => row[table.key]);

/** Rows as the plugin has them: ` {…} {…} END`. */
async function scanned(table: DrawnTable, query: Record<string, string>, filter?: object): Promise<string> {
  return ways.callPlugin(
    { op: 'scan', table: table.name, ...query },
    filter === undefined ? '' : JSON.stringify(filter),
  );
}

const asScanned = (rows: readonly Row[]): string =>
  [...rows.map((row) => JSON.stringify(row)), 'END'].map((text) => ` ${text}`).join('');

/** A record of GraphQL: what is absent is null. */
function asNode(table: DrawnTable, row: Row): Row {
  return Object.fromEntries(
    table.fields.map(({ name, kind }) => {
      const value = row[name] ?? null;
      return [name, kind === 'Place' && value !== null ? { city: null, lines: null, ...(value as Row) } : value];
    }),
  );
}

const selectionOf = (table: DrawnTable): string =>
  table.fields.map(({ name, kind }) => (kind === 'Place' ? `${name} { city rank lines }` : name)).join(' ');

/** Everything in the table, by every door. */
async function checkContents(tables: readonly DrawnTable[], table: DrawnTable, model: TableModel): Promise<void> {
  const wanted = model.all(table);
  const lines = (await ways.get(table.name, 'application/x-ndjson')).text.split('\n').filter((line) => line !== '');
  expect(lines.map((line) => JSON.parse(line) as Row)).toEqual(wanted);
  expect(await scanned(table, {})).toBe([...lines, 'END'].map((text) => ` ${text}`).join(''));
  expect(await ways.callPlugin({ op: 'count', table: table.name, exact: 'yes' })).toBe(`OK ${wanted.length}`);
  expect((await ways.get(`${table.name}?count=true&limit=1`)).headers.get('x-total-count')).toBe(String(wanted.length));

  const leading = tables.filter(({ owner }) => owner === table.name);
  const [owner] = tables.filter(({ name }) => name === table.owner);
  const relationships = [
    ...leading.map((other) => `${other.many}(first: 10) { nodes { ${other.key} } }`),
    ...(owner === undefined ? [] : [`owner { ${owner.key} }`]),
  ].join(' ');
  const query = `{ ${table.many}(first: 10) { totalCount nodes { ${selectionOf(table)} ${relationships} } } }`;
  const { data } = await ways.ask(query, {});
  const nodes = wanted.map((row) => {
    const ofOthers = leading.map((other) => {
      const theirs = model.all(other).filter(({ ownerId }) => ownerId === row[table.key]);
      return [other.many, { nodes: theirs.map((their) => ({ [other.key]: their[other.key] })) }] as const;
    });
    const mine = owner === undefined ? undefined : model.row(owner, row['ownerId']);
    const ofOwner = owner === undefined ? {} : { owner: mine === undefined ? null : { [owner.key]: mine[owner.key] } };
    return { ...asNode(table, row), ...Object.fromEntries(ofOthers), ...ofOwner };
  });
  expect(data).toEqual({ [table.many]: { totalCount: wanted.length, nodes } });
}

/** One condition and one order, by every door. */
async function checkQuery(
  { table, condition, descending }: Extract<Step, { do: 'query' }>,
  model: TableModel,
): Promise<void> {
  const { field, op, value } = condition;
  const matching = model.all(table).filter((row) => meets(row, condition));
  const sign = descending ? -1 : 1;
  const sorted = matching.toSorted(
    (left, right) =>
      sign * (compare(left[field.name], right[field.name]) || compare(left[table.key], right[table.key])),
  );
  const query = new URLSearchParams({
    filter: expressionOf(condition),
    sort: (descending ? '-' : '') + field.name,
    count: 'true',
  });
  const { text, headers } = await ways.get(`${table.name}?${query.toString()}`);
  expect(JSON.parse(text)).toEqual(sorted);
  expect(headers.get('x-total-count')).toBe(String(matching.length));

  const request = `query($filter: ${table.name}Filter, $order: [${table.name}Order!]) { ${table.many}(filter: $filter, order: $order) { totalCount nodes { ${table.key} } } }`;
  const order = [{ field: field.name, direction: descending ? 'DESC' : 'ASC' }];
  const reply = await ways.ask(request, { filter: { [field.name]: { [op]: value } }, order });
  const nodes = keysIn(table, sorted).map((key) => ({ [table.key]: key }));
  expect(reply).toEqual({ data: { [table.many]: { totalCount: matching.length, nodes } } });

  expect(await scanned(table, {}, { field: field.name, op, value })).toBe(asScanned(matching));
  const isBound = typeof value === 'number' ? field.kind === 'Int' : typeof value === 'string' && /^[^#]/.test(value);
  if (!isBound || field.kind === 'Date' || !(field.indexed || field.name === table.key)) return;
  const from = model
    .all(table)
    .filter((row) => (row[field.name] ?? null) !== null && compare(row[field.name], value) >= 0)
    .toSorted((left, right) => compare(left[field.name], right[field.name]));
  const bounds = { field: field.name, lower: plainKey(value as string | number) };
  expect(await scanned(table, bounds)).toBe(asScanned(from));
}

const checkEvery = 10;

test(`tables of any schema are the same by REST, GraphQL and a plugin, and what a model says (TENON_TEST_SEED=${seed})`, {
  timeout: long ? 3_600_000 : 240_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(drawn, async ({ tables, steps }) => {
      await world.write('tables', 'schema.graphql', schemaOf(tables));
      await world.start();
      try {
        const model = new TableModel();
        for (const [index, step] of steps.entries()) {
          if (step.do === 'query') await checkQuery(step, model);
          else if (step.do === 'write')
            expect(model.write(step.write)).toContain(await ways.write(step.door, step.write));
          else expect(model.writeTogether(step.writes)).toContain(await ways.writeTogether(step.door, step.writes));
          if (index % checkEvery === checkEvery - 1 || index === steps.length - 1)
            for (const table of tables) await checkContents(tables, table, model);
        }
      } finally {
        await world.host.close();
        await rm(world.data, { recursive: true, force: true });
      }
    }),
    { seed, numRuns: runs, endOnFailure: !long },
  );
});
