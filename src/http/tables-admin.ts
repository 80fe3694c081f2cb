/** The tables of a host over its admin API: what they are kept in, and copies of them. */
import path from 'node:path';
import { TenonError } from '../base/errors.js';
import type { Store, StoreEngine, TableFacts } from '../binding/store.js';
import { makeBackup } from '../tables/backup.js';
import type { Operation } from './operation.js';
import { ref, text } from './shapes.js';

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

export function tablesOperations({ store, backups }: TablesAdminOptions): Operation[] {
  return [
    {
      id: 'listTables',
      tag: 'tables',
      method: 'get',
      path: '/api/v1/tables',
      scope: 'read',
      summary: 'The tables of the host, and what they are kept in',
      answers: { 200: { description: 'The tables', content: { 'application/json': ref('Tables') } } },
      errors: ['StoreClosed', 'StoreFailed'],
      handle: async () => ({ body: await statusOfTables(store()) }),
    },
    {
      id: 'makeBackup',
      tag: 'tables',
      method: 'post',
      path: '/api/v1/backup',
      scope: 'config',
      summary: 'Copy all tables, while they serve',
      parameters: [
        {
          name: 'to',
          in: 'query',
          description:
            'Absolute path of a folder of the host that is not there yet; one in the data directory, when it is not given',
          schema: text(undefined, { examples: ['/var/backups/tenon-monday'] }),
        },
      ],
      answers: { 200: { description: 'Where the copy is', content: { 'application/json': ref('Backup') } } },
      errors: ['BackupFailed', 'StoreClosed', 'StoreFailed', 'StoreFull'],
      handle: async ({ query }) => {
        const to = query['to'] as string | undefined;
        if (to !== undefined && !path.isAbsolute(to))
          throw new TenonError('BadRequest', `to: ${JSON.stringify(to)} is not an absolute path`, {
            next: 'name a folder of the host that is not there yet',
          });
        const present = store();
        if (present === undefined)
          throw new TenonError('BackupFailed', 'there are no tables: no application has a schema', {
            next: 'add a schema.graphql to one',
          });
        const directory = to ?? path.join(backups, new Date().toISOString().replaceAll(':', '-'));
        return { body: { directory, backup: await makeBackup(present, directory) } };
      },
    },
  ];
}
