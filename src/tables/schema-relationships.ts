/** How the tables of a schema lead to each other. */
import type { FieldDefinitionNode } from 'graphql';
import type { FieldType } from '../binding/store.js';
import type { Relationship } from './application-schema.js';
import { didYouMean, type SchemaProblems } from './schema-problems.js';
import { namedType, type TableDraft } from './schema-table.js';
import { describe, isScalar, type SchemaTypes } from './schema-types.js';

export interface RelationshipContext {
  readonly drafts: ReadonlyMap<string, TableDraft>;
  readonly types: SchemaTypes;
  readonly problems: SchemaProblems;
}

type Link = TableDraft['links'][number];

function keyOf(draft: TableDraft): FieldType | undefined {
  const { definition } = draft.schema;
  return definition.fields.find(({ name }) => name === definition.primaryKey)?.type;
}

/** Whether a field of one type can hold keys of the other. */
function alike(holder: FieldType, key: FieldType): boolean {
  const isText = ({ kind }: FieldType): boolean => kind === 'ID' || kind === 'String';
  return holder.kind === key.kind || (isText(holder) && isText(key));
}

function isList(node: FieldDefinitionNode): boolean {
  return node.type.kind === 'ListType' || (node.type.kind === 'NonNullType' && node.type.type.kind === 'ListType');
}

function isListOfLists(node: FieldDefinitionNode): boolean {
  const list = node.type.kind === 'NonNullType' ? node.type.type : node.type;
  if (list.kind !== 'ListType') return false;
  return (list.type.kind === 'NonNullType' ? list.type.type : list.type).kind === 'ListType';
}

/** The stored field `name` of `draft`, or a problem at `link`. */
function storedField(
  draft: TableDraft,
  name: string,
  link: Link,
  { problems }: RelationshipContext,
): TableDraft['schema']['definition']['fields'][number] | undefined {
  const { fields } = draft.schema.definition;
  const found = fields.find((field) => field.name === name);
  if (found !== undefined) return found;
  const isLink = draft.links.some(({ node }) => node.name.value === name);
  const names = fields.map((field) => field.name);
  // A field whose own type is wrong was told of already.
  if (!isLink && draft.node.fields?.some((field) => field.name.value === name) === true) return undefined;
  problems.at(
    link.given?.node ?? link.node,
    isLink
      ? `${draft.name}.${name} is a relationship itself and holds no key`
      : `${draft.name} has no field ${name}${didYouMean(name, names)}`,
  );
  return undefined;
}

class LinkReader {
  readonly #context: RelationshipContext;
  readonly #draft: TableDraft;
  readonly #link: Link;
  readonly #owner: string;

  constructor(context: RelationshipContext, draft: TableDraft, link: Link) {
    this.#context = context;
    this.#draft = draft;
    this.#link = link;
    this.#owner = `${draft.name}.${link.node.name.value}`;
  }

  read(): Relationship | undefined {
    const { node, given, others } = this.#link;
    const target = this.#target();
    if (target === undefined) return undefined;
    for (const other of others) this.#refuse(`${this.#owner} is a relationship, is not stored, and takes no @${other}`);
    if (given === undefined) {
      const [own, its] = [this.#draft.name, target.name];
      const how = isList(node)
        ? `@relationship(to: "a field of ${its} that holds the key of ${own}")`
        : `@relationship(from: "a field of ${own} that holds the key of ${its}")`;
      return this.#refuse(`${this.#owner} is of the table ${its} and needs ${how}`);
    }
    const from = given.values.get('from') as string | undefined;
    const to = given.values.get('to') as string | undefined;
    if ((from === undefined) === (to === undefined))
      return this.#refuse(`@relationship of ${this.#owner} takes one of from and to`);
    return from === undefined ? this.#many(target, to ?? '') : this.#one(target, from);
  }

  #refuse(message: string): undefined {
    this.#context.problems.at(this.#link.given?.node ?? this.#link.node.type, message);
    return undefined;
  }

  #target(): TableDraft | undefined {
    const { node } = this.#link;
    const name = namedType(node);
    const target = this.#context.drafts.get(name);
    if (target !== undefined) return target;
    const known = [...this.#context.drafts.keys()];
    const declared = isScalar(name) || this.#context.types.isDeclared(name);
    const hint = didYouMean(name, known);
    const what = declared ? 'which is no table' : 'which does not exist';
    this.#context.problems.at(node.type, `${this.#owner} has @relationship and is of type ${name}, ${what}${hint}`);
    return undefined;
  }

  #one(target: TableDraft, from: string): Relationship | undefined {
    const { node } = this.#link;
    if (isList(node))
      return this.#refuse(`${this.#owner} is a list, and from: leads to one record: write ${target.name}, or to:`);
    const field = storedField(this.#draft, from, this.#link, this.#context);
    const key = keyOf(target);
    if (field === undefined || key === undefined) return undefined;
    if (!alike(field.type, key)) return this.#unlike(this.#draft, field, target, key);
    const required = node.type.kind === 'NonNullType';
    if (required && field.type.required !== true)
      return this.#refuse(`${this.#owner} is required, and ${from}, which it follows, may be null`);
    return this.#made(target, 'one', from);
  }

  #many(target: TableDraft, to: string): Relationship | undefined {
    const { node } = this.#link;
    if (!isList(node) || isListOfLists(node))
      return this.#refuse(`${this.#owner} leads to many records by to: write [${target.name}!]!`);
    const field = storedField(target, to, this.#link, this.#context);
    const key = keyOf(this.#draft);
    if (field === undefined || key === undefined) return undefined;
    if (!alike(field.type, key)) return this.#unlike(target, field, this.#draft, key);
    if (field.indexed !== true && target.schema.definition.primaryKey !== to)
      return this.#refuse(
        `${target.name}.${to} needs @indexed: without it every look for ${this.#owner} reads the whole table`,
      );
    return this.#made(target, 'many', to);
  }

  #unlike(holder: TableDraft, field: { name: string; type: FieldType }, owner: TableDraft, key: FieldType): undefined {
    const its = `${owner.name}.${owner.schema.definition.primaryKey}`;
    return this.#refuse(
      `${holder.name}.${field.name} is ${field.type.kind} and cannot hold the key ${its}, which is ${key.kind}`,
    );
  }

  #made(target: TableDraft, kind: Relationship['kind'], field: string): Relationship {
    const { node } = this.#link;
    return {
      name: node.name.value,
      ...describe(node),
      table: target.name,
      kind,
      field,
      required: node.type.kind === 'NonNullType',
    };
  }
}

/** Find the relationships of every table in `context.drafts`; each is added to the schema of its table. */
export function readRelationships(context: RelationshipContext): void {
  for (const draft of context.drafts.values())
    for (const link of draft.links) {
      const relationship = new LinkReader(context, draft, link).read();
      if (relationship !== undefined) draft.schema.relationships.push(relationship);
    }
}
