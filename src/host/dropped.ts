/** Archives that were put into the applications directory: installed, and then gone; or refused, and left there. */
import { constants } from 'node:fs';
import { type FileHandle, open, readdir, unlink } from 'node:fs/promises';
import path from 'node:path';
import { asTenonError, describeError, type ErrorCode, TenonError } from '../base/errors.js';
import { hashInPieces } from '../base/hash-in-pieces.js';
import type { Log } from '../base/log.js';
import type { Installing } from './installing.js';

/** Whether a file of the applications directory is an archive to install, by its name. */
export function isArchiveName(name: string): boolean {
  return /^[^.~#].*\.(?:tgz|tar\.gz)$/.test(name);
}

export interface DroppedOptions {
  /** Absolute path of the applications directory; it need not exist. */
  directory: string;
  /** Largest archive, bytes. */
  limit: number;
  installing: Pick<Installing, 'install'>;
  log: Log;
}

/** An archive that may not be whole yet is left alone for so long after its last change, ms. */
const wholeAfterMs = 5_000;

/** One archive is looked at once for each content of it. */
export class DroppedArchives {
  readonly #options: DroppedOptions;
  /** Hash of what was refused, by file; and whether anything but another content can change that. */
  readonly #refused = new Map<string, { sha256: string; isFinal: boolean }>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  /** One after the other: two archives may be two versions of one plugin. */
  #turn: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: DroppedOptions) {
    this.#options = options;
  }

  /** Take every archive that is there, by name. It never rejects: what was refused is logged. */
  async takeAll(by: string): Promise<void> {
    this.#forgetPassing();
    const names = await readdir(this.#options.directory).catch(() => []); // not there: nothing was dropped
    for (const name of names.filter(isArchiveName).toSorted()) await this.take(name, by);
  }

  /** Take the archive with this name. It never rejects. */
  take(name: string, by: string): Promise<void> {
    clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
    const done = this.#turn.then(() => this.#take(name, by));
    this.#turn = done.catch((error: unknown) =>
      this.#options.log.error({ file: name, err: error }, `${name} could not be looked at`),
    );
    return this.#turn;
  }

  /** Nothing is taken any more. Resolves when what is being installed is; closing twice is fine. */
  close(): Promise<void> {
    this.#closed = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    return this.#turn;
  }

  async #take(name: string, by: string): Promise<void> {
    const { directory, limit, installing, log } = this.#options;
    if (this.#closed) return;
    const file = path.join(directory, name);
    let found: Found | undefined;
    try {
      found = await readStill(file, limit);
      if (found === undefined || this.#refused.get(name)?.sha256 === found.sha256) return;
      const { plugin, status } = await installing.install(found.bytes, { origin: 'local', by });
      log.info({ plugin: plugin.id, file: name, status }, `${name}: ${plugin.id} ${plugin.version} ${status}`);
    } catch (error) {
      this.#refuse(name, by, error, found);
      return;
    }
    this.#refused.delete(name);
    // Some may have waited for it.
    for (const other of this.#forgetPassing()) void this.take(other, by);
    // What came in its place meanwhile is told by the watch.
    const now = await readStill(file, limit).catch(() => undefined);
    if (now?.sha256 === found.sha256) await unlink(file);
  }

  #refuse(name: string, by: string, error: unknown, found: Found | undefined): void {
    const { code, details } = asTenonError(error);
    if (code === 'HostClosing' || code === 'InstallRunning') {
      this.#later(name, by, wholeAfterMs);
      return;
    }
    const age = found === undefined ? Number.POSITIVE_INFINITY : Date.now() - found.changedMs;
    if (code === 'ArchiveInvalid' && age >= 0 && age < wholeAfterMs) {
      this.#options.log.debug({ file: name }, `${name} is not whole yet`);
      this.#later(name, by, wholeAfterMs - age);
      return;
    }
    if (found !== undefined) this.#refused.set(name, { sha256: found.sha256, isFinal: isOfBytes(code) });
    this.#options.log.error({ file: name, code, details }, `${name} was not installed: ${describeError(error)}`);
  }

  /** Names of those that were refused for what may have passed by now. */
  #forgetPassing(): string[] {
    const names = [...this.#refused].filter(([, { isFinal }]) => !isFinal).map(([name]) => name);
    for (const name of names) this.#refused.delete(name);
    return names;
  }

  #later(name: string, by: string, ms: number): void {
    if (!this.#closed) this.#timers.set(name, setTimeout(() => void this.take(name, by), ms).unref());
  }
}

/** Whether it is the archive itself that is wrong, and nothing around it. */
function isOfBytes(code: ErrorCode): boolean {
  return code.startsWith('Archive') || ['ManifestNotFound', 'InvalidManifest', 'BundleDamaged'].includes(code);
}

interface Found {
  readonly bytes: Buffer;
  /** Of the bytes, hexadecimal. */
  readonly sha256: string;
  /** When the system saw its last change, ms since 1970. */
  readonly changedMs: number;
}

/** Undefined for what is gone, is no file, or changes: whoever watches hears of it again. */
async function readStill(file: string, limit: number): Promise<Found | undefined> {
  let handle: FileHandle;
  try {
    handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ELOOP' || code === 'ENXIO') return undefined;
    throw error;
  }
  try {
    const before = await handle.stat();
    if (!before.isFile()) return undefined;
    if (before.size > limit)
      throw new TenonError('ArchiveTooLarge', `${file} has ${before.size} bytes, the limit is ${limit}`, {
        next: 'leave out what the plugin does not need, or raise limits.bundle',
        details: { limit, rule: 'bytes' },
      });
    const bytes = Buffer.alloc(before.size);
    for (let at = 0; at < bytes.length; ) {
      const { bytesRead } = await handle.read(bytes, at, bytes.length - at, at);
      if (bytesRead === 0) return undefined;
      at += bytesRead;
    }
    const after = await handle.stat();
    if (after.size !== before.size || after.mtimeMs !== before.mtimeMs || after.ctimeMs !== before.ctimeMs)
      return undefined;
    return { bytes, sha256: await hashInPieces(bytes), changedMs: before.ctimeMs };
  } finally {
    await handle.close();
  }
}
