/** A bundle in memory: its files are those that its manifest names, byte for byte. */
import { createHash } from 'node:crypto';
import { TenonError } from '../base/errors.js';
import { hashInPieces } from '../base/hash-in-pieces.js';
import type { ArchiveFile } from './archive.js';
import { type Manifest, type ManifestFile, manifestFile, parseManifest, signatureFile } from './manifest.js';

export interface Bundle {
  readonly manifest: Manifest;
  /** The exact bytes of the manifest, which a signature is over. */
  readonly manifestBytes: Buffer;
  /** SHA-256 of them, hexadecimal: the name of this bundle among all others, signed or not. */
  readonly sha256: string;
  /** Bytes of manifest.sig, when it is there. */
  readonly signature: Buffer | undefined;
  /** Every other file, by path. */
  readonly files: ReadonlyMap<string, Buffer>;
}

function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function damaged(where: string, path: string, rule: string, fault: string): TenonError {
  return new TenonError('BundleDamaged', `${where}: ${path} ${fault}`, {
    next: 'get the bundle again, or pack it again',
    details: { path, rule },
  });
}

function requireSame(bytes: Buffer, sha256: string, said: ManifestFile, where: string, path: string): void {
  if (bytes.length !== said.size)
    throw damaged(where, path, 'size', `has ${bytes.length} bytes, and the manifest says ${said.size}`);
  if (sha256 !== said.sha256.toLowerCase())
    throw damaged(where, path, 'sha256', 'has another SHA-256 than the manifest says');
}

function listOf(manifest: Manifest, where: string): ReadonlyMap<string, ManifestFile> {
  if (manifest.files !== undefined) return new Map(Object.entries(manifest.files));
  const message = 'must list every file of the bundle with its sha256 and size';
  throw new TenonError('InvalidManifest', `${where}: /files ${message}`, {
    next: 'make the archive with `tenon pack`',
    details: { pointer: '/files', problems: [{ pointer: '/files', message }] },
  });
}

/**
 * The bundle that `files` of an archive make. Throws `ManifestNotFound`, `InvalidManifest`, and `BundleDamaged` with `details: {path, rule}` for a file that
 * is missing, is another one than the manifest says, or is not listed. `where` names the archive for people.
 */
export function bundleOf(files: readonly ArchiveFile[], where: string): Bundle {
  return made(files, where, (_, bytes) => sha256Of(bytes));
}

/** The same for a process that serves: hashing leaves the event loop to others, too. Rejects as `bundleOf` throws. */
export async function readBundle(files: readonly ArchiveFile[], where: string): Promise<Bundle> {
  const hashes = new Map<string, string>();
  for (const { path, bytes } of files) hashes.set(path, await hashInPieces(bytes));
  return made(files, where, (path) => hashes.get(path) ?? '');
}

function made(files: readonly ArchiveFile[], where: string, hashOf: (path: string, bytes: Buffer) => string): Bundle {
  const byPath = new Map<string, Buffer>();
  for (const { path, bytes } of files) {
    if (byPath.has(path)) throw damaged(where, path, 'twice', 'is there twice');
    byPath.set(path, bytes);
  }
  const manifestBytes = byPath.get(manifestFile);
  if (manifestBytes === undefined) {
    const deeper = files.find(({ path }) => path.endsWith(`/${manifestFile}`))?.path;
    throw new TenonError('ManifestNotFound', `${where}: there is no ${manifestFile} at its root`, {
      next:
        deeper === undefined
          ? 'make the archive with `tenon pack`'
          : `the archive has ${deeper}: pack that folder itself`,
    });
  }
  const manifest = parseManifest(manifestBytes, where);
  const listed = listOf(manifest, where);
  const signature = byPath.get(signatureFile);
  byPath.delete(manifestFile);
  byPath.delete(signatureFile);
  for (const [path, said] of listed) {
    const bytes = byPath.get(path);
    if (bytes === undefined) throw damaged(where, path, 'missing', 'is listed in the manifest and not there');
    requireSame(bytes, hashOf(path, bytes), said, where, path);
  }
  for (const path of byPath.keys())
    if (!listed.has(path)) throw damaged(where, path, 'unlisted', 'is not listed in the manifest');
  return { manifest, manifestBytes, sha256: sha256Of(manifestBytes), signature, files: byPath };
}
