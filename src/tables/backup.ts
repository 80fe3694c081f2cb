/** Copies of the tables of a host: made while it serves, taken back while none runs. */
import { cp, mkdir, mkdtemp, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
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
/** In the name of a copy that is not whole yet, before the process that makes it. */
const partialMark = '.partial-';
const partialName = /\.partial-(\d{1,10})-[A-Za-z0-9]{6}$/;
/** In the name of tables that were put aside, before the time. */
const asideMark = '.before-';

/**
 * Copy everything in `store` into `directory` (absolute), which must not exist: it appears whole or not at all. Files that do not change any more
 * are linked when both are on one file system. Rejects with `BackupFailed` and with what the store may.
 */
export async function makeBackup(store: Store, directory: string): Promise<BackupFacts> {
  if (!path.isAbsolute(directory))
    throw new TypeError(`directory must be an absolute path, got ${JSON.stringify(directory)}`);
  if ((await stat(directory).catch(() => undefined)) !== undefined)
    throw failed(directory, 'it is there already', 'name another one');
  let partial: string | undefined;
  try {
    await mkdir(path.dirname(directory), { recursive: true, mode: 0o700 });
    // Of its own: another one may be made for the same place at this moment.
    await sweep(path.dirname(directory));
    partial = await mkdtemp(`${directory}${partialMark}${process.pid}-`);
    // Before the copy: what is written meanwhile may be in it, what was written before is.
    const sequence = store.sequence();
    await store.checkpoint(path.join(partial, tablesFolder)).catch((error: unknown) => {
      throw storeError(error, { path: directory });
    });
    const tables = await Promise.all(
      store.tables().map(async ({ number, database, name }) => {
        const { estimate } = await store.facts(number);
        return { database, name, records: estimate };
      }),
    );
    const facts: BackupFacts = {
      format: 1,
      madeAt: new Date().toISOString(),
      engine: store.engine.version,
      sequence,
      tables,
    };
    await writeFile(path.join(partial, factsFile), `${JSON.stringify(facts, null, 2)}\n`, { flush: true });
    await rename(partial, directory);
    await flush(path.dirname(directory));
    return facts;
  } catch (cause) {
    if (partial !== undefined) await rm(partial, { recursive: true, force: true });
    if (cause instanceof TenonError) throw cause;
    throw failed(
      directory,
      cause instanceof Error ? cause.message : String(cause),
      'see that it can be written, and has room',
      cause,
    );
  }
}

/** Remove what processes that were killed have left in `folder` of their copies. */
async function sweep(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const [, pid] = partialName.exec(name) ?? [];
    const place = path.join(folder, name);
    if (pid !== undefined && !(await isUnderWay(place, Number(pid)))) await rm(place, { recursive: true, force: true });
  }
}

/** In a container a process may have the number of the one before it. */
async function isUnderWay(place: string, pid: number): Promise<boolean> {
  if (pid !== process.pid) return isAlive(pid);
  const info = await stat(place).catch(() => undefined);
  return info === undefined || info.mtimeMs >= Date.now() - process.uptime() * 1000;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
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
  let before: string | undefined;
  try {
    await rm(partial, { recursive: true, force: true });
    await cp(path.join(directory, tablesFolder), partial, { recursive: true, errorOnExist: true });
    await open(partial);
    const present = await readdir(place).catch(() => undefined);
    await flushTree(partial);
    const aside = `${place}${asideMark}${new Date().toISOString().replaceAll(':', '-')}`;
    if (present !== undefined) {
      await rename(place, aside);
      before = aside;
    }
    await rename(partial, place);
    await flush(data);
    return { facts, before };
  } catch (cause) {
    await rm(partial, { recursive: true, force: true });
    const reason = cause instanceof Error ? cause.message : String(cause);
    const left = before === undefined ? undefined : await putBack(before, place);
    if (left !== undefined)
      throw failed(
        directory,
        `${reason}; and what was there before lies in ${before}: ${left}`,
        `rename it to ${place}`,
        cause,
      );
    throw failed(directory, reason, 'nothing has changed; try another backup', cause);
  }
}

/** Why `before` could not be put back to `place`, when it is not there. */
async function putBack(before: string, place: string): Promise<string | undefined> {
  try {
    // Taken back already: what failed came after it.
    if ((await stat(place).catch(() => undefined)) !== undefined) await rm(place, { recursive: true });
    await rename(before, place);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Throws `StoreDamaged` when a restore into `place` was cut short, so that a store made there would begin empty. */
export async function refuseCutShort(place: string): Promise<void> {
  if ((await stat(place).catch(() => undefined)) !== undefined) return;
  const names = await readdir(path.dirname(place)).catch(() => []);
  const before = names
    .filter((name) => name.startsWith(`${path.basename(place)}${asideMark}`))
    .toSorted()
    .at(-1);
  if (before === undefined) return;
  const aside = path.join(path.dirname(place), before);
  throw new TenonError('StoreDamaged', `there is no ${place}, but ${aside}: a restore was cut short`, {
    next: `restore again, or rename ${aside} to ${place}; to begin without records, move it away`,
    details: { path: place, before: aside },
  });
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

/** All files and folders in `folder`, and itself, are on disk afterwards. */
async function flushTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const place = path.join(folder, entry.name);
    await (entry.isDirectory() ? flushTree(place) : flush(place));
  }
  await flush(folder);
}

async function flush(place: string): Promise<void> {
  const handle = await open(place, 'r');
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
