/** What a token looks like: `tenon_`, an id that names nobody, a secret, a checksum. */
import { createHash, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';

/** A token that was just made. */
export interface MadeToken {
  /** The whole of it, which is told once and kept nowhere. */
  readonly token: string;
  /** Eight hexadecimal digits: says which one it is to whoever finds it, and nothing about its secret. */
  readonly id: string;
}

const secretBytes = 32;
/** A base64url text of 32 bytes has 43 characters, one of the 4 of a checksum 6. */
const grammar = /^(tenon_[0-9a-f]{8}_[\w-]{43})([\w-]{6})$/;

/** Make a token of 32 random bytes. */
export function makeToken(): MadeToken {
  const id = randomBytes(4).toString('hex');
  const body = `tenon_${id}_${randomBytes(secretBytes).toString('base64url')}`;
  return { token: body + checksum(body), id };
}

/** Whether `text` is meant to be a token that was made here; `whole` when its checksum is right, so that nothing is mistyped or cut. */
export function kindOf(text: string): 'whole' | 'damaged' | 'other' {
  if (!text.startsWith('tenon_')) return 'other';
  const [, body = '', sum] = grammar.exec(text) ?? [];
  return sum !== undefined && sum === checksum(body) ? 'whole' : 'damaged';
}

/** Whether a text has a token in it. */
export function hasToken(text: string): boolean {
  return /tenon_[0-9a-f]{8}_[\w-]{20}/.test(text);
}

/**
 * What is kept of a token, and compared. SHA-256 without salt or repetition is right for it, other than for a password: 256 random bits
 * can neither be guessed nor be in a list, however fast they are tried, and two tokens are never the same.
 */
export function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

function checksum(body: string): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(body));
  return bytes.toString('base64url');
}
