/** Reads files that somebody else may have put there. */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs';
import { open } from 'node:fs/promises';

const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

/**
 * The bytes of `file` (absolute, a link to it is followed), as many as it has when it is opened. Never waits for a FIFO
 * or a device, and rejects for whatever is not a regular file, or (`EFBIG`) has more than `limit` bytes.
 */
export async function readRegular(file: string, limit: number): Promise<Buffer> {
  const handle = await open(file, flags);
  try {
    const bytes = Buffer.alloc(sizeOf(file, await handle.stat(), limit));
    let filled = 0;
    while (filled < bytes.length) {
      const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return bytes.subarray(0, filled);
  } finally {
    await handle.close();
  }
}

/** The same at once, throwing. */
export function readRegularSync(file: string, limit: number): Buffer {
  const descriptor = openSync(file, flags);
  try {
    const bytes = Buffer.alloc(sizeOf(file, fstatSync(descriptor), limit));
    let filled = 0;
    while (filled < bytes.length) {
      const count = readSync(descriptor, bytes, filled, bytes.length - filled, filled);
      if (count === 0) break;
      filled += count;
    }
    return bytes.subarray(0, filled);
  } finally {
    closeSync(descriptor);
  }
}

function sizeOf(file: string, info: Stats, limit: number): number {
  if (!info.isFile()) throw new Error(`${file} is not a regular file`);
  if (info.size > limit)
    throw Object.assign(new Error(`${file} has ${info.size} bytes, more than ${limit}`), { code: 'EFBIG' });
  return info.size;
}
