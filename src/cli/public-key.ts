/** A public key as somebody gives it to a command: itself, or a file of it. */
import { readFileSync, statSync } from 'node:fs';
import { asTenonError } from '../base/errors.js';
import { decodeStrictly, type PublicKey, readPublicKey } from '../bundle/minisign.js';

const fileLimit = 4096;
/** Bytes of a secret key of minisign. */
const secretBytes = 158;

/**
 * Throws TypeError for what is none: nothing of it is to go anywhere, because it may be a secret key, or a password. `given`
 * is a public key, or the file of one.
 */
export function givenPublicKey(given: string): PublicKey {
  if (looksLikeKey(given)) {
    if (isSecretKey(given)) throw new TypeError('that is a secret key; give the public one');
    return keyOf(given, 'the key');
  }
  const text = readText(given);
  if (isSecretKey(text)) throw new TypeError(`${given} is a secret key; give the public one${besides(given)}`);
  return keyOf(text, given);
}

/** Whether `text`, of a file, is a public key, right or not. */
export function isPublicKey(text: string): boolean {
  return text.split('\n', 3).some((line) => /^RW[A-Za-z0-9+/]{54}$/.test(line.trim()));
}

function looksLikeKey(given: string): boolean {
  return /^RW[A-Za-z0-9+/=]{20,}$/.test(given) && statSync(given, { throwIfNoEntry: false }) === undefined;
}

function isSecretKey(text: string): boolean {
  return text
    .split('\n', 3)
    .some((line) => decodeStrictly(line.trim(), secretBytes)?.toString('latin1', 0, 2) === 'Ed');
}

function besides(file: string): string {
  const other = file.replace(/\.key$/, '.pub');
  return other !== file && statSync(other, { throwIfNoEntry: false }) !== undefined ? `, ${other}` : '';
}

function readText(file: string): string {
  try {
    if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > fileLimit) throw new Error('the file is too large');
    return readFileSync(file, 'utf8');
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'it is not there' : (cause as Error).message;
    throw new TypeError(`${JSON.stringify(file)} is neither a public key nor a file of one: ${reason}`, { cause });
  }
}

function keyOf(text: string, what: string): PublicKey {
  try {
    return readPublicKey(text.replaceAll('\r\n', '\n').trimEnd());
  } catch (cause) {
    throw new TypeError(`${what}: ${asTenonError(cause).message}`, { cause });
  }
}
