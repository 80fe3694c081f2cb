/** What is in a file, by hash. Files outside an application are read again only when their place in the system changed. */
import { createHash, randomUUID } from 'node:crypto';
import { type BigIntStats, statSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { isBelow, leadsAsBefore, type Way, wayTo } from './way.js';

/** Of a file that is not there, or is no regular file. */
export const absent = 'absent';

/** Files beyond this size are known by their place, size and times only, bytes. */
export const readLimit = 256 * 1024 * 1024;
/** A file that changed less than this ago may change again without its times telling, ms. */
const settled = 2000;
/** By how much the clock of a file system may be behind itself, ns. */
export const clockMargin = 20_000_000n;
const tooLarge = 'large ';
const statsInATurn = 100;
const readsAtOnce = 16;
const format = 'tenon fingerprints 1';

export function sha256(...texts: (string | Uint8Array)[]): string {
  const hash = createHash('sha256');
  for (const text of texts) hash.update(text);
  return hash.digest('hex');
}

/** Whether `hash`, of {@link Fingerprints.of}, stands for a file that was not read. */
export function isTooLarge(hash: string): boolean {
  return hash.startsWith(tooLarge);
}

interface Known {
  /** Device, inode, size and both times; the change time cannot be set at will. */
  place: string;
  hash: string;
}

/** Known to this process, whatever data directory it came from. */
const known = new Map<string, Known>();
const loaded = new Set<string>();

function look(file: string): BigIntStats | undefined {
  try {
    const stats = statSync(file, { bigint: true });
    return stats.isFile() ? stats : undefined;
  } catch {
    return undefined;
  }
}

function placeIn(stats: BigIntStats | undefined): string {
  if (stats === undefined) return absent;
  return [stats.dev, stats.ino, stats.size, stats.mtimeNs, stats.ctimeNs].join(' ');
}

/** Changes with a file, and with every name that comes into a folder or goes; empty when there is nothing to be seen. */
export function placeOf(place: string): string {
  try {
    const stats = statSync(place, { bigint: true, throwIfNoEntry: false });
    return stats === undefined ? '' : placeIn(stats);
  } catch {
    return '';
  }
}

/** Where files are, as of one moment. */
export interface Places {
  /** Place of each file: equal ones mean that nobody has written to it, not even the same. */
  files: ReadonlyMap<string, string>;
  /** On the way to each file and to each of `folders`. */
  way: Way;
  folders: readonly string[];
}

/** Absolute paths: of `files` and of the `folders` that are searched. */
export function placesOf(files: Iterable<string>, folders: readonly string[]): Places {
  const all = new Set(files);
  const places = new Map([...all].map((file): [string, string] => [file, placeIn(look(file))]));
  return { files: places, way: wayTo([...all, ...folders]), folders };
}

/**
 * Whether what was read after the build is what was there before it, in the same place, and nobody has written to it
 * meanwhile: an edit that was undone may have been compiled. What was not looked at before must be older.
 */
export function unmoved(
  before: Map<string, string>,
  places: Places,
  after: Map<string, string>,
  started: bigint,
): boolean {
  const now = placesOf(after.keys(), places.folders);
  for (const [file, hash] of after) {
    const known = before.get(file);
    if (known !== undefined) {
      if (known !== hash || places.files.get(file) !== now.files.get(file)) return false;
      continue;
    }
    const stats = look(file);
    if (stats !== undefined && stats.ctimeNs > started - clockMargin) return false;
  }
  return leadsAsBefore(places.way, now.way, started - clockMargin);
}

export class Fingerprints {
  readonly #store: string;
  #fresh = 0;

  private constructor(store: string) {
    this.#store = store;
  }

  /** Those kept in `store` (absolute path of a file that need not be there). */
  static async open(store: string): Promise<Fingerprints> {
    if (!loaded.has(store)) {
      loaded.add(store);
      const text = await readFile(store, 'utf8').catch(() => '');
      const [head = '', ...lines] = text.split('\n');
      const [name, sum] = head.split('\t');
      if (name === format && sum === sha256(lines.join('\n')))
        for (const line of lines) {
          const [file = '', place = '', hash = ''] = line.split('\t');
          if (file !== '' && !known.has(file)) known.set(file, { place, hash });
        }
    }
    return new Fingerprints(store);
  }

  /** Hash of each file (absolute paths) by its content. A file below `fresh` (absolute) is read, whatever its times say. */
  async of(files: Iterable<string>, fresh: string): Promise<Map<string, string>> {
    const hashes = new Map<string, string>();
    const toRead: { file: string; stats: BigIntStats; keep: boolean }[] = [];
    const now = BigInt(Date.now() - settled) * 1_000_000n;
    let looked = 0;
    for (const file of files) {
      if (hashes.has(file)) continue;
      looked += 1;
      if (looked % statsInATurn === 0) await turn();
      const stats = look(file);
      hashes.set(file, absent);
      if (stats === undefined) continue;
      const inside = isBelow(fresh, file);
      const before = inside ? undefined : known.get(file);
      if (before?.place === placeIn(stats)) hashes.set(file, before.hash);
      else if (stats.size > readLimit) hashes.set(file, tooLarge + placeIn(stats));
      else toRead.push({ file, stats, keep: !inside && stats.ctimeNs < now && !/[\t\n]/.test(file) });
    }
    for (let at = 0; at < toRead.length; at += readsAtOnce)
      await Promise.all(
        toRead.slice(at, at + readsAtOnce).map(async ({ file, stats, keep }) => {
          const bytes = await readFile(file).catch(() => undefined);
          if (bytes === undefined) return;
          const hash = sha256(bytes);
          hashes.set(file, hash);
          const after = keep ? look(file) : undefined;
          if (after === undefined || placeIn(after) !== placeIn(stats)) return;
          known.set(file, { place: placeIn(stats), hash });
          this.#fresh += 1;
        }),
      );
    return hashes;
  }

  /** Keep what was read anew. A failure costs only time, later. */
  async save(): Promise<void> {
    if (this.#fresh === 0) return;
    this.#fresh = 0;
    const lines = [...known].map(([file, { place, hash }]) => `${file}\t${place}\t${hash}`).join('\n');
    const temporary = `${this.#store}.${randomUUID()}.tmp`;
    try {
      await mkdir(path.dirname(this.#store), { recursive: true });
      await writeFile(temporary, `${format}\t${sha256(lines)}\n${lines}`);
      await rename(temporary, this.#store);
    } catch {
      await rm(temporary, { force: true });
    }
  }
}
