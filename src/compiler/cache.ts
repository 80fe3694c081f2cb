/** Libraries by what they were made of. Any number of hosts may use one cache: files come by rename and never change. */
import { mkdir, readdir, readFile, rm, stat, utimes } from 'node:fs/promises';
import path from 'node:path';
import { replaceFile } from '../base/replace-file.js';
import type { Diagnostic } from './diagnostics.js';
import { absent, type Fingerprints, sha256 } from './fingerprint.js';
import type { Finding } from './lint.js';
import type { Surroundings } from './surroundings.js';

/** A library, and what there was to say of it when it was built. */
export interface Result {
  bytes: Buffer;
  warnings: Diagnostic[];
  findings: Finding[];
}

interface Entry {
  /** Files that were read to make it, with the hash of what was in them. */
  reached: [file: string, hash: string][];
  /** See `Surroundings`. */
  asked: readonly string[];
  around: string;
  library: string;
  warnings: Diagnostic[];
  findings: Finding[];
}

/** What a result was made of. */
export interface Origin {
  /** Every file that was read, with the hash of what was in it. */
  reached: ReadonlyMap<string, string>;
  /** Names that were asked for. */
  asked: readonly string[];
  surroundings: Surroundings;
}

/** Builds of one project that differ in headers only. */
const entriesKept = 8;
const format = 'tenon results 2';
/** Other hosts may read and write it; what they may is for the umask to say. */
const byMany = { mode: 0o666, shared: true };
const defaultLimit = 1024 ** 3;
/** Part of the free room that one process fills before it looks through the files again: others fill it as well. */
const share = 8;

/** Bytes that this process may still add before it looks, by limit and directory. */
const allowances = new Map<string, number>();

export class ResultCache {
  readonly #directory: string;
  readonly #limit: number;

  /** `limit` in bytes; 1 GiB when absent. */
  constructor(directory: string, limit = defaultLimit) {
    this.#directory = directory;
    this.#limit = limit;
  }

  /**
   * The result for `key`, if everything that it reached is as it was, and nothing lies where it would have been found
   * instead. Files below `fresh` are read to see.
   */
  async find(
    key: string,
    { fingerprints, fresh, surroundings }: { fingerprints: Fingerprints; fresh: string; surroundings: Surroundings },
  ): Promise<Result | undefined> {
    const entries = await this.#read(key);
    if (entries.length === 0) return undefined;
    for (const entry of entries) {
      const files = entry.reached.map(([file]) => file);
      const hashes = await fingerprints.of(files, fresh);
      if (!entry.reached.every(([file, hash]) => hashes.get(file) === hash)) continue;
      if (surroundings.around({ files, asked: entry.asked }) !== entry.around) continue;
      const place = this.#library(entry.library);
      const bytes = await readFile(place).catch(() => undefined);
      if (bytes === undefined) continue;
      if (sha256(bytes) !== entry.library) {
        await rm(place, { force: true });
        continue;
      }
      const now = new Date();
      await Promise.all([place, this.#list(key)].map((file) => utimes(file, now, now).catch(() => {})));
      return { bytes, warnings: entry.warnings, findings: entry.findings };
    }
    return undefined;
  }

  /**
   * Keep `result`, unless a file that it was made of is gone. A full disk, or a folder that cannot be written, costs
   * only time.
   */
  async keep(key: string, { reached, asked, surroundings }: Origin, result: Result): Promise<void> {
    const files = [...reached];
    if (files.some(([, hash]) => hash === absent)) return;
    try {
      const library = sha256(result.bytes);
      const { warnings, findings } = result;
      const around = surroundings.around({ files: [...reached.keys()], asked });
      const entry: Entry = { reached: files, asked, around, library, warnings, findings };
      const same = JSON.stringify([files, around]);
      const others = (await this.#read(key)).filter((each) => JSON.stringify([each.reached, each.around]) !== same);
      const text = JSON.stringify([entry, ...others].slice(0, entriesKept));
      await mkdir(this.#directory, { recursive: true });
      await replaceFile(this.#library(library), result.bytes, byMany);
      await replaceFile(this.#list(key), `${format} ${sha256(text)}\n${text}`, byMany);
      const place = `${this.#limit} ${this.#directory}`;
      const allowance = (allowances.get(place) ?? 0) - result.bytes.length - Buffer.byteLength(text);
      allowances.set(place, allowance > 0 ? allowance : (this.#limit - (await this.#prune())) / share);
    } catch {
      // The build itself was a success.
    }
  }

  async #read(key: string): Promise<Entry[]> {
    const file = this.#list(key);
    const text = await readFile(file, 'utf8').catch(() => undefined);
    if (text === undefined) return [];
    const at = text.indexOf('\n');
    const body = text.slice(at + 1);
    if (text.slice(0, at) === `${format} ${sha256(body)}`) return JSON.parse(body) as Entry[];
    await rm(file, { force: true });
    return [];
  }

  /** Oldest first, until what is left is within the limit; that many bytes. */
  async #prune(): Promise<number> {
    const files: { file: string; size: number; time: number }[] = [];
    for (const name of await readdir(this.#directory)) {
      const file = path.join(this.#directory, name);
      const info = await stat(file).catch(() => undefined);
      if (info !== undefined) files.push({ file, size: info.size, time: info.mtimeMs });
    }
    let total = files.reduce((sum, { size }) => sum + size, 0);
    for (const { file, size } of files.sort((one, other) => one.time - other.time)) {
      if (total <= this.#limit) break;
      await rm(file, { force: true });
      total -= size;
    }
    return total;
  }

  #library(hash: string): string {
    return path.join(this.#directory, `${hash}.library`);
  }

  #list(key: string): string {
    return path.join(this.#directory, `${key}.json`);
  }
}
