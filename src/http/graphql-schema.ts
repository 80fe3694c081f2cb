/** The GraphQL schema of an application's tables. */
import { type GraphQLFieldConfigMap, GraphQLID, GraphQLNonNull, GraphQLObjectType, GraphQLSchema } from 'graphql';
import type { Changes } from '../tables/changes.js';
import { checkGraphqlNames } from '../tables/graphql-names.js';
import type { ServedTables } from '../tables/served.js';
import { changesOf } from './graphql-changes.js';
import type { Reading } from './graphql-reading.js';
import { AllTables, costing, type Field, type TableTypes } from './graphql-tables.js';
import { mutationsOf } from './graphql-writes.js';

function queriesOf(types: TableTypes): Record<string, Field<unknown, never>> {
  const { names, served, record } = types;
  const one: Field<unknown, { id: string }> = {
    type: record,
    description: 'The record with this primary key; null when there is none.',
    args: { id: { type: new GraphQLNonNull(GraphQLID) } },
    extensions: costing('record'),
    resolve: (_source, { id }, reading) => {
      reading.access.demand(served, 'read');
      return reading.get(served.number, id);
    },
  };
  return { [names.one]: one, [names.many]: types.list(() => undefined) };
}

function root(name: string, fields: readonly Record<string, unknown>[]): GraphQLObjectType<unknown, Reading> {
  return new GraphQLObjectType<unknown, Reading>({
    name,
    fields: Object.assign({}, ...fields) as GraphQLFieldConfigMap<unknown, Reading>,
  });
}

/**
 * The schema of the tables that are exported to GraphQL, one at least. Throws `SchemaInvalid` when names meet, TypeError
 * when there is no such table.
 */
export function makeGraphqlSchema({ schema, tables }: ServedTables, changes: Changes): GraphQLSchema {
  checkGraphqlNames(schema);
  const all = [...new AllTables(schema, tables)];
  if (all.length === 0) throw new TypeError(`${schema.application}: no table is exported to GraphQL`);
  return new GraphQLSchema({
    query: root('Query', all.map(queriesOf)),
    mutation: root('Mutation', all.map(mutationsOf)),
    subscription: root(
      'Subscription',
      all.map((types) => ({ [types.names.changed]: changesOf(types, changes) })),
    ),
    assumeValid: false,
  });
}
