/** What a query costs, told from its text before anything of it runs. */
import {
  type ASTNode,
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  getNamedType,
  GraphQLError,
  type GraphQLObjectType,
  type GraphQLSchema,
  isObjectType,
  Kind,
  type OperationDefinitionNode,
  type SelectionSetNode,
  valueFromASTUntyped,
} from 'graphql';
import { defaultPage } from './graphql-connection.js';

/** Bounds of a request; each is checked before it runs. */
export interface GraphqlLimits {
  /** Levels of fields within fields. */
  depth: number;
  /** Sum over all operations of a request; docs/tables-graphql.md has the formula. */
  cost: number;
  /** Fields with another name than their own, in one document. */
  aliases: number;
  /** Words and signs in one document. */
  tokens: number;
  /** Operations in one request. */
  batch: number;
  /** Bytes of a request's body. */
  bodyBytes: number;
  /** Of the running of a request, milliseconds; subscriptions have none. */
  timeoutMs: number;
  /** Event streams and WebSockets at one time, together. */
  clients: number;
  /** Whether clients may ask for the schema. */
  introspection: boolean;
}

export const defaultLimits: GraphqlLimits = {
  depth: 10,
  cost: 1_000,
  aliases: 30,
  tokens: 1_000,
  batch: 10,
  bodyBytes: 1024 * 1024,
  timeoutMs: 10_000,
  clients: 1_000,
  introspection: true,
};

/**
 * How a field counts, in its `extensions.cost`: `record` reads one; `records` reads a page of them; `count` counts a table;
 * `write` writes one; `writes` as many as its argument `inputs` has. A field without it is free.
 */
export type FieldCost = 'record' | 'records' | 'count' | 'write' | 'writes';

const countCost = 10;
const writeCost = 10;
const schemaCost = 100;

/** Most that is counted: beyond it only that it is too much matters. */
const ceiling = 1_000_000_000;

interface Measured {
  /** Levels below. */
  height: number;
  /** For each record that the selection stands at. */
  each: number;
  /** However many records of a page there are. */
  once: number;
}

const nothing: Measured = { height: 0, each: 0, once: 0 };

/** A refusal for being too large, before anything has run. */
export function tooComplex(message: string, details: Record<string, unknown>): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'QueryTooComplex', ...details } });
}

/** Aliases in the document. */
export function countAliases(document: DocumentNode): number {
  let count = 0;
  // Without graphql's `visit`, which costs more than all the rest of a small query.
  const look = (set: SelectionSetNode | undefined): void => {
    for (const node of set?.selections ?? []) {
      if (node.kind === Kind.FRAGMENT_SPREAD) continue;
      if (node.kind === Kind.FIELD && node.alias !== undefined) count += 1;
      look(node.selectionSet);
    }
  };
  for (const node of document.definitions) if (hasSelections(node)) look(node.selectionSet);
  return count;
}

function hasSelections(node: ASTNode): node is OperationDefinitionNode | FragmentDefinitionNode {
  return node.kind === Kind.OPERATION_DEFINITION || node.kind === Kind.FRAGMENT_DEFINITION;
}

/** Depth and cost of an operation. */
export interface Measure {
  depth: number;
  cost: number;
  /** Whether the cost depends on the values of variables. */
  varies: boolean;
}

/**
 * Measure one operation of a valid document. Directives that leave fields out are not looked at: what may be asked counts.
 * @param variables as the client sent them
 */
export function measure(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
  variables: Readonly<Record<string, unknown>>,
): Measure {
  const root = schema.getRootType(operation.operation);
  if (root === null || root === undefined) return { depth: 0, cost: 0, varies: false };
  const walk = new Walk(schema, document, operation, variables);
  const { height, each, once } = walk.selections(operation.selectionSet, root);
  return { depth: height, cost: each + once, varies: walk.varies };
}

class Walk {
  varies = false;
  readonly #schema: GraphQLSchema;
  readonly #fragments = new Map<string, FragmentDefinitionNode>();
  /** Each fragment is walked once, so that fragments within fragments cost no more than their text. */
  readonly #known = new Map<string, Measured>();
  readonly #operation: OperationDefinitionNode;
  readonly #variables: Readonly<Record<string, unknown>>;

  constructor(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: Readonly<Record<string, unknown>>,
  ) {
    this.#schema = schema;
    this.#operation = operation;
    this.#variables = variables;
    for (const node of document.definitions)
      if (node.kind === Kind.FRAGMENT_DEFINITION) this.#fragments.set(node.name.value, node);
  }

  selections(set: SelectionSetNode, parent: GraphQLObjectType): Measured {
    return set.selections.reduce<Measured>((sum, node) => {
      if (node.kind === Kind.FIELD) return add(sum, this.#field(node, parent));
      if (node.kind === Kind.INLINE_FRAGMENT)
        return add(sum, this.selections(node.selectionSet, this.#on(node.typeCondition?.name.value, parent)));
      return add(sum, this.#fragment(node.name.value, parent));
    }, nothing);
  }

  #on(condition: string | undefined, parent: GraphQLObjectType): GraphQLObjectType {
    const type = condition === undefined ? parent : this.#schema.getType(condition);
    return isObjectType(type) ? type : parent;
  }

  #fragment(name: string, parent: GraphQLObjectType): Measured {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const node = this.#fragments.get(name);
    if (node === undefined) return nothing;
    const measured = this.selections(node.selectionSet, this.#on(node.typeCondition.name.value, parent));
    this.#known.set(name, measured);
    return measured;
  }

  #field(node: FieldNode, parent: GraphQLObjectType): Measured {
    const name = node.name.value;
    // Bounded by a rule of graphql's own: lists of types within lists of types.
    if (name === '__schema') return { height: 1, each: 0, once: schemaCost };
    if (name === '__type') return { height: 1, each: 0, once: countCost };
    const field = parent.getFields()[name];
    const type = field === undefined ? undefined : getNamedType(field.type);
    const below =
      isObjectType(type) && node.selectionSet !== undefined ? this.selections(node.selectionSet, type) : nothing;
    const height = below.height + 1;
    switch (field?.extensions['cost'] as FieldCost | undefined) {
      case undefined:
        return { ...below, height };
      case 'record':
        return bound(height, 1 + below.each, below.once);
      case 'records':
        return bound(height, 1 + this.#pageSize(node) * (1 + below.each) + below.once, 0);
      case 'count':
        return { height, each: 0, once: countCost };
      case 'write':
        return bound(height, writeCost + below.each, below.once);
      case 'writes':
        return bound(height, writeCost + this.#inputs(node) * (1 + below.each) + below.once, 0);
    }
  }

  #pageSize(node: FieldNode): number {
    const asked = this.#value(node, 'first') ?? this.#value(node, 'last');
    return typeof asked === 'number' && asked >= 0 ? asked : defaultPage;
  }

  #inputs(node: FieldNode): number {
    const inputs = this.#value(node, 'inputs');
    return Array.isArray(inputs) ? inputs.length : 1;
  }

  #value(node: FieldNode, name: string): unknown {
    const value = node.arguments?.find((argument) => argument.name.value === name)?.value;
    if (value === undefined) return undefined;
    // Variables within a list do not change its length.
    if (value.kind !== Kind.VARIABLE) return valueFromASTUntyped(value) ?? undefined;
    this.varies = true;
    const variable = value.name.value;
    if (Object.hasOwn(this.#variables, variable)) return this.#variables[variable] ?? undefined;
    const fallback = this.#operation.variableDefinitions?.find(
      (each) => each.variable.name.value === variable,
    )?.defaultValue;
    return fallback === undefined ? undefined : valueFromASTUntyped(fallback);
  }
}

function add(a: Measured, b: Measured): Measured {
  return bound(Math.max(a.height, b.height), a.each + b.each, a.once + b.once);
}

function bound(height: number, each: number, once: number): Measured {
  return { height, each: Math.min(each, ceiling), once: Math.min(once, ceiling) };
}
