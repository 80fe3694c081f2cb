/** Hashes what may be large, while everything else goes on. */
import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';

/** Hashed in one turn of the event loop, bytes: half a millisecond. */
const pieceBytes = 256 * 1024;

/** SHA-256 of `bytes`, hexadecimal. They must not change meanwhile. */
export async function hashInPieces(bytes: Uint8Array): Promise<string> {
  const hash = createHash('sha256');
  for (let at = 0; at < bytes.byteLength; at += pieceBytes) {
    if (at > 0) await nextTurn();
    hash.update(bytes.subarray(at, at + pieceBytes));
  }
  return hash.digest('hex');
}
