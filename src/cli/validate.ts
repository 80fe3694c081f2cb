/** `tenon validate`: whether a host would take an application or a bundle, found out without one. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { processEnvironment, resolveSettings, type Settings } from '../base/config.js';
import { asTenonError } from '../base/errors.js';
import { loadCore } from '../binding/core.js';
import { offeredBy } from '../bundle/choose.js';
import type { BundleFiles } from '../bundle/folder.js';
import { manifestFile } from '../bundle/manifest.js';
import { thisPlatform } from '../bundle/platform.js';
import { Trust } from '../bundle/trust.js';
import { type Application, readApplication } from '../compiler/application.js';
import { compile } from '../compiler/build.js';
import { isBelow } from '../compiler/way.js';
import { isolationIn } from '../host/applications.js';
import { type Bundled, Bundles } from '../host/bundled.js';
import { isolationSettings } from '../host/isolation-of.js';
import { realPlace, requireMakeable } from '../host/writable.js';
import { Admission } from './admission.js';
import { isFolder, readGiven } from './bundle-at.js';
import { exitStatus } from './failure.js';
import { reportLibrary } from './library-report.js';
import { printable } from './printable.js';
import { type Problem, problemLine, problemsOf } from './problems.js';
import { tableComplaints } from './table-complaints.js';

export interface ValidateFlags {
  build?: true;
  data?: string;
  json?: true;
}

/** The shape that `--json` prints. */
export interface ValidateReport {
  /** No host would refuse it for what could be found out. */
  ok: boolean;
  kind: 'application' | 'archive' | 'folder' | 'library';
  id?: string;
  version?: string;
  /** The library that this machine would open: where, and for which platform; `sources`: what was compiled. */
  library?: { path: string; platform: string };
  problems: Problem[];
}

/** One look at one place; what it finds is in its report. */
class Validation {
  readonly report: ValidateReport = { ok: false, kind: 'application', problems: [] };
  readonly #place: string;
  readonly #settings: Settings;
  /** As a host has them. */
  readonly #host: Settings;
  readonly #trust: Trust;
  readonly #work: string;
  readonly #signal: AbortSignal;
  readonly #admission: Admission;

  /** @param work a directory of its own, which goes with it */
  constructor(place: string, settings: Settings, work: string, signal: AbortSignal, admission: Admission) {
    this.#place = place;
    this.#settings = { ...settings, data: work };
    this.#host = settings;
    this.#trust = new Trust(path.resolve(settings.trust || path.join(settings.data, 'trust.json')));
    this.#work = work;
    this.#signal = signal;
    this.#admission = admission;
  }

  async run(build: boolean): Promise<void> {
    try {
      if ((await isFolder(this.#place)) && !existsSync(path.join(this.#place, manifestFile)))
        await this.#ofApplication(build);
      else await this.#ofGiven(build);
    } catch (error) {
      this.#signal.throwIfAborted();
      if (error instanceof TypeError) throw error;
      this.#complain(error);
    }
    this.report.ok = !this.report.problems.some(({ severity }) => severity === 'error');
  }

  async #ofApplication(build: boolean): Promise<void> {
    const application = await readApplication(this.#place);
    this.#name(application);
    const fits = this.#isolation(application, false);
    const tablesFit = await this.#tables(application);
    if (!fits) return;
    if (application.prebuilt !== undefined) {
      this.report.library = { path: path.basename(application.prebuilt), platform: 'main' };
      await this.#admission.check(application, application.prebuilt, this.#settings, true);
    } else if (build && tablesFit && application.sources.length > 0) await this.#compile(application);
  }

  async #ofGiven(build: boolean): Promise<void> {
    const given = await readGiven(this.#place, this.#settings.bundleLimit);
    this.report.kind = given.kind;
    if (given.kind === 'library') await this.#admit(path.basename(this.#place), given.bytes);
    else await this.#ofBundle(given.files, build);
  }

  async #ofBundle(files: BundleFiles, build: boolean): Promise<void> {
    this.#name(files.manifest);
    const bundles = new Bundles({
      core: loadCore(),
      trust: this.#trust,
      policy: 'warn',
      imageLimit: this.#settings.imageLimit,
      fileLimit: this.#settings.bundleLimit,
      copies: path.join(this.#work, 'bundles'),
    });
    const areWhole = await this.#readAll(files);
    const bundled = await bundles.check(files, this.#place, 'warn');
    for (const message of bundled.verdict.warnings) this.#warn(message);
    const fits = this.#isolation(bundled.source, true);
    if (!areWhole) return;
    const folder = await bundles.copy(files, this.#place);
    await this.#tables({ ...bundled.source, folder });
    await this.#foreign(files);
    await this.#choose(bundles, bundled, build && fits);
  }

  /** Whether every file is the one that the manifest lists. */
  async #readAll({ manifest, read }: BundleFiles): Promise<boolean> {
    let areWhole = true;
    for (const [file, { size }] of Object.entries(manifest.files ?? {}))
      await read(file, size).catch((error: unknown) => {
        areWhole = false;
        this.#complain(error);
      });
    return areWhole;
  }

  /** Whether the libraries that are not for this machine are for what the manifest says. */
  async #foreign({ manifest, read }: BundleFiles): Promise<void> {
    const here = thisPlatform();
    for (const [platform, file] of Object.entries(offeredBy(manifest, here))) {
      if (platform === 'main' || platform.startsWith(`${here.os}-${here.arch}`) || !platform.startsWith('linux-'))
        continue;
      const bytes = await read(file, this.#settings.imageLimit).catch(() => undefined);
      if (bytes === undefined) continue;
      const { error, arch = '', libc, abi } = reportLibrary(bytes, { path: file, platforms: [] }, loadCore());
      const [, wantedArch, wantedLibc = 'glibc'] = platform.split('-');
      if (error !== undefined) this.#warn(`${platform}: ${error.message}`, file);
      else if (arch !== wantedArch || (libc ?? wantedLibc) !== wantedLibc)
        this.#warn(`${platform}: the library is for linux-${arch}${libc === 'musl' ? '-musl' : ''}`, file);
      else if (manifest.abi !== undefined && abi !== manifest.abi)
        this.#warn(`${platform}: the library is built for ABI ${abi}, the manifest says ${manifest.abi}`, file);
    }
  }

  async #choose(bundles: Bundles, bundled: Bundled, build: boolean): Promise<void> {
    const { files, source } = bundled;
    const chosen = await bundles.choose(bundled);
    if (chosen.path !== undefined) {
      this.report.library = { path: chosen.path, platform: chosen.from };
      const bytes = await files.read(chosen.path, this.#settings.imageLimit);
      await bundles.refuseKilled(files.manifest.id, createHash('sha256').update(bytes).digest('hex'));
      await this.#admit(chosen.path, bytes, files.manifest.id);
      return;
    }
    if (source.sources.length === 0) return;
    if (chosen.refusal !== undefined) this.#warn(`${chosen.refusal.message}; a host would compile it`);
    if (build)
      await bundles.compiled(bundled, chosen, async (application) => ({
        library: await this.#compile(application),
        warnings: [],
      }));
  }

  async #compile(application: Application): Promise<string> {
    const built = await compile(application, {
      dataDirectory: this.#work,
      env: processEnvironment(),
      timeoutMs: this.#settings.buildMs,
      signal: this.#signal,
    });
    this.report.problems.push(...built.warnings);
    this.report.library = { path: path.basename(built.library), platform: 'sources' };
    const warnings = await this.#admission.check(application, built.library, this.#settings, true);
    this.report.problems.push(...warnings);
    return built.library;
  }

  async #admit(name: string, bytes: Buffer, expectedId?: string): Promise<void> {
    const image = { bytes, sha256: createHash('sha256').update(bytes).digest('hex') };
    await this.#admission.checkImage(name, image, this.#settings, expectedId);
  }

  /** Whether its schema and its records are right. */
  async #tables(application: Application): Promise<boolean> {
    const { diagnostics, error } = await tableComplaints(application, this.#settings);
    for (const diagnostic of diagnostics)
      this.report.problems.push(
        diagnostic.severity === 'error' && error !== undefined ? { code: error.code, ...diagnostic } : diagnostic,
      );
    if (error !== undefined && diagnostics.length === 0) this.#complain(error);
    return error === undefined;
  }

  /** Whether it may be where it wants to run. What lies elsewhere is looked at as if it were among the applications already. */
  #isolation(application: Application, isBundle: boolean): boolean {
    const { id, folder } = application;
    const { applications: directory, data: dataDirectory } = this.#host;
    const home = isBelow(directory, folder) ? folder : path.join(directory, path.basename(folder));
    try {
      const options = { ...isolationSettings(this.#host), directory, dataDirectory };
      const moved = { ...application, folder: home, prebuilt: undefined };
      const { mode, plan, warnings } = isolationIn(moved, isBundle, options);
      for (const message of warnings) this.#warn(message);
      if (mode !== 'process' || this.report.kind === 'archive') return true;
      const from = realPlace(home);
      const here = (place: string): string =>
        isBelow(from, place) ? path.join(folder, path.relative(from, place)) : place;
      requireMakeable(id, plan.writable.map(here));
      return true;
    } catch (error) {
      this.#complain(error);
      return false;
    }
  }

  #name({ id, version }: { id: string; version: string }): void {
    Object.assign(this.report, { id, version });
  }

  #complain(error: unknown): void {
    this.report.problems.push(...problemsOf(asTenonError(error)));
  }

  #warn(message: string, file?: string): void {
    this.report.problems.push({ severity: 'warning', message, ...(file === undefined ? {} : { file }) });
  }
}

/**
 * Print what keeps a host from taking what is at `place`. Resolves to the exit status: 0 when it would be taken.
 * Rejects with TypeError for a place where nothing is.
 */
export async function validate(place: string, flags: ValidateFlags): Promise<number> {
  const absolute = path.resolve(place);
  const { settings } = resolveSettings({ flags: { data: flags.data } });
  const abort = new AbortController();
  let interrupted = false;
  const onSignal = (): void => {
    interrupted = true;
    abort.abort(new Error('interrupted'));
  };
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  const work = await mkdtemp(path.join(os.tmpdir(), 'tenon-validate-'));
  const admission = new Admission();
  try {
    const validation = new Validation(absolute, settings, work, abort.signal, admission);
    await validation.run(flags.build === true);
    const { report } = validation;
    if (flags.json === true) process.stdout.write(`${JSON.stringify(report)}\n`);
    else print(report, place);
    return report.ok ? 0 : exitStatus.refused;
  } catch (error) {
    if (interrupted) return 130;
    throw error;
  } finally {
    await admission.close();
    await rm(work, { recursive: true, force: true });
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

function print({ ok, id, version, library, problems }: ValidateReport, place: string): void {
  for (const problem of problems) process.stderr.write(`${problemLine(problem, place)}\n`);
  const name = id === undefined ? place : `${id} ${version}`;
  const chosen = library === undefined ? '' : ` (${library.platform}: ${library.path})`;
  process.stdout.write(`${printable(name)}: ${ok ? `valid${printable(chosen)}` : 'not valid'}\n`);
}
