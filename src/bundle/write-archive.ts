/** Writes the archive of a bundle: the same files are the same bytes, on every machine. */
import { TenonError } from '../base/errors.js';
import type { ArchiveFile } from './archive.js';

/** The archive of `files`, in the given order; modes, owners and times say nothing. What it holds is read by `readArchive`. */
export function writeArchive(files: readonly ArchiveFile[]): Buffer {
  void files;
  throw new TenonError('PackFailed', 'archives are not written yet');
}
