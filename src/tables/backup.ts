/** Copies of the tables of a host: made while it serves, taken back while none runs. */
import { cp, mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { TenonError } from '../base/errors.js';
import type { Store } from '../binding/store.js';
import { storeError } from './store-error.js';

/** What `backup.json` of a backup says. */
export interface BackupFacts {
  /** Of the layout of a backup. */
  format: 1;
  /** ISO 8601. */
  madeAt: string;
  /** Of RocksDB. */
  engine: string;
  /** Every change up to this one is in it. */
  sequence: string;
  tables: { database: string; name: string; records: number }[];
}

const factsFile = 'backup.json';
const tablesFolder = 'tables';

/**
 * Copy everything in `store` into `directory` (absolute), which must not exist: it appears whole or not at all. Files that do not change any more
 * are linked when both are on one file system. Rejects with `BackupFailed` and with what the store may.
 */
export async function makeBackup(store: Store, directory: string): Promise<BackupFacts> {
  if (!path.isAbsolute(directory))
    throw new TypeError(`directory must be an absolute path, got ${JSON.stringify(directory)}`);
  if ((await stat(directory).catch(() => undefined)) !== undefined)
    throw failed(directory, 'it is there already', 'name another one');
  const partial = `${directory}.partial`;
  try {
    await rm(partial, { recursive: true, force: true });
    await mkdir(partial, { recursive: true, mode: 0o700 });
    // Before the copy: what is written meanwhile may be in it, what was written before is.
    const sequence = store.sequence();
    await store.checkpoint(path.join(partial, tablesFolder)).catch((error: unknown) => {
      throw storeError(error, { path: directory });
    });
    const tables = store
      .tables()
      .map(({ number, database, name }) => ({ database, name, records: store.facts(number).estimate }));
    const facts: BackupFacts = {
      format: 1,
      madeAt: new Date().toISOString(),
      engine: store.engine.version,
      sequence,
      tables,
    };
    await writeFile(path.join(partial, factsFile), `${JSON.stringify(facts, null, 2)}\n`, { flush: true });
    await rename(partial, directory);
    await flushFolder(path.dirname(directory));
    return facts;
  } catch (cause) {
    await rm(partial, { recursive: true, force: true });
    if (cause instanceof TenonError) throw cause;
    throw failed(
      directory,
      cause instanceof Error ? cause.message : String(cause),
      'see that it can be written, and has room',
      cause,
    );
  }
}

/** Where the tables that were there before a backup was taken back lie now; undefined when there were none. */
export interface Restored {
  facts: BackupFacts;
  before: string | undefined;
}

/**
 * Put the tables of the backup in `directory` in place of those of a data directory that no host uses. `open` opens and closes a
 * store in a folder, to see that the copy is whole; nothing has changed until it has. Rejects with `BackupFailed`.
 */
export async function takeBackup(
  directory: string,
  data: string,
  open: (folder: string) => Promise<void>,
): Promise<Restored> {
  const facts = await readFacts(directory);
  const place = path.join(data, tablesFolder);
  const partial = `${place}.partial`;
  try {
    await rm(partial, { recursive: true, force: true });
    await cp(path.join(directory, tablesFolder), partial, { recursive: true, errorOnExist: true });
    await open(partial);
    const present = await readdir(place).catch(() => undefined);
    const before =
      present === undefined ? undefined : `${place}.before-${new Date().toISOString().replaceAll(':', '-')}`;
    if (before !== undefined) await rename(place, before);
    await rename(partial, place);
    await flushFolder(data);
    return { facts, before };
  } catch (cause) {
    await rm(partial, { recursive: true, force: true });
    throw failed(
      directory,
      cause instanceof Error ? cause.message : String(cause),
      'nothing has changed; try another backup',
      cause,
    );
  }
}

async function readFacts(directory: string): Promise<BackupFacts> {
  try {
    const facts = JSON.parse(await readFile(path.join(directory, factsFile), 'utf8')) as BackupFacts;
    if (facts.format === 1 && Array.isArray(facts.tables)) return facts;
    throw new Error(`${factsFile} is of a format that this release does not know`);
  } catch (cause) {
    throw failed(
      directory,
      `it is no backup: ${cause instanceof Error ? cause.message : String(cause)}`,
      'name the folder of one',
      cause,
    );
  }
}

async function flushFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function failed(directory: string, reason: string, next: string, cause?: unknown): TenonError {
  return new TenonError('BackupFailed', `the backup ${directory}: ${reason}`, {
    next,
    details: { path: directory },
    cause,
  });
}
