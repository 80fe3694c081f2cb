/** The scalars of a schema. What a value has to be is the store's to say; here only its JSON type is looked at. */
import {
  GraphQLBoolean,
  GraphQLError,
  GraphQLFloat,
  GraphQLID,
  GraphQLScalarType,
  GraphQLString,
  Kind,
  type ValueNode,
  valueFromASTUntyped,
} from 'graphql';

function wholeNumber(value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value;
  throw new GraphQLError(`Int must be a whole number of at most 2^53-1: ${JSON.stringify(value)}`);
}

/** GraphQL's own Int has 32 bits; records hold times in milliseconds. */
export const wideInt = new GraphQLScalarType<number, number>({
  name: 'Int',
  description: 'A whole number from -(2^53-1) to 2^53-1.',
  serialize: wholeNumber,
  parseValue: wholeNumber,
  parseLiteral: (node) => {
    if (node.kind !== Kind.INT) throw new GraphQLError('Int must be a whole number', { nodes: node });
    return wholeNumber(Number(node.value));
  },
});

/** JSON has no infinity: a number beyond all that a computer holds would be written as null. */
function finite<T>(value: T): T {
  for (const left: unknown[] = [value]; left.length > 0; ) {
    const next = left.pop();
    if (typeof next === 'number' && !Number.isFinite(next)) throw new GraphQLError('the number is too large');
    if (typeof next !== 'object' || next === null) continue;
    for (const part of Object.values(next)) left.push(part);
  }
  return value;
}

/** GraphQL's own takes a literal that is infinite. */
const finiteFloat = new GraphQLScalarType<number, number>({
  ...GraphQLFloat.toConfig(),
  parseLiteral: (node, variables) => finite(GraphQLFloat.parseLiteral(node, variables)),
});

function dateLike(value: unknown): string | number {
  if (typeof value === 'string' || (typeof value === 'number' && Number.isFinite(value))) return value;
  throw new GraphQLError('Date must be a text like "2026-01-31T12:00:00.000Z", or milliseconds since 1970');
}

const dateScalar = new GraphQLScalarType<string | number, unknown>({
  name: 'Date',
  description:
    'A moment in UTC, `"2026-01-31T12:00:00.000Z"`. Given to the server it may also be the milliseconds since 1970.',
  specifiedByURL: 'https://www.rfc-editor.org/rfc/rfc3339',
  serialize: (value) => value,
  parseValue: dateLike,
  parseLiteral: (node) => dateLike(node.kind === Kind.INT ? Number(node.value) : untyped(node)),
});

function untyped(node: ValueNode): unknown {
  return valueFromASTUntyped(node);
}

export const anyScalar = new GraphQLScalarType<unknown, unknown>({
  name: 'Any',
  description: 'Any JSON value.',
  serialize: (value) => value,
  parseValue: finite,
  parseLiteral: (node, variables) => finite(valueFromASTUntyped(node, variables)),
});

/** By the names they have in schema.graphql. */
export const scalars: ReadonlyMap<string, GraphQLScalarType> = new Map(
  [GraphQLID, GraphQLString, wideInt, finiteFloat, GraphQLBoolean, dateScalar, anyScalar].map((scalar) => [
    scalar.name,
    scalar,
  ]),
);
