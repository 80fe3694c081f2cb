/** What a table is called in GraphQL, and whether all of it can stand in one schema. */
import { TenonError } from '../base/errors.js';
import type { ApplicationSchema } from './schema.js';

/** Every name that a table brings: fields of the three roots, then types. */
export interface TableNames {
  readonly one: string;
  readonly many: string;
  readonly create: string;
  readonly createMany: string;
  readonly put: string;
  readonly update: string;
  readonly remove: string;
  readonly changed: string;
  readonly connection: string;
  readonly edge: string;
  readonly filter: string;
  readonly order: string;
  readonly orderField: string;
  readonly input: string;
  readonly patch: string;
  readonly change: string;
}

/** Names of an object that is nested in records, as it is written and filtered. */
export interface ObjectNames {
  readonly input: string;
  readonly patch: string;
  readonly filter: string;
}

/** Types that every schema has, whatever its tables are. */
const ownTypes = [
  'Query',
  'Mutation',
  'Subscription',
  'PageInfo',
  'OrderDirection',
  'ChangeKind',
  'IDFilter',
  'StringFilter',
  'IntFilter',
  'FloatFilter',
  'BooleanFilter',
  'DateFilter',
  'AnyFilter',
];

/** Members of every filter beside the fields. */
const filterWords = new Set(['and', 'or', 'not']);
/** What a field of an order may not be called: no value of an enum is. */
const literalWords = new Set(['true', 'false', 'null']);
/** Fields of every change beside the record, which is called like `one`. */
const changeWords = new Set(['kind', 'id', 'cursor']);

/** `Task` → `task`, `URLEntry` → `urlEntry`, `ID` → `id`. */
export function lowerFirst(name: string): string {
  const [capitals = ''] = /^[A-Z]*/.exec(name) ?? [];
  const length = capitals.length <= 1 || capitals.length === name.length ? capitals.length : capitals.length - 1;
  return name.slice(0, length).toLowerCase() + name.slice(length);
}

/** `Task` → `Tasks`, `Category` → `Categories`, `Address` → `Addresses`. */
export function plural(name: string): string {
  if (/[^aeiou]y$/i.test(name)) return `${name.slice(0, -1)}ies`;
  if (/(?:s|x|z|ch|sh)$/i.test(name)) return `${name}es`;
  return `${name}s`;
}

export function tableNames(table: string): TableNames {
  const upper = (table[0] ?? '').toUpperCase() + table.slice(1);
  return {
    one: lowerFirst(table),
    many: lowerFirst(plural(table)),
    create: `create${upper}`,
    createMany: `create${plural(upper)}`,
    put: `put${upper}`,
    update: `update${upper}`,
    remove: `delete${upper}`,
    changed: `${lowerFirst(table)}Changed`,
    connection: `${table}Connection`,
    edge: `${table}Edge`,
    filter: `${table}Filter`,
    order: `${table}Order`,
    orderField: `${table}OrderField`,
    input: `${table}Input`,
    patch: `${table}Patch`,
    change: `${table}Change`,
  };
}

export function objectNames(object: string): ObjectNames {
  return { input: `${object}Input`, patch: `${object}Patch`, filter: `${object}Filter` };
}

/** Name of the filter for the values of an enum. */
export function enumFilterName(enumeration: string): string {
  return `${enumeration}Filter`;
}

/** Name of the filter for lists of what `itemFilter` filters. */
export function listFilterName(item: string): string {
  return `${item}ListFilter`;
}

/** Names in use, each with whose it is. */
class Claims {
  readonly #owners = new Map<string, string>();
  readonly #kind: string;
  readonly #problems: string[];

  constructor(kind: string, problems: string[]) {
    this.#kind = kind;
    this.#problems = problems;
  }

  claim(name: string, owner: string): void {
    const other = this.#owners.get(name);
    if (other === undefined) this.#owners.set(name, owner);
    else if (other !== owner) this.#problems.push(`${other} and ${owner} both give the GraphQL ${this.#kind} ${name}`);
  }
}

function claimTypes(schema: ApplicationSchema, types: Claims): void {
  for (const name of ownTypes) types.claim(name, 'every schema');
  for (const name of ['ID', 'String', 'Int', 'Float', 'Boolean', 'Date', 'Any']) {
    types.claim(name, 'every schema');
    types.claim(listFilterName(name), 'every schema');
  }
  for (const { name } of schema.enums) {
    types.claim(name, `the enum ${name}`);
    types.claim(enumFilterName(name), `the enum ${name}`);
    types.claim(listFilterName(name), `the enum ${name}`);
  }
  for (const { name } of schema.objects) {
    types.claim(name, `the type ${name}`);
    types.claim(listFilterName(name), `the type ${name}`);
    const { input, patch, filter } = objectNames(name);
    for (const other of [input, patch, filter]) types.claim(other, `the type ${name}`);
  }
}

/** Problems that the error's sentence has; its details have all. */
const mostSaid = 20;

/**
 * Check that the names which the exported tables bring do not meet. Throws `SchemaInvalid`, whose message and `details.problems`
 * name both owners of each name that is claimed twice.
 */
export function checkGraphqlNames(schema: ApplicationSchema): void {
  const problems: string[] = [];
  const types = new Claims('type', problems);
  const roots = { query: new Claims('query', problems), mutation: new Claims('mutation', problems) };
  claimTypes(schema, types);
  for (const { definition, exports, fields } of schema.tables) {
    if (!exports.graphql) continue;
    const owner = `the table ${definition.name}`;
    const names = tableNames(definition.name);
    for (const type of [definition.name, ...typesOf(names)]) types.claim(type, owner);
    // Both of one table: news and news would be its record and its list.
    roots.query.claim(names.one, `${owner} (one record)`);
    roots.query.claim(names.many, `${owner} (its list)`);
    for (const name of [names.create, names.createMany, names.put, names.update, names.remove])
      roots.mutation.claim(name, owner);
    if (changeWords.has(names.one))
      problems.push(`${owner} would be called ${names.one} in its changes, as another field is`);
    for (const { name } of fields) {
      if (filterWords.has(name)) problems.push(`${owner} has a field ${name}, which is a word of every GraphQL filter`);
      if (literalWords.has(name)) problems.push(`${owner} has a field ${name}, which GraphQL cannot order by`);
    }
  }
  if (problems.length === 0) return;
  const more = problems.length > mostSaid ? [`and ${problems.length - mostSaid} more`] : [];
  throw new TenonError('SchemaInvalid', [...problems.slice(0, mostSaid), ...more].join('; '), {
    next: 'rename one of them, or say @export(graphql: false)',
    details: { application: schema.application, problems },
  });
}

function typesOf(names: TableNames): string[] {
  const { connection, edge, filter, order, orderField, input, patch, change } = names;
  return [connection, edge, filter, order, orderField, input, patch, change];
}
