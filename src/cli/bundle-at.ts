/** What somebody gives a command: a bundle's archive, its folder, or a library. */
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { TenonError } from '../base/errors.js';
import { readRegular } from '../base/regular.js';
import { readArchive } from '../bundle/archive.js';
import { bundleOf } from '../bundle/bundle.js';
import { type BundleFiles, filesOf, readBundleFolder } from '../bundle/folder.js';

/** What is at a place. */
export type Given =
  | { readonly kind: 'archive' | 'folder'; readonly files: BundleFiles }
  | { readonly kind: 'library'; readonly bytes: Buffer };

/** Whether `place` (absolute) is a folder. Rejects with TypeError when nothing is there. */
export async function isFolder(place: string): Promise<boolean> {
  const info = await stat(place).catch((cause: NodeJS.ErrnoException) => {
    const why = cause.code === 'ENOENT' ? 'is not there' : `cannot be read: ${cause.message}`;
    throw new TypeError(`place: ${place} ${why}`, { cause });
  });
  return info.isDirectory();
}

/**
 * What is at `place` (absolute). A file is an archive when it is compressed by gzip or called one, else a library.
 * Rejects with TypeError for what cannot be read, and with the codes of archives and manifests.
 * @param limit of an archive and all that is in it, bytes
 */
export async function readGiven(place: string, limit: number): Promise<Given> {
  if (await isFolder(place)) return { kind: 'folder', files: await readBundleFolder(place) };
  const bytes = await readRegular(place, limit).catch((cause: unknown) => {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code !== 'EFBIG') throw new TypeError(`place: ${place} cannot be read: ${message}`, { cause });
    throw new TenonError('ArchiveTooLarge', message, {
      next: 'raise `limits.bundle` in tenon.yaml',
      details: { limit, rule: 'bytes' },
      cause,
    });
  });
  const isArchive = (bytes[0] === 0x1f && bytes[1] === 0x8b) || /\.(?:tgz|tar\.gz)$/.test(place);
  if (!isArchive) return { kind: 'library', bytes };
  const where = path.basename(place);
  const bundle = bundleOf(await readArchive(bytes, { bytes: limit }), where);
  return { kind: 'archive', files: filesOf(bundle, where) };
}
