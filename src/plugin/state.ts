/** The state of a plugin on its way from one generation to another, with the checksum that shows damage on the way. */
import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { TenonError } from '../base/errors.js';

/** What a generation saved. */
export interface State {
  /** Of the format of the bytes, as the plugin numbers it. */
  readonly version: number;
  /** May be empty: that is a state too. */
  readonly bytes: Uint8Array;
  /** SHA-256 of the bytes when they were saved, hexadecimal. */
  readonly sha256: string;
}

/** Bytes after which the event loop gets its turn. */
const pieceBytes = 1024 * 1024;

/** SHA-256, hexadecimal. */
export async function digest(bytes: Uint8Array): Promise<string> {
  const hash = createHash('sha256');
  for (let at = 0; at < bytes.byteLength; at += pieceBytes) {
    if (at > 0) await nextTurn();
    hash.update(bytes.subarray(at, at + pieceBytes));
  }
  return hash.digest('hex');
}

/** The bytes, which must not change from now on, with their checksum. */
export async function sealState(version: number, bytes: Uint8Array): Promise<State> {
  return { version, bytes, sha256: await digest(bytes) };
}

/** Rejects with `StateRefused` when the bytes are no longer those that were saved. */
export async function requireIntact(state: State): Promise<void> {
  const found = await digest(state.bytes);
  if (found === state.sha256) return;
  throw new TenonError('StateRefused', `a state of ${state.bytes.byteLength} bytes was damaged in memory`, {
    next: 'reload; when it happens again, look for what writes outside its memory',
    details: { expected: state.sha256, found },
  });
}
