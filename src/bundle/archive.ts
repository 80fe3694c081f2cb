/** Reads the archive of a bundle: one gzip member with a tar of files and folders, all of it checked before anybody sees it. */
import { TenonError } from '../base/errors.js';

/** A file of an archive. */
export interface ArchiveFile {
  /** Relative, "/" between segments, as a manifest names it. */
  readonly path: string;
  readonly bytes: Buffer;
}

/** What an archive is read within; what is absent is as here. */
export interface ArchiveLimits {
  /** Bytes of the archive, and of all files in it; 64 MiB. */
  bytes?: number;
  /** Entries; 1,000. */
  entries?: number;
  /** How many times larger what is in it may be than the archive; 200. */
  ratio?: number;
  /** Time for all of it, ms; 10,000. */
  timeMs?: number;
}

/**
 * All files of the archive, in its order. Nothing is written anywhere, and no more is kept in memory than the limits allow. Rejects with
 * `ArchiveInvalid`, `ArchivePath`, `ArchiveType`, `ArchiveDuplicate` (`details: {entry, path, rule}`; entries count from 1)
 * and `ArchiveTooLarge` (`details: {limit, rule}`), and with what `source` rejects with.
 */
export function readArchive(
  source: Uint8Array | AsyncIterable<Uint8Array>,
  limits: ArchiveLimits = {},
): Promise<ArchiveFile[]> {
  void source;
  void limits;
  return Promise.reject(new TenonError('ArchiveInvalid', 'archives are not read yet'));
}
