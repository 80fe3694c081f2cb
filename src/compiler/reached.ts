/** What a configured build was made of: every file that each object reached, and what was in it. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { absent, sha256 } from './fingerprint.js';
import { type Reached, readMentions, type Surroundings } from './surroundings.js';
import type { Toolchain } from './toolchain.js';

/** An object, and the files its compiler read; all absolute. */
export type Objects = Map<string, string[]>;

const format = 'tenon objects 2';
const large = 256 * 1024 * 1024;

/** Objects of the configured build with what they reached, by the compiler's own account; undefined when one has none. */
export async function readObjects(build: string, { ninja }: Toolchain): Promise<Objects | undefined> {
  const text = ninja === undefined ? await depfilesBelow(build) : await ninjaDeps(ninja, build);
  const objects: Objects = new Map();
  for (const [object, files] of text) {
    const place = path.resolve(build, object);
    const absolute = files.map((file) => path.resolve(build, file));
    // What the build itself made, such as a precompiled header, is an object of its own.
    if (existsSync(place))
      objects.set(
        place,
        absolute.filter((file) => !file.startsWith(build + path.sep)),
      );
  }
  const made = (await filesBelow(path.join(build, 'CMakeFiles', 'plugin.dir'))).filter((file) =>
    /\.(?:o|obj)$/.test(file),
  );
  return made.every((file) => objects.has(file)) ? objects : undefined;
}

function ninjaDeps(ninja: string, build: string): Promise<[string, string[]][]> {
  return new Promise((resolve) => {
    execFile(ninja, ['-C', build, '-t', 'deps'], { maxBuffer: large, timeout: 30_000, env: {} }, (error, text) => {
      const objects: [string, string[]][] = [];
      // Whoever cannot be asked knows of no object.
      if (error === null)
        for (const line of text.split('\n')) {
          const head = /^(\S.*): #deps \d+, deps mtime \d+ \((VALID|STALE)\)$/.exec(line);
          if (head !== null) objects.push([head[2] === 'VALID' ? (head[1] ?? '') : '', []]);
          else if (line.startsWith('    ')) objects.at(-1)?.[1].push(line.slice(4));
        }
      resolve(objects.filter(([object]) => object !== ''));
    });
  });
}

/** From the compiler's depfiles, which are makefiles of one rule each. */
async function depfilesBelow(build: string): Promise<[string, string[]][]> {
  const objects: [string, string[]][] = [];
  for (const file of await filesBelow(path.join(build, 'CMakeFiles'))) {
    if (!file.endsWith('.d')) continue;
    const text = (await readFile(file, 'utf8').catch(() => '')).replace(/\\\r?\n/g, ' ');
    const names = [...text.matchAll(/(?:\\[\s\S]|\$\$|[^\s\\])+/g)].map(([word]) =>
      word.replace(/\$\$/g, '$').replace(/\\([\s#:\\])/g, '$1'),
    );
    objects.push([file.slice(0, -2), names.filter((name) => !name.endsWith(':'))]);
  }
  return objects;
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
}

/** Absolute paths of CMake's own files and of libraries that the project's build refers to. */
export async function namedInBuild(build: string): Promise<string[]> {
  const text = await readFile(path.join(build, 'build.ninja'), 'utf8').catch(() => '');
  const names = [...text.matchAll(/(?:\$[\s\S]|[^\s$|])+/g)].map(([word]) => word.replace(/\$([\s\S])/g, '$1'));
  const wanted = names.filter((name) => path.isAbsolute(name) && /\.(?:cmake|a|so(?:\.[\d.]+)?|dylib|tbd)$/.test(name));
  return [...new Set(wanted)].filter((name) => !name.startsWith(build + path.sep) && existsSync(name));
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
  static async open(directory: string, salt: string): Promise<Stamps> {
    const store = path.join(directory, 'objects.json');
    const text = await readFile(store, 'utf8').catch(() => '');
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
    for (const file of await filesBelow(path.join(build, 'CMakeFiles', 'plugin.dir'))) {
      if (!/\.(?:o|obj|gch|pch)$/.test(file)) continue;
      const stamp = this.#objects.get(file);
      if (stamp === undefined || stamp.hash !== combined(stamp, hashes, surroundings)) await rm(file, { force: true });
    }
  }

  /** Note what `objects` were made of. */
  async keep(objects: Objects, hashes: ReadonlyMap<string, string>, surroundings: Surroundings): Promise<void> {
    this.#objects = new Map();
    for (const [object, files] of objects) {
      const { asked } = await readMentions(files, hashes);
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
