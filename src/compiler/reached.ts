/** What a configured build was made of: every file that each object reached, and what was in it. */
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { absent, sha256 } from './fingerprint.js';
import { type Reached, readMentions, type Surroundings } from './surroundings.js';
import { isBelow } from './way.js';

/** An object, and the files its compiler read; all absolute. */
export type Objects = Map<string, string[]>;

const format = 'tenon objects 2';

/** Objects of the configured build with what they reached, by the compiler's own account; undefined when one has none. */
export function readObjects(build: string): Objects | undefined {
  const there = new Set(filesBelow(path.join(build, 'CMakeFiles', 'plugin.dir')));
  const objects: Objects = new Map();
  const real = new Map<string, string>();
  for (const file of there) {
    const object = file.slice(0, -2);
    if (!file.endsWith('.d') || !there.has(object)) continue;
    const names = namesIn(textOf(file));
    const absolute = names.map((name) => absoluteOf(name, build, real));
    // What the build itself made, such as a precompiled header, is an object of its own.
    if (names.length > 0)
      objects.set(
        object,
        absolute.filter((name) => !isBelow(build, name)),
      );
  }
  return [...there].every((file) => !/\.(?:o|obj)$/.test(file) || objects.has(file)) ? objects : undefined;
}

/** What the rule of a depfile, a makefile with one rule, says that its target is made of. */
function namesIn(depfile: string): string[] {
  const words = depfile.replace(/\\\r?\n/g, ' ').matchAll(/(?:\\[\s\S]|\$\$|[^\s\\])+/g);
  const [, ...names] = [...words].map(([word]) => word.replace(/\$\$/g, '$').replace(/\\([\s#:\\])/g, '$1'));
  return names;
}

/** Without `..`, unless that would name another file: behind a link it leads above the link's target. `real` is filled. */
function absoluteOf(name: string, build: string, real: Map<string, string>): string {
  const plain = path.resolve(build, name);
  if (!name.includes('..')) return plain;
  const said = path.isAbsolute(name) ? name : `${build}${path.sep}${name}`;
  const [lexically, really] = [plain, said].map((file) => realFolder(path.dirname(file), real));
  return lexically === really ? plain : said;
}

/** `folder` itself where there is none. */
function realFolder(folder: string, real: Map<string, string>): string {
  const known = real.get(folder);
  if (known !== undefined) return known;
  let found = folder;
  try {
    found = realpathSync.native(folder);
  } catch {
    // What is in it counts as absent.
  }
  real.set(folder, found);
  return found;
}

function filesBelow(folder: string): string[] {
  try {
    const entries = readdirSync(folder, { withFileTypes: true, recursive: true });
    return entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
  } catch {
    return []; // nothing was built there yet
  }
}

/** Empty when it cannot be read. In this turn: a small file costs less than a thread that reads it. */
function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** Absolute paths of CMake's own files and of libraries that the project's build refers to. */
export function namedInBuild(build: string): string[] {
  const text = textOf(path.join(build, 'build.ninja'));
  const names = [...text.matchAll(/(?:\$[\s\S]|[^\s$|])+/g)].map(([word]) => word.replace(/\$([\s\S])/g, '$1'));
  const wanted = names.filter((name) => path.isAbsolute(name) && /\.(?:cmake|a|so(?:\.[\d.]+)?|dylib|tbd)$/.test(name));
  return [...new Set(wanted)].filter((name) => !isBelow(build, name) && existsSync(name));
}

interface Stamp extends Reached {
  hash: string;
}

/** What each object was made of when it was last known to be right. Kept beside the build. */
export class Stamps {
  readonly #store: string;
  /** What all objects have in common: tools, profile. */
  readonly #salt: string;
  #objects: Map<string, Stamp>;

  private constructor(store: string, salt: string, objects: Map<string, Stamp>) {
    this.#store = store;
    this.#salt = salt;
    this.#objects = objects;
  }

  /** Empty when there are none, when they are damaged, or when they are of other tools. */
  static open(directory: string, salt: string): Stamps {
    const store = path.join(directory, 'objects.json');
    const text = textOf(store);
    const at = text.indexOf('\n');
    const objects = new Map<string, Stamp>();
    if (text.slice(0, at) === `${format} ${sha256(salt, text.slice(at + 1))}`) {
      const kept = JSON.parse(text.slice(at + 1)) as [string, Stamp][];
      for (const [object, stamp] of kept) objects.set(object, stamp);
    }
    return new Stamps(store, salt, objects);
  }

  get empty(): boolean {
    return this.#objects.size === 0;
  }

  /** Nothing is known to be right: the next build begins from scratch. */
  async forget(): Promise<void> {
    this.#objects = new Map();
    await rm(this.#store, { force: true });
  }

  /** Every file that an object reached. */
  files(): Set<string> {
    return new Set([...this.#objects.values()].flatMap(({ files }) => files));
  }

  /** Removes every object in `build` that was not made of what `hashes` say is there now. */
  async removeStale(build: string, hashes: ReadonlyMap<string, string>, surroundings: Surroundings): Promise<void> {
    for (const file of filesBelow(path.join(build, 'CMakeFiles', 'plugin.dir'))) {
      if (!/\.(?:o|obj|gch|pch)$/.test(file)) continue;
      const stamp = this.#objects.get(file);
      if (stamp === undefined || stamp.hash !== combined(stamp, hashes, surroundings)) await rm(file, { force: true });
    }
  }

  /** Note what `objects` were made of. */
  async keep(objects: Objects, hashes: ReadonlyMap<string, string>, surroundings: Surroundings): Promise<void> {
    this.#objects = new Map();
    for (const [object, files] of objects) {
      const { asked, embeds } = await readMentions(files, hashes);
      if (embeds) continue;
      this.#objects.set(object, { files, asked, hash: combined({ files, asked }, hashes, surroundings) });
    }
    const text = JSON.stringify([...this.#objects]);
    const temporary = `${this.#store}.tmp`;
    await writeFile(temporary, `${format} ${sha256(this.#salt, text)}\n${text}`);
    await rename(temporary, this.#store);
  }
}

function combined(reached: Reached, hashes: ReadonlyMap<string, string>, surroundings: Surroundings): string {
  const files = reached.files.map((file) => `${file}\0${hashes.get(file) ?? absent}\0`);
  return sha256(surroundings.around(reached), ...files);
}
