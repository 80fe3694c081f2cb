/** Writes a bundle that is complete, and says what is in it. */
import { statSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { TenonError } from '../base/errors.js';
import { replaceFile } from '../base/replace-file.js';
import type { ArchiveFile } from '../bundle/archive.js';
import { bundleOf } from '../bundle/bundle.js';
import type { SecretKey } from '../bundle/secret-key.js';
import { signatureOfBundle, withSignature } from '../bundle/sign.js';
import { writeArchive } from '../bundle/write-archive.js';
import { sha256Of } from './pack-manifest.js';
import type { PasswordFlags } from './password.js';

export interface PackFlags extends PasswordFlags {
  /** File of the secret key to sign with. */
  key?: string;
  out?: string;
  sources?: true;
  target?: string[];
  merge?: true;
  json?: true;
  data?: string;
}

/** What was packed; the shape that `--json` prints. */
export interface Packed {
  id: string;
  version: string;
  /** Absolute. */
  file: string;
  /** Bytes of the archive. */
  size: number;
  /** Of the archive. */
  sha256: string;
  /** Of the manifest: the name of the bundle in audit logs and kill lists. */
  manifest: string;
  /** Key that has signed it; absent when it is not signed. */
  keyId?: string;
  platforms: { platform: string; path: string; abi?: string; glibcFloor?: string }[];
  /** In the order of the archive. */
  files: { path: string; size: number; sha256: string }[];
  warnings: string[];
}

/** Bytes of a bundle, with what is said of it. */
export interface Parcel {
  id: string;
  version: string;
  files: readonly ArchiveFile[];
  platforms: Packed['platforms'];
  warnings: string[];
}

interface Place {
  /** As `--out` says. */
  out: string | undefined;
  directory: string;
  key: SecretKey | undefined;
}

/** Write the archive, whole or not at all; with `key` signed. Rejects with `PackFailed` when it cannot be written. */
export async function deliver(parcel: Parcel, { out, directory, key }: Place): Promise<Packed> {
  const { id, version, platforms, warnings } = parcel;
  const files =
    key === undefined ? parcel.files : withSignature(parcel.files, signatureOfBundle(bundleOf(parcel.files, id), key));
  const bytes = writeArchive(files);
  const file = await placeOf(path.resolve(directory, out ?? '.'), out, `${id}-${version}.tgz`);
  await replaceFile(file, bytes, { mode: 0o644, shared: true }).catch((cause: unknown) => {
    throw new TenonError('PackFailed', `${file} cannot be written: ${(cause as Error).message}`, {
      next: 'name another place with --out',
      details: { file },
      cause,
    });
  });
  const [manifest] = files;
  return {
    id,
    version,
    file,
    size: bytes.length,
    sha256: sha256Of(bytes),
    manifest: manifest === undefined ? '' : sha256Of(manifest.bytes),
    ...(key === undefined ? {} : { keyId: key.keyId }),
    platforms,
    files: files.map((each) => ({ path: each.path, size: each.bytes.length, sha256: sha256Of(each.bytes) })),
    warnings,
  };
}

/** Throws TypeError for an `--out` that can be neither a file nor a folder. */
export function requirePlace(out: string | undefined, directory: string): void {
  if (out === undefined || /(?:\.tgz|\/)$/.test(out) || isFolder(path.resolve(directory, out))) return;
  throw new TypeError(`--out ${out} is neither a folder nor ends with .tgz`);
}

/** A name that ends with .tgz is the file's, every other one that of a folder. */
async function placeOf(place: string, said: string | undefined, name: string): Promise<string> {
  if (isFolder(place)) return path.join(place, name);
  if (said?.endsWith('.tgz') === true) return place;
  await mkdir(place, { recursive: true });
  return path.join(place, name);
}

function isFolder(place: string): boolean {
  return statSync(place, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** For people on standard error, the archive's path on standard output; or all of it there, as JSON. */
export function print(packed: Packed, { json }: PackFlags): void {
  const { id, version, file, size, files, platforms, keyId, warnings } = packed;
  for (const warning of warnings) process.stderr.write(`${id}: warning: ${warning}\n`);
  if (json === true) {
    process.stdout.write(`${JSON.stringify(packed)}\n`);
    return;
  }
  const width = Math.max(...files.map((each) => each.path.length));
  const all = files.reduce((sum, each) => sum + each.size, 0);
  const lines = files.map((each) => {
    const library = platforms.find((one) => one.path === each.path);
    const facts = [
      library?.platform,
      library?.abi === undefined ? undefined : `ABI ${library.abi}`,
      library?.glibcFloor === undefined ? undefined : `glibc ${library.glibcFloor} or newer`,
    ].filter((fact) => fact !== undefined);
    const line = `  ${each.path.padEnd(width)} ${counted(each.size).padStart(11)}`;
    return facts.length === 0 ? line : `${line}  ${facts.join(', ')}`;
  });
  process.stderr.write(
    `${id} ${version}: ${files.length} files of ${counted(all)} bytes, ${counted(size)} packed${keyId === undefined ? '' : `, signed by the key ${keyId}`}\n`,
  );
  process.stderr.write(`${lines.join('\n')}\n`);
  process.stdout.write(`${file}\n`);
}

function counted(bytes: number): string {
  return bytes.toLocaleString('en-US');
}
