/** Puts a signature into a bundle, or beside the manifest of a folder. */
import path from 'node:path';
import { TenonError } from '../base/errors.js';
import { readRegular } from '../base/regular.js';
import type { ArchiveFile } from './archive.js';
import { type Bundle, bundleOf } from './bundle.js';
import { manifestFile, manifestLimit, parseManifest, signatureFile } from './manifest.js';
import { type SecretKey, signatureOf } from './secret-key.js';

/** The bytes of manifest.sig for `bundle`; the same for the same bundle and key. */
export function signatureOfBundle({ manifest, manifestBytes, sha256 }: Bundle, key: SecretKey): Buffer {
  return signatureOf(manifestBytes, key, `tenon ${manifest.id} ${manifest.version} sha256:${sha256}`);
}

/** The files of an archive with `signature` behind the manifest, in place of one that was there. */
export function withSignature(files: readonly ArchiveFile[], signature: Buffer): ArchiveFile[] {
  const isManifest = ({ path: name }: ArchiveFile): boolean => name === manifestFile;
  const others = files.filter((file) => !isManifest(file) && file.path !== signatureFile);
  return [...files.filter(isManifest), { path: signatureFile, bytes: signature }, ...others];
}

/**
 * The bundle in a folder: the manifest, its signature, and the files that it lists. Rejects as `bundleOf` throws, for a
 * manifest that lists none with `InvalidManifest`: a signature of it would say nothing about the library.
 * @param limit largest file, bytes
 */
export async function bundleInFolder(folder: string, limit: number): Promise<Bundle> {
  const files: ArchiveFile[] = [];
  const take = async (name: string, most: number): Promise<Buffer | undefined> => {
    const bytes = await readRegular(path.join(folder, name), most).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw new TenonError('BundleDamaged', `${folder}: ${name} cannot be read: ${error.message}`, {
        details: { path: name, rule: 'unreadable' },
        cause: error,
      });
    });
    if (bytes !== undefined) files.push({ path: name, bytes });
    return bytes;
  };
  const manifest = await take(manifestFile, manifestLimit);
  if (manifest !== undefined) {
    const listed = parseManifest(manifest, path.join(folder, manifestFile), path.basename(folder)).files ?? {};
    for (const name of [signatureFile, ...Object.keys(listed)]) await take(name, limit);
  }
  return bundleOf(files, folder);
}
