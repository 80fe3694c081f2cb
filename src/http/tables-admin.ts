/** The tables of a host over its admin API: what they are kept in, and copies of them. */
import path from 'node:path';
import type { Express } from 'express';
import { TenonError } from '../base/errors.js';
import type { Store, StoreEngine, TableFacts } from '../binding/store.js';
import { type BackupFacts, makeBackup } from '../tables/backup.js';

/** What the admin API needs of the tables. */
export interface TablesAdminOptions {
  /** The store, once an application came with a schema. */
  store: () => Store | undefined;
  /** Absolute path of the directory for copies that are given no other. */
  backups: string;
}

/** What `GET /api/v1/tables` answers. */
export interface TablesStatus {
  /** Absent as long as no application has a schema. */
  engine?: StoreEngine;
  /** Why writes are refused, if they are. */
  trouble?: { code: string; message: string };
  tables: ({ database: string; name: string } & TableFacts)[];
  metrics: Record<string, number>;
}

async function statusOfTables(store: Store | undefined): Promise<TablesStatus> {
  if (store === undefined) return { tables: [], metrics: {} };
  const trouble = store.trouble();
  return {
    engine: store.engine,
    ...(trouble === undefined ? {} : { trouble }),
    tables: await Promise.all(
      store.tables().map(async ({ number, database, name }) => ({ database, name, ...(await store.facts(number)) })),
    ),
    metrics: await store.metrics(),
  };
}

export function tablesRoutes(app: Express, { store, backups }: TablesAdminOptions): void {
  app.get('/api/v1/tables', async (_request, response) => {
    response.json(await statusOfTables(store()));
  });
  app.post('/api/v1/backup', async (request, response) => {
    const { to } = request.query;
    if (to !== undefined && !(typeof to === 'string' && path.isAbsolute(to)))
      throw new TenonError('BadRequest', `to: ${JSON.stringify(to)} is not an absolute path`, {
        next: 'name a folder of the host that is not there yet',
      });
    const present = store();
    if (present === undefined)
      throw new TenonError('BackupFailed', 'there are no tables: no application has a schema', {
        next: 'add a schema.graphql to one',
      });
    const directory = to ?? path.join(backups, new Date().toISOString().replaceAll(':', '-'));
    const backup: BackupFacts = await makeBackup(present, directory);
    response.json({ directory, backup });
  });
}
