/** Puts bundles into the applications directory: all of one or nothing of it, whenever the process or the machine ends. */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { chmod, lstat, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { syncDirectory } from '../base/replace-file.js';

export interface PlacesOptions {
  /** Absolute path of the applications directory; made when a bundle comes and it is not there. */
  directory: string;
  /** Who writes: what is left behind under this name is swept, and nobody else's. Letters, digits and "-". */
  owner: string;
  /** Has two names change places; false where the file system cannot. `core.exchangeNames`. */
  exchange: (one: string, other: string) => boolean;
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
      await this.discard(place).catch(() => {}); // the first error counts, and the next start sweeps
      throw error;
    }
  }

  /** Give `staged` the name of `folder`, in place of what has it. */
  async put(staged: string, folder: string): Promise<Put> {
    const before = await lstat(folder).catch(ifAbsent);
    if (before === undefined) return this.#putAnew(staged, folder);
    if (!this.#exchange(staged, folder)) return this.#putInSteps(staged, folder);
    await this.#sync();
    return {
      undo: async () => {
        this.#exchange(staged, folder);
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

  /** What the process before this one was in the middle of is undone, and what it left behind is gone. Before anything else. */
  async sweep(): Promise<void> {
    const names = await readdir(this.#directory).catch(ifAbsent);
    for (const name of names ?? []) {
      if (!name.startsWith(this.#prefix)) continue;
      const place = path.join(this.#directory, name);
      const [, aside] = name.split('@');
      const folder = aside === undefined ? undefined : path.join(this.#directory, aside);
      if (folder !== undefined && (await lstat(folder).catch(ifAbsent)) === undefined) await rename(place, folder);
      else await rm(place, { recursive: true, force: true });
    }
    if (names !== undefined && names.length > 0) await this.#sync();
  }

  async #putAnew(staged: string, folder: string): Promise<Put> {
    await rename(staged, folder);
    await this.#sync();
    return { undo: async () => this.discard(await this.take(folder)), finish: () => Promise.resolve() };
  }

  /** For a moment nothing has the name; whoever sweeps then puts back what had it. */
  async #putInSteps(staged: string, folder: string): Promise<Put> {
    const aside = `${this.#hidden()}@${path.basename(folder)}`;
    const back = async (): Promise<void> => {
      await rename(aside, folder);
      await this.#sync();
    };
    await rename(folder, aside);
    await this.#sync();
    try {
      await rename(staged, folder);
    } catch (error) {
      await back();
      throw error;
    }
    await this.#sync();
    return {
      undo: async () => {
        const place = await this.take(folder);
        await back();
        await this.discard(place);
      },
      finish: () => this.discard(aside),
    };
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

function ifAbsent(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
  throw error;
}
