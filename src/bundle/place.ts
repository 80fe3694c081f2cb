/** Puts bundles into the applications directory: all of one or nothing of it, whenever the process or the machine ends. */
import { hash, randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { chmod, lstat, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { readRegular } from '../base/regular.js';
import { syncDirectory } from '../base/replace-file.js';
import { manifestFile, manifestLimit } from './manifest.js';

export interface PlacesOptions {
  /** Absolute path of the applications directory; made when a bundle comes and it is not there. */
  directory: string;
  /** Who writes: what is left behind under this name is swept, and nobody else's. Letters, digits and "-". */
  owner: string;
  /** Has two names change places; false where the file system cannot. `core.exchangeNames`. */
  exchange: (one: string, other: string) => boolean;
}

/** What has a name: to be told from whatever else comes to have it. */
export interface Seen {
  readonly device: bigint;
  readonly inode: bigint;
  /** SHA-256 of its manifest, hexadecimal; undefined where that cannot be read. */
  readonly manifest: string | undefined;
}

/** A bundle that has been put in place. */
export interface Put {
  /** What was there before is there again, or nothing; the bundle is gone. */
  undo(): Promise<void>;
  /** What was there before is gone for good. */
  finish(): Promise<void>;
}

const fileMode = 0o444;
const folderMode = 0o755;

/** What has the name `folder` (absolute); undefined when nothing has. */
export async function look(folder: string): Promise<Seen | undefined> {
  const info = await lstat(folder, { bigint: true }).catch(ifAbsent);
  if (info === undefined) return undefined;
  const manifest = await readRegular(path.join(folder, manifestFile), manifestLimit).catch(() => undefined);
  return { device: info.dev, inode: info.ino, manifest: manifest && hash('sha256', manifest) };
}

/**
 * Folders of the applications directory that are made whole in a hidden folder of it, and then take their name in one step. Everything
 * rejects with what the system says.
 */
export class Places {
  readonly #directory: string;
  readonly #prefix: string;
  readonly #exchange: PlacesOptions['exchange'];

  constructor({ directory, owner, exchange }: PlacesOptions) {
    this.#directory = directory;
    this.#prefix = `.tenon-${owner}-`;
    this.#exchange = exchange;
  }

  /** Write `files` (relative paths) to a hidden folder, and see them on the disk; its absolute path. On a failure nothing stays. */
  async stage(files: Iterable<readonly [string, Uint8Array]>): Promise<string> {
    await mkdir(this.#directory, { recursive: true });
    const place = this.#hidden();
    await mkdir(place, { mode: 0o700 });
    try {
      const folders = new Set([place]);
      for (const [file, bytes] of files) {
        const parts = path.dirname(file) === '.' ? [] : path.dirname(file).split('/');
        for (const at of parts.keys()) await this.#folder(path.join(place, ...parts.slice(0, at + 1)), folders);
        await writeNew(path.join(place, file), bytes);
      }
      for (const folder of [...folders].toReversed()) {
        await chmod(folder, folderMode);
        await syncDirectory(folder);
      }
      return place;
    } catch (error) {
      await this.#drop(place);
      throw error;
    }
  }

  /**
   * Give `staged` the name of `folder`, in place of `expected`, which {@link look} has seen there; undefined: of nothing. Rejects with
   * `code` `EEXIST` when something else is there by now. When it rejects, `folder` is what it was, and `staged` is gone.
   */
  async put(staged: string, folder: string, expected: Seen | undefined): Promise<Put> {
    try {
      if (!isSame(await look(folder), expected)) throw isTaken(folder);
      if (expected === undefined) return await this.#putAnew(staged, folder);
      if (!this.#exchange(staged, folder)) return await this.#putInSteps(staged, folder, expected);
    } catch (error) {
      await this.#drop(staged);
      throw error;
    }
    try {
      if (!isSame(await look(staged), expected)) throw isTaken(folder);
      await this.#sync();
    } catch (error) {
      // Until this has worked, what is staged is what was there before.
      this.#exchangeBack(staged, folder);
      await this.#sync().catch(() => {}); // the first error counts
      await this.#drop(staged);
      throw error;
    }
    return {
      undo: async () => {
        this.#exchangeBack(staged, folder);
        await this.#sync();
        await this.discard(staged);
      },
      finish: () => this.discard(staged),
    };
  }

  /** Take `folder` away: from here on it is a hidden one, which is returned. */
  async take(folder: string): Promise<string> {
    const place = this.#hidden();
    await rename(folder, place);
    await this.#sync();
    return place;
  }

  /** Remove a hidden folder. */
  async discard(place: string): Promise<void> {
    await rm(place, { recursive: true, force: true });
    await this.#sync();
  }

  /**
   * What the process before this one was in the middle of is undone, and what it left behind is gone. Before anything else. Nothing that
   * goes wrong ends it: each is returned, with the absolute path of what stays.
   */
  async sweep(): Promise<readonly { readonly place: string; readonly error: unknown }[]> {
    const wrong: { place: string; error: unknown }[] = [];
    const attempt = async <Result>(place: string, work: () => Promise<Result>): Promise<Result | undefined> =>
      work().catch((error: unknown) => {
        wrong.push({ place, error });
        return undefined;
      });
    const names = (await attempt(this.#directory, () => readdir(this.#directory).catch(ifAbsent))) ?? [];
    const left = names.filter((name) => name.startsWith(this.#prefix));
    for (const name of left) await attempt(path.join(this.#directory, name), () => this.#sweepOne(name));
    if (left.length > 0) await attempt(this.#directory, () => this.#sync());
    return wrong;
  }

  async #sweepOne(name: string): Promise<void> {
    const place = path.join(this.#directory, name);
    const [, aside] = name.split('@');
    const folder = aside === undefined ? undefined : path.join(this.#directory, aside);
    if (folder !== undefined && (await lstat(folder).catch(ifAbsent)) === undefined) await rename(place, folder);
    else await rm(place, { recursive: true, force: true });
  }

  /** Where something has come since, only an empty folder gives way: it holds nothing that could be lost. */
  async #putAnew(staged: string, folder: string): Promise<Put> {
    await rename(staged, folder).catch((error: unknown) => {
      const { code = '' } = error as NodeJS.ErrnoException;
      throw ['ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes(code) ? isTaken(folder) : error;
    });
    try {
      await this.#sync();
    } catch (error) {
      await rename(folder, staged);
      throw error;
    }
    return { undo: async () => this.discard(await this.take(folder)), finish: () => Promise.resolve() };
  }

  /** For a moment nothing has the name; whoever sweeps then puts back what had it. */
  async #putInSteps(staged: string, folder: string, expected: Seen): Promise<Put> {
    const aside = `${this.#hidden()}@${path.basename(folder)}`;
    await rename(folder, aside);
    let placed = false;
    try {
      if (!isSame(await look(aside), expected)) throw isTaken(folder);
      await this.#sync();
      await rename(staged, folder);
      placed = true;
      await this.#sync();
    } catch (error) {
      if (placed) await rename(folder, staged);
      await rename(aside, folder);
      await this.#sync().catch(() => {}); // the first error counts
      throw error;
    }
    return {
      undo: async () => {
        await rename(folder, staged);
        await rename(aside, folder);
        await this.#sync();
        await this.discard(staged);
      },
      finish: () => this.discard(aside),
    };
  }

  #exchangeBack(staged: string, folder: string): void {
    if (!this.#exchange(staged, folder)) throw new Error(`${staged} and ${folder} could not change their names again`);
  }

  /** Of what a failure makes needless. */
  async #drop(staged: string): Promise<void> {
    await this.discard(staged).catch(() => {}); // the first error counts, and the next start sweeps
  }

  async #folder(folder: string, made: Set<string>): Promise<void> {
    if (made.has(folder)) return;
    await mkdir(folder, { mode: 0o700 });
    made.add(folder);
  }

  #hidden(): string {
    return path.join(this.#directory, `${this.#prefix}${randomBytes(8).toString('hex')}`);
  }

  #sync(): Promise<void> {
    return syncDirectory(this.#directory);
  }
}

async function writeNew(file: string, bytes: Uint8Array): Promise<void> {
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  const handle = await open(file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, fileMode);
  try {
    await handle.writeFile(bytes);
    await handle.chmod(fileMode);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function isSame(one: Seen | undefined, other: Seen | undefined): boolean {
  return one?.device === other?.device && one?.inode === other?.inode && one?.manifest === other?.manifest;
}

function isTaken(folder: string): Error {
  return Object.assign(new Error(`${folder} is not what it was a moment ago`), { code: 'EEXIST' });
}

function ifAbsent(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
  throw error;
}
