/** One build at a time in a directory, and nothing left of one that was killed. */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { TenonError } from '../base/errors.js';
import { type DirectoryLock, loadCore } from '../binding/core.js';
import { endMarked } from './processes.js';

const queues = new Map<string, Promise<void>>();
const pollMs = 15;
const anonymousMs = 1000;

export interface HoldOptions {
  timeLimitMs: number;
  signal?: AbortSignal | undefined;
}

export class Hold {
  readonly #directory: string;
  readonly #lock: DirectoryLock;
  readonly #next: () => void;

  private constructor(directory: string, lock: DirectoryLock, next: () => void) {
    this.#directory = directory;
    this.#lock = lock;
    this.#next = next;
  }

  /** Waits for other builds in `directory` (absolute; made when absent), of this process and of others. */
  static async take(directory: string, { timeLimitMs, signal }: HoldOptions): Promise<Hold> {
    const began = performance.now();
    const before = queues.get(directory);
    let next = (): void => {};
    const mine = new Promise<void>((resolve) => {
      next = resolve;
    });
    const last = (before ?? Promise.resolve()).then(() => mine);
    queues.set(directory, last);
    void last.then(() => {
      if (queues.get(directory) === last) queues.delete(directory);
    });
    try {
      await before;
      signal?.throwIfAborted();
      await mkdir(directory, { recursive: true });
      for (;;) {
        try {
          const lock = loadCore().lockFile(path.join(directory, 'lock'));
          return new Hold(directory, lock, next);
        } catch (error) {
          const held = error instanceof Error && 'code' in error && error.code === 'DataDirectoryLocked';
          if (!held || !('holder' in error)) throw error;
          // Without a holder it is no other process, unless that one is just about to say so.
          if (error.holder === 0 && performance.now() - began > anonymousMs)
            throw new TenonError('BuildFailed', `${directory} cannot be locked for a build: ${error.message}`, {
              next: 'look at the owner and the mode of the data directory',
              details: { directory },
              cause: error,
            });
          if (performance.now() - began > timeLimitMs)
            throw new TenonError('BuildTimeout', `process ${String(error.holder)} is building in ${directory}`, {
              next: 'wait for it, or end it',
              details: { holder: error.holder, directory },
            });
        }
        await sleep(pollMs, undefined, { signal }).catch(() => {});
        signal?.throwIfAborted();
      }
    } catch (error) {
      next();
      throw error;
    }
  }

  release(): void {
    this.#lock.release();
    this.#next();
  }

  /**
   * Say that what is in `build` cannot be relied on from now until {@link settle}. The result marks the processes of
   * the build, so that whoever comes after a kill can find them.
   */
  async disturb(): Promise<string> {
    const mark = randomUUID();
    await writeFile(this.#marker, mark);
    return mark;
  }

  /** Everything in `build` is as its records say. */
  async settle(): Promise<void> {
    await rm(this.#marker, { force: true });
  }

  /** Ends what a killed build has left running and removes what it may have left half-written. */
  async recover(): Promise<void> {
    if (!existsSync(this.#marker)) return;
    const mark = await readFile(this.#marker, 'utf8').catch(() => '');
    if (/^[0-9a-f-]{36}$/.test(mark)) endMarked(mark);
    // Whoever still writes there keeps the renamed folder, not the new one.
    const build = path.join(this.#directory, 'build');
    const aside = path.join(this.#directory, `left.${randomUUID()}`);
    if (existsSync(build)) await rename(build, aside);
    for (const name of await readdir(this.#directory))
      if (/^left\.|\.tmp$/.test(name))
        await rm(path.join(this.#directory, name), { recursive: true, force: true, maxRetries: 3 }).catch(() => {});
    await this.settle();
  }

  get #marker(): string {
    return path.join(this.#directory, 'building');
  }
}
