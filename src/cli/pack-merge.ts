/** Joins the libraries of bundles that several machines have packed. */
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { resolveSettings } from '../base/config.js';
import { TenonError } from '../base/errors.js';
import { readRegular } from '../base/regular.js';
import { type ArchiveFile, readArchive } from '../bundle/archive.js';
import { type Bundle, bundleOf } from '../bundle/bundle.js';
import { type Manifest, manifestFile, manifestText, parseManifest } from '../bundle/manifest.js';
import type { PackFlags, Parcel } from './pack-delivery.js';

interface Named extends Bundle {
  /** As it was given. */
  readonly word: string;
}

/**
 * The bundle that has every library of `words`, files of bundles. Throws TypeError for fewer than two and for the same one twice, `PackFailed` naming the first thing beside libraries that
 * is not the same in all, and as reading bundles does.
 */
export async function mergeBundles(
  words: readonly string[],
  { flags, directory }: { flags: PackFlags; directory: string },
): Promise<Parcel> {
  if (words.length < 2) throw new TypeError('--merge needs two bundles or more');
  const { settings } = resolveSettings({ directory });
  for (const flag of ['sources', 'target'] as const)
    if (flags[flag] !== undefined) throw new TypeError(`--merge takes bundles as they are, so not with --${flag}`);
  const bundles: Named[] = [];
  for (const word of words) bundles.push(await read(path.resolve(directory, word), word, settings.bundleLimit));
  const [first, ...others] = bundles;
  if (first === undefined) throw new TypeError('--merge needs two bundles or more');
  for (const other of others) requireSame(first, other);
  for (const [at, { word, sha256 }] of bundles.entries()) {
    const before = bundles.slice(0, at).find((bundle) => bundle.sha256 === sha256);
    if (before !== undefined)
      throw new TypeError(
        before.word === word
          ? `--merge: ${word} is given twice`
          : `--merge: ${word} is the same bundle as ${before.word}`,
      );
  }

  const files = new Map<string, Buffer>();
  const entrypoints = new Map<string, string>();
  for (const bundle of bundles) {
    for (const [file, bytes] of bundle.files) {
      const before = files.get(file);
      if (before !== undefined && !before.equals(bytes)) throw differs(first, bundle, `${file} has other bytes`, file);
      files.set(file, bytes);
    }
    for (const [platform, file] of Object.entries(bundle.manifest.entrypoints)) {
      const before = entrypoints.get(platform);
      if (before !== undefined && before !== file)
        throw differs(first, bundle, `the library for ${platform} is ${file}, not ${before}`, file);
      entrypoints.set(platform, file);
    }
  }
  const listed = Object.assign({}, ...bundles.map(({ manifest }) => manifest.files)) as Manifest['files'];
  const manifest = { ...first.manifest, files: listed, entrypoints: Object.fromEntries(entrypoints) };
  const text = Buffer.from(manifestText(manifest));
  const { id, version, abi } = parseManifest(text, 'the merged manifest');
  const rest: ArchiveFile[] = [...files]
    .map(([file, bytes]) => ({ path: file, bytes }))
    .sort((one, other) => (one.path < other.path ? -1 : 1));
  const signed = bundles.filter(({ signature }) => signature !== undefined).map(({ word }) => word);
  return {
    id,
    version,
    files: [{ path: manifestFile, bytes: text }, ...rest],
    platforms: [...entrypoints]
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([platform, file]) => ({ platform, path: file, ...(abi === undefined ? {} : { abi }) })),
    warnings:
      signed.length === 0
        ? []
        : [
            `the signature of ${signed.join(' and ')} is not one of what they make together, and is left out: sign anew`,
          ],
  };
}

async function read(file: string, word: string, limit: number): Promise<Named> {
  const bytes = await readRegular(file, limit).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'EFBIG')
      throw new TenonError('ArchiveTooLarge', `${word}: ${cause.message}`, {
        details: { limit, rule: 'bytes' },
        cause,
      });
    throw new TypeError(`${word} cannot be read: ${cause.message}`, { cause });
  });
  return { ...bundleOf(await readArchive(bytes, { bytes: limit }), word), word };
}

/** All but the libraries and what lists them. */
function requireSame(first: Named, other: Named): void {
  const members = { ...first.manifest } as Record<string, unknown>;
  for (const [name, value] of Object.entries(other.manifest))
    if (!['entrypoints', 'files'].includes(name) && !isDeepStrictEqual(members[name], value))
      throw differs(
        first,
        other,
        `/${name} of the manifest is ${JSON.stringify(value)}, not ${JSON.stringify(members[name])}`,
        manifestFile,
      );
  const libraries = new Set([first, other].flatMap(({ manifest }) => Object.values(manifest.entrypoints)));
  const names = new Set([...first.files.keys(), ...other.files.keys()]);
  for (const file of [...names].sort()) {
    if (libraries.has(file)) continue;
    const [mine, its] = [first.files.get(file), other.files.get(file)];
    if (mine === undefined || its === undefined)
      throw differs(first, other, `${file} is only in ${mine === undefined ? other.word : first.word}`, file);
    if (!mine.equals(its)) throw differs(first, other, `${file} has other bytes`, file);
  }
}

function differs(first: Named, other: Named, what: string, file: string): TenonError {
  return new TenonError('PackFailed', `${other.word} is not the same bundle as ${first.word}: ${what}`, {
    next: 'pack them from the same files, and by the same release of Tenon',
    details: { path: file, bundles: [first.word, other.word] },
  });
}
