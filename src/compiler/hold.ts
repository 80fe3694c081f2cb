/** One build at a time in a directory, and nothing left of one that was killed. */
import { randomUUID } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { TenonError } from '../base/errors.js';
import { type DirectoryLock, loadCore } from '../binding/core.js';
import { endMarked } from './processes.js';

const queues = new Map<string, Promise<void>>();
/** In the directory of a build, while tools of it run, or what is in it cannot be relied on; the mark is in it. */
const marker = 'building';
/** Behind the mark: what is in the directory can be relied on. */
const harmless = ' asking';
/** Nobody writes a file of fingerprints for as long, ms. */
const longest = 3_600_000;
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
  readonly #mark = randomUUID();
  /** That it was said which mark the tools have. */
  #said: Promise<void> | undefined;
  #disturbed = false;

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

  /** What was started meanwhile must have ended. */
  release(): void {
    if (this.#said !== undefined && !this.#disturbed) rmSync(this.#marker, { force: true });
    this.#lock.release();
    this.#next();
  }

  /** Marks a process of the build that changes nothing in `build`, so that whoever comes after a kill can find it. */
  async mark(): Promise<string> {
    this.#said ??= writeFile(this.#marker, this.#mark + harmless);
    await this.#said;
    // One that is ended with what has its mark must not take the others with it.
    return `${this.#mark}.${randomUUID()}`;
  }

  /**
   * Say that what is in `build` cannot be relied on from now until {@link settle}. The result marks the processes of
   * the build, so that whoever comes after a kill can find them.
   */
  async disturb(): Promise<string> {
    await this.#said;
    this.#disturbed = true;
    this.#said = writeFile(this.#marker, this.#mark);
    await this.#said;
    return this.#mark;
  }

  /** Everything in `build` is as its records say. */
  async settle(): Promise<void> {
    await rm(this.#marker, { force: true });
    this.#disturbed = false;
    this.#said = undefined;
  }

  /** Ends what a killed build has left running and removes what it may have left half-written. Comes before all else. */
  async recover(): Promise<void> {
    if (existsSync(this.#marker)) {
      const said = await readFile(this.#marker, 'utf8').catch(() => '');
      const asked = said.endsWith(harmless);
      const mark = asked ? said.slice(0, -harmless.length) : said;
      if (/^[0-9a-f-]{36}$/.test(mark)) endMarked(mark);
      // Whoever still writes there keeps the renamed folder, not the new one.
      const build = path.join(this.#directory, 'build');
      if (!asked && existsSync(build)) await rename(build, path.join(this.#directory, `left.${randomUUID()}`));
    }
    // Of a build that settled before it was killed, too.
    for (const name of await readdir(this.#directory))
      if (/^left\.|\.tmp$/.test(name)) await removeAll(path.join(this.#directory, name)).catch(() => {});
    await this.settle();
  }

  /** Removes the directory, and releases it. */
  async discard(): Promise<void> {
    try {
      await removeAll(this.#directory);
    } finally {
      this.release();
    }
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

/** Where the programs of tests are made and run below `dataDirectory` (absolute), each in a directory that is held. */
export function testsIn(dataDirectory: string): string {
  return path.join(dataDirectory, 'cache', 'tests');
}

/**
 * Recover every build in `dataDirectory` (absolute) that a kill left half-done, but for those that are held, and remove
 * what is left of tests. The result: directories that could not be, with the reason.
 */
export async function recoverBuilds(dataDirectory: string): Promise<{ directory: string; error: unknown }[]> {
  const cache = path.join(dataDirectory, 'cache');
  const builds = path.join(cache, 'builds');
  const tests = testsIn(dataDirectory);
  const failed: { directory: string; error: unknown }[] = [];
  const recover = async (directory: string, isTest: boolean): Promise<void> => {
    if (!existsSync(path.join(directory, marker))) return;
    try {
      const hold = Hold.takeFree(directory);
      if (hold === undefined) return;
      try {
        await hold.recover();
      } finally {
        if (isTest) await hold.discard();
        else hold.release();
      }
    } catch (error) {
      // Somebody else may have been first.
      if (existsSync(directory)) failed.push({ directory, error });
    }
  };
  for (const name of await foldersIn(builds))
    for (const place of ['.', ...(await foldersIn(path.join(builds, name)))])
      await recover(path.join(builds, name, place), false);
  for (const name of await foldersIn(tests)) await recover(path.join(tests, name), true);
  for (const name of await readdir(cache).catch(() => []))
    if (/^fingerprints\..*\.tmp$/.test(name)) await removeOld(path.join(cache, name));
  return failed;
}

async function removeAll(place: string): Promise<void> {
  await rm(place, { recursive: true, force: true, maxRetries: 3 });
}

async function removeOld(file: string): Promise<void> {
  const info = await stat(file).catch(() => undefined);
  if (info !== undefined && info.mtimeMs < Date.now() - longest) await rm(file, { force: true });
}

async function foldersIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
}
