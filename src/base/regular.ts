/** Reads files that somebody else may have put there. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

/**
 * The bytes of `file` (absolute, a link to it is followed), as many as it has when it is opened. Never waits for a FIFO
 * or a device, and rejects for whatever is not a regular file, or (`EFBIG`) has more than `limit` bytes.
 */
export async function readRegular(file: string, limit: number): Promise<Buffer> {
  const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  try {
    const info = await handle.stat();
    if (!info.isFile()) throw new Error(`${file} is not a regular file`);
    if (info.size > limit)
      throw Object.assign(new Error(`${file} has ${info.size} bytes, more than ${limit}`), { code: 'EFBIG' });
    const bytes = Buffer.alloc(info.size);
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
