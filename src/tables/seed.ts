/**
 * Loads what an application brings for its tables, once for each table and content.
 */
import { createHash } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import type { Store, TableWrite, TableWritten } from '../binding/store.js';
import { closest } from '../base/closest.js';
import { TenonError } from '../base/errors.js';
import { findFiles, readFileOf } from './application-files.js';
import { placeOf, readSeedFile, type SeedEntry, SeedProblem } from './seed-file.js';
import type { ServedTable } from './served.js';
import { storeError } from './store-error.js';

/** Largest file of seed data, bytes. */
const seedLimit = 64 * 1024 * 1024;

/** Records, and bytes of them, that are written at once. */
const batchRecords = 1000;
const batchBytes = 4 * 1024 * 1024;

export interface SeedOptions {
  /** Of the application, absolute. */
  folder: string;
  /** Which files, relative to the folder. */
  patterns: readonly string[];
  application: string;
  /** Those that seed data may be for. */
  tables: readonly ServedTable[];
  store: Store;
}

/** What became of one file. */
export interface SeedResult {
  file: string;
  /** Records written now; 0 when all of it had been loaded before. */
  records: number;
  /** `SeedInvalid`, or what the store refused with. Of a file that breaks a schema nothing was loaded. */
  error?: TenonError;
}

/**
 * Load the seed data of an application, file by file in the order of their names. What was loaded with the same content is left
 * alone, whatever became of its records; else every record is put by its primary key. A file that fails keeps no other from being loaded.
 * Throws for files that cannot be listed: `SourceOutside`, `ApplicationUnreadable`.
 */
export async function loadSeeds(options: SeedOptions): Promise<SeedResult[]> {
  const notes = new SeedNotes(options);
  const results: SeedResult[] = [];
  for (const file of await findFiles(options.folder, options.patterns)) {
    try {
      results.push({ file, records: await new SeedLoader(options, notes, file).load() });
    } catch (error) {
      results.push({ file, records: 0, error: storeError(error) });
    }
  }
  // What a failed file has is not known whole.
  if (results.every(({ error }) => error === undefined)) await notes.keep();
  return results;
}

/** Problems of seed data that are told at once, at most. */
const mostTold = 100;

/**
 * What keeps the seed data of an application from being loaded, record by record; nothing is written. The store may be an empty one.
 * Throws as {@link loadSeeds} does, and what the store may.
 */
export async function checkSeeds(options: SeedOptions): Promise<TenonError[]> {
  const notes = new SeedNotes(options);
  const problems: TenonError[] = [];
  for (const file of await findFiles(options.folder, options.patterns)) {
    const found: TenonError[] = [];
    await new SeedLoader(options, notes, file).check(found, mostTold - problems.length);
    problems.push(...found.sort((a, b) => lineOf(a) - lineOf(b)));
    if (problems.length >= mostTold) break;
  }
  return problems;
}

function lineOf({ details }: TenonError): number {
  return Number(details['line']);
}

/** Name of the note of what was loaded into a table. */
export function seedNote(application: string, { database, name }: { database: string; name: string }): string {
  return `seed:${application}:${database}/${name}`;
}

/** Which contents were loaded into which table: SHA-256, one list for each table. */
class SeedNotes {
  readonly #options: SeedOptions;
  readonly #seen = new Map<ServedTable, Set<string>>();

  constructor(options: SeedOptions) {
    this.#options = options;
  }

  async isLoaded(table: ServedTable, hash: string): Promise<boolean> {
    return (await this.#kept(table)).includes(hash);
  }

  /** Content that the files have now, loaded at this time or earlier. */
  async loaded(table: ServedTable, hash: string): Promise<void> {
    const seen = this.#seen.get(table) ?? new Set();
    this.#seen.set(table, seen.add(hash));
    const kept = await this.#kept(table);
    if (!kept.includes(hash)) await this.#write(table, [...kept, hash]);
  }

  /** Forget what the files do not have any more: when it comes back it is loaded again. */
  async keep(): Promise<void> {
    for (const table of this.#options.tables) {
      const seen = this.#seen.get(table) ?? new Set();
      const kept = await this.#kept(table);
      const left = kept.filter((hash) => seen.has(hash));
      if (left.length < kept.length) await this.#write(table, left);
    }
  }

  #name({ definition }: ServedTable): string {
    return seedNote(this.#options.application, definition);
  }

  async #kept(table: ServedTable): Promise<string[]> {
    const note = await this.#options.store.note(this.#name(table));
    return (note ?? '').split(' ').filter((hash) => hash !== '');
  }

  #write(table: ServedTable, hashes: readonly string[]): Promise<void> {
    return this.#options.store.setNote(this.#name(table), hashes.join(' '));
  }
}

/** Records of one table that are to be written. */
interface SeedPart {
  entry: SeedEntry;
  table: ServedTable;
  hash: string;
}

/** One write with where it came from. */
interface SeedWrite {
  write: TableWrite;
  part: SeedPart;
  index: number;
}

class SeedLoader {
  readonly #options: SeedOptions;
  readonly #notes: SeedNotes;
  readonly #file: string;
  #bytes: Buffer = Buffer.alloc(0);
  /** Told what is wrong with one record, which is left out then unless this throws. */
  #refuse: (problem: TenonError) => void = (problem) => {
    throw problem;
  };

  constructor(options: SeedOptions, notes: SeedNotes, file: string) {
    this.#options = options;
    this.#notes = notes;
    this.#file = file;
  }

  async load(): Promise<number> {
    const parts = await this.#read();
    const fresh: SeedPart[] = [];
    for (const part of parts) if (!(await this.#notes.isLoaded(part.table, part.hash))) fresh.push(part);
    const count = await this.#write(fresh);
    for (const { table, hash } of parts) await this.#notes.loaded(table, hash);
    return count;
  }

  /** Add to `problems` what is wrong, until there are `most`. */
  async check(problems: TenonError[], most: number): Promise<void> {
    this.#refuse = (problem) => {
      problems.push(problem);
      if (problems.length >= most) throw problem;
    };
    try {
      for (const batch of this.#batches(await this.#read()))
        for (let left: readonly SeedWrite[] = batch; left.length > 0; ) left = await this.#tried(left);
    } catch (error) {
      if (!(error instanceof TenonError) || error.code !== 'SeedInvalid') throw error;
      if (problems.at(-1) !== error) problems.push(error);
    }
  }

  async #read(): Promise<SeedPart[]> {
    const bytes = await readFileOf(this.#options.folder, this.#file, seedLimit);
    if (bytes === undefined) throw this.#invalid(0, `the file is larger than ${seedLimit} bytes`);
    this.#bytes = bytes;
    return this.#parts();
  }

  async #parts(): Promise<SeedPart[]> {
    let entries: SeedEntry[];
    try {
      entries = await readSeedFile(this.#bytes);
    } catch (error) {
      throw error instanceof SeedProblem ? this.#invalid(error.at, error.message) : error;
    }
    const parts: SeedPart[] = [];
    for (const entry of entries) parts.push({ entry, table: this.#table(entry), hash: await this.#hash(entry) });
    return parts;
  }

  #table({ at, database, table: name }: SeedEntry): ServedTable {
    const { tables, application } = this.#options;
    const found = tables.find(({ definition }) => definition.name === name);
    if (found === undefined) {
      const meant = closest(
        name,
        tables.map(({ definition }) => definition.name),
      );
      const hint = meant === undefined ? '' : `; did you mean ${meant}?`;
      throw this.#invalid(at, `${application} has no table ${name}${hint}`);
    }
    const its = found.definition.database;
    if (database !== undefined && database !== its)
      throw this.#invalid(at, `the table ${name} of ${application} is in the database ${its}, not in ${database}`);
    return found;
  }

  async #hash({ at, end }: SeedEntry): Promise<string> {
    const hash = createHash('sha256');
    for (let begin = at; begin < end; begin += batchBytes) {
      hash.update(this.#bytes.subarray(begin, Math.min(end, begin + batchBytes)));
      await turn();
    }
    return hash.digest('hex');
  }

  /** All records of `parts`; none when one of them breaks its schema. */
  async #write(parts: readonly SeedPart[]): Promise<number> {
    const count = parts.reduce((sum, { entry }) => sum + entry.ranges.length / 2, 0);
    const batches = this.#batches(parts);
    const first = batches.next();
    if (first.done === true) return 0;
    const second = batches.next();
    if (second.done === true) {
      await this.#done(first.value);
      return count;
    }
    // What one batch cannot hold is tried first.
    for (const batch of this.#batches(parts)) await this.#tried(batch);
    for (const batch of this.#batches(parts)) await this.#done(batch);
    return count;
  }

  *#batches(parts: readonly SeedPart[]): Generator<SeedWrite[], undefined> {
    let batch: SeedWrite[] = [];
    let size = 0;
    for (const part of parts) {
      const { ranges } = part.entry;
      for (let index = 0; 2 * index < ranges.length; index += 1) {
        const json = this.#bytes.subarray(ranges[2 * index], ranges[2 * index + 1]);
        if (batch.length === batchRecords || (batch.length > 0 && size + json.length > batchBytes)) {
          yield batch;
          batch = [];
          size = 0;
        }
        const problem = this.#keyProblem(json, part, index);
        if (problem !== undefined) {
          this.#refuse(problem);
          continue;
        }
        batch.push({ write: { table: part.table.number, kind: 'put', json }, part, index });
        size += json.length;
      }
    }
    if (batch.length > 0) yield batch;
  }

  /** A record without its key would be there once more each time it is loaded. */
  #keyProblem(json: Buffer, part: SeedPart, index: number): TenonError | undefined {
    const { primaryKey } = part.table.definition;
    let record: Record<string, unknown>;
    try {
      record = JSON.parse(json.toString('utf8')) as Record<string, unknown>;
    } catch (error) {
      return this.#wrongRecord(part, index, '', (error as Error).message);
    }
    if (Object.hasOwn(record, primaryKey) && record[primaryKey] !== null) return undefined;
    return this.#wrongRecord(part, index, primaryKey, `${primaryKey} is missing, the primary key by which it is put`);
  }

  async #done(batch: readonly SeedWrite[]): Promise<void> {
    const results = await this.#options.store.write(batch.map(({ write }) => write));
    this.#behindFailed(batch, results);
  }

  /** What stands behind the record that keeps the batch from being written; writes nothing. */
  async #tried(batch: readonly SeedWrite[]): Promise<readonly SeedWrite[]> {
    const [first] = batch;
    if (first === undefined) return [];
    // Nothing meets both, and what a batch cannot do whole it does not do.
    const never: TableWrite = { ...first.write, ifMatch: '*', ifNoneMatch: '*' };
    const results = await this.#options.store.write([...batch.map(({ write }) => write), never]);
    return this.#behindFailed(batch, results);
  }

  #behindFailed(batch: readonly SeedWrite[], results: readonly TableWritten[]): readonly SeedWrite[] {
    for (const [place, { part, index }] of batch.entries()) {
      const result = results[place];
      if (result?.outcome !== 'invalid') continue;
      this.#refuse(this.#wrongRecord(part, index, result.field ?? '', result.message ?? 'it breaks the schema'));
      return batch.slice(place + 1);
    }
    return [];
  }

  #wrongRecord(part: SeedPart, index: number, field: string, message: string): TenonError {
    const { entry } = part;
    const at = entry.ranges[2 * index] ?? entry.at;
    return this.#invalid(at, `record ${index} of ${entry.table}: ${message}`, { table: entry.table, index, field });
  }

  #invalid(at: number, message: string, details: Record<string, unknown> = {}): TenonError {
    const { line, column } = placeOf(this.#bytes, at);
    return new TenonError('SeedInvalid', `${this.#file}:${line}:${column}: ${message}`, {
      next: `correct ${this.#file}; nothing of it was loaded`,
      details: { file: this.#file, line, column, ...details },
    });
  }
}
