/** Keys and signatures in the format of minisign: Ed25519 over BLAKE2b-512 of the bytes (`ED`), or over the bytes themselves (`Ed`). */
import { createPublicKey, verify } from 'node:crypto';
import { blake2b } from '@noble/hashes/blake2.js';
import { TenonError } from '../base/errors.js';

export interface PublicKey {
  /** As minisign writes it: 16 hexadecimal digits, upper case. */
  readonly keyId: string;
  /** 32 bytes. */
  readonly key: Uint8Array;
  /** The line of a public key file that is no comment. */
  readonly text: string;
}

export const untrustedPrefix = 'untrusted comment: ';
export const trustedPrefix = 'trusted comment: ';
/** Largest signature, bytes. */
export const signatureLimit = 16 * 1024;
/** Untrusted comment of the signatures made here. */
export const ownComment = 'signature from tenon secret key';
/** Nothing signs the untrusted comment: with any text allowed, a signed bundle could be changed there unnoticed. */
const untrustedComments = new Set([
  ownComment,
  'signature from minisign secret key',
  'signature from rsign secret key',
]);

const idBytes = 8;
const keyBytes = 32;
const signatureBytes = 64;
const commentLimit = 1024;
const trustedLimit = 8192;

/** Points of small order, without the sign: any signature can be made to fit such a key. */
const weakKeys = new Set([
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  `ec${'ff'.repeat(30)}7f`,
  `ed${'ff'.repeat(30)}7f`,
  `ee${'ff'.repeat(30)}7f`,
]);

/** `bytes` bytes in base64 as there is only one of them; undefined for anything else. */
export function decodeStrictly(text: string, bytes: number): Buffer | undefined {
  const decoded = Buffer.from(text, 'base64');
  return decoded.byteLength === bytes && decoded.toString('base64') === text ? decoded : undefined;
}

/** The id in its eight bytes, which are a number with the lowest byte first. */
export function keyIdOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).reverse().toString('hex').toUpperCase();
}

/** What is wrong with a comment; undefined when it may be one. */
export function wrongComment(comment: string, limit = commentLimit): string | undefined {
  if (Buffer.byteLength(comment) > limit) return `has more than ${limit} bytes`;
  // oxlint-disable-next-line no-control-regex -- a terminal would obey them
  if (/[\0-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]/.test(comment)) return 'has control characters';
  return undefined;
}

/** The lines of a file, with or without an end of the last one; undefined for what is not text. */
export function linesOf(bytes: Uint8Array): string[] | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return (text.endsWith('\n') ? text.slice(0, -1) : text).split('\n');
  } catch {
    return undefined;
  }
}

function keyInvalid(sentence: string): TenonError {
  return new TenonError('KeyInvalid', sentence, { next: 'give a public key as minisign writes it' });
}

/** Read a public key: the two lines of its file, or the second alone. Throws `KeyInvalid`. */
export function readPublicKey(text: string): PublicKey {
  const lines = (text.endsWith('\n') ? text.slice(0, -1) : text).split('\n');
  const [comment, line = ''] = lines.length === 1 ? [undefined, lines[0]] : lines;
  if (lines.length > 2) throw keyInvalid(`a public key has two lines, not ${lines.length}`);
  if (comment?.startsWith(untrustedPrefix) === false || (comment !== undefined && wrongComment(comment) !== undefined))
    throw keyInvalid(`the first line of a public key must begin with ${JSON.stringify(untrustedPrefix)}`);
  const bytes = decodeStrictly(line, 2 + idBytes + keyBytes);
  if (bytes === undefined || bytes.toString('latin1', 0, 2) !== 'Ed')
    throw keyInvalid('the key is not one of minisign: 56 characters of base64 that begin with RW');
  const key = bytes.subarray(2 + idBytes);
  const unsigned = Buffer.from(key);
  unsigned.writeUInt8(unsigned.readUInt8(keyBytes - 1) & 0x7f, keyBytes - 1);
  const keyId = keyIdOf(bytes.subarray(2, 2 + idBytes));
  if (weakKeys.has(unsigned.toString('hex'))) throw keyInvalid(`${keyId}: anybody could sign for this key`);
  return { keyId, key, text: line };
}

/** The lines of a public key file. */
export function publicKeyText({ keyId, text }: PublicKey): string {
  return `${untrustedPrefix}minisign public key ${keyId}\n${text}\n`;
}

/** What a signature says, once it was found right. */
export interface Signed {
  readonly keyId: string;
  readonly trustedComment: string;
}

interface SignatureLines {
  readonly isHashed: boolean;
  readonly keyId: string;
  readonly signature: Buffer;
  readonly trustedComment: string;
  readonly global: Buffer;
}

function invalid(sentence: string, keyId?: string): TenonError {
  return new TenonError('SignatureInvalid', sentence, {
    next: 'get the file and its signature again from who signed it',
    details: keyId === undefined ? {} : { keyId },
  });
}

function parse(bytes: Uint8Array): SignatureLines {
  if (bytes.byteLength > signatureLimit)
    throw invalid(`the signature has ${bytes.byteLength} bytes, more than ${signatureLimit}`);
  const lines = linesOf(bytes);
  if (lines?.length !== 4) throw invalid('a signature has four lines of text');
  const [untrusted = '', first = '', trusted = '', second = ''] = lines;
  if (!untrusted.startsWith(untrustedPrefix) || !untrustedComments.has(untrusted.slice(untrustedPrefix.length)))
    throw invalid(
      `line 1 of the signature must be ${JSON.stringify(`${untrustedPrefix}signature from minisign secret key`)}: nothing signs any other text there`,
    );
  const whole = decodeStrictly(first, 2 + idBytes + signatureBytes);
  const algorithm = whole?.toString('latin1', 0, 2);
  if (whole === undefined || (algorithm !== 'ED' && algorithm !== 'Ed'))
    throw invalid('line 2 of the signature is none of minisign: 100 characters of base64 that begin with RU or RW');
  if (!trusted.startsWith(trustedPrefix))
    throw invalid(`line 3 of the signature must begin with ${JSON.stringify(trustedPrefix)}`);
  const trustedComment = trusted.slice(trustedPrefix.length);
  const wrong = wrongComment(trustedComment, trustedLimit);
  if (wrong !== undefined) throw invalid(`the trusted comment of the signature ${wrong}`);
  const global = decodeStrictly(second, signatureBytes);
  if (global === undefined) throw invalid('line 4 of the signature is not 88 characters of base64');
  return {
    isHashed: algorithm === 'ED',
    keyId: keyIdOf(whole.subarray(2, 2 + idBytes)),
    signature: whole.subarray(2 + idBytes),
    trustedComment,
    global,
  };
}

/** Id of the key that a signature names. Throws `SignatureInvalid` for what is no signature. */
export function signatureKeyId(signature: Uint8Array): string {
  return parse(signature).keyId;
}

/** What the signature of `bytes` is made over. */
export function prehash(bytes: Uint8Array): Uint8Array {
  return blake2b(bytes, { dkLen: 64 });
}

/** Throws `SignatureInvalid` unless `signature`, the bytes of a .minisig file, is of `bytes` and by `key`. */
export function verifySignature(bytes: Uint8Array, signature: Uint8Array, key: PublicKey): Signed {
  const { isHashed, keyId, signature: own, trustedComment, global } = parse(signature);
  if (keyId !== key.keyId) throw invalid(`the signature is by the key ${keyId}, not by ${key.keyId}`, keyId);
  const x = Buffer.from(key.key).toString('base64url');
  const publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  if (!verify(null, isHashed ? prehash(bytes) : bytes, publicKey, own))
    throw invalid(`the signature by the key ${keyId} is not one of these bytes`, keyId);
  if (!verify(null, Buffer.concat([own, Buffer.from(trustedComment)]), publicKey, global))
    throw invalid(`the trusted comment of the signature is not one that the key ${keyId} has signed`, keyId);
  return { keyId, trustedComment };
}
