/** The types of the fields of records: as they come out, as they go in, as they are filtered. */
import {
  GraphQLEnumType,
  type GraphQLFieldConfigMap,
  type GraphQLInputFieldConfigMap,
  GraphQLInputObjectType,
  type GraphQLInputType,
  GraphQLList,
  GraphQLNonNull,
  GraphQLObjectType,
  type GraphQLOutputType,
  Kind,
  parseType,
  type TypeNode,
} from 'graphql';
import type { FieldType } from '../binding/store.js';
import { enumFilterName, listFilterName, objectNames } from '../tables/graphql-names.js';
import type { ApplicationSchema, SchemaEnum, SchemaField, SchemaObject } from '../tables/schema.js';
import type { Reading } from './graphql-reading.js';
import { type anyScalar, scalars } from './graphql-scalars.js';

type Named<T> = (name: string) => T;

/** The type that was written, with `named` for each name in it. */
function wrapped<T extends GraphQLInputType | GraphQLOutputType>(node: TypeNode, named: Named<T>): T {
  switch (node.kind) {
    case Kind.NAMED_TYPE:
      return named(node.name.value);
    case Kind.LIST_TYPE:
      return new GraphQLList(wrapped(node.type, named)) as unknown as T;
    case Kind.NON_NULL_TYPE:
      return new GraphQLNonNull(wrapped(node.type, named) as never) as unknown as T;
  }
}

function optional(node: TypeNode): TypeNode {
  return node.kind === Kind.NON_NULL_TYPE ? node.type : node;
}

/** Name of the innermost type of a written one. */
function nameIn(written: string): string {
  return written.replaceAll(/[[\]!\s]/g, '');
}

function described<T extends object>(config: T, description: string | undefined): T {
  return description === undefined ? config : { ...config, description };
}

const orderWords = ['lt', 'le', 'gt', 'ge'] as const;
const textWords = ['contains', 'starts', 'ends', 'like'] as const;

/** The types that the fields of one application's tables are made of; each is made once, when first asked for. */
export class FieldTypes {
  readonly #enums: ReadonlyMap<string, SchemaEnum>;
  readonly #objects: ReadonlyMap<string, SchemaObject>;
  readonly #made = new Map<string, GraphQLEnumType | GraphQLObjectType | GraphQLInputObjectType>();

  constructor(schema: ApplicationSchema) {
    this.#enums = new Map(schema.enums.map((each) => [each.name, each]));
    this.#objects = new Map(schema.objects.map((each) => [each.name, each]));
  }

  /** As it comes out of a record. */
  output(written: string): GraphQLOutputType {
    return wrapped<GraphQLOutputType>(parseType(written), (name) => this.#scalar(name) ?? this.#object(name));
  }

  /** As it goes into a new record. @param free whether it may be left out all the same */
  input(written: string, free = false): GraphQLInputType {
    const node = parseType(written);
    return wrapped<GraphQLInputType>(
      free ? optional(node) : node,
      (name) => this.#scalar(name) ?? this.#inputObject(name),
    );
  }

  /** As it goes into a present record: everything may be left out, also within an object, but not within the items of a list. */
  patch(written: string): GraphQLInputType {
    const node = optional(parseType(written));
    if (node.kind === Kind.NAMED_TYPE && this.#objects.has(node.name.value)) return this.#patchObject(node.name.value);
    return this.input(written, true);
  }

  /** The conditions a field may have to meet. */
  filter(field: SchemaField): GraphQLInputObjectType {
    return this.#filterOf(field.type, nameIn(field.written));
  }

  #once<T extends GraphQLEnumType | GraphQLObjectType | GraphQLInputObjectType>(name: string, make: () => T): T {
    const made = this.#made.get(name) ?? make();
    this.#made.set(name, made);
    return made as T;
  }

  #scalar(name: string): (typeof anyScalar | GraphQLEnumType) | undefined {
    const values = this.#enums.get(name);
    return scalars.get(name) ?? (values === undefined ? undefined : this.#enum(values));
  }

  #enum({ name, values, description }: SchemaEnum): GraphQLEnumType {
    return this.#once(
      name,
      () =>
        new GraphQLEnumType(
          described({ name, values: Object.fromEntries(values.map((value) => [value, {}])) }, description),
        ),
    );
  }

  #members(name: string): SchemaField[] {
    const object = this.#objects.get(name);
    if (object === undefined) throw new TypeError(`schema: there is no type ${name}`);
    return object.members;
  }

  #object(name: string): GraphQLObjectType {
    const fields = (): GraphQLFieldConfigMap<object, Reading> =>
      Object.fromEntries(
        this.#members(name).map((member) => [
          member.name,
          described({ type: this.output(member.written) }, member.description),
        ]),
      );
    return this.#once(
      name,
      () => new GraphQLObjectType(described({ name, fields }, this.#objects.get(name)?.description)),
    );
  }

  #inputObject(name: string): GraphQLInputObjectType {
    return this.#inputs(name, objectNames(name).input, (written) => this.input(written));
  }

  #patchObject(name: string): GraphQLInputObjectType {
    return this.#inputs(name, objectNames(name).patch, (written) => this.patch(written));
  }

  #inputs(object: string, name: string, typeOf: (written: string) => GraphQLInputType): GraphQLInputObjectType {
    const fields = (): GraphQLInputFieldConfigMap =>
      Object.fromEntries(
        this.#members(object).map((member) => [
          member.name,
          described({ type: typeOf(member.written) }, member.description),
        ]),
      );
    return this.#once(
      name,
      () => new GraphQLInputObjectType(described({ name, fields }, this.#objects.get(object)?.description)),
    );
  }

  #filterOf(type: FieldType, name: string): GraphQLInputObjectType {
    switch (type.kind) {
      case 'List':
        return this.#listFilter(type.item, name);
      case 'Object':
        return this.#objectFilter(name);
      case 'Enum':
        return this.#conditions(enumFilterName(name), this.input(name), []);
      case 'Boolean':
        return this.#conditions('BooleanFilter', this.input('Boolean'), []);
      case 'Any':
        return this.#once('AnyFilter', () => inputs('AnyFilter', { null: this.input('Boolean') }));
      case 'ID':
      case 'String':
        return this.#conditions(`${type.kind}Filter`, this.input(type.kind), [...orderWords, ...textWords]);
      case 'Int':
      case 'Float':
      case 'Date':
        return this.#conditions(`${type.kind}Filter`, this.input(type.kind), orderWords);
    }
  }

  #conditions(name: string, type: GraphQLInputType, words: readonly string[]): GraphQLInputObjectType {
    const list = new GraphQLList(new GraphQLNonNull(type as never)) as GraphQLInputType;
    const text = this.input('String');
    const typeOf = (word: string): GraphQLInputType => (textWords.includes(word as never) ? text : type);
    return this.#once(name, () =>
      inputs(name, {
        eq: type,
        ne: type,
        ...Object.fromEntries(words.map((word) => [word, typeOf(word)])),
        in: list,
        nin: list,
        null: this.input('Boolean'),
      }),
    );
  }

  #listFilter(item: FieldType | undefined, name: string): GraphQLInputObjectType {
    const plain = item !== undefined && item.kind !== 'List' && item.kind !== 'Object' && item.kind !== 'Any';
    const filter = listFilterName(plain ? name : 'Any');
    const contains = plain ? { contains: this.input(name) } : {};
    return this.#once(filter, () => inputs(filter, { ...contains, null: this.input('Boolean') }));
  }

  #objectFilter(name: string): GraphQLInputObjectType {
    const filter = objectNames(name).filter;
    return this.#once(
      filter,
      () =>
        new GraphQLInputObjectType({
          name: filter,
          fields: () => ({
            null: { type: this.input('Boolean') },
            ...Object.fromEntries(
              this.#members(name)
                .filter((member) => member.type.kind !== 'List')
                .map((member) => [member.name, { type: this.filter(member) }]),
            ),
          }),
        }),
    );
  }
}

function inputs(name: string, types: Record<string, GraphQLInputType>): GraphQLInputObjectType {
  return new GraphQLInputObjectType({
    name,
    fields: Object.fromEntries(Object.entries(types).map(([field, type]) => [field, { type }])),
  });
}
