/**
 * Admission: the checks that a library passes before any of its code runs in the host. The file is read once; the bytes
 * that were checked are the bytes that are staged, tried and, by the caller, opened.
 */
import { createHash, hash } from 'node:crypto';
import { type BigIntStats, closeSync, constants, fstatSync, openSync, read, readSync } from 'node:fs';
import { promisify } from 'node:util';
import { asTenonError, type ErrorCode, TenonError } from '../base/errors.js';
import type { Core } from '../binding/core.js';
import type { ImageFacts } from '../binding/image.js';
import type { IsolationPlan } from './isolation.js';
import type { Staged, Staging } from './stage.js';
import type { Trial, TrialLimits, Tried } from './trial.js';

/** A library file, read once. */
export interface Image {
  readonly bytes: Uint8Array;
  /** SHA-256 of the bytes, hexadecimal. */
  readonly sha256: string;
}

export interface AdmitOptions {
  /** Id that the library must have; its own, whatever it is, when absent. */
  expectedId?: string;
  /** Largest file that is read, in bytes; 64 MiB by default. */
  sizeLimit?: number;
  /** What {@link readImage} returned; the file is not read again. */
  image?: Image;
  core: Pick<Core, 'inspectImage'>;
  trial: Pick<Trial, 'try'>;
  staging: Pick<Staging, 'write'>;
  /** Whether these bytes have passed a trial that still holds: they are not tried again, unless they require a kernel that confines them. */
  passed?: boolean | undefined;
  /** Limits of the trial, when not its defaults. */
  limits?: Omit<TrialLimits, 'id' | 'confined'>;
  /** How it is kept apart where it is to run in processes of its own: so is what tries it. */
  isolation?: IsolationPlan | undefined;
}

/** A library that may be opened: what is at `staged.path` has passed. The caller unlinks it. */
export interface Admitted {
  readonly sha256: string;
  /** Bytes of the file. */
  readonly size: number;
  readonly facts: ImageFacts;
  readonly staged: Staged;
  /** Empty where they had passed before. */
  readonly tried: Tried;
  /** Milliseconds: reading and checking; staging; the trial. */
  readonly timings: { readonly admitMs: number; readonly stageMs: number; readonly trialMs: number };
}

const defaultSizeLimit = 64 * 1024 * 1024;
/** What is read and hashed in one turn of the event loop: a smaller file is quicker than the way to another thread. */
const pieceBytes = 256 * 1024;
const readElsewhere = promisify(read);

const advice: Partial<Record<ErrorCode, string>> = {
  ImageTruncated: 'build or copy it again, and publish it by rename',
  ImageFormat: 'give the path of a shared library',
  ImageArchitecture: 'build it for this machine',
  ImageNoteMissing: 'define the plugin with TENON_PLUGIN, and do not strip notes',
  EntrypointNotFound: 'define the plugin with TENON_PLUGIN, and export its entry',
  AbiUnsupported: 'build it with the headers of this host',
};

/**
 * Read a library into memory. Never waits for a file that is none (FIFO, device), never follows a link in the last
 * place, never takes more than the limit. Rejects with `ImageNotFound`, `ImageNotRegular`, `ImageTooLarge` and, when the
 * file changes meanwhile, `ImageChanging`.
 */
export async function readImage(path: string, sizeLimit: number = defaultSizeLimit): Promise<Image> {
  if (!Number.isSafeInteger(sizeLimit) || sizeLimit < 1)
    throw new TypeError('sizeLimit: must be a whole number, 1 or more');
  const file = openForReading(path);
  try {
    const before = fstatSync(file, { bigint: true });
    if (!before.isFile()) throw notRegular(path);
    if (before.size > BigInt(sizeLimit))
      throw new TenonError('ImageTooLarge', `${path} has ${before.size} bytes, the limit is ${sizeLimit}`, {
        next: 'strip the library, or raise the limit',
        details: { path, size: Number(before.size), limit: sizeLimit },
      });
    const image = await readExactly(file, Number(before.size));
    if (image === undefined || !same(before, fstatSync(file, { bigint: true })))
      throw new TenonError('ImageChanging', `${path} changed while it was read`, {
        next: 'publish a library by rename; it is tried again at the next change',
        details: { path },
      });
    return image;
  } finally {
    closeSync(file);
  }
}

/**
 * Check the library at `path`, stage it and try it. On any failure nothing stays behind. Rejects with the codes of
 * {@link readImage}, those of `core.inspectImage`, `PluginIdMismatch`, `StagingFailed` and those of {@link Trial.try}.
 */
export async function admit(path: string, options: AdmitOptions): Promise<Admitted> {
  const begun = performance.now();
  const image = options.image ?? (await readImage(path, options.sizeLimit));
  const facts = inspect(path, image, options.core);
  const { id } = facts.note;
  if (options.expectedId !== undefined && id !== options.expectedId)
    throw new TenonError('PluginIdMismatch', `${path} is plugin "${id}", expected is "${options.expectedId}"`, {
      next: 'give the plugin the id of its application, or the path of the right library',
      details: { path, id, expected: options.expectedId },
    });
  const checked = performance.now();
  const staged = await options.staging.write(id, image.bytes);
  const written = performance.now();
  let tried: Tried;
  try {
    // What the kernel has is for each trial to see.
    const isPassed = options.passed === true && options.isolation?.requireConfinement !== true;
    tried = isPassed ? { routes: [], more: 0 } : await tryApart(options, staged, id);
  } catch (error) {
    staged.unlink();
    throw error;
  }
  const ended = performance.now();
  return {
    sha256: image.sha256,
    size: image.bytes.byteLength,
    facts,
    staged,
    tried,
    timings: { admitMs: checked - begun, stageMs: written - checked, trialMs: ended - written },
  };
}

/** With a folder of its own for temporary files, where it is kept apart. */
async function tryApart({ trial, limits, isolation }: AdmitOptions, staged: Staged, id: string): Promise<Tried> {
  if (isolation === undefined) return trial.try(staged.path, { ...limits, id });
  const temporary = staged.makeFolder();
  try {
    const confined = { ...isolation, temporary: temporary.path, hidden: staged.hidden() };
    return await trial.try(staged.path, { ...limits, id, confined });
  } finally {
    await temporary.remove();
  }
}

function inspect(path: string, image: Image, core: Pick<Core, 'inspectImage'>): ImageFacts {
  try {
    return core.inspectImage(image.bytes);
  } catch (error) {
    const { code, message } = asTenonError(error);
    const next = advice[code];
    throw new TenonError(code, `${path}: ${message}`, {
      ...(next === undefined ? {} : { next }),
      details: { path, sha256: image.sha256 },
      cause: error,
    });
  }
}

function openForReading(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    // ELOOP: a symbolic link; ENXIO: a socket or a device without a driver.
    if (code === 'ELOOP' || code === 'ENXIO') throw notRegular(path, error);
    throw new TenonError(
      'ImageNotFound',
      `${path} could not be opened: ${error instanceof Error ? error.message : String(error)}`,
      {
        next: 'see that the file exists and may be read by the host',
        details: { path },
        cause: error,
      },
    );
  }
}

function notRegular(path: string, cause?: unknown): TenonError {
  return new TenonError('ImageNotRegular', `${path} is not a regular file`, {
    next: 'give the path of the library itself; links, pipes, devices and directories are not read',
    details: { path },
    cause,
  });
}

/** Nothing when the file is shorter than it was. */
async function readExactly(file: number, size: number): Promise<Image | undefined> {
  const bytes = Buffer.allocUnsafeSlow(size);
  const pieces = size > pieceBytes ? createHash('sha256') : undefined;
  for (let at = 0; at < size; ) {
    const length = Math.min(pieceBytes, size - at);
    const count =
      pieces === undefined
        ? readSync(file, bytes, at, length, at)
        : (await readElsewhere(file, bytes, at, length, at)).bytesRead;
    if (count === 0) return undefined;
    pieces?.update(bytes.subarray(at, at + count));
    at += count;
  }
  return { bytes, sha256: pieces?.digest('hex') ?? hash('sha256', bytes) };
}

function same(a: BigIntStats, b: BigIntStats): boolean {
  return a.ino === b.ino && a.dev === b.dev && a.size === b.size && a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs;
}
