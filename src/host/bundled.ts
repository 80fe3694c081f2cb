/** Applications that are bundles: what may be used of their folders, and which library is theirs. */
import { hash, randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { asTenonError, TenonError } from '../base/errors.js';
import { readIsolation } from '../base/isolation.js';
import { readRegular } from '../base/regular.js';
import { version as tenonVersion } from '../base/version.js';
import type { Core } from '../binding/core.js';
import { choosePrebuild, type LibraryFacts } from '../bundle/choose.js';
import { type BundleFiles, otherLibrary, readBundleFolder } from '../bundle/folder.js';
import { libraryFacts } from '../bundle/library-facts.js';
import { type Manifest, manifestFile } from '../bundle/manifest.js';
import { platformName, thisPlatform } from '../bundle/platform.js';
import type { SignaturePolicy, Trust, Verdict } from '../bundle/trust.js';
import { librarySuffix, readApplication, type Application as Source } from '../compiler/application.js';
import { type ApplicationConfig, defaultConfig } from '../compiler/config.js';
import { ConfigSchema, SchemaFlawed } from '../compiler/config-schema.js';
import type { Build } from './built.js';

/** What is shown of the bundle that a plugin comes from, and kept with its builds. */
export interface BundleFacts {
  /** SHA-256 of its manifest. */
  sha256: string;
  version: string;
  /** Platform whose library was chosen; `sources`: it was built here. */
  library: string;
  /** Absent: not signed, or not by a key that is trusted. */
  signer?: { keyId: string; name: string };
  /** When its manifest was written where it is, ISO 8601. */
  installedAt?: string;
  /** What it asks for. */
  permissions: readonly string[];
  warnings: readonly string[];
}

/** A bundle that may be used, as its signature, the kill list and its manifest have it. */
export interface Bundled {
  readonly files: BundleFiles;
  readonly verdict: Verdict;
  /** The application it is, all that it says checked. */
  readonly source: Source;
}

export interface BundlesOptions {
  core: Pick<Core, 'inspectImage' | 'abi'>;
  trust: Pick<Trust, 'judge' | 'killed'>;
  /** What is asked of the signature of a folder. */
  policy: SignaturePolicy;
  /** Largest library, bytes. */
  imageLimit: number;
  /** Largest of all other files, bytes. */
  fileLimit: number;
  /** Absolute path of the directory of private copies. */
  copies: string;
}

/** Which library it is, and where in the bundle; `path` is absent when there is none and what it has is to be compiled. */
export interface ChosenLibrary {
  readonly path: string | undefined;
  /** Its platform, or `sources`. */
  readonly from: string;
  /** Why none of its libraries can be taken; it can be compiled, if there is a compiler. */
  readonly refusal: TenonError | undefined;
}

export class Bundles {
  readonly #options: BundlesOptions;

  constructor(options: BundlesOptions) {
    this.#options = options;
  }

  /**
   * The bundle in `folder`. Rejects with `ManifestNotFound`, `InvalidManifest`, `BundleDamaged`, `BundleKilled`, as `Trust.judge` does, and as
   * `readApplication` does.
   */
  async open(folder: string): Promise<Bundled> {
    return this.check(await readBundleFolder(folder), folder, this.#options.policy);
  }

  /** The same of one that is somewhere else, and is to be in `folder`. */
  async check(files: BundleFiles, folder: string, policy: SignaturePolicy): Promise<Bundled> {
    const { trust } = this.#options;
    const { manifest, manifestBytes: bytes, sha256, signature } = files;
    const verdict = await trust.judge(manifest.id, { bytes, sha256, signature }, policy);
    await this.refuseKilled(manifest.id, sha256);
    const covers = manifest.files !== undefined || verdict.signer === undefined;
    if (!covers && policy === 'require')
      throw wrong(folder, '/files', 'must list the files: a signature says nothing of files that are not listed');
    return { files, verdict: covers ? verdict : ofNobody(manifest.id), source: await sourceOf(files, folder) };
  }

  /** Rejects with `BundleKilled` when the library or manifest with this hash may not be loaded. */
  async refuseKilled(id: string, sha256: string): Promise<void> {
    const killed = await this.#options.trust.killed(sha256);
    if (killed === undefined) return;
    throw new TenonError('BundleKilled', `${id}: ${sha256.slice(0, 12)} may not be loaded: ${killed.reason}`, {
      next: 'install another version of it',
      details: { plugin: id, sha256, reason: killed.reason },
    });
  }

  /** Rejects with `EngineUnsupported`, `EntrypointNotFound`, and `PrebuildUnavailable` when there is nothing to compile either. */
  async choose({ files, source }: Bundled): Promise<ChosenLibrary> {
    const { core } = this.#options;
    const { manifest } = files;
    const absent: string[] = [];
    const inspect = async (file: string): Promise<LibraryFacts | TenonError> => {
      try {
        return libraryFacts(await files.read(file, this.#options.imageLimit), core);
      } catch (error) {
        const why = whyUnreadable(manifest.id, file, error);
        if (why.code === 'BundleDamaged') throw why;
        if (why.code === 'EntrypointNotFound') absent.push(file);
        return why;
      }
    };
    const platform = thisPlatform();
    const choice = await choosePrebuild(manifest, { platform, abi: core.abi, version: tenonVersion, inspect });
    if (Object.keys(manifest.entrypoints).length === 0) {
      const others = [source.prebuilt, ...source.sources, ...source.schemas, source.config.staticFiles];
      if (others.every((thing) => thing === undefined)) throw notThere(manifest.id, manifest.id + librarySuffix);
      const from = source.prebuilt === undefined ? 'sources' : platformName(platform);
      return { path: source.prebuilt && path.basename(source.prebuilt), from, refusal: undefined };
    }
    if ('path' in choice) return { path: choice.path, from: choice.platform, refusal: undefined };
    const [missing] = absent;
    if (missing !== undefined) throw notThere(manifest.id, missing);
    if (source.sources.length === 0) throw choice.refusal;
    return { path: undefined, from: 'sources', refusal: choice.refusal };
  }

  /** The library of a bundle in a folder: one of its own, or what `compile` makes of its sources. Rejects as `choose` and `compile` do. */
  async build(bundled: Bundled, compile: (source: Source) => Promise<Build>): Promise<Build> {
    const { files, source } = bundled;
    const { id } = files.manifest;
    const chosen = await this.choose(bundled);
    const { path: file, from } = chosen;
    if (file === undefined) return { ...(await this.compiled(bundled, chosen, compile)), from };
    const named = files.manifest.files?.[file];
    const expected = named && {
      sha256: named.sha256,
      otherwise: (found: string) => otherLibrary(id, file, named.sha256, found),
    };
    return { library: path.join(source.folder, file), warnings: [], from, ...(expected && { expected }) };
  }

  /** What is compiled of it, from a copy of what its manifest lists. Rejects with why no library fits when there is no compiler. */
  async compiled(
    bundled: Bundled,
    { refusal }: ChosenLibrary,
    compile: (source: Source) => Promise<Build>,
  ): Promise<Build> {
    const folder = await this.copy(bundled.files, bundled.source.folder);
    try {
      return await compile({ ...bundled.source, folder, prebuilt: undefined });
    } catch (error) {
      if (refusal === undefined || !(error instanceof TenonError) || error.code !== 'ToolchainMissing') throw error;
      throw new TenonError(refusal.code, `${refusal.message}; and its sources were not built: ${error.message}`, {
        next: error.next ?? 'see `tenon doctor`',
        details: refusal.details,
        cause: error,
      });
    }
  }

  /** Absolute path of the private copy of all that is listed but libraries; of one that lists nothing, `folder` itself. */
  async copy({ manifest, sha256, read }: BundleFiles, folder: string): Promise<string> {
    if (manifest.files === undefined) return folder;
    const place = this.copyOf(manifest.id, sha256);
    const libraries = new Set(Object.values(manifest.entrypoints));
    const copied = Object.entries(manifest.files).filter(([file]) => !libraries.has(file));
    if (await isCopy(place, copied)) return place;
    await rm(place, { recursive: true, force: true });
    const fresh = path.join(path.dirname(place), `.${randomBytes(8).toString('hex')}`);
    try {
      for (const [file] of copied) {
        const target = path.join(fresh, file);
        await mkdir(path.dirname(target), { recursive: true, mode: 0o700 });
        await writeFile(target, await read(file, this.#options.fileLimit), { mode: 0o400, flag: 'wx' });
      }
      await mkdir(fresh, { recursive: true, mode: 0o700 });
      await rename(fresh, place);
    } catch (error) {
      await rm(fresh, { recursive: true, force: true });
      const { code } = error as NodeJS.ErrnoException;
      // Somebody else has made the same one meanwhile.
      if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
    }
    return place;
  }

  /** Where that copy is, once it was made. */
  copyOf(id: string, sha256: string): string {
    return path.join(this.#options.copies, id, sha256.slice(0, 32));
  }

  /** Remove the copies of `id`, but for that of the bundle with this hash. */
  async forgetCopies(id: string, sha256?: string): Promise<void> {
    const folder = path.join(this.#options.copies, id);
    const kept = sha256 === undefined ? undefined : path.basename(this.copyOf(id, sha256));
    const names = await readdir(folder).catch(() => []);
    for (const name of names) if (name !== kept) await rm(path.join(folder, name), { recursive: true, force: true });
    if (kept !== undefined) return;
    await rm(folder, { recursive: true, force: true });
    await rmdir(this.#options.copies).catch(() => {}); // others have theirs there, or it was never made
  }
}

/** What is shown of it once its library is known. */
export function factsOf({ files, source, verdict }: Bundled, library: string): BundleFacts {
  const { signer, warnings } = verdict;
  return {
    sha256: files.sha256,
    version: files.manifest.version,
    library,
    ...(signer === undefined ? {} : { signer: { keyId: signer.keyId, name: signer.name } }),
    ...(files.installedAt === undefined ? {} : { installedAt: files.installedAt }),
    permissions: source.config.reserved.permissions ?? [],
    warnings,
  };
}

/** Whether the folder has these files and no others, each with the bytes that the manifest names: a power cut may have emptied them. */
async function isCopy(place: string, files: [string, { sha256: string; size: number }][]): Promise<boolean> {
  const entries = await readdir(place, { recursive: true, withFileTypes: true }).catch(() => undefined);
  if (entries?.filter((entry) => !entry.isDirectory()).length !== files.length) return false;
  for (const [file, { sha256, size }] of files) {
    const bytes = await readRegular(path.join(place, file), size).catch(() => undefined); // it is made anew
    if (bytes === undefined || hash('sha256', bytes) !== sha256) return false;
  }
  return true;
}

async function sourceOf({ manifest, read }: BundleFiles, folder: string): Promise<Source> {
  const { files, configSchema, entrypoints, permissions } = manifest;
  if (configSchema !== undefined) requireSchema(folder, configSchema);
  return readApplication(folder, {
    ...(files === undefined ? {} : { files: Object.keys(files).toSorted(), read }),
    config: configOf(manifest),
    // What lists its files asks for what the manifest says; a folder that somebody works in may say it in config.yaml alone.
    permissions: files === undefined && permissions.length === 0 ? undefined : [...permissions],
    // One that lists nothing has the library that is named after it, or is to hear that it is not there.
    hasLibrary: files === undefined || Object.keys(entrypoints).length > 0,
    disagrees: (key, said) =>
      wrong(folder, `/${key}`, `is ${JSON.stringify(manifest[key])}, and config.yaml says ${JSON.stringify(said)}`),
  });
}

/** Its manifest is signed, and says nothing of its files. */
function ofNobody(id: string): Verdict {
  const warning = `${id}: manifest.json is signed and lists no files: the signature says nothing of its library`;
  return { signer: undefined, warnings: [warning] };
}

function configOf({ id, name, version, description, ...manifest }: Manifest): ApplicationConfig {
  const { permissions, configSchema, reloadOnChange } = manifest;
  const isolation = readIsolation(manifest.isolation);
  return {
    ...defaultConfig(id),
    name,
    version,
    description,
    reserved: {
      permissions: [...permissions],
      reloadOnChange,
      ...(configSchema === undefined ? {} : { configSchema }),
      ...(isolation === undefined ? {} : { isolation }),
    },
  };
}

function requireSchema(folder: string, schema: Readonly<Record<string, unknown>>): void {
  try {
    ConfigSchema.of(JSON.stringify(schema));
  } catch (error) {
    if (!(error instanceof SchemaFlawed)) throw error;
    throw wrong(folder, `/configSchema${error.pointer}`, error.message);
  }
}

function wrong(folder: string, pointer: string, message: string): TenonError {
  const place = path.join(path.basename(folder), manifestFile);
  return new TenonError('InvalidManifest', `${place}: ${pointer} ${message}`, {
    next: 'correct it, and sign it anew',
    details: { folder, pointer, problems: [{ pointer, message }] },
  });
}

function whyUnreadable(id: string, file: string, error: unknown): TenonError {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ENOTDIR') return notThere(id, file);
  if (error instanceof TenonError) return isGone(error) ? notThere(id, file) : error;
  const known = asTenonError(error, 'ImageFormat');
  return new TenonError(known.code, `${id}: ${file}: ${known.message}`, { details: known.details, cause: error });
}

function isGone({ code, cause }: TenonError): boolean {
  return code === 'BundleDamaged' && (cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT';
}

function notThere(id: string, file: string): TenonError {
  return new TenonError('EntrypointNotFound', `${id}: its library ${file} is not there`, {
    next: 'put it there, or correct `entrypoints` in manifest.json',
    details: { plugin: id, expectedPath: file },
  });
}
