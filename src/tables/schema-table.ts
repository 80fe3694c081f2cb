/** From a type with `@table` to the definition of its table. */
import { type FieldDefinitionNode, type ObjectTypeDefinitionNode, print } from 'graphql';
import type { FieldDefinition, FieldType } from '../binding/store.js';
import { type Action, actions, type Allowance } from './permissions.js';
import type { Exports, SchemaField, TableSchema } from './application-schema.js';
import { type DirectiveName, type GivenDirective, type GivenDirectives, readDirectives } from './schema-directives.js';
import { deepest, describe, type SchemaTypes } from './schema-types.js';
import type { SchemaProblems } from './schema-problems.js';

/** A table before its relationships, which need all tables, are known. */
export interface TableDraft {
  readonly name: string;
  readonly node: ObjectTypeDefinitionNode;
  readonly schema: TableSchema;
  /** Fields that may be relationships: those of a table's type and those that say so. */
  readonly links: readonly { node: FieldDefinitionNode; given: GivenDirective | undefined; others: string[] }[];
}

/** What a table's reader is told of its application. */
export interface TableContext {
  readonly application: string;
  readonly defaults: Partial<Exports>;
  readonly types: SchemaTypes;
  readonly problems: SchemaProblems;
  isTable(name: string): boolean;
}

const surfaces = ['rest', 'graphql', 'sse', 'ws'] as const;
const roles = ['createdTime', 'updatedTime', 'expiresAt'] as const;
const keyKinds: readonly FieldType['kind'][] = ['ID', 'String', 'Int'];
const timeKinds: readonly FieldType['kind'][] = ['Date', 'Int', 'Float'];
const databaseGrammar = /^[A-Za-z0-9_-]{1,100}$/;
const longestExpiration = 1_000_000_000;
/** Members and enum values of all fields: what a definition may hold. */
const heaviest = 16_384;

/** The name of the type behind all lists and exclamation marks. */
export function namedType(node: FieldDefinitionNode): string {
  let type = node.type;
  while (type.kind !== 'NamedType') type = type.type;
  return type.name.value;
}

function exportsOf(given: GivenDirective | undefined, { defaults, problems }: TableContext, table: string): Exports {
  const bare = given?.values.size === 0;
  const shown = (surface: keyof Exports): boolean =>
    (given?.values.get(surface) as boolean | undefined) ?? defaults[surface] ?? bare;
  const exports = { rest: shown('rest'), graphql: shown('graphql'), sse: shown('sse'), ws: shown('ws') };
  if (
    given !== undefined &&
    !bare &&
    !surfaces.some((surface) => given.values.get(surface) === true || exports[surface])
  )
    problems.at(
      given.node,
      `@export of ${table} exports nothing: name what is true, or leave it out for plugin code only`,
    );
  return exports;
}

function databaseOf(given: GivenDirective | undefined, { application, problems }: TableContext): string {
  const database = given?.values.get('database') as string | undefined;
  if (given !== undefined && database !== undefined && !databaseGrammar.test(database))
    problems.at(given.node, 'database of @table must be 1 to 100 letters, digits, _ and -');
  return database ?? application;
}

const roleGrammar = /^[A-Za-z0-9_.:-]{1,63}$/;

function allowancesOf(given: GivenDirective | undefined, { problems }: TableContext, table: string): Allowance[] {
  if (given === undefined) return [];
  return [given, ...given.more].map(({ node, values }) => {
    const role = values.get('role') as string | undefined;
    if (role === undefined && node.arguments?.every(({ name }) => name.value !== 'role') !== false)
      problems.at(node, `@allow of ${table} needs a role: its name, "anyone", or "identity" for whoever is known`);
    if (role !== undefined && !roleGrammar.test(role))
      problems.at(node, 'role of @allow must be 1 to 63 letters, digits, _, ., : and -');
    const { source, startToken } = node.loc ?? {};
    return {
      role: role ?? '',
      to: (values.get('to') as readonly Action[] | undefined) ?? actions,
      place: { file: source?.name ?? '', line: startToken?.line ?? 1, column: startToken?.column ?? 1 },
    };
  });
}

function expirationOf(given: GivenDirective | undefined, { problems }: TableContext): number | undefined {
  const seconds = given?.values.get('expiration') as number | undefined;
  if (given === undefined || seconds === undefined) return undefined;
  if (seconds < 1 || seconds > longestExpiration)
    problems.at(given.node, `expiration of @table must be from 1 to ${longestExpiration} seconds`);
  return seconds * 1000;
}

class TableReader {
  readonly #context: TableContext;
  readonly #name: string;
  readonly #fields: SchemaField[] = [];
  readonly #definitions: FieldDefinition[] = [];
  readonly #links: { node: FieldDefinitionNode; given: GivenDirective | undefined; others: string[] }[] = [];
  /** Fields by the directive that only one may have. */
  readonly #sole = new Map<DirectiveName, FieldDefinitionNode>();
  #weight = 0;

  constructor(context: TableContext, name: string) {
    this.#context = context;
    this.#name = name;
  }

  read(node: ObjectTypeDefinitionNode): TableDraft {
    const { types, problems } = this.#context;
    const given = readDirectives(node.directives ?? [], 'table', `the type ${this.#name}`, problems);
    const table = given.get('table');
    const database = databaseOf(table, this.#context);
    const expirationMs = expirationOf(table, this.#context);
    const exports = exportsOf(given.get('export'), this.#context, this.#name);
    const allow = allowancesOf(given.get('allow'), this.#context, this.#name);
    for (const field of types.uniqueFields(node.fields ?? [], this.#name)) this.#field(field);
    this.#complete(node);
    const primaryKey = this.#sole.get('primaryKey')?.name.value ?? '';
    return {
      name: this.#name,
      node,
      schema: {
        definition: {
          database,
          name: this.#name,
          primaryKey,
          ...(expirationMs !== undefined && { expirationMs }),
          fields: this.#definitions,
        },
        ...describe(node),
        exports,
        fields: this.#fields,
        relationships: [],
        ...(allow.length > 0 && { allow }),
        ...(given.has('shared') && { shared: true }),
      },
      links: this.#links,
    };
  }

  #field(node: FieldDefinitionNode): void {
    const { types, problems } = this.#context;
    const name = node.name.value;
    const owner = `${this.#name}.${name}`;
    types.refuseExtras(node, owner);
    const given = readDirectives(node.directives ?? [], 'field', owner, problems);
    if (given.has('relationship') || this.#context.isTable(namedType(node))) {
      const others = [...given.keys()].filter((directive) => directive !== 'relationship');
      this.#links.push({ node, given: given.get('relationship'), others });
      if (given.has('primaryKey')) this.#sole.set('primaryKey', node);
      return;
    }
    const resolved = types.resolve(node.type, owner);
    if (resolved === undefined) {
      if (given.has('primaryKey')) this.#sole.set('primaryKey', node);
      return;
    }
    if (resolved.depth > deepest) problems.at(node.type, `${owner} has types within types deeper than ${deepest}`);
    this.#weight += 1 + resolved.weight;
    this.#store(node, given, resolved.type);
  }

  #store(node: FieldDefinitionNode, given: GivenDirectives, type: FieldType): void {
    const name = node.name.value;
    this.#only('primaryKey', node, given);
    if (given.has('primaryKey')) this.#checkKey(node, given, type);
    const role = roles.find((one) => given.has(one));
    for (const one of roles) this.#checkRole(one, role, node, given, type);
    const indexed = given.get('indexed');
    if (indexed !== undefined && ['List', 'Object', 'Any'].includes(type.kind)) {
      const kind = { List: 'a list', Object: 'a nested type' }[type.kind as string] ?? 'Any';
      this.#context.problems.at(indexed.node, `${this.#name}.${name} cannot be indexed: it is ${kind}`);
    }
    this.#fields.push({ name, ...describe(node), written: print(node.type), type });
    this.#definitions.push({
      name,
      type,
      // The primary key is in order by itself.
      ...(indexed !== undefined && !given.has('primaryKey') && { indexed: true }),
      ...(role !== undefined && { role }),
    });
  }

  #checkKey(node: FieldDefinitionNode, given: GivenDirectives, type: FieldType): void {
    const { problems } = this.#context;
    const owner = `${this.#name}.${node.name.value}`;
    if (!keyKinds.includes(type.kind)) problems.at(node.type, `the primary key ${owner} must be ID!, String! or Int!`);
    else if (type.required !== true)
      problems.at(node.type, `the primary key ${owner} must be ${type.kind}!: no record is without it`);
    const role = roles.find((one) => given.has(one));
    if (role !== undefined) problems.at(node.name, `${owner} cannot be both @primaryKey and @${role}`);
  }

  #checkRole(
    role: (typeof roles)[number],
    first: (typeof roles)[number] | undefined,
    node: FieldDefinitionNode,
    given: GivenDirectives,
    type: FieldType,
  ): void {
    const directive = given.get(role);
    if (directive === undefined) return;
    const { problems } = this.#context;
    const owner = `${this.#name}.${node.name.value}`;
    this.#only(role, node, given);
    if (first !== role) problems.at(directive.node, `${owner} cannot be both @${first} and @${role}`);
    if (!timeKinds.includes(type.kind))
      problems.at(node.type, `${owner} has @${role} and must be Date, or Int or Float for milliseconds`);
  }

  #only(name: DirectiveName, node: FieldDefinitionNode, given: GivenDirectives): void {
    const directive = given.get(name);
    if (directive === undefined) return;
    const other = this.#sole.get(name);
    if (other === undefined) this.#sole.set(name, node);
    else
      this.#context.problems.at(
        directive.node,
        `${this.#name} has a second @${name}: ${other.name.value} has it already`,
      );
  }

  #complete(node: ObjectTypeDefinitionNode): void {
    const { problems } = this.#context;
    if (!this.#sole.has('primaryKey')) {
      const likely = this.#fields.find(({ name, type }) => name === 'id' && keyKinds.includes(type.kind));
      const which = likely === undefined ? 'a field of type ID!, String! or Int!' : likely.name;
      problems.at(node.name, `the table ${this.#name} has no primary key: mark ${which} with @primaryKey`);
    }
    if (this.#weight > heaviest)
      problems.at(
        node.name,
        `the table ${this.#name} is too large: its fields, what is nested in them and the values of their enums are more than ${heaviest}`,
      );
  }
}

/** The table that `node` declares, without its relationships. */
export function readTable(node: ObjectTypeDefinitionNode, context: TableContext): TableDraft {
  return new TableReader(context, node.name.value).read(node);
}
