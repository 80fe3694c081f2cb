/** `tenon sign` and `tenon verify`: the signature of a bundle, an archive or a folder. */
import { statSync } from 'node:fs';
import path from 'node:path';
import { resolveSettings } from '../base/config.js';
import { TenonError } from '../base/errors.js';
import { readRegular } from '../base/regular.js';
import { replaceFile } from '../base/replace-file.js';
import { type ArchiveFile, readArchive } from '../bundle/archive.js';
import { type Bundle, bundleOf } from '../bundle/bundle.js';
import { signatureFile } from '../bundle/manifest.js';
import { type Signed, verifySignature } from '../bundle/minisign.js';
import { readSecretKey, type SecretKey, secretKeyLimit } from '../bundle/secret-key.js';
import { bundleInFolder, signatureOfBundle, withSignature } from '../bundle/sign.js';
import { Trust } from '../bundle/trust.js';
import { writeArchive } from '../bundle/write-archive.js';
import { givenPublicKey, isPublicKey } from './public-key.js';
import { knownPassword, type PasswordFlags } from './password.js';

export interface SignFlags extends PasswordFlags {
  /** File of the secret key. */
  key: string;
  /** Where the signed archive goes; in place of the other one when absent. */
  out?: string;
  json?: true;
}

export interface VerifyFlags {
  /** Public key, or the file of one; absent: the trust list is asked. */
  key?: string;
  /** Data directory with the trust list. */
  data?: string;
  json?: true;
}

const forEverybody = 0o644;

interface Subject {
  readonly bundle: Bundle;
  /** Undefined for a folder. */
  readonly files: readonly ArchiveFile[] | undefined;
}

async function readBytes(file: string, limit: number, what: string): Promise<Buffer> {
  return readRegular(file, limit).catch((error: NodeJS.ErrnoException) => {
    const why = error.code === 'ENOENT' ? `${file} is not there` : error.message;
    throw new TypeError(`${what}: ${why}`, { cause: error });
  });
}

/** Rejects with TypeError for what cannot be read, and as `readArchive` and `bundleOf` do. */
async function read(place: string): Promise<Subject> {
  const limit = resolveSettings().settings.bundleLimit;
  if (statSync(place, { throwIfNoEntry: false })?.isDirectory() === true)
    return { bundle: await bundleInFolder(path.resolve(place), limit), files: undefined };
  const files = await readArchive(await readBytes(place, limit, 'the bundle'), { bytes: limit });
  return { bundle: bundleOf(files, place), files };
}

/**
 * The secret key that flags name. Rejects with `KeyInvalid`, and with TypeError for a file or a password that cannot be had, and for
 * a public key.
 */
export async function secretKeyFrom(flags: Pick<SignFlags, 'key' | 'passwordFile'>): Promise<SecretKey> {
  const text = (await readBytes(flags.key, secretKeyLimit, 'option key')).toString();
  if (isPublicKey(text)) throw new TypeError(`${flags.key} is a public key; signing needs the secret one`);
  return readSecretKey(text, () => knownPassword(flags));
}

/** Rejects with `KeyInvalid`, with TypeError for a key that cannot be read, and as the archive is refused. */
export async function sign(place: string, flags: SignFlags): Promise<void> {
  const { bundle, files } = await read(place);
  if (files === undefined && flags.out !== undefined)
    throw new TypeError('option out: the signature of a folder goes into the folder');
  const key = await secretKeyFrom(flags);
  const signature = signatureOfBundle(bundle, key);
  const target = files === undefined ? path.join(place, signatureFile) : (flags.out ?? place);
  const content = files === undefined ? signature : writeArchive(withSignature(files, signature));
  await replaceFile(path.resolve(target), content, { durable: true, mode: forEverybody });
  tell(target, bundle, { keyId: key.keyId }, flags);
}

/** Rejects with `SignatureMissing`, `SignatureInvalid`, `SignerUntrusted`, and as the archive is refused. */
export async function verify(place: string, flags: VerifyFlags): Promise<void> {
  const key = flags.key === undefined ? undefined : givenPublicKey(flags.key);
  const { bundle } = await read(place);
  const { manifest, manifestBytes, sha256, signature } = bundle;
  if (key === undefined) {
    const { settings } = resolveSettings({ flags: { data: flags.data } });
    const trust = new Trust(path.resolve(settings.trust || path.join(settings.data, 'trust.json')));
    const { signer } = await trust.judge(manifest.id, { bytes: manifestBytes, sha256, signature }, 'require');
    tell(place, bundle, signer, flags);
    return;
  }
  if (signature === undefined)
    throw new TenonError('SignatureMissing', `${place}: the bundle is not signed`, {
      next: 'sign it with `tenon sign`',
    });
  tell(place, bundle, verifySignature(manifestBytes, signature, key), flags);
}

function tell(
  place: string,
  { manifest, sha256 }: Bundle,
  signer: (Partial<Signed> & { name?: string }) | undefined,
  { json }: { json?: true },
): void {
  const { id, version } = manifest;
  if (json === true) {
    process.stdout.write(`${JSON.stringify({ bundle: place, id, version, sha256, signer })}\n`);
    return;
  }
  const name = signer?.name === undefined || signer.name === '' ? '' : ` of ${signer.name}`;
  process.stdout.write(`${place}\n`);
  process.stderr.write(`${id} ${version}: signed by the key ${signer?.keyId ?? ''}${name}\n`);
}
