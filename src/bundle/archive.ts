/** Reads the archive of a bundle: one gzip member with a tar of files and folders, all of it checked before anybody sees it. */
import { GzipMember } from './gzip-member.js';
import { ArchiveSource } from './gzip-source.js';
import { type ArchiveFile, TarReader } from './tar-reader.js';
import { overLimit } from './tar-refusal.js';

export type { ArchiveFile } from './tar-reader.js';

/** What an archive is read within; what is absent is as here. */
export interface ArchiveLimits {
  /** Bytes of the archive, and of all files in it; 64 MiB. */
  bytes?: number;
  /** Entries; 1,000. */
  entries?: number;
  /** How many times larger what is in it may be than the archive, at every point behind the first 4 MiB; 200. */
  ratio?: number;
  /** Time for all of it, ms; 10,000. */
  timeMs?: number;
}

/** What an archive is read within when nothing else is said. */
export const archiveLimits: Readonly<Required<ArchiveLimits>> = {
  bytes: 64 * 1024 * 1024,
  entries: 1000,
  ratio: 200,
  timeMs: 10_000,
};
/** Bytes that any archive may have in it: the start of a file may be empty space. */
export const freeBytes = 4 * 1024 * 1024;

/** What headers and fillings of files take, mostly. */
const roomForHeaders = 1024 * 1024;

/** Archives of fewer bytes are waited for, and no more memory is asked for than they can need. */
const smallBytes = 64 * 1024;

interface Start {
  readonly bytes: Buffer;
  /** Whether there is no more. */
  readonly whole: boolean;
}

async function startOf(source: ArchiveSource): Promise<Start> {
  const pieces: Buffer[] = [];
  let length = 0;
  for (;;) {
    const piece = await source.next();
    if (piece === undefined) return { bytes: Buffer.concat(pieces), whole: true };
    length += piece.length;
    if (length >= smallBytes)
      return { bytes: pieces.length === 0 ? piece : Buffer.concat([...pieces, piece]), whole: false };
    pieces.push(Buffer.from(piece));
  }
}

async function read(source: ArchiveSource, limits: Required<ArchiveLimits>): Promise<ArchiveFile[]> {
  const { bytes: start, whole } = await startOf(source);
  const most = limits.bytes + roomForHeaders;
  const tar = new TarReader(limits);
  let inflated = 0;
  const member = new GzipMember(whole ? Math.min(most, limits.ratio * start.length) : most, (bytes, consumed) => {
    inflated += bytes.length;
    source.checkTime();
    if (inflated > Math.max(freeBytes, limits.ratio * consumed))
      throw overLimit('ratio', limits.ratio, `has more than ${limits.ratio} times its size in it`);
    tar.push(bytes);
  });
  try {
    for (let bytes: Buffer | undefined = start; bytes !== undefined; bytes = await source.next())
      await member.write(bytes);
    member.end();
    return tar.end();
  } finally {
    member.close();
  }
}

/**
 * All files of the archive, in its order. Nothing is written anywhere, and no more is kept in memory than the limits allow. Rejects with
 * `ArchiveInvalid`, `ArchivePath`, `ArchiveType`, `ArchiveDuplicate` (`details: {entry, path, rule}`; entries count from 1)
 * and `ArchiveTooLarge` (`details: {limit, rule}`), and with what `source` rejects with. A source that is not read to its
 * end is told: a stream is destroyed.
 */
export async function readArchive(
  source: Uint8Array | AsyncIterable<Uint8Array>,
  limits: ArchiveLimits = {},
): Promise<ArchiveFile[]> {
  const all = { ...archiveLimits, ...limits };
  const bytes = new ArchiveSource(source, all);
  try {
    return await read(bytes, all);
  } finally {
    bytes.close();
  }
}
