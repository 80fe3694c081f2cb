/** What lies where a compiler looks: a file that comes before one that was found changes the result, too. */
import { type BigIntStats, type Dirent, readdirSync, realpathSync, statSync } from 'node:fs';
import path from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { absent, isTooLarge, readLimit, sha256 } from './fingerprint.js';
import { isWholeLibrary } from './linked.js';
import { readRegular } from '../base/regular.js';
import { isBelow } from './way.js';

/** Most names in the folders that are listed to their depths: beyond it nothing is known of them. */
const nameLimit = 20_000;
/** What changed less than this ago may change again without its times telling, ms. */
const settled = 2000;
/** Of whoever asks for a name that is put together: any name may be meant. */
const anyName = '*';

export interface SurroundingsOptions {
  /** Absolute paths of folders that are listed to their depths: the application's, and those of its dependencies. */
  folders: Iterable<string>;
  /** Absolute paths of folders that the compiler searches by itself. */
  system: readonly string[];
  /** Absolute path of a folder that is left out: what a build writes. */
  without: string;
}

/** What one object, or one result, was made of. */
export interface Reached {
  /** Absolute. */
  files: readonly string[];
  /** Names that were asked for without being included, see `readMentions`. */
  asked: readonly string[];
}

interface Listed {
  /** Changes with every name that comes or goes. */
  place: string;
  /** Whether the times have told of every change. */
  settled: boolean;
  names: readonly string[];
}

/** Folders of one level, known to this process. */
const known = new Map<string, Listed>();

/** A compiler takes `a.h.gch` for `a.h`, and some file systems `A.h`. */
function plain(name: string): string {
  return name.replace(/\.gch$/, '').toLowerCase();
}

/** As of one moment: make another one to look again. */
export class Surroundings {
  readonly #folders: readonly string[];
  readonly #system: readonly string[];
  readonly #without: string;
  /** Absolute paths in the folders that are listed to their depths, by their plain names. */
  readonly #names: ReadonlyMap<string, readonly string[]>;
  /** Folders of one level, by path. */
  readonly #levels = new Map<string, readonly string[]>();
  #latest = 0n;

  private constructor({ folders, system, without }: SurroundingsOptions, names: Map<string, string[]>) {
    this.#folders = [...folders];
    this.#system = system;
    this.#without = without;
    this.#names = names;
  }

  /** Undefined when there is more than can be looked at before each build. */
  static async look({ folders, system, without }: SurroundingsOptions): Promise<Surroundings | undefined> {
    const deep = [...new Set(folders)].filter((folder) => !system.includes(folder));
    const names = new Map<string, string[]>();
    const seen = new Set<string>();
    const waiting = [...deep];
    let count = 0;
    for (let folder = waiting.pop(); folder !== undefined; folder = waiting.pop()) {
      const real = realOf(folder);
      if (real === undefined || seen.has(real)) continue;
      seen.add(real);
      if (seen.size % 50 === 0) await turn();
      const entries = entriesOf(folder);
      if (entries === undefined) return undefined;
      for (const entry of entries) {
        const place = path.join(folder, entry.name);
        count += 1;
        if (count > nameLimit) return undefined;
        // What is in these is found by nobody who does not name them, unless they are searched themselves.
        if (entry.name === '.git' || entry.name === 'node_modules' || place === without) continue;
        if (entry.isDirectory() || (entry.isSymbolicLink() && isFolder(place))) waiting.push(place);
        else append(names, plain(entry.name), place);
      }
    }
    return new Surroundings({ folders: deep, system, without }, names);
  }

  /** Changes when a file comes or goes that the compiler may find in place of one of `files`, or that was asked for. */
  around({ files, asked }: Reached): string {
    const wanted = new Set([...files, ...asked].map((file) => plain(path.basename(file))));
    const any = asked.includes(anyName);
    const found: string[] = [];
    if (any) for (const places of this.#names.values()) found.push(...places);
    else for (const name of wanted) found.push(...(this.#names.get(name) ?? []));
    for (const folder of this.#levelsAround(files, asked))
      for (const name of this.#level(folder)) if (any || wanted.has(plain(name))) found.push(path.join(folder, name));
    return sha256(found.sort().join('\n'));
  }

  /** Beside a file that was reached, and in each folder that is searched, lies what an include may mean. */
  #levelsAround(files: readonly string[], asked: readonly string[]): Set<string> {
    const outside = new Set<string>();
    const relative = new Set(['.', ...asked.map((name) => path.dirname(name))]);
    for (const file of files) {
      const inside = [...this.#system, ...this.#folders].filter((folder) => isBelow(folder, file));
      for (const folder of inside) relative.add(path.dirname(path.relative(folder, file)));
      if (inside.length === 0 && !isBelow(this.#without, file)) outside.add(path.dirname(file));
    }
    const levels = new Set<string>();
    for (const folder of [...this.#system, ...outside])
      for (const below of relative) levels.add(path.resolve(folder, below));
    // Who asks for such a name may mean a place outside of all of them.
    const leading = asked.filter((name) => path.isAbsolute(name) || name.includes('..'));
    if (leading.length > 0)
      for (const folder of new Set([...this.#folders, ...files.map((file) => path.dirname(file))]))
        for (const name of leading) levels.add(path.resolve(folder, path.dirname(name)));
    return levels;
  }

  /** When one of the folders that were not listed beforehand changed last, by the clock of the file system, ns. */
  get latest(): bigint {
    return this.#latest;
  }

  #level(folder: string): readonly string[] {
    const looked = this.#levels.get(folder);
    if (looked !== undefined) return looked;
    let names: readonly string[] = [];
    const stats = statOf(folder);
    if (stats?.isDirectory() === true) {
      const place = [stats.dev, stats.ino, stats.mtimeNs, stats.ctimeNs].join(' ');
      const before = known.get(folder);
      if (before?.settled === true && before.place === place) names = before.names;
      else {
        names = entriesOf(folder)?.map((entry) => entry.name) ?? [];
        known.set(folder, { place, names, settled: stats.ctimeNs < BigInt(Date.now() - settled) * 1_000_000n });
      }
      if (stats.ctimeNs > this.#latest) this.#latest = stats.ctimeNs;
    }
    this.#levels.set(folder, names);
    return names;
  }
}

function append(names: Map<string, string[]>, name: string, place: string): void {
  const places = names.get(name);
  if (places === undefined) names.set(name, [place]);
  else places.push(place);
}

function realOf(folder: string): string | undefined {
  try {
    return realpathSync(folder);
  } catch {
    return undefined;
  }
}

/** Undefined when they cannot be seen, though a file of a known name might be opened. */
function entriesOf(folder: string): Dirent[] | undefined {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? [] : undefined;
  }
}

function statOf(place: string): BigIntStats | undefined {
  try {
    return statSync(place, { bigint: true });
  } catch {
    return undefined;
  }
}

function isFolder(place: string): boolean {
  return statOf(place)?.isDirectory() === true;
}

/** What a text does beside including. */
interface Mentions {
  /** Names that it asks for (`__has_include`), `*` for one that is put together. */
  asked: string[];
  /**
   * Whether something may have been read for it of which no compiler gives an account: the assembler reads further files,
   * or there is another text in the file by now.
   */
  embeds: boolean;
}

/** By the hash of the text. */
const mentions = new Map<string, Mentions>();
const mentionsLimit = 20_000;
const nothing: Mentions = { asked: [], embeds: false };

/** Of all `files` (absolute) together; `hashes` say what was in them. */
export async function readMentions(files: Iterable<string>, hashes: ReadonlyMap<string, string>): Promise<Mentions> {
  const asked = new Set<string>();
  let embeds = false;
  if (mentions.size > mentionsLimit) mentions.clear();
  await Promise.all(
    [...files].map(async (file) => {
      const hash = hashes.get(file) ?? absent;
      const here = mentions.get(hash) ?? (await mentionsIn(file, hash));
      for (const name of here.asked) asked.add(name);
      embeds ||= here.embeds;
    }),
  );
  return { asked: [...asked].sort(), embeds };
}

async function mentionsIn(file: string, hash: string): Promise<Mentions> {
  if (hash === absent || isTooLarge(hash)) return nothing;
  const bytes = await readRegular(file, readLimit).catch(() => undefined);
  if (bytes === undefined || sha256(bytes) !== hash) return { asked: [], embeds: true };
  const here = mentionsOf(bytes.toString('latin1'));
  mentions.set(hash, here);
  return here;
}

function mentionsOf(text: string): Mentions {
  if (isWholeLibrary(text)) return nothing;
  const asked = new Set<string>();
  if (text.includes('__has_'))
    for (const line of text.replace(/\\\r?\n/g, '').split('\n')) if (line.includes('__has_')) addAsked(line, asked);
  return { asked: [...asked], embeds: /\.inc(?:bin|lude)\b/.test(text) };
}

/** Whoever does not ask for a name in plain letters may mean any: the word is passed on by a macro, or put together. */
function addAsked(line: string, asked: Set<string>): void {
  const directive = /#|%:|\?\?=/.test(line) && /\b(?:if|elif|define)\b/.test(line);
  for (const { 0: before, 1: word = '', index } of line.matchAll(/(?:defined\s*\(?\s*|define\s+)?\b__has_(\w*)/g)) {
    const whole = /^(?:include|embed)/.test(word);
    if (!whole && !'include'.startsWith(word) && !'embed'.startsWith(word)) continue;
    if (whole && before.startsWith('define')) continue;
    const after = line.slice(index + before.length, index + before.length + 1100);
    const name = whole ? /^\s*\(\s*[<"]([^>"]{1,1000})[>"]/.exec(after)?.[1] : undefined;
    if (name !== undefined || directive || /^\s*\(/.test(after)) asked.add(name ?? anyName);
  }
}
