/** The libraries of a bundle: built for it, or there already; each looked at before it goes in. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { processEnvironment } from '../base/config.js';
import type { Settings } from '../base/config.js';
import { asTenonError, TenonError } from '../base/errors.js';
import { packageRoot } from '../base/package-root.js';
import { readRegular } from '../base/regular.js';
import { loadCore } from '../binding/core.js';
import type { ImageFacts } from '../binding/image.js';
import { platformName, thisPlatform } from '../bundle/platform.js';
import { compile } from '../compiler/build.js';
import type { Diagnostic } from '../compiler/diagnostics.js';
import { placeOfPlugin } from '../compiler/source.js';
import { type Target, targetNamed } from '../compiler/target.js';
import { type Admission, versionsDiffer } from './admission.js';
import type { Subject } from './pack-subject.js';

export interface PackedLibrary {
  /** `linux-x64` … */
  readonly platform: string;
  /** In the bundle. */
  readonly path: string;
  readonly bytes: Buffer;
  /** `MAJOR.MINOR`; undefined when the file cannot be read here. */
  readonly abi: string | undefined;
  /** Undefined when it asks for none, or cannot be read here. */
  readonly glibcFloor: string | undefined;
}

export interface Libraries {
  readonly libraries: readonly PackedLibrary[];
  /** Of the compiler. */
  readonly diagnostics: readonly Diagnostic[];
  readonly warnings: readonly string[];
}

export interface LibrariesOptions {
  /** Platforms to build for; this one when empty. */
  targets: readonly string[];
  settings: Settings;
  admission: Admission;
  signal: AbortSignal;
}

/** Throws as compiling and admission do, and `PackFailed` for a library that is not one of this plugin. */
export async function librariesOf(subject: Subject, options: LibrariesOptions): Promise<Libraries> {
  return subject.prebuilt.length > 0 ? librariesThere(subject, options) : librariesBuilt(subject, options);
}

async function librariesBuilt(subject: Subject, options: LibrariesOptions): Promise<Libraries> {
  const { application } = subject;
  const { settings, admission, signal } = options;
  const own = platformName(thisPlatform());
  const targets: [string, Target | undefined][] = [...new Set(options.targets.length === 0 ? [own] : options.targets)]
    .sort()
    .map((name) => [name, name === own ? undefined : targetNamed(name)]);
  const libraries: PackedLibrary[] = [];
  const diagnostics: Diagnostic[] = [];
  const warnings: string[] = [];
  for (const [platform, target] of targets) {
    const built = await compile(application, {
      dataDirectory: settings.data,
      env: processEnvironment(),
      timeoutMs: settings.buildMs,
      imageLimit: settings.imageLimit,
      signal,
      profile: 'bundle',
      ...(target === undefined ? {} : { target, inspect: (bytes) => loadCore().inspectImage(bytes, 'any').findings }),
    });
    const bytes = await readFile(built.library);
    if (target === undefined) await admission.check(application, built.library, settings, true);
    const library = await checkedLibrary(subject, { bytes, platform, file: `the library for ${platform}` });
    libraries.push(library);
    diagnostics.push(...built.warnings);
    const carried = [application.folder, settings.data, packageRoot].find((place) => bytes.includes(`${place}/`));
    if (carried !== undefined)
      warnings.push(
        `the library for ${platform} has a path of this machine in it, ${carried}: others build another one`,
      );
  }
  return { libraries, diagnostics, warnings };
}

async function librariesThere(
  subject: Subject,
  { targets, settings, admission }: LibrariesOptions,
): Promise<Libraries> {
  const { application, prebuilt } = subject;
  if (targets.length > 0)
    throw new TenonError('PackFailed', `${application.id} has no sources to build for ${targets.join(', ')}`, {
      next: 'leave --target out: the libraries that are there are packed',
      details: { application: application.id, targets },
    });
  const libraries: PackedLibrary[] = [];
  const warnings: string[] = [];
  for (const { file, platform } of prebuilt) {
    const bytes = await readRegular(file, settings.imageLimit).catch((cause: NodeJS.ErrnoException) => {
      const code = cause.code === 'EFBIG' ? 'ImageTooLarge' : 'ImageNotFound';
      throw new TenonError(code, `${file} cannot be read: ${cause.message}`, { details: { path: file }, cause });
    });
    const library = await checkedLibrary(subject, { bytes, platform, file });
    libraries.push(library);
    if (library.platform === platformName(thisPlatform())) await admission.check(application, file, settings, true);
    if (library.abi === undefined) warnings.push(`${file} cannot be read here, and is packed as it is`);
  }
  return {
    libraries: libraries.sort((one, other) => (one.platform < other.platform ? -1 : 1)),
    diagnostics: [],
    warnings,
  };
}

interface Candidate {
  bytes: Buffer;
  /** Undefined: the one that the file says. */
  platform: string | undefined;
  /** For people. */
  file: string;
}

async function checkedLibrary(
  { application, said }: Subject,
  { bytes, platform, file }: Candidate,
): Promise<PackedLibrary> {
  const { id, version } = application;
  const refused = (why: string, next: string): TenonError =>
    new TenonError('PackFailed', `${file}: ${why}`, { next, details: { application: id, path: file } });
  // No image of macOS is read here, nor one of Linux there.
  if (platform?.startsWith(process.platform) === false) {
    if (said?.abi === undefined)
      throw refused('it cannot be read here, and manifest.json does not say its abi', 'say it in manifest.json');
    const suffix = platform.startsWith('darwin-') ? '.dylib' : '.so';
    return { platform, path: `prebuilds/${platform}/${id}${suffix}`, bytes, abi: undefined, glibcFloor: undefined };
  }
  let facts: ImageFacts;
  try {
    facts = loadCore().inspectImage(bytes, 'any');
  } catch (cause) {
    const { code, message } = asTenonError(cause);
    throw new TenonError(code, `${file}: ${message}`, { details: { application: id, path: file }, cause });
  }
  const { note, arch, libc, glibcFloor } = facts;
  if (note.id !== id) throw refused(`it is the plugin ${note.id}, not ${id}`, 'give both the same id');
  if (note.version !== version) {
    const place = await placeOfPlugin(application);
    throw place === undefined
      ? refused(`its version is ${note.version}, not ${version}`, 'build it again, or correct the version')
      : refused(versionsDiffer(`TENON_PLUGIN in ${place.file}`, note.version, application), 'make the two the same');
  }
  const os = process.platform === 'darwin' ? 'darwin' : 'linux';
  const own = platformName({ os, arch, libc });
  if (platform !== undefined && platform.replace(/-glibc$/, '') !== own)
    throw refused(`it is for ${own}, not for ${platform}`, 'correct `entrypoints` in manifest.json');
  const name = `${id}${path.extname(file) === '.dylib' || os === 'darwin' ? '.dylib' : '.so'}`;
  const abi = `${note.abiMajor}.${note.abiMinor}`;
  return { platform: platform ?? own, path: `prebuilds/${platform ?? own}/${name}`, bytes, abi, glibcFloor };
}
