/** JSON Schemas (2020-12) of the records that clients read and write, as the schema of their application has them. */
import type { FieldType } from '../binding/store.js';
import type { ApplicationSchema, Exports, SchemaField, SchemaObject, TableSchema } from './application-schema.js';

export type JsonSchema = Readonly<Record<string, unknown>>;

/** What a record is looked at for: to be read, to be written whole, or to be laid over one. */
type Way = 'read' | 'write' | 'patch';

const suffixes: Readonly<Record<Way, string>> = { read: '', write: '.Input', patch: '.Patch' };
const largestInt = Number.MAX_SAFE_INTEGER;

/** Whether clients reach it at all. */
function isExported({ rest, graphql, sse, ws }: Exports): boolean {
  return rest || graphql || sse || ws;
}

/**
 * By name: of the table Task `Task`, `Task.Part` (any of its fields) and, with REST, `Task.Input` and `Task.Patch`; of nested types
 * likewise, and of enums. What no client reaches is not among them. Names within are those of `refer`.
 */
export function recordSchemas(
  application: ApplicationSchema,
  refer: (name: string) => string = (name) => `#/components/schemas/${name}`,
): Map<string, JsonSchema> {
  return new Records(application, refer).schemas;
}

/** The name of the type behind all lists and exclamation marks, `[Tag!]!`. */
function namedIn(written: string): string {
  return written.replaceAll(/[[\]!\s]/g, '');
}

class Records {
  readonly schemas = new Map<string, JsonSchema>();
  readonly #application: ApplicationSchema;
  readonly #refer: (name: string) => string;

  constructor(application: ApplicationSchema, refer: (name: string) => string) {
    this.#application = application;
    this.#refer = refer;
    for (const table of application.tables) if (isExported(table.exports)) this.#addTable(table);
  }

  #addTable(table: TableSchema): void {
    const { name } = table.definition;
    const described = table.description === undefined ? {} : { description: table.description };
    const read = this.#members(table.fields, 'read', table);
    const required = table.fields.filter(({ type }) => type.required === true).map((field) => field.name);
    this.schemas.set(name, { type: 'object', ...described, ...requiring(required), properties: read });
    this.schemas.set(`${name}.Part`, {
      type: 'object',
      description: `Some fields of ${name}, as \`select\` asks for them`,
      properties: read,
    });
    // Only REST says what is written.
    if (!table.exports.rest) return;
    const { primaryKey } = table.definition;
    const given = required.filter((field) => field !== primaryKey && roleOf(table, field) === undefined);
    this.schemas.set(`${name}.Input`, {
      type: 'object',
      ...described,
      ...requiring(given),
      properties: this.#members(table.fields, 'write', table),
      additionalProperties: false,
    });
    this.schemas.set(`${name}.Patch`, {
      type: 'object',
      description: `What is laid over a record of ${name} (RFC 7396)`,
      properties: this.#members(table.fields, 'patch', table),
      additionalProperties: false,
    });
  }

  #members(fields: readonly SchemaField[], way: Way, table?: TableSchema): JsonSchema {
    return Object.fromEntries(
      fields.map((field) => {
        const role = table === undefined ? undefined : roleOf(table, field.name);
        return [
          field.name,
          {
            ...this.#typed(field.type, namedIn(field.written), way),
            ...(field.description === undefined ? {} : { description: field.description }),
            ...(role === 'createdTime' || role === 'updatedTime' ? { readOnly: true } : {}),
          },
        ];
      }),
    );
  }

  #typed(type: FieldType, name: string, way: Way): JsonSchema {
    const nullable = type.required !== true;
    switch (type.kind) {
      case 'ID':
        return way === 'read' ? scalar('string', nullable) : scalar(['string', 'integer'], nullable);
      case 'String':
        return scalar('string', nullable);
      case 'Int':
        return { ...scalar('integer', nullable), minimum: -largestInt, maximum: largestInt };
      case 'Float':
        return scalar('number', nullable);
      case 'Boolean':
        return scalar('boolean', nullable);
      case 'Date':
        return way === 'read'
          ? { ...scalar('string', nullable), format: 'date-time' }
          : { ...scalar(['string', 'number'], nullable), examples: ['2026-01-31T12:00:00Z'] };
      case 'Any':
        return {};
      case 'List':
        // Of a list nothing is laid over what is there: it is replaced.
        return {
          ...scalar('array', nullable),
          items: type.item === undefined ? {} : this.#typed(type.item, name, way === 'patch' ? 'write' : way),
        };
      case 'Enum':
        return this.#referring(this.#addEnum(name, type.values ?? []), nullable);
      case 'Object':
        return this.#referring(this.#addObject(name, way), nullable);
      default:
        return type.kind satisfies never;
    }
  }

  #addEnum(name: string, values: readonly string[]): string {
    const { description } = this.#application.enums.find((one) => one.name === name) ?? {};
    const described = description === undefined ? {} : { description };
    this.schemas.set(name, { type: 'string', ...described, enum: [...values] });
    return name;
  }

  #addObject(name: string, way: Way): string {
    const key = `${name}${suffixes[way]}`;
    const object: SchemaObject | undefined = this.#application.objects.find((one) => one.name === name);
    if (object === undefined || this.schemas.has(key)) return key;
    const required = object.members.filter(({ type }) => type.required === true).map((member) => member.name);
    // Its place is taken before what is in it is looked at.
    this.schemas.set(key, {});
    this.schemas.set(key, {
      type: 'object',
      ...(object.description === undefined ? {} : { description: object.description }),
      ...(way === 'patch' ? {} : requiring(required)),
      properties: this.#members(object.members, way),
      ...(way === 'read' ? {} : { additionalProperties: false }),
    });
    return key;
  }

  #referring(name: string, nullable: boolean): JsonSchema {
    const reference = { $ref: this.#refer(name) };
    return nullable ? { anyOf: [reference, { type: 'null' }] } : reference;
  }
}

function roleOf({ definition }: TableSchema, name: string): string | undefined {
  return definition.fields.find((field) => field.name === name)?.role;
}

function scalar(type: string | readonly string[], nullable: boolean): JsonSchema {
  const types = [type].flat();
  if (nullable) return { type: [...types, 'null'] };
  return { type: types.length === 1 ? types[0] : types };
}

function requiring(names: readonly string[]): JsonSchema {
  return names.length === 0 ? {} : { required: names };
}
