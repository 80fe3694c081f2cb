/** `tenon inspect`: what is in a bundle or a library, without loading it and without a host. */
import path from 'node:path';
import { resolveSettings } from '../base/config.js';
import { asTenonError, TenonError } from '../base/errors.js';
import { type IsolationWish, readIsolation } from '../base/isolation.js';
import { loadCore } from '../binding/core.js';
import { offeredBy } from '../bundle/choose.js';
import type { BundleFiles } from '../bundle/folder.js';
import type { Manifest, ManifestFile } from '../bundle/manifest.js';
import { linesOf, type PublicKey, signatureKeyId, trustedPrefix, verifySignature } from '../bundle/minisign.js';
import { thisPlatform } from '../bundle/platform.js';
import { readGiven } from './bundle-at.js';
import { exitStatus, reportFailure } from './failure.js';
import { givenPublicKey } from './public-key.js';
import { libraryRows, type LibraryReport, reportLibrary } from './library-report.js';
import { printable } from './printable.js';

export interface InspectFlags {
  /** A public key, or its file. */
  key?: string;
  json?: true;
}

/** Who has signed, as far as it is known. */
interface SignatureReport {
  keyId: string;
  comment: string;
  /** Absent: no key was given to check it with. */
  verified?: true;
}

/** The shape that `--json` prints. */
export interface InspectReport {
  kind: 'archive' | 'folder' | 'library';
  /** Absent for a library alone, with all that a manifest says. */
  manifest?: Omit<Manifest, 'files' | 'entrypoints'> & { sha256: string };
  signature?: SignatureReport;
  libraries: LibraryReport[];
  files?: (ManifestFile & { path: string })[];
}

/**
 * Print what is at `place`. Resolves to the exit status: 1 for what cannot be read, and when `flags.key` has not signed it.
 * Rejects with TypeError for a place or a key that is none.
 */
export async function inspect(place: string, flags: InspectFlags): Promise<number> {
  const key = flags.key === undefined ? undefined : givenPublicKey(flags.key);
  try {
    const report = await reportOf(path.resolve(place), key);
    process.stdout.write(flags.json === true ? `${JSON.stringify(report)}\n` : page(report));
    return report.libraries.some(({ error }) => report.kind === 'library' && error) ? exitStatus.refused : 0;
  } catch (error) {
    if (error instanceof TypeError) throw error;
    const { code, message, next, details } = asTenonError(error);
    const clean = new TenonError(code, printable(message), {
      details,
      ...(next === undefined ? {} : { next: printable(next) }),
    });
    return reportFailure(clean, flags.json);
  }
}

async function reportOf(place: string, key: PublicKey | undefined): Promise<InspectReport> {
  const { bundleLimit, imageLimit } = resolveSettings().settings;
  const given = await readGiven(place, bundleLimit);
  const core = loadCore();
  if (given.kind === 'library')
    return {
      kind: 'library',
      libraries: [reportLibrary(given.bytes, { path: path.basename(place), platforms: [] }, core)],
    };
  const { files: listed, ...manifest } = given.files.manifest;
  const platforms = new Map<string, string[]>();
  for (const [platform, file] of Object.entries(offeredBy(given.files.manifest, thisPlatform())))
    platforms.set(file, [...(platforms.get(file) ?? []), platform]);
  const signature = signatureOf(given.files, key);
  const { entrypoints: _, ...said } = manifest;
  return {
    kind: given.kind,
    manifest: { ...said, sha256: given.files.sha256 },
    ...(signature === undefined ? {} : { signature }),
    libraries: await Promise.all(
      [...platforms].map(async ([file, keys]) => {
        const at = { path: file, platforms: keys };
        try {
          return reportLibrary(await given.files.read(file, imageLimit), at, core);
        } catch (error) {
          return { ...at, size: 0, sha256: '', error: unread(error) };
        }
      }),
    ),
    ...(listed === undefined
      ? {}
      : { files: Object.entries(listed).map(([file, facts]) => ({ path: file, ...facts })) }),
  };
}

function unread(error: unknown): { code: string; message: string } {
  const { code, message } = asTenonError(error, 'BundleDamaged');
  return { code, message };
}

function signatureOf(
  { manifest, manifestBytes, signature }: BundleFiles,
  key: PublicKey | undefined,
): SignatureReport | undefined {
  if (key !== undefined) {
    if (signature !== undefined) {
      const { keyId, trustedComment } = verifySignature(manifestBytes, signature, key);
      return { keyId, comment: trustedComment, verified: true };
    }
    throw new TenonError('SignatureMissing', `${manifest.id} ${manifest.version} is not signed`, {
      next: 'sign it with `tenon sign`',
    });
  }
  if (signature === undefined) return undefined;
  const keyId = signatureKeyId(signature);
  return { keyId, comment: linesOf(signature)?.[2]?.slice(trustedPrefix.length) ?? '' };
}

type Row = readonly [string, string];

function page({ kind, manifest, signature, libraries, files }: InspectReport): string {
  const blocks: string[] = [];
  if (manifest !== undefined) blocks.push(block(`${manifest.id} ${manifest.version}`, bundleRows(manifest, signature)));
  if (manifest !== undefined && libraries.length === 0) blocks.push('no library\n');
  for (const library of libraries) blocks.push(block(library.path, libraryRows(library)));
  if (files !== undefined)
    blocks.push(
      `${files.length} files\n${files.map(({ path: file, size, sha256 }) => `  ${sha256}  ${String(size).padStart(10)}  ${printable(file)}\n`).join('')}`,
    );
  if (kind === 'folder' && files === undefined) blocks.push('the manifest lists no files\n');
  return blocks.join('\n');
}

function bundleRows(manifest: NonNullable<InspectReport['manifest']>, signature: SignatureReport | undefined): Row[] {
  const { id, name, abi, description, author, license, permissions, configSchema, reloadOnChange, isolation } =
    manifest;
  const ranges = (of: Readonly<Record<string, string>>): string =>
    Object.entries(of)
      .map(([other, range]) => `${other} ${range}`)
      .join(', ');
  const config =
    configSchema === undefined ? '' : `has a schema${reloadOnChange ? ', is reloaded when it changes' : ''}`;
  const all: Row[] = [
    ['name', name === id ? '' : name],
    ['description', description],
    ['author', author],
    ['license', license],
    ['ABI', abi ?? ''],
    ['runs on', ranges(manifest.engines)],
    ['plugins', ranges(manifest.dependencies)],
    ['isolation', isolationText(readIsolation(isolation))],
    ['config', config],
  ];
  return [
    ...all.filter(([, said]) => said !== ''),
    ['asks for', permissions.length === 0 ? 'no permission' : permissions.join(', ')],
    ['manifest', manifest.sha256],
    ['signed', signatureText(signature)],
  ];
}

/** The mode, and whatever else it asks for. */
function isolationText(wish: IsolationWish | undefined): string {
  const { mode = '', ...rest } = wish ?? {};
  const said = Object.entries(rest).map(
    ([key, value]) => `${key} ${Array.isArray(value) ? value.join(' ') : String(value)}`,
  );
  return [mode, ...said].join(', ');
}

function signatureText(signature: SignatureReport | undefined): string {
  if (signature === undefined) return 'no';
  const { keyId, comment, verified } = signature;
  const said = comment === '' ? '' : ` (${comment})`;
  return verified === true ? `by ${keyId}${said}` : `it says by ${keyId}${said}; not checked, give --key`;
}

function block(title: string, rows: readonly Row[]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return `${printable(title)}\n${rows.map(([name, said]) => `  ${name.padEnd(width)}  ${printable(said)}\n`).join('')}`;
}
