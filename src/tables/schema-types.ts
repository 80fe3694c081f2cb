/** From the types that a schema declares to what the store can keep. */
import {
  type EnumTypeDefinitionNode,
  type FieldDefinitionNode,
  type InputObjectTypeDefinitionNode,
  type InputValueDefinitionNode,
  type NamedTypeNode,
  type ObjectTypeDefinitionNode,
  print,
  type TypeNode,
} from 'graphql';
import type { FieldType } from '../binding/store.js';
import type { SchemaEnum, SchemaField, SchemaObject } from './application-schema.js';
import { checkName, refuseDirectives } from './schema-directives.js';
import { didYouMean, type SchemaProblems } from './schema-problems.js';

export type ObjectNode = ObjectTypeDefinitionNode | InputObjectTypeDefinitionNode;

/** The definitions of all files, by name. */
export interface DeclaredTypes {
  readonly tables: ReadonlyMap<string, ObjectTypeDefinitionNode>;
  readonly objects: ReadonlyMap<string, ObjectNode>;
  readonly enums: ReadonlyMap<string, EnumTypeDefinitionNode>;
}

/** A type with what it costs: how deep types nest in it, and how many members and enum values it holds in all. */
export interface ResolvedType {
  readonly type: FieldType;
  readonly depth: number;
  readonly weight: number;
}

const scalars: ReadonlySet<string> = new Set(['ID', 'String', 'Int', 'Float', 'Boolean', 'Date', 'Any']);

/** What other systems call them. */
const otherNames: ReadonlyMap<string, string> = new Map([
  ...['integer', 'long', 'bigint', 'short', 'number'].map((name) => [name, 'Int'] as const),
  ...['double', 'decimal', 'real'].map((name) => [name, 'Float'] as const),
  ...['datetime', 'timestamp', 'time'].map((name) => [name, 'Date'] as const),
  ...['json', 'jsonobject', 'object', 'map'].map((name) => [name, 'Any'] as const),
  ...['text', 'varchar', 'char'].map((name) => [name, 'String'] as const),
  ...['uuid', 'guid'].map((name) => [name, 'ID'] as const),
  ['bool', 'Boolean'],
]);

/** Of types within types. */
export const deepest = 16;
/** Fields of a table, members of a nested type, values of an enum. */
const mostFields = 1024;

export function isScalar(name: string): boolean {
  return scalars.has(name);
}

export class SchemaTypes {
  readonly #declared: DeclaredTypes;
  readonly #problems: SchemaProblems;
  readonly #enums = new Map<string, string[]>();
  readonly #resolved = new Map<string, ResolvedType | undefined>();
  readonly #members = new Map<string, SchemaField[]>();
  /** Nested types on the way from the one that is being resolved. */
  readonly #trail: string[] = [];

  constructor(declared: DeclaredTypes, problems: SchemaProblems) {
    this.#declared = declared;
    this.#problems = problems;
    for (const [name, node] of declared.enums) this.#enums.set(name, this.#valuesOf(name, node));
    for (const name of declared.objects.keys()) this.#object(name);
  }

  get enums(): SchemaEnum[] {
    return [...this.#declared.enums].map(([name, node]) => ({
      name,
      values: this.#enums.get(name) ?? [],
      ...describe(node),
    }));
  }

  get objects(): SchemaObject[] {
    return [...this.#declared.objects].map(([name, node]) => ({
      name,
      members: this.#members.get(name) ?? [],
      ...describe(node),
    }));
  }

  /** What `node` stands for; undefined, and a problem, when nothing can be stored by it. `owner` is the field. */
  resolve(node: TypeNode, owner: string, depth = 1): ResolvedType | undefined {
    if (depth > deepest) {
      this.#tooDeep(node, owner);
      return undefined;
    }
    if (node.kind === 'NonNullType') {
      const inner = this.resolve(node.type, owner, depth);
      return inner && { ...inner, type: { ...inner.type, required: true } };
    }
    if (node.kind === 'ListType') {
      const item = this.resolve(node.type, owner, depth + 1);
      return item && { type: { kind: 'List', item: item.type }, depth: item.depth + 1, weight: item.weight };
    }
    return this.#named(node, owner);
  }

  /** The members or fields in `nodes` that can be stored, each name once. */
  uniqueFields<T extends FieldDefinitionNode | InputValueDefinitionNode>(nodes: readonly T[], owner: string): T[] {
    const seen = new Set<string>();
    return nodes.filter(({ name }, place) => {
      if (place === mostFields) this.#problems.at(name, `${owner} has more than ${mostFields} fields`);
      if (place >= mostFields || !checkName(name, this.#problems)) return false;
      if (seen.has(name.value)) this.#problems.at(name, `${owner} has the field ${name.value} twice`);
      return !seen.has(name.value) && seen.add(name.value);
    });
  }

  /** What neither a field of a table nor a member of a nested type may have. */
  refuseExtras(node: FieldDefinitionNode | InputValueDefinitionNode, owner: string): void {
    if (node.kind === 'InputValueDefinition') {
      if (node.defaultValue !== undefined)
        this.#problems.at(node.defaultValue, `${owner} has a default value, which nothing would fill in`);
    } else if (node.arguments?.[0] !== undefined) {
      this.#problems.at(node.arguments[0], `${owner} has arguments, which stored fields cannot have`);
    }
  }

  #tooDeep(node: TypeNode, owner: string): void {
    this.#problems.at(node, `${owner} has types within types deeper than ${deepest}`);
  }

  #named(node: NamedTypeNode, owner: string): ResolvedType | undefined {
    const name = node.name.value;
    if (scalars.has(name)) return { type: { kind: name as FieldType['kind'] }, depth: 1, weight: 0 };
    const values = this.#enums.get(name);
    if (values !== undefined) return { type: { kind: 'Enum', values }, depth: 1, weight: values.length };
    if (this.#declared.objects.has(name)) return this.#nested(node, owner);
    if (this.#declared.tables.has(name))
      this.#problems.at(
        node,
        `${owner} is of the table ${name}: only a field of a table leads there, by @relationship`,
      );
    else this.unknown(node, owner);
    return undefined;
  }

  /** Whether `name` is an enum or a nested type. */
  isDeclared(name: string): boolean {
    return this.#declared.enums.has(name) || this.#declared.objects.has(name);
  }

  /** The problem of a name that no type has. */
  unknown(node: NamedTypeNode, owner: string): void {
    const name = node.name.value;
    const { enums, objects, tables } = this.#declared;
    const other = otherNames.get(name.toLowerCase());
    const known = [...scalars, ...enums.keys(), ...objects.keys(), ...tables.keys()];
    const hint = other === undefined ? didYouMean(name, known) : `; did you mean ${other}?`;
    this.#problems.at(node, `${owner} is of type ${name}, which does not exist${hint}`);
  }

  #nested(node: NamedTypeNode, owner: string): ResolvedType | undefined {
    const name = node.name.value;
    const begin = this.#trail.indexOf(name);
    if (begin >= 0) {
      const ring = [...this.#trail.slice(begin), name].join(' -> ');
      this.#problems.at(node, `${owner} leads back to ${name} (${ring}): make one of them a table`);
      return undefined;
    }
    if (this.#trail.length >= deepest) {
      this.#tooDeep(node, owner);
      return undefined;
    }
    return this.#object(name);
  }

  #object(name: string): ResolvedType | undefined {
    const node = this.#declared.objects.get(name);
    if (node === undefined || this.#resolved.has(name)) return this.#resolved.get(name);
    this.#trail.push(name);
    refuseDirectives(node.directives, `${name}, which has no @table,`, this.#problems);
    const fields: (FieldDefinitionNode | InputValueDefinitionNode)[] = [...(node.fields ?? [])];
    if (fields.length === 0) this.#problems.at(node.name, `${name} has no fields`);
    const members: SchemaField[] = [];
    let depth = 1;
    let weight = 0;
    for (const field of this.uniqueFields(fields, name)) {
      const owner = `${name}.${field.name.value}`;
      refuseDirectives(field.directives, `${owner}, a field of a nested type,`, this.#problems);
      this.refuseExtras(field, owner);
      const resolved = this.resolve(field.type, owner);
      if (resolved === undefined) continue;
      members.push({ name: field.name.value, ...describe(field), written: print(field.type), type: resolved.type });
      depth = Math.max(depth, 1 + resolved.depth);
      weight += 1 + resolved.weight;
    }
    this.#trail.pop();
    const type: FieldType = {
      kind: 'Object',
      members: members.map(({ name: member, type: its }) => ({ name: member, type: its })),
    };
    const result = { type, depth, weight };
    this.#resolved.set(name, result);
    this.#members.set(name, members);
    return result;
  }

  #valuesOf(name: string, node: EnumTypeDefinitionNode): string[] {
    refuseDirectives(node.directives, `the enum ${name}`, this.#problems);
    const values = new Set<string>();
    for (const { name: value, directives } of (node.values ?? []).slice(0, mostFields)) {
      refuseDirectives(directives, `the value ${value.value}`, this.#problems);
      if (!checkName(value, this.#problems)) continue;
      if (values.has(value.value)) this.#problems.at(value, `the enum ${name} has the value ${value.value} twice`);
      values.add(value.value);
    }
    const count = node.values?.length ?? 0;
    if (count === 0) this.#problems.at(node.name, `the enum ${name} has no values`);
    if (count > mostFields) this.#problems.at(node.name, `the enum ${name} has more than ${mostFields} values`);
    return [...values];
  }
}

/** The description of `node`, ready to be spread. */
export function describe(node: { description?: { value: string } | undefined }): { description?: string } {
  return node.description === undefined ? {} : { description: node.description.value };
}
