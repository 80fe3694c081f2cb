/** A bundle in memory: its files are those that its manifest names, byte for byte. */
import { TenonError } from '../base/errors.js';
import type { ArchiveFile } from './archive.js';
import type { Manifest } from './manifest.js';

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

/**
 * The bundle that `files` of an archive make. Throws `ManifestNotFound`, `InvalidManifest`, and `BundleDamaged` with `details: {path, rule}` for a file that
 * is missing, is another one than the manifest says, or is not listed. `where` names the archive for people.
 */
export function bundleOf(files: readonly ArchiveFile[], where: string): Bundle {
  void files;
  throw new TenonError('ManifestNotFound', `${where}: bundles are not read yet`);
}
