/** A bundle as it lies in a folder: what is read of it is what its manifest names, byte for byte. */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { TenonError } from '../base/errors.js';
import type { Bundle } from './bundle.js';
import { type Manifest, manifestFile, manifestLimit, parseManifest, signatureFile } from './manifest.js';
import { signatureLimit } from './minisign.js';

/** A bundle whose files are read one by one, wherever they are. */
export interface BundleFiles {
  readonly manifest: Manifest;
  /** The exact bytes of the manifest, which a signature is over. */
  readonly manifestBytes: Buffer;
  /** SHA-256 of them, hexadecimal. */
  readonly sha256: string;
  /** Bytes of manifest.sig, when it is there. */
  readonly signature: Buffer | undefined;
  /** When it was put where it is, ISO 8601; undefined for one that is nowhere yet. */
  readonly installedAt: string | undefined;
  /**
   * The bytes of `file`, relative. Rejects with `BundleDamaged` (`details: {path, rule}`) when the manifest names other bytes or does not name it, with
   * `code` `EFBIG` for more than `limit`, and with what the system says.
   */
  readonly read: (file: string, limit: number) => Promise<Buffer>;
}

/** Read and hashed in one turn of the event loop, bytes. */
const pieceBytes = 256 * 1024;

/** Read what the bundle in `folder` (absolute) says of itself. Rejects with `ManifestNotFound` and `InvalidManifest`. */
export async function readBundleFolder(folder: string): Promise<BundleFiles> {
  const place = path.join(folder, manifestFile);
  const {
    bytes: manifestBytes,
    sha256,
    changedAt,
  } = await readPlain(place, manifestLimit).catch((error: unknown) => {
    throw unreadable(place, error);
  });
  const manifest = parseManifest(manifestBytes, place, path.basename(folder));
  const signature = await readPlain(path.join(folder, signatureFile), signatureLimit).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new TenonError(
      'SignatureInvalid',
      `${path.join(folder, signatureFile)}: ${reasonOf(error, signatureLimit)}`,
      {
        next: 'put the signature itself there, or take it away',
        details: { folder },
        cause: error,
      },
    );
  });
  return {
    manifest,
    manifestBytes,
    sha256,
    signature: signature?.bytes,
    installedAt: changedAt.toISOString(),
    read: async (file, limit) => {
      const named = namedIn(manifest, file, folder);
      if (named !== undefined && named.size > limit) throw tooLarge(file, limit);
      const { bytes, ...read } = await readPlain(path.join(folder, file), named?.size ?? limit).catch(
        (error: unknown) => {
          if (named === undefined) throw error;
          throw damaged(folder, file, reasonOf(error, named.size), error);
        },
      );
      if (named !== undefined && (bytes.length !== named.size || read.sha256 !== named.sha256))
        throw damaged(folder, file, 'it is not the one that manifest.json names');
      return bytes;
    },
  };
}

/** The same of a bundle in memory, whose files were compared with its manifest. `where` names it for people. */
export function filesOf({ manifest, manifestBytes, sha256, signature, files }: Bundle, where: string): BundleFiles {
  const read = async (file: string, limit: number): Promise<Buffer> => {
    const bytes = files.get(file);
    if (bytes === undefined) throw damaged(where, file, 'it is not there');
    if (bytes.length > limit) throw tooLarge(file, limit);
    return bytes;
  };
  return { manifest, manifestBytes, sha256, signature, installedAt: undefined, read };
}

/** What the manifest says of `file`; undefined where it lists none at all. */
function namedIn({ files }: Manifest, file: string, where: string): { sha256: string; size: number } | undefined {
  if (files === undefined) return undefined;
  if (Object.hasOwn(files, file)) return files[file];
  throw damaged(where, file, 'manifest.json does not list it');
}

/** A regular file, and no link to one. */
async function readPlain(file: string, limit: number): Promise<{ bytes: Buffer; sha256: string; changedAt: Date }> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = constants;
  const handle = await open(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  try {
    const info = await handle.stat();
    if (!info.isFile()) throw new Error('it is not a regular file');
    if (info.size > limit) throw tooLarge(file, limit);
    const bytes = Buffer.alloc(info.size);
    const digest = createHash('sha256');
    let filled = 0;
    while (filled < bytes.length) {
      const { bytesRead } = await handle.read(bytes, filled, Math.min(pieceBytes, bytes.length - filled), filled);
      if (bytesRead === 0) break;
      digest.update(bytes.subarray(filled, filled + bytesRead));
      filled += bytesRead;
    }
    return { bytes: bytes.subarray(0, filled), sha256: digest.digest('hex'), changedAt: info.mtime };
  } finally {
    await handle.close();
  }
}

function tooLarge(file: string, limit: number): Error {
  return Object.assign(new Error(`${file} has more than ${limit} bytes`), { code: 'EFBIG' });
}

function reasonOf(error: unknown, limit: number): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'EFBIG') return `it has more than ${limit} bytes`;
  if (code === 'ELOOP') return 'it is a symbolic link';
  return code === 'ENOENT' || code === 'ENOTDIR' ? 'it is not there' : message;
}

function unreadable(place: string, error: unknown): TenonError {
  const { code } = error as NodeJS.ErrnoException;
  const absent = code === 'ENOENT' || code === 'ENOTDIR';
  const folder = path.dirname(place);
  if (absent)
    return new TenonError('ManifestNotFound', `${folder} has no ${manifestFile}`, {
      next: `put it at ${place}`,
      details: { folder },
      cause: error,
    });
  const message = reasonOf(error, manifestLimit);
  return new TenonError('InvalidManifest', `${place} cannot be read: ${message}`, {
    next: `put a plain file of at most ${manifestLimit} bytes there`,
    details: { folder, pointer: '', problems: [{ pointer: '', message }] },
    cause: error,
  });
}

function damaged(where: string, file: string, rule: string, cause?: unknown): TenonError {
  return new TenonError('BundleDamaged', `${path.basename(where)}: ${file}: ${rule}`, {
    next: 'install the bundle again',
    details: { path: file, rule },
    cause,
  });
}

/** For the library at `file`, whose bytes were read and have the hash `found`. */
export function otherLibrary(id: string, file: string, expected: string, found: string): TenonError {
  return new TenonError('BundleDamaged', `${id}: ${file} is not the library that manifest.json names`, {
    next: 'install the bundle again',
    details: { path: file, rule: 'it is not the one that manifest.json names', expected, found },
  });
}
