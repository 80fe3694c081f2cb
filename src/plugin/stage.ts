/**
 * The private place from which libraries are opened: what was checked is written here, under a name that is never used
 * again, so that nobody can change or replace it between the check and the opening.
 */
import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fchmodSync,
  mkdirSync,
  openSync,
  readSync,
  realpathSync,
  rmSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { lstat, mkdir, readdir, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { TenonError } from '../base/errors.js';
import { startTime } from '../base/process-start.js';

export interface StagingOptions {
  /** Absolute path of the host's data directory; it must exist. */
  dataDirectory: string;
  /** Whether files below a directory may be mapped executable; `core.mayExecute`. */
  mayExecute: (directory: string) => boolean;
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
  /** Remove it with all that is in it; what cannot be removed stays. */
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
  readonly #keep: boolean;
  /** Where temporary folders may be; the second where the system has no place for them. */
  readonly #temporaryPlaces: readonly string[];
  /** Has them; made with the first. */
  #temporary: string | undefined;
  readonly #data: string;
  #count = 0;
  #folders = 0;
  #closed = false;

  private constructor(directory: string, data: string, keep: boolean, temporaryPlaces: readonly string[]) {
    this.#data = data;
    this.directory = directory;
    this.#keep = keep;
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
    // A plugin may have made there what cannot be removed.
    const temporaryPlaces = [tmpdir(), path.join(data, 'temporary')];
    for (const place of temporaryPlaces) await sweep(place, prefix).catch(() => undefined);
    for (const place of places) {
      try {
        if (place !== memoryDirectory) await mkdir(place, { recursive: true, mode: 0o700 });
        else if (!(await isSafeToShare(place))) {
          refusals.push(`${place} is not a directory that is safe to share`);
          continue;
        }
        await sweep(place, prefix);
        if (place === memoryDirectory && !(await isRoomyMemory(place))) {
          refusals.push(`${place} is not memory with ${roomBytes} bytes of room`);
          continue;
        }
        if (!options.mayExecute(place)) {
          refusals.push(`${place} is mounted noexec`);
          continue;
        }
        const name = `${prefix}${process.pid}-${startTime(process.pid)}-${randomBytes(8).toString('hex')}`;
        const directory = path.join(place, name);
        await mkdir(directory, { mode: 0o700 });
        own.add(directory);
        const staging = new Staging(directory, data, options.keepStaged ?? false, temporaryPlaces);
        if (options.keepStaged !== true) process.once('exit', staging.#sweep);
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
    this.#temporary ??= this.#makeTemporary(label);
    const folder = path.join(this.#temporary, `${++this.#folders}-${label}`);
    mkdirSync(folder, { mode: 0o700 });
    return {
      path: realpathSync(folder),
      remove: () => rm(folder, { recursive: true, force: true }).catch(() => undefined),
    };
  }

  #makeTemporary(label: string): string {
    const refusals: string[] = [];
    for (const place of this.#temporaryPlaces) {
      const directory = path.join(place, path.basename(this.directory));
      try {
        if (place !== this.#temporaryPlaces[0]) mkdirSync(place, { recursive: true, mode: 0o700 });
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
    rmSync(this.directory, { recursive: true, force: true });
    if (this.#temporary !== undefined) rmSync(this.#temporary, { recursive: true, force: true });
  };

  /** Remove the directory with all that is in it, unless files are kept. Closing twice is fine. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    process.off('exit', this.#sweep);
    if (!this.#keep) await rm(this.directory, { recursive: true, force: true });
    if (this.#temporary !== undefined) {
      await rm(this.#temporary, { recursive: true, force: true }).catch(() => undefined);
    }
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

/** Remove the directories of this owner whose process is gone. */
async function sweep(place: string, prefix: string): Promise<void> {
  for (const name of await readdir(place)) {
    if (!name.startsWith(prefix)) continue;
    const directory = path.join(place, name);
    const [pid = '', started = ''] = name.slice(prefix.length).split('-');
    if (own.has(directory) || (Number(pid) !== process.pid && isRunning(Number(pid), started))) continue;
    const facts = await lstat(directory).catch(() => undefined);
    if (facts?.isDirectory() === true && facts.uid === process.getuid?.())
      await rm(directory, { recursive: true, force: true });
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
