/** The types of tables: records with their relationships, pages of them, what filters, orders and changes them. */
import {
  GraphQLBoolean,
  GraphQLEnumType,
  type GraphQLFieldConfig,
  type GraphQLFieldConfigArgumentMap,
  type GraphQLFieldConfigMap,
  GraphQLID,
  type GraphQLInputFieldConfigMap,
  GraphQLInputObjectType,
  GraphQLList,
  GraphQLNonNull,
  GraphQLObjectType,
  type GraphQLOutputType,
  GraphQLString,
} from 'graphql';
import { TenonError } from '../base/errors.js';
import type { FieldType } from '../binding/store.js';
import { type TableNames, tableNames } from '../tables/graphql-names.js';
import type { ApplicationSchema, Relationship, SchemaField, TableSchema } from '../tables/schema.js';
import type { ServedTable } from '../tables/served.js';
import { type Edge, Page, type PageArguments } from './graphql-connection.js';
import { both, type FilterInput, storeFilter } from './graphql-filter.js';
import type { FieldCost } from './graphql-limits.js';
import type { Reading, RecordObject } from './graphql-reading.js';
import { wideInt } from './graphql-scalars.js';
import { FieldTypes } from './graphql-types.js';

/** A field of GraphQL and what it is resolved with. */
export type Field<Source = unknown, Arguments = Record<string, never>> = GraphQLFieldConfig<Source, Reading, Arguments>;

/** `extensions` of a field that costs. */
export function costing(cost: FieldCost): { cost: FieldCost } {
  return { cost };
}

export interface ListArguments extends PageArguments {
  readonly filter?: FilterInput | null;
}

/** One change as subscribers get it. */
export interface ChangePayload {
  readonly kind: 'PUT' | 'DELETE';
  readonly id: string;
  readonly cursor: string;
  readonly record: RecordObject | null;
}

const orderable = new Set<FieldType['kind']>(['ID', 'String', 'Int', 'Float', 'Boolean', 'Date', 'Enum']);

const required = <T extends GraphQLOutputType>(type: T): GraphQLNonNull<T> => new GraphQLNonNull(type as never);

const direction = new GraphQLEnumType({ name: 'OrderDirection', values: { ASC: {}, DESC: {} } });

const pageInfo = new GraphQLObjectType<Page, Reading>({
  name: 'PageInfo',
  description: 'Where a page stands among the records.',
  fields: {
    hasNextPage: { type: required(GraphQLBoolean), resolve: (page) => page.hasNextPage() },
    hasPreviousPage: { type: required(GraphQLBoolean), resolve: (page) => page.hasPreviousPage() },
    startCursor: { type: GraphQLString, resolve: (page) => page.startCursor() },
    endCursor: { type: GraphQLString, resolve: (page) => page.endCursor() },
  },
});

const changeKind = new GraphQLEnumType({
  name: 'ChangeKind',
  values: {
    PUT: { description: 'The record was created, or is another one now.' },
    DELETE: { description: 'The record is gone.' },
  },
});

/** Paths of a table's fields that lead to members of objects. */
function nestedPaths(fields: readonly { name: string; type: FieldType }[], prefix = ''): string[] {
  return fields.flatMap(({ name, type }) => {
    const path = `${prefix}${name}`;
    return [path, ...nestedPaths(type.members ?? [], `${path}.`)];
  });
}

/** What one table brings, made when first asked for. */
export class TableTypes {
  readonly names: TableNames;
  readonly served: ServedTable;
  readonly #all: AllTables;
  readonly #nested: ReadonlySet<string>;
  readonly record: GraphQLObjectType<RecordObject, Reading>;
  readonly connection: GraphQLObjectType<Page, Reading>;
  readonly change: GraphQLObjectType<ChangePayload, Reading>;
  readonly filter: GraphQLInputObjectType;
  readonly order: GraphQLInputObjectType;
  readonly input: GraphQLInputObjectType;
  /** Undefined when there is nothing but the key. */
  readonly patch: GraphQLInputObjectType | undefined;

  constructor(served: ServedTable, all: AllTables) {
    const { schema } = served;
    const { name } = schema.definition;
    this.served = served;
    this.#all = all;
    this.#nested = new Set(nestedPaths(schema.fields));
    this.names = tableNames(name);
    this.record = new GraphQLObjectType({
      name,
      ...(schema.description === undefined ? {} : { description: schema.description }),
      fields: () => ({ ...this.#fields(), ...this.#relationships() }),
    });
    this.connection = this.#connection();
    this.change = this.#change();
    this.filter = this.#filter();
    this.order = this.#order();
    this.input = new GraphQLInputObjectType({ name: this.names.input, fields: () => this.#inputFields(false) });
    this.patch = this.#isPatchable()
      ? new GraphQLInputObjectType({ name: this.names.patch, fields: () => this.#inputFields(true) })
      : undefined;
  }

  get schema(): TableSchema {
    return this.served.schema;
  }

  /** A list of this table's records; `within` says of which source it shows which only. */
  list<Source>(
    within: (source: Source) => { field: string; value: unknown } | undefined,
  ): Field<Source, ListArguments> {
    const { number } = this.served;
    return {
      type: this.#all.required(this.connection),
      args: this.#listArguments(),
      extensions: costing('records'),
      resolve: (source, args, reading) => {
        reading.access.demand(this.served, 'read');
        const link = within(source);
        const own = link === undefined ? undefined : { ...link, op: 'eq' as const };
        return new Page(reading, number, both(own, this.storeFilter(args.filter)), args);
      },
    };
  }

  storeFilter(input: FilterInput | null | undefined): ReturnType<typeof storeFilter> {
    return storeFilter(input, (path) => this.#nested.has(path));
  }

  #listArguments(): GraphQLFieldConfigArgumentMap {
    return {
      filter: { type: this.filter },
      order: { type: new GraphQLList(new GraphQLNonNull(this.order)), description: 'Then by primary key.' },
      first: { type: wideInt, description: 'Records after the cursor, or from the beginning; 20 by default.' },
      after: { type: GraphQLString },
      last: { type: wideInt, description: 'Records before the cursor, or up to the end.' },
      before: { type: GraphQLString },
    };
  }

  #fields(): GraphQLFieldConfigMap<RecordObject, Reading> {
    return Object.fromEntries(
      this.schema.fields.map((field) => [field.name, describedBy(field, this.#all.types.output(field.written))]),
    );
  }

  #relationships(): GraphQLFieldConfigMap<RecordObject, Reading> {
    return Object.fromEntries(
      this.schema.relationships.flatMap((relationship) => {
        const target = this.#all.get(relationship.table);
        // A table that is not exported is not reachable by a detour either.
        if (target === undefined) return [];
        const field =
          relationship.kind === 'one' ? this.#all.one(relationship, target) : many(relationship, target, this);
        return [[relationship.name, field]];
      }),
    );
  }

  #connection(): GraphQLObjectType<Page, Reading> {
    const edge = new GraphQLObjectType<Edge, Reading>({
      name: this.names.edge,
      fields: () => ({
        cursor: { type: required(GraphQLString) },
        node: { type: required(this.record) },
      }),
    });
    return new GraphQLObjectType<Page, Reading>({
      name: this.names.connection,
      fields: () => ({
        edges: { type: required(new GraphQLList(required(edge))), resolve: (page) => page.edges() },
        nodes: { type: required(new GraphQLList(required(this.record))), resolve: (page) => page.nodes() },
        pageInfo: { type: required(pageInfo), resolve: (page) => page },
        totalCount: {
          type: required(wideInt),
          description: 'Of all pages, by counting: with a filter that no index answers the whole table is read.',
          extensions: costing('count'),
          resolve: (page) => page.totalCount(),
        },
      }),
    });
  }

  #change(): GraphQLObjectType<ChangePayload, Reading> {
    return new GraphQLObjectType<ChangePayload, Reading>({
      name: this.names.change,
      fields: () => ({
        kind: { type: required(changeKind) },
        id: { type: required(GraphQLID), description: 'The primary key.' },
        cursor: { type: required(GraphQLString), description: 'Where to go on after this change, as `after`.' },
        [this.names.one]: {
          type: this.record,
          description: 'The record as it is now; null when it is gone.',
          resolve: (change) => change.record,
        },
      }),
    });
  }

  #filter(): GraphQLInputObjectType {
    const filter: GraphQLInputObjectType = new GraphQLInputObjectType({
      name: this.names.filter,
      description: 'All of it has to be met.',
      fields: () => ({
        ...Object.fromEntries(this.schema.fields.map((field) => [field.name, { type: this.#all.types.filter(field) }])),
        and: { type: new GraphQLList(new GraphQLNonNull(filter)) },
        or: { type: new GraphQLList(new GraphQLNonNull(filter)) },
        not: { type: filter },
      }),
    });
    return filter;
  }

  #order(): GraphQLInputObjectType {
    const names = this.schema.fields.filter(({ type }) => orderable.has(type.kind)).map(({ name }) => [name, {}]);
    const field = new GraphQLEnumType({
      name: this.names.orderField,
      values: Object.fromEntries(names) as Record<string, object>,
    });
    return new GraphQLInputObjectType({
      name: this.names.order,
      fields: {
        field: { type: new GraphQLNonNull(field) },
        direction: { type: new GraphQLNonNull(direction), defaultValue: 'ASC' },
      },
    });
  }

  #inputFields(isPatch: boolean): GraphQLInputFieldConfigMap {
    const { types } = this.#all;
    return Object.fromEntries(
      this.#written(isPatch).map((field) => [
        field.name,
        describedBy(field, isPatch ? types.patch(field.written) : types.input(field.written, this.#isMade(field))),
      ]),
    );
  }

  /** The fields a client may write. */
  #written(isPatch: boolean): SchemaField[] {
    const { fields, definition } = this.schema;
    const roles = new Map(definition.fields.map(({ name, role }) => [name, role]));
    return fields.filter(({ name }) => {
      const role = roles.get(name);
      return role !== 'createdTime' && role !== 'updatedTime' && !(isPatch && name === definition.primaryKey);
    });
  }

  #isPatchable(): boolean {
    return this.#written(true).length > 0;
  }

  /** Whether the store fills a field in that is not given. */
  #isMade({ name, type }: SchemaField): boolean {
    const { definition } = this.schema;
    const role = definition.fields.find((field) => field.name === name)?.role;
    return role === 'expiresAt' || (name === definition.primaryKey && type.kind === 'ID');
  }
}

function describedBy<T>({ description }: { description?: string }, type: T): { type: T; description?: string } {
  return description === undefined ? { type } : { type, description };
}

function one(relationship: Relationship, target: TableTypes, type: GraphQLOutputType): Field<RecordObject> {
  return {
    ...describedBy(relationship, type),
    extensions: costing('record'),
    resolve: async (source, _args, reading) => {
      const key = source[relationship.field] as string | number | null | undefined;
      if (key === undefined || key === null) return null;
      reading.access.demand(target.served, 'read');
      const record = await reading.load(target.served.number, String(key));
      if (record === null && relationship.required)
        throw new TenonError(
          'RecordNotFound',
          `there is no ${relationship.table} ${String(key)}, which ${relationship.field} names`,
        );
      return record;
    },
  };
}

function many(relationship: Relationship, target: TableTypes, owner: TableTypes): Field<RecordObject, ListArguments> {
  const { primaryKey } = owner.schema.definition;
  const list = target.list<RecordObject>((source) => ({ field: relationship.field, value: source[primaryKey] }));
  return { ...list, ...describedBy(relationship, list.type) };
}

/** The types of all tables of an application that are exported to GraphQL. */
export class AllTables {
  readonly types: FieldTypes;
  /** Whether one may be allowed where another is not: then what is not allowed is null, and nothing around it. */
  readonly #isParted: boolean;
  readonly #tables: ReadonlyMap<string, TableTypes>;

  constructor(schema: ApplicationSchema, tables: readonly ServedTable[]) {
    this.types = new FieldTypes(schema);
    const exported = tables.filter((table) => table.schema.exports.graphql);
    this.#isParted = exported.some((table) => table.schema.allow !== undefined);
    this.#tables = new Map(exported.map((table) => [table.schema.definition.name, new TableTypes(table, this)]));
  }

  /** A type of what another table has. */
  required<T extends GraphQLOutputType>(type: T): T | GraphQLNonNull<T> {
    return this.#isParted ? type : required(type);
  }

  one(relationship: Relationship, target: TableTypes): Field<RecordObject> {
    return one(relationship, target, relationship.required ? this.required(target.record) : target.record);
  }

  get(name: string): TableTypes | undefined {
    return this.#tables.get(name);
  }

  [Symbol.iterator](): IterableIterator<TableTypes> {
    return this.#tables.values();
  }
}
