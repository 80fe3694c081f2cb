/** Puts a whole file in the place of another: whoever reads it finds the old one or the new one, whatever happens. */
import { randomUUID } from 'node:crypto';
import { constants, renameSync, rmSync, writeFileSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import path from 'node:path';

export interface ReplaceOptions {
  /** For its owner alone, when absent: 0600. */
  mode?: number;
  /** Whether it is on disk, under its name, when the promise resolves. */
  durable?: boolean;
  /** Whether others may write the same file at the same time; the last one to end wins. */
  shared?: boolean;
  /** Called when all of it is beside `file`, where it outlives this process, before it is on disk. */
  written?: () => void;
}

type Content = string | Uint8Array;

const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
const ownersAlone = 0o600;

/**
 * Write `content`, or all of its pieces, beside `file` (`.new`; `.<random>.tmp` of a shared one), then rename that. What
 * a killed process left there is written anew. Rejects with what the system says, and `file` is what it was.
 */
export async function replaceFile(
  file: string,
  content: Content | readonly Content[],
  { mode = ownersAlone, durable = false, shared = false, written }: ReplaceOptions = {},
): Promise<void> {
  const fresh = shared ? `${file}.${randomUUID()}.tmp` : `${file}.new`;
  try {
    if (!shared) await rm(fresh, { force: true });
    const handle = await open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
    try {
      for (const piece of isPieces(content) ? content : [content]) await handle.writeFile(piece);
      written?.();
      if (durable) await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(fresh, file);
    if (durable) await syncDirectory(path.dirname(file));
  } catch (error) {
    await rm(fresh, { force: true }).catch(() => {}); // the error that counts is the first one
    throw error;
  }
}

/** The same at once, for its owner alone and for one writer; it need not be on disk yet. */
export function replaceFileSync(file: string, content: Content): void {
  const fresh = `${file}.new`;
  rmSync(fresh, { force: true });
  writeFileSync(fresh, content, { mode: ownersAlone, flag: 'wx' });
  renameSync(fresh, file);
}

/** What was made, renamed or removed in it is on disk afterwards, as far as its file system can see to that. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, constants.O_RDONLY);
  try {
    await handle.sync().catch((error: unknown) => {
      // So say file systems that know nothing of syncing a directory.
      if (!['EINVAL', 'ENOTSUP', 'EOPNOTSUPP'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    });
  } finally {
    await handle.close();
  }
}

function isPieces(content: Content | readonly Content[]): content is readonly Content[] {
  return Array.isArray(content);
}
