/** Files in which what plugins know outlives the host: one for each plugin, old or new and never in between. */
import { constants } from 'node:fs';
import { mkdir, open, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { TenonError } from '../base/errors.js';
import { replaceFile, syncDirectory } from '../base/replace-file.js';
import { putAside } from './put-aside.js';
import {
  decodeStateFile,
  encodeStateFile,
  type Flaw,
  headLimit,
  type SavedState,
  StateFileError,
  valuesLimit,
} from './state-file.js';
import { Turns } from './turns.js';

export interface SavedStatesOptions {
  /** Absolute path; made when the first state is kept, mode 0700. */
  directory: string;
  /** Largest state that is read, bytes. */
  stateLimit: number;
}

/** What is there for a plugin: its state, or a sentence about a file that is none and was put aside. */
export type Found = { saved: SavedState } | { warning: string };

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;

/**
 * The saved states of one data directory, whose lock its host holds. What is asked for one plugin happens in the order of
 * asking.
 */
export class SavedStates {
  readonly #directory: string;
  readonly #stateLimit: number;
  readonly #turns = new Map<string, Turns>();
  readonly #newest = new Map<string, SavedState>();

  constructor(options: SavedStatesOptions) {
    this.#directory = options.directory;
    this.#stateLimit = options.stateLimit;
  }

  /** Absolute path of the file of `id`, which need not be there. */
  file(id: string): string {
    return path.join(this.#directory, `${id}.state`);
  }

  /**
   * Put it in place of what was kept before. Resolves when it is on disk, or when something newer is; rejects with
   * `StateNotKept`, and what was there stays.
   */
  keep(saved: SavedState): Promise<void> {
    const id = saved.plugin;
    this.#newest.set(id, saved);
    return this.#turnsOf(id).take('keep', async () => {
      const newest = this.#newest.get(id);
      this.#newest.delete(id);
      if (newest !== undefined) await this.#write(newest);
    });
  }

  /** What is kept of `id`; undefined when nothing is. Rejects with `StateUnreadable`. */
  read(id: string): Promise<Found | undefined> {
    return this.#turnsOf(id).take('read', async () => {
      try {
        const bytes = await this.#bytes(id);
        return bytes === undefined ? undefined : { saved: await decodeStateFile(bytes, id, this.#stateLimit) };
      } catch (error) {
        if (!(error instanceof StateFileError)) throw unreadable(id, this.file(id), error);
        const place = await this.#move(id, error.flaw);
        return { warning: `the saved state of ${id} was not loaded: ${error.message}; it was put aside as ${place}` };
      }
    });
  }

  /** A build did not take it: nothing is kept of `id` any more, but its file stays under the resulting path. */
  putAside(id: string): Promise<string> {
    return this.#turnsOf(id).take('put aside', () => this.#move(id, 'refused'));
  }

  /** Nothing is kept of `id` any more, and nothing that was put aside. */
  forget(id: string): Promise<void> {
    return this.#turnsOf(id).take('forget', async () => {
      const names = await readdir(this.#directory).catch(() => []); // nothing was ever kept
      const file = path.basename(this.file(id));
      for (const name of names)
        if (name === file || name.startsWith(`${file}.`)) await rm(path.join(this.#directory, name), { force: true });
    });
  }

  #turnsOf(id: string): Turns {
    let turns = this.#turns.get(id);
    if (turns === undefined) this.#turns.set(id, (turns = new Turns()));
    return turns;
  }

  async #write(saved: SavedState): Promise<void> {
    const target = this.file(saved.plugin);
    try {
      const pieces = await encodeStateFile(saved);
      const made = await mkdir(this.#directory, { recursive: true, mode: 0o700 });
      if (made !== undefined) await syncDirectory(path.dirname(made));
      await replaceFile(target, pieces, { durable: true });
    } catch (cause) {
      throw new TenonError('StateNotKept', `the state of ${saved.plugin} was not written: ${reasonOf(cause)}`, {
        next: `see that ${this.#directory} can be written and has room`,
        details: { plugin: saved.plugin, file: target },
        cause,
      });
    }
  }

  /** The bytes of a regular file of bounded size; undefined when there is none. */
  async #bytes(id: string): Promise<Buffer | undefined> {
    const file = await open(this.file(id), O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (file === undefined) return undefined;
    try {
      const facts = await file.stat();
      if (!facts.isFile()) throw new Error('it is not a regular file');
      const most = headLimit + this.#stateLimit + valuesLimit;
      if (facts.size > most) throw new StateFileError('oversized', `its ${facts.size} bytes are over ${most}`);
      return await file.readFile();
    } finally {
      await file.close();
    }
  }

  /** Under a name that says why, and that nothing has. */
  async #move(id: string, why: Flaw | 'refused'): Promise<string> {
    try {
      return await putAside(this.file(id), why);
    } catch (error) {
      throw unreadable(id, this.file(id), error);
    }
  }
}

function unreadable(id: string, file: string, cause: unknown): TenonError {
  return new TenonError('StateUnreadable', `the saved state of ${id} could not be read: ${reasonOf(cause)}`, {
    next: `see who owns ${file} and what it is, or move it away to begin without it`,
    details: { plugin: id, file },
    cause,
  });
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
