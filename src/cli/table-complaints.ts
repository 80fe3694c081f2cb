/** What is wrong with the schema and the seed data of an application, found without a host. */
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Settings } from '../base/config.js';
import { asTenonError, type TenonError } from '../base/errors.js';
import { loadCore } from '../binding/core.js';
import type { Application } from '../compiler/application.js';
import type { Diagnostic } from '../compiler/diagnostics.js';
import { readTables } from '../host/applications.js';
import { checkGraphqlNames } from '../tables/graphql-names.js';
import { needOfSomebody, nobodyToAllow } from '../tables/permissions.js';
import { openTableStore } from '../tables/open.js';
import { type ApplicationSchema, readSchema } from '../tables/schema.js';
import { checkSeeds } from '../tables/seed.js';
import { diagnosticsOf } from './complaints.js';

export interface TableComplaints {
  diagnostics: Diagnostic[];
  /** Why no host would take it; absent when one would. */
  error?: TenonError;
}

/**
 * Every problem of `schema.graphql` and, when that is right, of the seed data. Whether the data fits is tried in a store of its own, which goes
 * with it; without a RocksDB that is left out, with a warning. Rejects with what keeps files from being read.
 */
export async function tableComplaints(
  application: Application,
  settings: Pick<Settings, 'rocksdb'>,
): Promise<TableComplaints> {
  if (application.schemas.length === 0) return { diagnostics: [] };
  let schema: ApplicationSchema;
  try {
    const tables = await readTables(application, '');
    schema = readSchema(tables?.schemas ?? [], application.id, application.config.surfaces);
    if (schema.tables.some(({ exports }) => exports.graphql)) checkGraphqlNames(schema);
    const need = needOfSomebody(schema.tables);
    if (need !== undefined && application.config.extensions.length === 0)
      throw nobodyToAllow(application.id, need, 'lists no extension', []);
  } catch (cause) {
    return complaintsOf([asTenonError(cause)]);
  }
  return application.seeds.length === 0 ? { diagnostics: [] } : seedComplaints(application, schema, settings);
}

async function seedComplaints(
  { id, folder, config, seeds: [firstSeed = ''] }: Application,
  schema: ApplicationSchema,
  { rocksdb }: Pick<Settings, 'rocksdb'>,
): Promise<TableComplaints> {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'tenon-seed-'));
  try {
    const store = await openTableStore(loadCore(), {
      directory: path.join(directory, 'tables'),
      rocksdb,
      tablesSync: false,
      tablesLog: 1024 * 1024,
      tablesCache: 1024 * 1024,
    });
    try {
      const tables = await Promise.all(
        schema.tables.map(async (table) => {
          const number = await store.define(table.definition);
          return { application: id, number, schema: table, definition: store.definition(number) };
        }),
      );
      return complaintsOf(await checkSeeds({ folder, patterns: config.seeds, application: id, tables, store }));
    } finally {
      await store.close();
    }
  } catch (error) {
    const { code, message } = asTenonError(error);
    if (code !== 'RocksdbMissing') throw error;
    const unchecked = `the records are not checked: ${message}`;
    return { diagnostics: [{ file: firstSeed, line: 0, column: 0, severity: 'warning', message: unchecked }] };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function complaintsOf(errors: readonly TenonError[]): TableComplaints {
  const [error] = errors;
  if (error === undefined) return { diagnostics: [] };
  return { diagnostics: errors.flatMap(diagnosticsOfError), error };
}

function diagnosticsOfError({ message, details }: TenonError): Diagnostic[] {
  const said = diagnosticsOf(details);
  const { file, line, column } = details;
  if (said.length > 0 || typeof file !== 'string') return said;
  const place = { file, line: Number(line ?? 0), column: Number(column ?? 0) };
  const named = `${file}:${place.line}:${place.column}: `;
  return [{ ...place, severity: 'error', message: message.startsWith(named) ? message.slice(named.length) : message }];
}
