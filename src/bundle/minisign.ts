/** Keys and signatures in the format of minisign: Ed25519 over BLAKE2b-512 of the bytes (`ED`), or over the bytes themselves (`Ed`). */
import { TenonError } from '../base/errors.js';

export interface PublicKey {
  /** As minisign writes it: 16 hexadecimal digits, upper case. */
  readonly keyId: string;
  /** 32 bytes. */
  readonly key: Uint8Array;
  /** The line of a public key file that is no comment. */
  readonly text: string;
}

/** Read a public key: the two lines of its file, or the second alone. Throws `KeyInvalid`. */
export function readPublicKey(text: string): PublicKey {
  throw new TenonError('KeyInvalid', `${text.slice(0, 20)}: keys are not read yet`);
}

/** What a signature says, once it was found right. */
export interface Signed {
  readonly keyId: string;
  readonly trustedComment: string;
}

/** Id of the key that a signature names. Throws `SignatureInvalid` for what is no signature. */
export function signatureKeyId(signature: Uint8Array): string {
  throw new TenonError('SignatureInvalid', `a signature of ${signature.byteLength} bytes is not read yet`);
}

/** Throws `SignatureInvalid` unless `signature`, the bytes of a .minisig file, is of `bytes` and by `key`. */
export function verifySignature(bytes: Uint8Array, signature: Uint8Array, key: PublicKey): Signed {
  void bytes;
  void signature;
  throw new TenonError('SignatureInvalid', `${key.keyId}: signatures are not checked yet`);
}
