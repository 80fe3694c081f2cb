/**
 * What schema.graphql of an application says: its tables and the types they are made of.
 */
import type { FieldType, TableDefinition } from '../binding/store.js';

/** Ways to reach a table over HTTP. */
export interface Exports {
  rest: boolean;
  graphql: boolean;
  sse: boolean;
  ws: boolean;
}

/** A field as it was written. */
export interface SchemaField {
  name: string;
  description?: string;
  /** Its type as written, with the names of enums and nested types: `[Tag!]!`. */
  written: string;
  type: FieldType;
}

export interface TableSchema {
  definition: TableDefinition;
  description?: string;
  exports: Exports;
  /** The stored fields, those of the definition in its order. */
  fields: SchemaField[];
  relationships: Relationship[];
}

/** `from`: this record's `field` holds the other's primary key (one). `to`: the other's `field` holds ours (many). */
export interface Relationship {
  name: string;
  description?: string;
  table: string;
  kind: 'one' | 'many';
  field: string;
  required: boolean;
}

export interface SchemaEnum {
  name: string;
  values: string[];
  description?: string;
}

/** A nested type: written as `input`, or as `type` without `@table`. */
export interface SchemaObject {
  name: string;
  description?: string;
  members: SchemaField[];
}

export interface ApplicationSchema {
  application: string;
  tables: TableSchema[];
  enums: SchemaEnum[];
  objects: SchemaObject[];
}

/** One file of a schema. */
export interface SchemaSource {
  /** As it is named in errors, relative to the application. */
  file: string;
  text: string;
}

/**
 * The schema in `sources`, all files together. `defaults` are what config.yaml says of the surfaces: for what an `@export` leaves open.
 * Throws `SchemaInvalid` with `details: {file, line, column, problems}`, every problem with its own file, line and column.
 */
export function readSchema(
  sources: readonly SchemaSource[],
  application: string,
  defaults: Partial<Exports> = {},
): ApplicationSchema {
  void sources;
  void defaults;
  return { application, tables: [], enums: [], objects: [] };
}
