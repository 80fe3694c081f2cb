/** What is being removed for good, so that whoever is interrupted at it is followed by somebody who finishes. */
import { mkdir, readdir, readFile, rm, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { TenonError } from '../base/errors.js';
import { replaceFile } from '../base/replace-file.js';
import { type KeptTables, readKeptTables, type TableSource, writeKeptTables } from './kept-tables.js';

export interface Purge {
  /** Of the manifest of the bundle that goes; undefined for a damaged one. */
  readonly sha256: string | undefined;
  /** What its tables are made of; undefined for none. */
  readonly tables: KeptTables['tables'] | undefined;
  /** Who asked for it. */
  readonly by: string;
}

const suffix = '.json';

/** One file for each plugin, in a directory that is there as long as one is. */
export class Purges {
  readonly #directory: string;

  /** @param directory absolute path; it need not exist */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Ids of what was begun and has not ended. */
  async ids(): Promise<string[]> {
    const names = await readdir(this.#directory).catch(ifAbsent<string[]>([]));
    return names.filter((name) => name.endsWith(suffix)).map((name) => name.slice(0, -suffix.length));
  }

  /** Undefined when none of `id` was begun. Rejects with `InstallFailed` for one that is not as it was written. */
  async of(id: string): Promise<Purge | undefined> {
    // Whoever asks may have made up the id.
    if (!(await this.ids()).includes(id)) return undefined;
    const file = this.#file(id);
    try {
      const { sha256, tables, by } = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
      return {
        sha256: typeof sha256 === 'string' ? sha256 : undefined,
        tables: typeof tables === 'string' ? readKeptTables(tables).tables : undefined,
        by: String(by),
      };
    } catch (cause) {
      throw new TenonError(
        'InstallFailed',
        `${id}: what is left to remove cannot be read: ${(cause as Error).message}`,
        {
          next: `remove ${file}: what is left of ${id} stays then`,
          details: { plugin: id, file },
          cause,
        },
      );
    }
  }

  /** It is on the disk when this resolves. */
  async begin(id: string, { sha256, tables, by }: Purge): Promise<void> {
    const source = tables && ({ id, prefix: '', folder: '', tables } satisfies TableSource);
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const text = JSON.stringify({ sha256, tables: source && writeKeptTables(source), by });
    await replaceFile(this.#file(id), `${text}\n`, { durable: true });
  }

  async end(id: string): Promise<void> {
    await rm(this.#file(id), { force: true });
    await rmdir(this.#directory).catch(() => {}); // others are still to be finished, or none was begun
  }

  #file(id: string): string {
    return path.join(this.#directory, id + suffix);
  }
}

function ifAbsent<T>(instead: T): (error: unknown) => T {
  return (error) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return instead;
    throw error;
  };
}
