/** Who may sign what, and what may not be loaded at all: a file of the operator, read anew when it has changed. */
import { TenonError } from '../base/errors.js';

/** What is asked of a signature. */
export type SignaturePolicy = 'require' | 'warn' | 'off';

/** A key that is trusted. */
export interface TrustedKey {
  /** The line of a minisign public key. */
  readonly key: string;
  readonly keyId: string;
  /** Ids of plugins, or patterns of them with `*`. */
  readonly plugins: readonly string[];
  /** For people: whose it is. */
  readonly name: string;
}

/** What may not be loaded. */
export interface Killed {
  /** SHA-256 of a library, or of a bundle's manifest, hexadecimal. */
  readonly sha256: string;
  readonly reason: string;
}

/** Who has signed a bundle, and what there is to say of it. */
export interface Verdict {
  /** Undefined: not signed, not by a key that is trusted, or not asked (`off`). */
  readonly signer: { readonly keyId: string; readonly name: string; readonly trustedComment: string } | undefined;
  /** One sentence each: what `warn` lets pass and `require` would not. */
  readonly warnings: readonly string[];
}

/** The trust list of one host. Each question is answered by what the file says then. */
export class Trust {
  readonly file: string;

  /** @param file absolute path; absent, nothing is trusted and nothing killed */
  constructor(file: string) {
    this.file = file;
  }

  /**
   * Whether the manifest of plugin `id` may be used under `policy`. Rejects with `SignatureMissing`, `SignerUntrusted` (`require` only) and
   * `SignatureInvalid` (always, when there is a signature by a known key and it is not right; with `warn` too).
   */
  judge(
    id: string,
    manifest: { bytes: Uint8Array; sha256: string; signature: Uint8Array | undefined },
    policy: SignaturePolicy,
  ): Promise<Verdict> {
    void manifest;
    return Promise.reject(new TenonError('SignatureMissing', `${id}: ${policy} is not asked yet`));
  }

  /** Why the library or manifest with this hash may not be loaded, if so. */
  killed(sha256: string): Promise<Killed | undefined> {
    void sha256;
    return Promise.resolve(undefined);
  }
}
