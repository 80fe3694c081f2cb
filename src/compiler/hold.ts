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
/** In the directory of a build, while what is in it cannot be relied on. */
const marker = 'building';
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

  /** The directory (absolute, there) when nobody builds in it, else undefined at once. */
  static takeFree(directory: string): Hold | undefined {
    if (queues.has(directory)) return undefined;
    const { next } = enqueue(directory);
    try {
      return new Hold(directory, loadCore().lockFile(path.join(directory, 'lock')), next);
    } catch (error) {
      next();
      if (isHeld(error)) return undefined;
      throw error;
    }
  }

  /**
   * Waits for other builds in `directory` (absolute; made when absent), of this process and of others.
   * Throws `BuildTimeout` when that takes too long, and the signal's reason.
   */
  static async take(directory: string, { timeLimitMs, signal }: HoldOptions): Promise<Hold> {
    const began = performance.now();
    const { before, next } = enqueue(directory);
    try {
      const free = before === undefined || (await endsInTime(before, { timeLimitMs, signal }));
      signal?.throwIfAborted();
      if (!free) throw tooLong(process.pid, directory);
      await mkdir(directory, { recursive: true });
      for (;;) {
        try {
          const lock = loadCore().lockFile(path.join(directory, 'lock'));
          return new Hold(directory, lock, next);
        } catch (error) {
          if (!isHeld(error)) throw error;
          // Without a holder it is no other process, unless that one is just about to say so.
          if (error.holder === 0 && performance.now() - began > anonymousMs)
            throw new TenonError('BuildFailed', `${directory} cannot be locked for a build: ${error.message}`, {
              next: 'look at the owner and the mode of the data directory',
              details: { directory },
              cause: error,
            });
          if (performance.now() - began > timeLimitMs) throw tooLong(error.holder, directory);
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
    return path.join(this.#directory, marker);
  }
}

/** A place at the end of those who wait in this process: `before` is when its turn comes, `next` ends it. */
function enqueue(directory: string): { before: Promise<void> | undefined; next: () => void } {
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
  return { before, next };
}

function endsInTime(end: Promise<void>, { timeLimitMs, signal }: HoldOptions): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = (inTime: boolean) => (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', giveUp);
      resolve(inTime);
    };
    const giveUp = settle(false);
    const timer = setTimeout(giveUp, timeLimitMs);
    signal?.addEventListener('abort', giveUp, { once: true });
    if (signal?.aborted === true) giveUp();
    void end.then(settle(true));
  });
}

function isHeld(error: unknown): error is Error & { holder: unknown } {
  return error instanceof Error && 'code' in error && error.code === 'DataDirectoryLocked' && 'holder' in error;
}

function tooLong(holder: unknown, directory: string): TenonError {
  return new TenonError('BuildTimeout', `process ${String(holder)} is building in ${directory}`, {
    next: 'wait for it, or end it',
    details: { holder, directory },
  });
}

/**
 * Recover every build in `dataDirectory` (absolute) that a kill left half-done, but for those that are held. The result:
 * directories that could not be, with the reason.
 */
export async function recoverBuilds(dataDirectory: string): Promise<{ directory: string; error: unknown }[]> {
  const builds = path.join(dataDirectory, 'cache', 'builds');
  const failed: { directory: string; error: unknown }[] = [];
  for (const name of await foldersIn(builds))
    for (const place of ['.', ...(await foldersIn(path.join(builds, name)))]) {
      const directory = path.join(builds, name, place);
      if (!existsSync(path.join(directory, marker))) continue;
      try {
        const hold = Hold.takeFree(directory);
        await hold?.recover().finally(() => hold.release());
      } catch (error) {
        failed.push({ directory, error });
      }
    }
  return failed;
}

async function foldersIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
}
