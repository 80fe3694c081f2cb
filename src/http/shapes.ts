/** Builds the JSON Schemas by which the API describes itself. */
import type { Schema } from './operation.js';

/** A member that need not be there. */
export interface Optional {
  readonly optional: Schema;
}

/** A schema for each member of `T`, and for no other: what the type has and its description has not does not compile. */
type Members<T> = string extends keyof T
  ? Readonly<Record<string, Schema | Optional>>
  : { readonly [Name in keyof T]-?: undefined extends T[Name] ? Optional : Schema };

export function optional(schema: Schema): Optional {
  return { optional: schema };
}

/** The schema `name` among the document's own. */
export function ref(name: string, description?: string): Schema {
  return { $ref: `#/components/schemas/${name}`, ...described(description) };
}

export function text(description?: string, more: Schema = {}): Schema {
  return { type: 'string', ...described(description), ...more };
}

/** @param more such as `maximum` */
export function whole(description?: string, more: Schema = {}): Schema {
  return { type: 'integer', minimum: 0, ...described(description), ...more };
}

export function quantity(description?: string): Schema {
  return { type: 'number', minimum: 0, ...described(description) };
}

export function truth(description?: string): Schema {
  return { type: 'boolean', ...described(description) };
}

export function moment(description?: string): Schema {
  return text(description, { format: 'date-time' });
}

export function sha256(description?: string): Schema {
  return text(description, { pattern: '^[0-9a-f]{64}$' });
}

export function oneOf(values: readonly string[], description?: string): Schema {
  return { type: 'string', enum: [...values], ...described(description) };
}

export function always(value: string | boolean | number): Schema {
  return { type: typeof value === 'number' ? 'integer' : typeof value, const: value };
}

export function orNull(schema: Schema): Schema {
  return { ...schema, type: [schema['type'], 'null'] };
}

export function listOf(items: Schema, description?: string, more: Schema = {}): Schema {
  return { type: 'array', items, ...described(description), ...more };
}

/** An object whose keys are whatever there is. */
export function mapOf(values: Schema, description?: string): Schema {
  return { type: 'object', additionalProperties: values, ...described(description) };
}

export function anything(description?: string): Schema {
  return { type: 'object', additionalProperties: true, ...described(description) };
}

/** An object of these members. */
export function objectOf<T = Record<string, unknown>>(members: Members<NoInfer<T>>, description?: string): Schema {
  const entries = Object.entries(members as Readonly<Record<string, Schema | Optional>>);
  const properties = entries.map(([name, member]) => [name, isOptional(member) ? member.optional : member] as const);
  const required = entries.filter(([, member]) => !isOptional(member)).map(([name]) => name);
  return {
    type: 'object',
    ...described(description),
    ...(required.length === 0 ? {} : { required }),
    properties: Object.fromEntries(properties),
  };
}

function isOptional(member: Schema | Optional): member is Optional {
  return 'optional' in member && typeof member.optional === 'object';
}

function described(description: string | undefined): Schema {
  return description === undefined ? {} : { description };
}
