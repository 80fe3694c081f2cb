/** What is in a file, by hash. Files outside an application are read again only when their place in the system changed. */
import { createHash, randomUUID } from 'node:crypto';
import { type BigIntStats, statSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';

/** Of a file that is not there, or is no regular file. */
export const absent = 'absent';

/** Files beyond this size are known by their place, size and times only, bytes. */
const readLimit = 256 * 1024 * 1024;
/** A file that changed less than this ago may change again without its times telling, ms. */
const settled = 2000;
/** By how much the clock of a file system may be behind itself, ns. */
export const clockMargin = 20_000_000n;
const statsInATurn = 100;
const readsAtOnce = 16;
const format = 'tenon fingerprints 1';

export function sha256(...texts: (string | Uint8Array)[]): string {
  const hash = createHash('sha256');
  for (const text of texts) hash.update(text);
  return hash.digest('hex');
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

function placeOf(stats: BigIntStats): string {
  return [stats.dev, stats.ino, stats.size, stats.mtimeNs, stats.ctimeNs].join(' ');
}

/** Where each file is and when it changed last: equal places mean that nobody has written to it, not even the same. */
export function placesOf(files: Iterable<string>): Map<string, string> {
  const places = new Map<string, string>();
  for (const file of files) {
    const stats = look(file);
    places.set(file, stats === undefined ? absent : placeOf(stats));
  }
  return places;
}

/**
 * Whether what was read after the build is what was there before it, and nobody has written to it meanwhile: an edit that
 * was undone may have been compiled. What was not looked at before must be older.
 */
export function unmoved(
  before: Map<string, string>,
  places: Map<string, string>,
  after: Map<string, string>,
  started: bigint,
): boolean {
  const placesNow = placesOf(after.keys());
  for (const [file, hash] of after) {
    const known = before.get(file);
    if (known !== undefined) {
      if (known !== hash || places.get(file) !== placesNow.get(file)) return false;
      continue;
    }
    const stats = look(file);
    if (stats !== undefined && stats.ctimeNs > started - clockMargin) return false;
  }
  return true;
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
      const inside = file.startsWith(fresh + path.sep);
      const before = inside ? undefined : known.get(file);
      if (before?.place === placeOf(stats)) hashes.set(file, before.hash);
      else if (stats.size > readLimit) hashes.set(file, `large ${placeOf(stats)}`);
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
          if (after === undefined || placeOf(after) !== placeOf(stats)) return;
          known.set(file, { place: placeOf(stats), hash });
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
