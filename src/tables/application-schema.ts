/** What schema.graphql of an application says: its tables and the types they are made of. */
import type { FieldType, TableDefinition } from '../binding/store.js';
import type { Allowance } from './permissions.js';

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
  /** Who may do what over the network, at least one; absent: as the application's `auth` has it. */
  allow?: Allowance[];
  /** Plugin code of applications that list this one as an extension may read it. */
  shared?: true;
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
