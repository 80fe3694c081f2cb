/** `tenon pack`: an application becomes one file that installs without a compiler. */
import path from 'node:path';
import { resolveSettings } from '../base/config.js';
import { makeDataDirectory } from '../base/data-directory.js';
import { asTenonError, TenonError } from '../base/errors.js';
import type { ArchiveFile } from '../bundle/archive.js';
import { manifestFile } from '../bundle/manifest.js';
import type { Diagnostic } from '../compiler/diagnostics.js';
import { recoverBuilds } from '../compiler/hold.js';
import { Admission } from './admission.js';
import { diagnosticLine, diagnosticsOf } from './complaints.js';
import { homeOf } from './home.js';
import { unlessInterrupted } from './interrupt.js';
import { type Contents, contentsOf } from './pack-contents.js';
import { deliver, type Packed, type PackFlags, type Parcel, print, requirePlace } from './pack-delivery.js';
import { librariesOf, type PackedLibrary } from './pack-libraries.js';
import { mergeBundles } from './pack-merge.js';
import { deriveManifest } from './pack-manifest.js';
import { readSubject } from './pack-subject.js';
import { secretKeyFrom } from './sign.js';
import { tableComplaints } from './table-complaints.js';

/**
 * Pack the application that `words` name (the working directory when there is none), or with `merge` join bundles. Resolves to the exit status: 0, or 130 when interrupted;
 * rejects with what is wrong, and nothing was written then.
 */
export async function pack(words: readonly string[], flags: PackFlags): Promise<number> {
  const directory = process.cwd();
  return unlessInterrupted(async (signal) => {
    const diagnostics: Diagnostic[] = [];
    try {
      print(await writeBundle(words, { flags, directory, signal, diagnostics }), flags);
      return 0;
    } catch (error) {
      diagnostics.push(...diagnosticsOf(asTenonError(error).details));
      throw error;
    } finally {
      const folder = path.resolve(directory, words[0] ?? '.');
      if (!signal.aborted)
        for (const each of diagnostics) process.stderr.write(`${diagnosticLine(each, folder, directory)}\n`);
    }
  });
}

/** The same without a word of it, for the working directory `directory`. Throws TypeError for words and flags that cannot be. */
export async function writeBundle(words: readonly string[], wanted: Wanted): Promise<Packed> {
  const { flags, directory } = wanted;
  requirePlace(flags.out, directory);
  // Before the work: a password may have to be asked for.
  const key =
    flags.key === undefined ? undefined : await secretKeyFrom({ ...flags, key: path.resolve(directory, flags.key) });
  const place = { out: flags.out, directory, key };
  if (flags.merge === true) return deliver(await mergeBundles(words, wanted), place);
  const [word = '.', second] = words;
  if (second !== undefined) throw new TypeError(`one application at a time is packed, not ${words.join(' and ')}`);
  return deliver(await packFolder(path.resolve(directory, word), wanted), place);
}

export interface Wanted {
  flags: PackFlags;
  /** Absolute. */
  directory: string;
  signal: AbortSignal;
  /** Filled with what compilers say. */
  diagnostics: Diagnostic[];
}

async function packFolder(folder: string, { flags, directory, signal, diagnostics }: Wanted): Promise<Parcel> {
  const data = flags.data === undefined ? undefined : path.resolve(directory, flags.data);
  const { settings } = resolveSettings({ flags: { data }, directory: homeOf(folder, directory) });
  const subject = await readSubject(folder);
  const { application, said } = subject;
  const { id, version } = application;
  makeDataDirectory(settings.data);
  await recoverBuilds(settings.data);
  const tables = await tableComplaints(application, settings);
  if (tables.error !== undefined) throw tables.error;
  diagnostics.push(...tables.diagnostics);
  const asked = { sources: flags.sources === true, limit: settings.bundleLimit };
  const contents = await contentsOf(application, asked);
  const admission = new Admission();
  try {
    const made = await librariesOf(subject, { targets: flags.target ?? [], settings, admission, signal });
    diagnostics.push(...made.diagnostics);
    requireUnchanged(id, contents, await contentsOf(application, asked));
    const files = sorted([...contents.files, ...made.libraries]);
    const entrypoints = Object.fromEntries(made.libraries.map(({ platform, path: file }) => [platform, file]));
    const manifest = deriveManifest({
      application,
      said,
      abi: abiOf(id, made.libraries) ?? said?.abi,
      entrypoints,
      files,
    });
    return {
      id,
      version,
      files: [{ path: manifestFile, bytes: manifest }, ...files],
      platforms: made.libraries.map(({ platform, path: file, abi, glibcFloor }) => ({
        platform,
        path: file,
        ...(abi === undefined ? {} : { abi }),
        ...(glibcFloor === undefined ? {} : { glibcFloor }),
      })),
      warnings: [...contents.warnings, ...made.warnings],
    };
  } finally {
    await admission.close();
  }
}

/** What was compiled is what is packed. */
function requireUnchanged(id: string, before: Contents, after: Contents): void {
  const now = new Map(after.files.map(({ path: file, bytes }) => [file, bytes]));
  const other = before.files.find(({ path: file, bytes }) => now.get(file)?.equals(bytes) !== true);
  if (other === undefined && before.files.length === after.files.length) return;
  throw new TenonError('PackFailed', `the files of ${id} changed while it was packed`, {
    next: 'let them rest, and pack it once more',
    details: { application: id, ...(other === undefined ? {} : { path: other.path }) },
  });
}

/** As the writer of manifests sorts them. */
function sorted(files: readonly ArchiveFile[]): ArchiveFile[] {
  return files
    .map(({ path: file, bytes }) => ({ path: file, bytes }))
    .sort((one, other) => (one.path < other.path ? -1 : 1));
}

function abiOf(id: string, libraries: readonly PackedLibrary[]): string | undefined {
  const [first, ...rest] = libraries.filter(({ abi }) => abi !== undefined);
  const other = rest.find(({ abi }) => abi !== first?.abi);
  if (other !== undefined)
    throw new TenonError(
      'PackFailed',
      `the libraries of ${id} are for different contracts: ${first?.platform} for ABI ${first?.abi}, ${other.platform} for ABI ${other.abi}`,
      { next: 'build them with the same headers', details: { application: id } },
    );
  return first?.abi;
}
