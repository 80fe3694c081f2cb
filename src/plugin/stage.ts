/**
 * The private place from which libraries are opened: what was checked is written here, under a name that is never used
 * again, so that nobody can change or replace it between the check and the opening.
 */
import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  existsSync,
  fchmodSync,
  mkdirSync,
  openSync,
  readSync,
  realpathSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { lstat, mkdir, readdir, realpath, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { asTenonError, TenonError } from '../base/errors.js';
import { startTime } from '../base/process-start.js';
import type { Core } from '../binding/core.js';

export interface StagingOptions {
  /** Absolute path of the host's data directory; it must exist. */
  dataDirectory: string;
  core: Pick<Core, 'mayExecute' | 'removeFolder' | 'removeFolderNow'>;
  /** Keep the files of this process when they are unlinked and at close, for debuggers. */
  keepStaged?: boolean;
}

/** A library in its private place. */
export interface Staged {
  /** Absolute path, never used before or after. */
  readonly path: string;
  /** Absolute paths of what is the host's own: its data directory, and where libraries and temporary folders are. */
  hidden(): readonly string[];
  /** Remove the name; an image that is open stays. With `keepStaged` nothing happens. Twice is fine. */
  unlink(): void;
  /** Make a temporary folder for one generation of it. Throws `StagingFailed`. */
  makeFolder(): TemporaryFolder;
}

/** A folder of mode 0700 below the system's temporary one. */
export interface TemporaryFolder {
  readonly path: string;
  /** Remove it with all that is in it, following no link; what cannot be removed stays. Never rejects. */
  remove(): Promise<void>;
}

const memoryDirectory = '/dev/shm';
const tmpfsMagic = 0x01021994;
/** A container often has 64 MiB, which a few libraries fill. */
const roomBytes = 256 * 1024 * 1024;
/** Bytes after which the event loop gets its turn. */
const pieceBytes = 256 * 1024;
const stickyBit = 0o1000;
const othersWrite = 0o022;

/** Directories of this process, so that a sweep tells them from those of a dead one with the same number. */
const own = new Set<string>();

/** Staging directory of one host. */
export class Staging {
  /** Absolute path. */
  readonly directory: string;
  readonly #core: StagingOptions['core'];
  readonly #keep: boolean;
  /** Where temporary folders may be; the second where the system has no place for them. */
  readonly #temporaryPlaces: readonly string[];
  /** Has them. */
  #temporary: string | undefined;
  readonly #data: string;
  #count = 0;
  #folders = 0;
  #closed = false;

  private constructor(directory: string, data: string, options: StagingOptions, temporaryPlaces: readonly string[]) {
    this.#data = data;
    this.directory = directory;
    this.#core = options.core;
    this.#keep = options.keepStaged ?? false;
    this.#temporaryPlaces = temporaryPlaces;
  }

  /**
   * Make the directory: in memory (`/dev/shm`) where that is safe and executable, below the data directory otherwise.
   * What dead processes with the same data directory left is removed. Rejects with `StagingFailed`.
   */
  static async open(options: StagingOptions): Promise<Staging> {
    const data = path.resolve(options.dataDirectory);
    const places = [memoryDirectory, path.join(data, 'staging')];
    const owner = createHash('sha256').update(data).digest('hex').slice(0, 16);
    const prefix = `tenon-${owner}-`;
    const refusals: string[] = [];
    const temporaryPlaces = [tmpdir(), path.join(data, 'temporary')];
    for (const place of temporaryPlaces) await sweep(place, prefix, options.core).catch(() => undefined);
    for (const place of places) {
      try {
        if (place !== memoryDirectory) await mkdir(place, { recursive: true, mode: 0o700 });
        else if (!(await isSafeToShare(place))) {
          refusals.push(`${place} is not a directory that is safe to share`);
          continue;
        }
        await sweep(place, prefix, options.core);
        if (place === memoryDirectory && !(await isRoomyMemory(place))) {
          refusals.push(`${place} is not memory with ${roomBytes} bytes of room`);
          continue;
        }
        if (!options.core.mayExecute(place)) {
          refusals.push(`${place} is mounted noexec`);
          continue;
        }
        const name = `${prefix}${process.pid}-${startTime(process.pid)}-${randomBytes(8).toString('hex')}`;
        const directory = path.join(await realpath(place), name);
        await mkdir(directory, { mode: 0o700 });
        own.add(directory);
        const staging = new Staging(directory, data, options, temporaryPlaces);
        process.once('exit', staging.#sweep);
        staging.#prepareTemporary();
        return staging;
      } catch (error) {
        refusals.push(`${place}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    throw new TenonError('StagingFailed', `no directory for staged libraries: ${refusals.join('; ')}`, {
      next: 'put the data directory on a file system that is writable and not mounted noexec',
      details: { places },
    });
  }

  /**
   * Write `bytes` to a path of their own, read them back through the same descriptor and compare. `name` is for people
   * who look at a process map. Rejects with `StagingFailed`, leaving nothing behind.
   */
  async write(name: string, bytes: Uint8Array): Promise<Staged> {
    if (this.#closed)
      throw new TenonError('StagingFailed', `${name} cannot be staged: the staging directory is closed`);
    const label = name.replaceAll(/[^A-Za-z0-9_-]/g, '_').slice(0, 63);
    const file = path.join(this.directory, `${++this.#count}-${label}.so`);
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    try {
      const descriptor = openSync(file, flags, 0o500);
      try {
        fchmodSync(descriptor, 0o500);
        await writeAll(descriptor, bytes);
        await compareAll(descriptor, bytes);
      } catch (error) {
        remove(file);
        throw error;
      } finally {
        closeSync(descriptor);
      }
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new TenonError('StagingFailed', `${name} could not be staged: ${reason}`, {
        next: `see that ${this.directory} has room and is left alone`,
        details: { file, bytes: bytes.byteLength },
        cause: error,
      });
    }
    const keep = this.#keep;
    return {
      path: file,
      hidden: () => [this.#data, this.directory, ...(this.#temporary === undefined ? [] : [this.#temporary])],
      makeFolder: () => this.#makeFolder(label),
      unlink() {
        if (!keep) remove(file);
      },
    };
  }

  #makeFolder(label: string): TemporaryFolder {
    if (this.#closed)
      throw new TenonError('StagingFailed', `${label} gets no temporary folder: the staging directory is closed`);
    // Systems take away what is old and empty there.
    if (this.#temporary === undefined || !existsSync(this.#temporary)) this.#temporary = this.#makeTemporary(label);
    const folder = path.join(this.#temporary, `${++this.#folders}-${label}`);
    try {
      mkdirSync(folder, { mode: 0o700 });
    } catch (error) {
      throw asTenonError(error, 'StagingFailed');
    }
    return {
      path: folder,
      remove: async () => {
        await this.#core.removeFolder(folder);
      },
    };
  }

  /** So that it is hidden from every plugin, those before the first that has a folder in it too. */
  #prepareTemporary(): void {
    try {
      this.#temporary = this.#makeTemporary('plugins');
    } catch {
      // Whoever needs it is told.
    }
  }

  #makeTemporary(label: string): string {
    const refusals: string[] = [];
    for (const place of this.#temporaryPlaces) {
      try {
        if (place !== this.#temporaryPlaces[0]) mkdirSync(place, { recursive: true, mode: 0o700 });
        const directory = path.join(realpathSync(place), path.basename(this.directory));
        mkdirSync(directory, { mode: 0o700 });
        return directory;
      } catch (error) {
        refusals.push(error instanceof Error ? error.message : String(error));
      }
    }
    throw new TenonError('StagingFailed', `there is no temporary folder for ${label}: ${refusals.join('; ')}`, {
      next: 'put TMPDIR or the data directory on a file system that can be written to',
      details: { places: this.#temporaryPlaces },
    });
  }

  /** A process that ends without closing takes the directory with it, where it can. */
  readonly #sweep = (): void => {
    if (!this.#keep) this.#core.removeFolderNow(this.directory);
    if (this.#temporary !== undefined) this.#core.removeFolderNow(this.#temporary);
  };

  /** Remove the directory with all that is in it, unless files are kept; what cannot be removed stays. Closing twice is fine. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    process.off('exit', this.#sweep);
    if (!this.#keep) await this.#core.removeFolder(this.directory);
    if (this.#temporary !== undefined) await this.#core.removeFolder(this.#temporary);
    own.delete(this.directory);
  }
}

/** Like rmSync with `force`, in half its time. */
function remove(file: string): void {
  try {
    unlinkSync(file);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  }
}

/** True for a directory in which nobody but root and the owner of an entry can rename it. */
async function isSafeToShare(directory: string): Promise<boolean> {
  if (process.platform !== 'linux') return false;
  const facts = await lstat(directory);
  const mine = process.getuid?.();
  if (!facts.isDirectory() || (facts.uid !== 0 && facts.uid !== mine)) return false;
  return (facts.mode & othersWrite) === 0 || (facts.mode & stickyBit) !== 0;
}

async function isRoomyMemory(directory: string): Promise<boolean> {
  const system = await statfs(directory);
  return system.type === tmpfsMagic && system.bavail * system.bsize >= roomBytes;
}

/** Remove the directories of this owner whose process is gone; a plugin may have made there what cannot be removed. */
async function sweep(place: string, prefix: string, core: Pick<Core, 'removeFolder'>): Promise<void> {
  const real = await realpath(place);
  for (const name of await readdir(real)) {
    if (!name.startsWith(prefix)) continue;
    const directory = path.join(real, name);
    const [pid = '', started = ''] = name.slice(prefix.length).split('-');
    if (own.has(directory) || (Number(pid) !== process.pid && isRunning(Number(pid), started))) continue;
    const facts = await lstat(directory).catch(() => undefined);
    if (facts?.isDirectory() === true && facts.uid === process.getuid?.()) await core.removeFolder(directory);
  }
}

function isRunning(pid: number, started: string): boolean {
  if (!Number.isInteger(pid) || pid < 1) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
  return startTime(pid) === started;
}

async function writeAll(descriptor: number, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.byteLength; ) {
    at += writeSync(descriptor, bytes, at, Math.min(pieceBytes, bytes.byteLength - at), at);
    if (at % pieceBytes === 0) await nextTurn();
  }
}

/** What was read back last; nobody needs it after its turn. */
const piece = Buffer.allocUnsafeSlow(pieceBytes);

async function compareAll(descriptor: number, bytes: Uint8Array): Promise<void> {
  for (let at = 0; ; ) {
    const size = readSync(descriptor, piece, 0, pieceBytes, at);
    if (size === 0 && at === bytes.byteLength) return;
    if (size === 0 || piece.compare(bytes, at, Math.min(at + size, bytes.byteLength), 0, size) !== 0)
      throw new Error(`what was read back differs from what was written, from byte ${at} on`);
    at += size;
    if (at % pieceBytes === 0) await nextTurn();
  }
}
