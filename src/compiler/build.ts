/** From an application's sources to its library. */
import path from 'node:path';
import { TenonError } from '../base/errors.js';
import type { Application } from './application.js';
import { Fingerprints } from './fingerprint.js';
import { Hold } from './hold.js';
import { type Built, type CompileOptions, Job } from './job.js';
import { claimDirectory } from './owner.js';
import { profiles } from './profile.js';
import { findToolchain } from './toolchain.js';

export { describe as describeWarning } from './diagnostics.js';
export type { Built, CompileOptions } from './job.js';
export type { Finding } from './lint.js';
export type { Profile } from './profile.js';

/**
 * Build the library of `application`; a prebuilt one is returned as it is. What was built before, of the same content
 * and by the same tools, is not built again, whatever the times of its files say. What cannot be traced (CMake packages,
 * `.incbin`, names that the build tool cannot tell, too many files) is built from scratch each time.
 * Throws `ToolchainMissing`, `DependencyMissing`, `SourcesMissing`, `BuildTimeout`, `ImageTooLarge`, and `BuildFailed`
 * with `details: {file, line, column, diagnostics}`. After a failure the library of before is still there.
 */
export async function compile(application: Application, options: CompileOptions): Promise<Built> {
  const { dataDirectory, profile = 'release', timeoutMs = 300_000, signal, target } = options;
  if (!path.isAbsolute(dataDirectory)) throw new TypeError(`dataDirectory must be absolute, got "${dataDirectory}"`);
  if (!profiles.includes(profile)) throw new TypeError(`profile must be ${profiles.join(', ')}, got "${profile}"`);
  const began = performance.now();
  const since = (): number => performance.now() - began;
  if (application.prebuilt !== undefined)
    return { library: application.prebuilt, changed: false, ms: since(), cached: true, warnings: [], findings: [] };
  signal?.throwIfAborted();
  if (/[;"\\]/.test(dataDirectory))
    throw new TenonError('BuildFailed', `CMake cannot build below a path with one of ; " \\: ${dataDirectory}`, {
      next: 'choose another data directory',
      details: { dataDirectory },
    });
  const { id, folder } = application;
  // A path with these cannot stand in an #include.
  if (/["\\\n\r]/.test(folder))
    throw new TenonError('BuildFailed', `${id} lies in a folder with a quote, a backslash or a line break: ${folder}`, {
      next: 'rename the folder, or put the application elsewhere',
      details: { application: id, folder },
    });
  const toolchain = findToolchain(options.env, target);
  const waiting = { timeLimitMs: timeoutMs, signal };
  const builds = path.join(dataDirectory, 'cache', 'builds');
  const base = await claimDirectory(builds, application.id, application.folder, waiting);
  const ofTarget = target === undefined ? '' : `-${target.name}`;
  const directory = profile === 'release' && target === undefined ? base : path.join(base, profile + ofTarget);
  const hold = await Hold.take(directory, waiting);
  const fingerprints = await Fingerprints.open(path.join(dataDirectory, 'cache', 'fingerprints'));
  try {
    await hold.recover();
    const job = new Job({
      application,
      options,
      profile,
      toolchain,
      directory,
      hold,
      fingerprints,
      since,
    });
    const made = await job.make();
    return { ...made, ms: since() };
  } finally {
    await fingerprints.save();
    hold.release();
  }
}
