/** manifest.json: what a bundle says of itself. */
import { TenonError } from '../base/errors.js';

/** Name of the file, at the root of a bundle. */
export const manifestFile = 'manifest.json';
/** Name of the file with its signature, beside it. */
export const signatureFile = 'manifest.sig';
/** Largest manifest, bytes. */
export const manifestLimit = 256 * 1024;

export interface ManifestFile {
  /** SHA-256 of its bytes, hexadecimal. */
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
}

/** What a manifest says, checked, defaults filled in. */
export interface Manifest {
  readonly id: string;
  /** For people; the id when absent. */
  readonly name: string;
  /** Semantic version of at most 31 characters. */
  readonly version: string;
  /** `MAJOR.MINOR` of the contract it was built with; undefined when it does not say. */
  readonly abi: string | undefined;
  readonly description: string;
  readonly author: string;
  readonly license: string;
  /** Path of the library by platform (`linux-x64`, `linux-x64-musl`, `darwin-arm64` …), or by `main`: for any. */
  readonly entrypoints: Readonly<Record<string, string>>;
  /** Every file but the manifest and its signature, by path; undefined in a folder that lists none. */
  readonly files: Readonly<Record<string, ManifestFile>> | undefined;
  /** What it asks for; see `base/permission`. */
  readonly permissions: readonly string[];
  /** JSON Schema 2020-12 of its config. */
  readonly configSchema: Readonly<Record<string, unknown>> | undefined;
  readonly reloadOnChange: boolean;
  readonly isolation: 'inline' | 'process' | undefined;
  /** Plugins it needs: id to range of versions. */
  readonly dependencies: Readonly<Record<string, string>>;
  /** Ranges of versions of what runs it; `tenon` is known. */
  readonly engines: Readonly<Record<string, string>>;
}

/**
 * Read a manifest. `folderName` is the id of one that names none. Throws `InvalidManifest` with `details: {pointer, problems: [{pointer,
 * message}]}`; `where` names the file or archive for people.
 */
export function parseManifest(bytes: Uint8Array, where: string, folderName?: string): Manifest {
  void bytes;
  void folderName;
  throw new TenonError('InvalidManifest', `${where}: manifests are not read yet`);
}

/** The text of a manifest, for its file: keys in one order, files sorted by path, so that the same manifest is the same bytes. */
export function manifestText(manifest: Manifest): string {
  return JSON.stringify(manifest);
}
