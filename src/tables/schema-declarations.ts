/** What the files of a schema declare, each kind apart. */
import {
  type DefinitionNode,
  type EnumTypeDefinitionNode,
  Kind,
  type NameNode,
  type ObjectTypeDefinitionNode,
} from 'graphql';
import { checkName, isDirective, meansTable, refuseDirectives } from './schema-directives.js';
import type { SchemaProblems } from './schema-problems.js';
import { isScalar, type ObjectNode } from './schema-types.js';

/** Tables of one application. */
const mostTables = 256;
/** Enums and nested types of one application. */
const mostOthers = 1024;

const operations: ReadonlySet<string> = new Set(['Query', 'Mutation', 'Subscription']);

/** Sorts what the files declare, and refuses what no schema of tables holds. */
export class Declarations {
  readonly tables = new Map<string, ObjectTypeDefinitionNode>();
  readonly objects = new Map<string, ObjectNode>();
  readonly enums = new Map<string, EnumTypeDefinitionNode>();
  readonly #problems: SchemaProblems;
  readonly #places = new Map<string, NameNode>();

  constructor(problems: SchemaProblems) {
    this.#problems = problems;
  }

  add(node: DefinitionNode): void {
    switch (node.kind) {
      case Kind.OBJECT_TYPE_DEFINITION:
        if (this.#claim(node.name)) this.#addType(node);
        return;
      case Kind.INPUT_OBJECT_TYPE_DEFINITION:
        if (this.#claim(node.name) && this.#hasRoom(node.name)) this.objects.set(node.name.value, node);
        return;
      case Kind.ENUM_TYPE_DEFINITION:
        if (this.#claim(node.name) && this.#hasRoom(node.name)) this.enums.set(node.name.value, node);
        return;
      case Kind.SCALAR_TYPE_DEFINITION:
        // Written for editors, which do not know Date and Any.
        if (isScalar(node.name.value))
          refuseDirectives(node.directives, `the scalar ${node.name.value}`, this.#problems);
        else this.#problems.at(node.name, `there can be no scalar ${node.name.value}; Any holds every JSON`);
        return;
      case Kind.DIRECTIVE_DEFINITION:
        if (!isDirective(node.name.value))
          this.#problems.at(node.name, `there can be no directive @${node.name.value}`);
        return;
      case Kind.INTERFACE_TYPE_DEFINITION:
        this.#problems.at(
          node.name,
          `interfaces are not supported: write the fields of ${node.name.value} where they belong`,
        );
        return;
      case Kind.UNION_TYPE_DEFINITION:
        this.#problems.at(
          node.name,
          `unions are not supported: make ${node.name.value} a field of type Any, or several fields`,
        );
        return;
      case Kind.OPERATION_DEFINITION:
      case Kind.FRAGMENT_DEFINITION:
        this.#problems.at(node, 'a schema declares types; queries are sent by clients');
        return;
      case Kind.SCHEMA_DEFINITION:
        this.#problems.at(node, 'the schema block is made from the tables: leave it out');
        return;
      case Kind.SCHEMA_EXTENSION:
      case Kind.DIRECTIVE_EXTENSION:
      case Kind.SCALAR_TYPE_EXTENSION:
      case Kind.OBJECT_TYPE_EXTENSION:
      case Kind.INTERFACE_TYPE_EXTENSION:
      case Kind.UNION_TYPE_EXTENSION:
      case Kind.ENUM_TYPE_EXTENSION:
      case Kind.INPUT_OBJECT_TYPE_EXTENSION:
        this.#problems.at(node, 'nothing can be extended: write it into the type itself');
    }
  }

  #addType(node: ObjectTypeDefinitionNode): void {
    const name = node.name.value;
    const [face] = node.interfaces ?? [];
    if (face !== undefined) this.#problems.at(face, `${name} implements an interface, which is not supported`);
    if (!meansTable(node)) {
      const lost = node.directives?.find((directive) => directive.name.value === 'export');
      if (lost !== undefined) this.#problems.at(lost, `@export of ${name} needs @table before it`);
      if (!this.#hasRoom(node.name)) return;
      this.objects.set(name, { ...node, directives: (node.directives ?? []).filter((one) => one !== lost) });
      return;
    }
    if (name.toLowerCase() === 'graphql')
      this.#problems.at(node.name, `no table may be called ${name}: the path is taken by GraphQL`);
    if (this.tables.size === mostTables)
      this.#problems.at(node.name, `an application has at most ${mostTables} tables`);
    if (this.tables.size < mostTables) this.tables.set(name, node);
  }

  #hasRoom(name: NameNode): boolean {
    const room = this.enums.size + this.objects.size < mostOthers;
    if (!room) this.#problems.at(name, `an application has at most ${mostOthers} enums and nested types`);
    return room;
  }

  #claim(name: NameNode): boolean {
    if (!checkName(name, this.#problems)) return false;
    const other = this.#places.get(name.value);
    if (other !== undefined) {
      const { source, startToken } = other.loc ?? {};
      this.#problems.at(name, `there is a type ${name.value} already, ${source?.name}:${startToken?.line}`);
    } else if (operations.has(name.value)) {
      this.#problems.at(name, `the type ${name.value} is made from the tables: leave it out`);
    } else if (isScalar(name.value)) {
      this.#problems.at(name, `${name.value} is a type of every schema and cannot be declared`);
    } else {
      this.#places.set(name.value, name);
      return true;
    }
    return false;
  }
}
