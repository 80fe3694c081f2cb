/** Files in which what plugins know outlives the host: one for each plugin, old or new and never in between. */
import { constants } from 'node:fs';
import { copyFile, link, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
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
  /** Between two saves of what serves, ms; 0, the default: there are none. */
  stateSaveMs?: number;
}

/** A state on its way to the disk. */
export interface Keeping {
  /** Resolves when it is there even if this process is killed now, or when `kept` settles. */
  readonly written: Promise<void>;
  /** Resolves when it, or something newer, is on disk; rejects with `StateNotKept`. */
  readonly kept: Promise<void>;
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
  readonly #written = new Map<string, (() => void)[]>();
  /** Hash of the build whose state is in the file; undefined: it has none. Absent: not known. */
  readonly #builds = new Map<string, string | undefined>();
  /** Between two saves of what serves, ms; 0: there are none. */
  readonly saveMs: number;

  constructor(options: SavedStatesOptions) {
    this.#directory = options.directory;
    this.#stateLimit = options.stateLimit;
    this.saveMs = options.stateSaveMs ?? 0;
  }

  /** Absolute path of the file of `id`, which need not be there. */
  file(id: string): string {
    return path.join(this.#directory, `${id}.state`);
  }

  /** Absolute path of the file that the core keeps the key-value state of `id` in, change by change. */
  valuesFile(id: string): string {
    return path.join(this.#directory, `${id}.values`);
  }

  /**
   * Put it in place of what was kept before. Resolves when it is on disk, or when something newer is; rejects with
   * `StateNotKept`, and what was there stays.
   */
  keep(saved: SavedState): Promise<void> {
    return this.begin(saved).kept;
  }

  /** The same; it outlives this process before it is on disk. */
  begin(saved: SavedState): Keeping {
    const id = saved.plugin;
    this.#newest.set(id, saved);
    const kept = this.#turnsOf(id).take('keep', async () => {
      const newest = this.#newest.get(id);
      this.#newest.delete(id);
      const tell = this.#written.get(id) ?? [];
      this.#written.delete(id);
      try {
        if (newest !== undefined) await this.#write(newest, () => tell.forEach((told) => told()));
      } finally {
        for (const told of tell) told();
      }
    });
    const written = new Promise<void>((resolve) => {
      this.#written.set(id, [...(this.#written.get(id) ?? []), resolve]);
    });
    return { written, kept };
  }

  /** What is kept of `id`; undefined when nothing is. Rejects with `StateUnreadable`. */
  read(id: string): Promise<Found | undefined> {
    return this.#turnsOf(id).take('read', async () => {
      await this.#finish(id);
      try {
        const saved = await this.#saved(id, this.file(id));
        this.#builds.set(id, stateBuild(saved));
        return saved && { saved };
      } catch (error) {
        if (!(error instanceof StateFileError)) throw unreadable(id, this.file(id), error);
        const place = await this.#move(id, error.flaw);
        return { warning: `the saved state of ${id} was not loaded: ${error.message}; it was put aside as ${place}` };
      }
    });
  }

  /** The last one of another build than that of {@link read}; undefined when there is none that can be read. */
  readEarlier(id: string): Promise<SavedState | undefined> {
    return this.#turnsOf(id).take('read earlier', () => this.#saved(id, this.#earlier(id)).catch(() => undefined));
  }

  /** A build took the earlier one and not what is kept: that one is put aside, under the resulting path, for the earlier one. */
  goBack(id: string): Promise<string> {
    return this.#turnsOf(id).take('go back', async () => {
      const place = await this.#move(id, 'refused');
      await rename(this.#earlier(id), this.file(id));
      this.#builds.delete(id);
      await syncDirectory(this.#directory);
      return place;
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
      this.#builds.delete(id);
      for (const file of [this.file(id), this.valuesFile(id)].map((place) => path.basename(place)))
        for (const name of names)
          if (name === file || name.startsWith(`${file}.`)) await rm(path.join(this.#directory, name), { force: true });
    });
  }

  #turnsOf(id: string): Turns {
    let turns = this.#turns.get(id);
    if (turns === undefined) this.#turns.set(id, (turns = new Turns()));
    return turns;
  }

  async #write(saved: SavedState, written: () => void): Promise<void> {
    const { plugin, build, state } = saved;
    const target = this.file(plugin);
    try {
      const pieces = await encodeStateFile(saved);
      const made = await mkdir(this.#directory, { recursive: true, mode: 0o700 });
      if (made !== undefined) await syncDirectory(path.dirname(made));
      if (state !== undefined) await this.#keepEarlier(plugin, build.sha256);
      await replaceFile(target, pieces, { durable: true, written });
      this.#builds.set(plugin, stateBuild(saved));
    } catch (cause) {
      throw new TenonError('StateNotKept', `the state of ${plugin} was not written: ${reasonOf(cause)}`, {
        next: `see that ${this.#directory} can be written and has room`,
        details: { plugin, file: target },
        cause,
      });
    }
  }

  /** Who cannot read what is kept from now on finds what it knew itself. */
  async #keepEarlier(id: string, build: string): Promise<void> {
    const file = this.file(id);
    // What cannot be read is for `read` to tell of.
    const read = (): Promise<SavedState | undefined> => this.#saved(id, file).catch(() => undefined);
    const before = this.#builds.has(id) ? this.#builds.get(id) : stateBuild(await read());
    if (before === undefined || before === build) return;
    const earlier = this.#earlier(id);
    const fresh = `${earlier}.new`;
    await rm(fresh, { force: true });
    await link(file, fresh).catch(() => copyFile(file, fresh)); // some file systems have no links
    await rename(fresh, earlier);
  }

  /** A host that was killed while it kept a state may have written all of it. */
  async #finish(id: string): Promise<void> {
    const fresh = `${this.file(id)}.new`;
    const saved = await this.#saved(id, fresh).catch(() => undefined); // what is not whole is as if it had never been
    if (saved === undefined) return;
    const file = await open(fresh, O_RDONLY | O_NOFOLLOW);
    try {
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(fresh, this.file(id));
    await syncDirectory(this.#directory);
  }

  /** What the file at `place`, regular and of bounded size, says; undefined when there is none. Rejects with `StateFileError`, too. */
  async #saved(id: string, place: string): Promise<SavedState | undefined> {
    const bytes = await this.#bytes(place);
    return bytes && decodeStateFile(bytes, id, this.#stateLimit);
  }

  async #bytes(place: string): Promise<Buffer | undefined> {
    const file = await open(place, O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch((error: unknown) => {
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

  #earlier(id: string): string {
    return `${this.file(id)}.before`;
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

function stateBuild(saved: SavedState | undefined): string | undefined {
  return saved?.state === undefined ? undefined : saved.build.sha256;
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
