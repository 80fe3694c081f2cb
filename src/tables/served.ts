/** Tables that are open and served, as every surface over HTTP takes them. */
import type { Store, TableDefinition } from '../binding/store.js';
import type { GoneFields } from './gone-fields.js';
import type { ApplicationSchema, TableSchema } from './schema.js';

export interface ServedTable {
  readonly application: string;
  /** Of the open store. */
  readonly number: number;
  readonly schema: TableSchema;
  /** As kept by the store: with numbers, dropped fields and revision. */
  readonly definition: TableDefinition;
  /** What of it the schema has no more; absent when that is nothing. */
  readonly gone?: GoneFields;
}

/** The tables of one application. */
export interface ServedTables {
  readonly application: string;
  /** In front of every path, `/todo`; empty at the root. */
  readonly prefix: string;
  readonly store: Store;
  readonly schema: ApplicationSchema;
  readonly tables: readonly ServedTable[];
}
