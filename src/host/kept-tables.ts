/** What the tables of an application were made of when it served last, as it is kept beside its builds. */
import type { Application, ApplicationTables } from './applications.js';

/** What tables are made of. */
export type TableSource = Pick<Application, 'id' | 'prefix' | 'folder'> & { readonly tables: ApplicationTables };

/** Where it was served, and from what. */
export type KeptTables = Pick<TableSource, 'prefix' | 'tables'> & {
  /** Where its seeds are, absolute; absent: in its own folder. */
  readonly folder?: string;
};

export function writeKeptTables({ prefix, folder, tables }: TableSource): string {
  const { schemas, seeds, surfaces, grants, key, place } = tables;
  const copied = place === undefined ? {} : { folder };
  return `${JSON.stringify({ prefix, ...copied, tables: { schemas, seeds, surfaces, grants, key } })}\n`;
}

/** Throws for text that was not written by {@link writeKeptTables}. */
export function readKeptTables(text: string): KeptTables {
  const read: unknown = JSON.parse(text);
  if (isKept(read)) return read;
  throw new Error('it does not say what the tables are made of');
}

function isKept(value: unknown): value is KeptTables {
  if (!isObject(value) || typeof value['prefix'] !== 'string' || !isObject(value['tables'])) return false;
  const { schemas, seeds, surfaces, grants, key } = value['tables'];
  const { folder = '' } = value;
  return (
    typeof folder === 'string' &&
    Array.isArray(schemas) &&
    schemas.every((each) => isObject(each) && typeof each['file'] === 'string' && typeof each['text'] === 'string') &&
    isTexts(seeds) &&
    isTexts(grants) &&
    isObject(surfaces) &&
    Object.values(surfaces).every((each) => typeof each === 'boolean') &&
    typeof key === 'string'
  );
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((each) => typeof each === 'string');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
