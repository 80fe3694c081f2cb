/** Who may sign what, and what may not be loaded at all: a file of the operator, read anew when it has changed. */
import type { BigIntStats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { TenonError } from '../base/errors.js';
import { readRegular } from '../base/regular.js';
import { replaceFile } from '../base/replace-file.js';
import { readPublicKey, signatureKeyId, verifySignature } from './minisign.js';
import {
  type Killed,
  matchesId,
  parseTrustList,
  type TrustedKey,
  type TrustList,
  trustLimit,
  trustText,
  unusable,
} from './trust-list.js';

export type { Killed, TrustedKey, TrustList } from './trust-list.js';

/** What is asked of a signature. */
export type SignaturePolicy = 'require' | 'warn' | 'off';

/** Who has signed a bundle, and what there is to say of it. */
export interface Verdict {
  /** Undefined: not signed, not by a key that is trusted, or not asked (`off`). */
  readonly signer: { readonly keyId: string; readonly name: string; readonly trustedComment: string } | undefined;
  /** One sentence each: what `warn` lets pass and `require` would not. */
  readonly warnings: readonly string[];
}

/** Called when a change is sure to be one, before it is made; it is not when this rejects. */
type Recorded = () => Promise<void>;

const worldMayWrite = 0o002n;
/** A change within the time that a clock stands still may leave no trace in the times of a file. */
const settledNs = 100_000_000n;

const nobody: TrustList = { keys: [], killed: [] };

function isSame(one: BigIntStats, other: BigIntStats): boolean {
  const { dev, ino, size, mtimeNs, ctimeNs, mode } = one;
  const isPlace = dev === other.dev && ino === other.ino && mode === other.mode;
  return isPlace && size === other.size && mtimeNs === other.mtimeNs && ctimeNs === other.ctimeNs;
}

/**
 * The trust list of one host. Each question is answered by what the file says then. One that is there and cannot be used,
 * for whatever reason, rejects every question with `KeyInvalid`: something may have been killed in it.
 */
export class Trust {
  readonly file: string;
  #known: { readonly info: BigIntStats; readonly list: TrustList } | undefined;
  #changing: Promise<unknown> = Promise.resolve();

  /** @param file absolute path; absent, nothing is trusted and nothing killed */
  constructor(file: string) {
    this.file = file;
  }

  /** Everything it says. */
  async list(): Promise<TrustList> {
    let info: BigIntStats;
    try {
      info = await stat(this.file, { bigint: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return nobody;
      throw unusable(this.file, (error as Error).message, error);
    }
    if (this.#known !== undefined && isSame(this.#known.info, info)) return this.#known.list;
    if ((info.mode & worldMayWrite) !== 0n)
      throw unusable(this.file, 'everybody on this machine may write it', undefined);
    const bytes = await readRegular(this.file, trustLimit).catch((error: unknown) => {
      throw unusable(this.file, (error as Error).message, error);
    });
    const list = parseTrustList(bytes, this.file);
    const isSettled = BigInt(Date.now()) * 1_000_000n - info.ctimeNs > settledNs;
    this.#known = isSettled ? { info, list } : undefined;
    return list;
  }

  /**
   * Whether the manifest of plugin `id` may be used under `policy`. Rejects with `SignatureMissing`, `SignerUntrusted` (`require` only),
   * `SignatureInvalid` (`require` and `warn`: for what is no signature, and when it names a known key and is not by it), and,
   * whatever the policy, with `BundleKilled` for a manifest that was killed.
   */
  async judge(
    id: string,
    manifest: { bytes: Uint8Array; sha256: string; signature: Uint8Array | undefined },
    policy: SignaturePolicy,
  ): Promise<Verdict> {
    await this.refuseKilled(manifest.sha256, `the manifest of ${id}`);
    if (policy === 'off') return { signer: undefined, warnings: [] };
    const verdict = judgement(id, manifest, await this.list());
    if (!(verdict instanceof TenonError)) return { signer: verdict, warnings: [] };
    if (policy === 'require' || verdict.code === 'SignatureInvalid') throw verdict;
    return { signer: undefined, warnings: [verdict.message] };
  }

  /** Why the library or manifest with this hash may not be loaded, if so. */
  async killed(sha256: string): Promise<Killed | undefined> {
    return (await this.list()).killed.find((entry) => entry.sha256 === sha256);
  }

  /** Rejects with `BundleKilled` when it is killed; `what` it is, for people. */
  async refuseKilled(sha256: string, what: string): Promise<void> {
    const found = await this.killed(sha256);
    if (found === undefined) return;
    const why = found.reason === '' ? '' : `: ${found.reason}`;
    throw new TenonError('BundleKilled', `${what} is on the kill list${why}`, {
      next: 'install another version',
      details: { sha256, reason: found.reason },
    });
  }

  /** Trust a key; what was said of it before goes. Rejects with `NotRecorded` when it cannot be written. */
  add(key: TrustedKey, record?: Recorded): Promise<void> {
    return this.#change(({ keys, killed }) => {
      return { keys: [...keys.filter(({ keyId }) => keyId !== key.keyId), key], killed };
    }, record);
  }

  /** Trust it no more. Rejects with `KeyInvalid` when it is not trusted. */
  remove(keyId: string, record?: Recorded): Promise<void> {
    return this.#change(({ keys, killed }) => {
      const others = keys.filter((key) => key.keyId !== keyId);
      if (others.length === keys.length)
        throw new TenonError('KeyInvalid', `${keyId}: no key with this id is trusted`, {
          next: '`tenon trust list` has those that are',
          details: { keyId },
        });
      return { keys: others, killed };
    }, record);
  }

  /** Have it never loaded again. */
  kill(entry: Killed, record?: Recorded): Promise<void> {
    return this.#change(({ keys, killed }) => {
      return { keys, killed: [...killed.filter(({ sha256 }) => sha256 !== entry.sha256), entry] };
    }, record);
  }

  /** Take it off the kill list. Rejects with `KeyInvalid` when it is not there. */
  spare(sha256: string, record?: Recorded): Promise<void> {
    return this.#change(({ keys, killed }) => {
      const others = killed.filter((entry) => entry.sha256 !== sha256);
      if (others.length === killed.length)
        throw new TenonError('KeyInvalid', `${sha256} is not on the kill list`, {
          next: '`tenon trust list` has what is',
          details: { sha256 },
        });
      return { keys, killed: others };
    }, record);
  }

  #change(change: (list: TrustList) => TrustList, record: Recorded = () => Promise.resolve()): Promise<void> {
    const done = this.#changing.then(async () => {
      const text = trustText(change(await this.list()));
      if (Buffer.byteLength(text) > trustLimit)
        throw new TenonError('NotRecorded', `${this.file} would have more than ${trustLimit} bytes`, {
          next: 'take off it what is not needed any more',
        });
      await record();
      await replaceFile(this.file, text, { durable: true, shared: true }).catch((cause: Error) => {
        throw new TenonError('NotRecorded', `${this.file} could not be written: ${cause.message}`, {
          next: 'see that its folder has room and may be written',
          details: { file: this.file },
          cause,
        });
      });
    });
    this.#changing = done.catch(() => {}); // told to whoever asked for it
    return done;
  }
}

type Signer = NonNullable<Verdict['signer']>;

/** Who has signed it, or why that is nobody who may. Throws `SignatureInvalid`. */
function judgement(
  id: string,
  { bytes, signature }: { bytes: Uint8Array; signature: Uint8Array | undefined },
  { keys }: TrustList,
): Signer | TenonError {
  if (signature === undefined)
    return new TenonError('SignatureMissing', `${id}: the bundle is not signed`, {
      next: 'sign it with `tenon sign`, or take it from who does',
      details: { plugin: id },
    });
  const keyId = attributed(id, () => signatureKeyId(signature));
  const key = keys.find((trusted) => trusted.keyId === keyId);
  const untrusted = (sentence: string): TenonError =>
    new TenonError('SignerUntrusted', `${id}: ${sentence}`, {
      next: 'add the key with `tenon trust add`, when you know whose it is',
      details: { plugin: id, keyId },
    });
  if (key === undefined) return untrusted(`the bundle is signed by the key ${keyId}, which is not trusted`);
  const { trustedComment } = attributed(id, () => verifySignature(bytes, signature, readPublicKey(key.key)));
  if (!key.plugins.some((pattern) => matchesId(pattern, id)))
    return untrusted(`the key ${keyId} that signed the bundle is trusted with ${key.plugins.join(', ')} only`);
  return { keyId, name: key.name, trustedComment };
}

/** What `work` throws names the plugin, too. */
function attributed<Result>(id: string, work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof TenonError)) throw error;
    throw new TenonError(error.code, `${id}: ${error.message}`, {
      ...(error.next === undefined ? {} : { next: error.next }),
      details: { ...error.details, plugin: id },
      cause: error,
    });
  }
}
