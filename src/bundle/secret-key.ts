/** Secret keys in the format of minisign, in the open or under a password, and what is signed with them. */
import { createPrivateKey, createPublicKey, type KeyObject, randomBytes, scrypt, sign } from 'node:crypto';
import { blake2b } from '@noble/hashes/blake2.js';
import { TenonError } from '../base/errors.js';
import {
  decodeStrictly,
  keyIdOf,
  ownComment,
  prehash,
  type PublicKey,
  readPublicKey,
  trustedPrefix,
  untrustedPrefix,
  wrongComment,
} from './minisign.js';

/** A key to sign with. */
export interface SecretKey {
  readonly keyId: string;
  readonly publicKey: PublicKey;
  readonly privateKey: KeyObject;
}

/** Largest file of a secret key, bytes. */
export const secretKeyLimit = 4096;

// The file: algorithm, how the password becomes a key, algorithm of the checksum; salt and limits of that; then, under the
// password, id, seed, public key and checksum.
const [salt, operations, memory, hidden, end] = [6, 38, 46, 54, 158];
const hiddenBytes = end - hidden;
const idBytes = 8;
const [seedAt, publicAt, checksumAt] = [8, 40, 72];

const mebibyte = 1024 * 1024;
/** What minisign itself asks for at most. */
const memoryLimit = 1024 * mebibyte;
const operationsLimit = 128 * mebibyte;
/** Of keys made here: N = 2^17, r = 8, p = 1. */
const ownOperations = 4 * mebibyte;
const ownMemory = 128 * mebibyte;

const privatePrefix = Buffer.from('302e020100300506032b657004220420', 'hex');
const publicPrefixBytes = 12;

function invalid(sentence: string, next = 'give a secret key as `tenon keygen` or minisign writes it'): TenonError {
  return new TenonError('KeyInvalid', sentence, { next });
}

/** As libsodium picks them for these limits. */
function scryptParameters(operationsWanted: number, memoryWanted: number): { N: number; r: number; p: number } {
  const r = 8;
  const most = Math.max(operationsWanted, 32_768);
  const isBound = most < memoryWanted / 32;
  const largest = isBound ? most / (r * 4) : memoryWanted / (r * 128);
  let N = 2;
  while (N <= Math.floor(largest) / 2) N *= 2;
  return { N, r, p: isBound ? 1 : Math.max(1, Math.floor(Math.floor(most / 4 / N) / r)) };
}

function keyOfPassword(password: string, bytes: Buffer): Promise<Buffer> {
  const wantedOperations = bytes.readBigUInt64LE(operations);
  const wantedMemory = bytes.readBigUInt64LE(memory);
  if (wantedOperations > operationsLimit || wantedMemory > memoryLimit)
    throw invalid(
      `the secret key asks for ${wantedMemory} bytes and ${wantedOperations} operations; it may for ${memoryLimit} and ${operationsLimit}`,
    );
  const { N, r, p } = scryptParameters(Number(wantedOperations), Number(wantedMemory));
  const options = { N, r, p, maxmem: 128 * r * (N + p) + mebibyte };
  return new Promise((resolve, reject) => {
    scrypt(password, bytes.subarray(salt, operations), hiddenBytes, options, (error, key) => {
      if (error === null) resolve(key);
      else reject(invalid(`the password could not be turned into a key: ${error.message}`, 'free some memory'));
    });
  });
}

function xored(one: Uint8Array, other: Uint8Array): Buffer {
  return Buffer.from(one.map((byte, at) => byte ^ (other[at] ?? 0)));
}

function checksum(id: Uint8Array, pair: Uint8Array): Uint8Array {
  return blake2b(Buffer.concat([Buffer.from('Ed'), id, pair]), { dkLen: 32 });
}

function secretKeyFrom(id: Buffer, seed: Buffer): SecretKey {
  const privateKey = createPrivateKey({ key: Buffer.concat([privatePrefix, seed]), format: 'der', type: 'pkcs8' });
  const key = createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(publicPrefixBytes);
  const text = Buffer.concat([Buffer.from('Ed'), id, key]).toString('base64');
  return { keyId: keyIdOf(id), publicKey: readPublicKey(text), privateKey };
}

/**
 * Read a secret key. `password` is asked only when it is under one. Rejects with `KeyInvalid`, and as `password` does.
 */
export async function readSecretKey(text: string, password: () => Promise<string>): Promise<SecretKey> {
  const lines = (text.endsWith('\n') ? text.slice(0, -1) : text).split('\n');
  const [comment = '', line = ''] = lines;
  const bytes = decodeStrictly(line, end);
  if (
    text.length > secretKeyLimit ||
    lines.length !== 2 ||
    !comment.startsWith(untrustedPrefix) ||
    bytes?.toString('latin1', 0, 2) !== 'Ed' ||
    bytes.toString('latin1', 4, 6) !== 'B2'
  )
    throw invalid('the secret key is not one of minisign: a comment, and 212 characters of base64 that begin with RW');
  const derivation = bytes.toString('latin1', 2, 4);
  if (derivation !== 'Sc' && derivation !== '\0\0')
    throw invalid('the secret key is under a password in a way that is not known: neither scrypt nor none');
  const isOpen = derivation === '\0\0';
  const own = bytes.subarray(hidden);
  const plain = isOpen ? own : xored(own, await keyOfPassword(await password(), bytes));
  const id = plain.subarray(0, idBytes);
  const found = plain.subarray(checksumAt);
  // minisign writes none in a key without a password.
  const isUnchecked = isOpen && found.every((byte) => byte === 0);
  if (!isUnchecked && !found.equals(checksum(id, plain.subarray(seedAt, checksumAt))))
    throw isOpen
      ? invalid('the secret key is damaged: its checksum is another one')
      : invalid('the password is not the one of the secret key', 'give the right one');
  const key = secretKeyFrom(id, plain.subarray(seedAt, publicAt));
  if (!plain.subarray(publicAt, checksumAt).equals(key.publicKey.key))
    throw invalid('the secret key is damaged: its two halves do not belong together');
  return key;
}

/** The lines of a secret key file; without a password it is in the open. */
export async function secretKeyText(key: SecretKey, password: string | undefined): Promise<string> {
  const bytes = Buffer.alloc(end);
  bytes.write('Ed', 0);
  bytes.write('B2', 4);
  const seed = key.privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(privatePrefix.byteLength);
  const id = Buffer.from(key.keyId, 'hex').reverse();
  const pair = Buffer.concat([seed, key.publicKey.key]);
  const plain = Buffer.concat([id, pair, checksum(id, pair)]);
  if (password === undefined) plain.copy(bytes, hidden);
  else {
    bytes.write('Sc', 2);
    randomBytes(operations - salt).copy(bytes, salt);
    bytes.writeBigUInt64LE(BigInt(ownOperations), operations);
    bytes.writeBigUInt64LE(BigInt(ownMemory), memory);
    xored(plain, await keyOfPassword(password, bytes)).copy(bytes, hidden);
  }
  return `${untrustedPrefix}minisign encrypted secret key\n${bytes.toString('base64')}\n`;
}

/** A new one. */
export function makeSecretKey(): SecretKey {
  return secretKeyFrom(randomBytes(idBytes), randomBytes(publicAt - seedAt));
}

/**
 * The bytes of a .minisig file for `bytes`; the same for the same. Throws TypeError for a comment of more than 1 KiB or
 * with control characters.
 */
export function signatureOf(bytes: Uint8Array, key: SecretKey, trustedComment: string): Buffer {
  const wrong = wrongComment(trustedComment);
  if (wrong !== undefined) throw new TypeError(`trustedComment: ${wrong}`);
  const own = sign(null, prehash(bytes), key.privateKey);
  const global = sign(null, Buffer.concat([own, Buffer.from(trustedComment)]), key.privateKey);
  const id = Buffer.from(key.keyId, 'hex').reverse();
  const first = Buffer.concat([Buffer.from('ED'), id, own]).toString('base64');
  const lines = [
    `${untrustedPrefix}${ownComment}`,
    first,
    `${trustedPrefix}${trustedComment}`,
    global.toString('base64'),
  ];
  return Buffer.from(`${lines.join('\n')}\n`);
}
