/** Installs bundles: everything is checked first, then one step puts all of it in place, and what does not serve is taken back. */
import { existsSync } from 'node:fs';
import { lstat } from 'node:fs/promises';
import path from 'node:path';
import { hash } from 'node:crypto';
import { asTenonError, TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import { type ArchiveLimits, readArchive } from '../bundle/archive.js';
import type { Audit } from '../bundle/audit.js';
import { type Bundle, readBundle } from '../bundle/bundle.js';
import { type BundleFiles, filesOf, readBundleFolder } from '../bundle/folder.js';
import { type HighestVersions, isBefore, isWithin } from '../bundle/highest.js';
import { manifestFile, signatureFile } from '../bundle/manifest.js';
import { look, type Places, type Seen } from '../bundle/place.js';
import type { SignaturePolicy } from '../bundle/trust.js';
import { configFile } from '../compiler/config.js';
import { admit, type Image, readImage } from '../plugin/admit.js';
import { type Applications, isBundle } from './applications.js';
import type { Bundled, Bundles, ChosenLibrary } from './bundled.js';
import type { Grants } from './grants.js';
import type { Installed, InstallOptions } from './installing.js';
import { isHeldBack, type PluginView } from './plugin.js';
import type { Plugins } from './plugins.js';
import type { Quiet } from './quiet.js';
import type { Admission } from './replace.js';
import type { Wish } from './wishes.js';

export interface InstallationOptions {
  log: Log;
  applications: Applications;
  bundles: Bundles;
  places: Places;
  highest: HighestVersions;
  audit: Pick<Audit, 'write'>;
  grants: Pick<Grants, 'of' | 'linesOf' | 'grant' | 'revoke'>;
  host: Pick<Plugins, 'list' | 'show' | 'load' | 'reload' | 'rollback' | 'refresh' | 'unload' | 'staticOf' | 'wishes'>;
  admission: Admission;
  /** Of the watch of the applications directory. */
  quiet: Quiet;
  /** Of the archive, and of all that is in it. */
  limits: ArchiveLimits;
  /** What is asked of the signature of an archive, by where it comes from. */
  policies: Readonly<Record<InstallOptions['origin'], SignaturePolicy>>;
}

/** What is in place of the bundle that comes. */
interface Present {
  readonly seen: Seen;
  /** Undefined for what cannot be read. */
  readonly files: BundleFiles | undefined;
  readonly view: PluginView | undefined;
}

/** One that has passed every check. */
interface Candidate {
  readonly bundle: Bundle;
  readonly bundled: Bundled;
  readonly folder: string;
  readonly chosen: ChosenLibrary;
  readonly present: Present | undefined;
}

export class Installation {
  readonly #options: InstallationOptions;

  constructor(options: InstallationOptions) {
    this.#options = options;
  }

  /** The bundle of an archive. Rejects as `readArchive` and `readBundle` do. */
  async read(archive: Uint8Array | AsyncIterable<Uint8Array>): Promise<Bundle> {
    return readBundle(await readArchive(archive, this.#options.limits), 'the archive');
  }

  /** As `Installing.install`, of an id that nobody else is at work on. */
  async install(bundle: Bundle, options: InstallOptions): Promise<Installed> {
    const candidate = await this.#check(bundle, options);
    const { bundled, chosen, present } = candidate;
    const { grants } = this.#options;
    const { id, version, permissions: asked } = bundle.manifest;
    const lines = grantedBy(id, asked, options.grant);
    const same = present?.files !== undefined && (await isSame(bundle, present.files));
    let placed = false;
    try {
      await this.#try(bundled, chosen);
      if (options.dryRun === true) return this.#installed(candidate, 'valid');
      const fresh = lines.filter((line) => !grants.linesOf(id).includes(line));
      if (fresh.length > 0) await grants.grant(id, fresh, options.by);
      if (same) return await this.#again(candidate);
      try {
        await this.#place(candidate, options);
      } catch (error) {
        if (fresh.length > 0) await grants.revoke(id, fresh, options.by);
        throw error;
      }
      placed = true;
    } finally {
      const kept = placed || same ? bundle.sha256 : present?.files?.sha256;
      await this.#options.bundles.forgetCopies(id, kept);
    }
    this.#options.log.info({ plugin: id, version, sha256: bundle.sha256 }, `${id} ${version} was installed`);
    return this.#installed(candidate, present === undefined ? 'installed' : 'upgraded');
  }

  /** It is in place already; it is brought up where another build of it serves, or none for want of one that does. */
  async #again(candidate: Candidate): Promise<Installed> {
    const { bundle, present } = candidate;
    const view = present?.view;
    const rests = view?.state === 'stopped' || view?.state === 'disabled';
    if (rests || (view?.state === 'running' && view.bundle?.sha256 === bundle.sha256))
      return this.#installed(candidate, 'unchanged');
    await this.#bringUp(bundle.manifest.id, bundle.sha256, present);
    return this.#installed(candidate, 'upgraded');
  }

  /** What there is to go by before anything runs or is written. */
  async #check(bundle: Bundle, options: InstallOptions): Promise<Candidate> {
    const { applications, bundles, host, policies } = this.#options;
    const { manifest } = bundle;
    const { id, version, dependencies } = manifest;
    if (host.staticOf(id) !== undefined)
      throw new TenonError('PluginStatic', `${id} is part of the program that embeds the host`, {
        next: 'give the bundle another id',
        details: { plugin: id },
      });
    const folder = applications.folderOf(id);
    const bundled = await bundles.check(filesOf(bundle, `${id}-${version}`), folder, policies[options.origin]);
    await applications.ofBundle(bundled);
    const present = await this.#present(id, folder);
    if (options.allowDowngrade !== true) await this.#refuseOlder(id, version, present?.files);
    for (const [other, range] of Object.entries(dependencies)) this.#require(id, other, range);
    return { bundle, bundled, folder, chosen: await bundles.choose(bundled), present };
  }

  async #present(id: string, folder: string): Promise<Present | undefined> {
    const { applications, highest, host } = this.#options;
    const view = host.list().find((one) => one.id === id);
    const elsewhere = view === undefined ? await applications.find(id) : view.folder;
    if (elsewhere !== undefined && elsewhere !== folder) throw exists(id, elsewhere);
    const seen = await look(folder);
    if (seen === undefined) return undefined;
    const files = await readBundleFolder(folder).catch(() => undefined);
    const info = await lstat(folder).catch(() => undefined);
    if (info?.isDirectory() !== true || !(await isReplaceable(folder, files, () => highest.of(id))))
      throw exists(id, folder);
    return { seen, files, view };
  }

  async #refuseOlder(id: string, version: string, present: BundleFiles | undefined): Promise<void> {
    const highest = await this.#options.highest.of(id);
    const [newest] = [highest, present?.manifest.version]
      .filter((one) => one !== undefined)
      .toSorted((one, other) => (isBefore(one, other) ? 1 : -1));
    if (newest === undefined || !isBefore(version, newest)) return;
    throw new TenonError('BundleDowngrade', `${id}: ${version} is older than ${newest}, which was installed`, {
      next: 'allow it if an older version is meant: --allow-downgrade',
      details: { plugin: id, version, installed: newest },
    });
  }

  #require(id: string, other: string, range: string): void {
    const found = this.#options.host.list().find((view) => view.id === other)?.version;
    if (found !== undefined && isWithin(found, range)) return;
    const there = found === undefined ? 'none runs' : `${found} runs`;
    throw new TenonError('DependencyMissing', `${id} needs ${other} ${range}, and ${there}`, {
      next: `install ${other} ${range} first`,
      details: { kind: 'plugin', plugin: id, name: other, range, ...(found === undefined ? {} : { found }) },
    });
  }

  /** The very bytes that are to be put in place pass admission. */
  async #try(bundled: Bundled, chosen: ChosenLibrary): Promise<void> {
    const { admission, applications, bundles } = this.#options;
    const { core, trial, staging, trialMs, imageLimit } = admission;
    const { id } = bundled.files.manifest;
    let place = chosen.path;
    let image: Image;
    if (place === undefined) {
      const build = await bundles.compiled(bundled, chosen, (source) => applications.compile(source));
      place = build.library;
      image = await readImage(place, imageLimit);
    } else {
      const bytes = await bundled.files.read(place, imageLimit).catch((error: unknown) => {
        throw tooLarge(id, imageLimit, error);
      });
      image = { bytes, sha256: hash('sha256', bytes) };
    }
    await bundles.refuseKilled(id, image.sha256);
    const limits = { deadlineMs: trialMs };
    const isolation = applications.confinementOf(bundled.source);
    const admitted = await admit(place, { expectedId: id, image, core, trial, staging, limits, isolation });
    admitted.staged.unlink();
  }

  async #place({ bundle, bundled, folder, present }: Candidate, { by }: InstallOptions): Promise<void> {
    const { audit, places, quiet } = this.#options;
    const { id, version } = bundle.manifest;
    const staged = await places.stage(entriesOf(bundle)).catch((error: unknown) => {
      throw failed(id, error);
    });
    const action = present === undefined ? 'install' : 'upgrade';
    const { signer } = bundled.verdict;
    const signed = signer === undefined ? {} : { keyId: signer.keyId };
    try {
      await audit.write({ action, plugin: id, version, sha256: bundle.sha256, ...signed, by });
    } catch (error) {
      await places.discard(staged);
      throw error;
    }
    quiet.hold(folder);
    try {
      await this.#swap({ bundle, folder, present }, staged);
    } finally {
      await quiet.release(folder);
    }
  }

  async #swap(
    { bundle, folder, present }: Pick<Candidate, 'bundle' | 'folder' | 'present'>,
    staged: string,
  ): Promise<void> {
    const { highest, host, places, quiet } = this.#options;
    const { id, version } = bundle.manifest;
    const wish = host.wishes().find((one) => one.id === id);
    const put = await places.put(staged, folder, present?.seen).catch((error: unknown) => {
      throw (error as NodeJS.ErrnoException).code === 'EEXIST' ? exists(id, folder) : failed(id, error);
    });
    try {
      await quiet.acknowledge(folder);
      await this.#bringUp(id, bundle.sha256, present);
      await highest.raise(id, version).catch((error: unknown) => {
        throw failed(id, error);
      });
    } catch (error) {
      const undone = await put.undo().then(
        () => true,
        (second: unknown) => failed(id, second),
      );
      await quiet.acknowledge(folder);
      await this.#bringBack(id, folder, present, wish);
      throw undone === true ? error : undone;
    }
    await put.finish().catch((error: unknown) => {
      this.#options.log.warn(
        { plugin: id, err: error },
        'what was there before could not be removed: a start does that',
      );
    });
  }

  /** It serves, or there is nobody who wants it to. */
  async #bringUp(id: string, sha256: string, present: Present | undefined): Promise<void> {
    const { host } = this.#options;
    if (present?.view === undefined) await host.load(id);
    else await host.reload(id, 'api');
    const { state, bundle, version, error, registry } = host.show(id);
    if (state === 'disabled' || state === 'stopped' || (state === 'running' && bundle?.sha256 === sha256)) return;
    if (state === 'running' && registry?.pinned === true)
      throw new TenonError(
        'VersionUnavailable',
        `${id}: the registry pins version ${registry.version}, and another one was to be installed`,
        {
          next: 'pin the version that is to be installed, or set `pinned` to false',
          details: { plugin: id, pin: registry.version, found: version },
        },
      );
    throw new TenonError(
      'InstallFailed',
      `${id} was put in place, and does not serve${error ? `: ${error.message}` : ''}`,
      {
        next: 'install it again',
        details: { plugin: id, state },
      },
    );
  }

  /** Its folder is what it was: so is the plugin, whatever the new one has left of it. */
  async #bringBack(id: string, folder: string, present: Present | undefined, wish: Wish | undefined): Promise<void> {
    const { host, log } = this.#options;
    try {
      const { state, error: before } = present?.view ?? {};
      if (state === 'stopped' && before?.code !== 'SafeMode') await host.unload(id);
      // Somebody went back to it: what the folder says is not what served.
      else if (wish?.chosen === true) await host.rollback(id, wish.sha256);
      else await host.refresh(folder, 'api');
    } catch (error) {
      if (!isHeldBack(present?.view?.error) && present?.view?.state !== 'failed')
        log.error({ plugin: id, err: error }, `${id} is not what it was before`);
    }
  }

  #installed({ bundle, bundled, chosen, present }: Candidate, status: Installed['status']): Installed {
    const { grants, host } = this.#options;
    const { id, version, permissions: asked } = bundle.manifest;
    const view = status === 'valid' ? undefined : host.list().find((one) => one.id === id);
    const { signer, warnings } = bundled.verdict;
    const served = present?.view?.state === 'running' ? present.view.version : undefined;
    const from = status === 'unchanged' ? undefined : (served ?? present?.files?.manifest.version);
    return {
      status,
      plugin: {
        id,
        version,
        ...(view?.generation === undefined ? {} : { generation: view.generation }),
        ...(view?.loadedAt === undefined ? {} : { loadedAt: view.loadedAt }),
      },
      sha256: bundle.sha256,
      ...(from === undefined ? {} : { from }),
      library: chosen.from,
      ...(signer === undefined ? {} : { signer: { keyId: signer.keyId, name: signer.name } }),
      permissions: grants.of(id, asked),
      warnings: view === undefined || view.state === 'running' ? warnings : [...warnings, standsStill(view)],
    };
  }
}

function standsStill({ id, state, error }: PluginView): string {
  const why = error?.message ?? (state === 'disabled' ? 'its config says so' : `it is ${state}`);
  return `${id} is in place, and does not run: ${why}`;
}

/**
 * Whether it is a bundle, and nothing that somebody works in. `highest` gives the version of it that was installed, if any: of a bundle
 * whose manifest is damaged or gone nothing else tells.
 */
export async function isReplaceable(
  folder: string,
  files: BundleFiles | undefined,
  highest: () => Promise<string | undefined>,
): Promise<boolean> {
  const has = (name: string): boolean => existsSync(path.join(folder, name));
  if (isBundle(folder) && (files?.manifest.files !== undefined || !has(configFile))) return true;
  return files === undefined && (has(manifestFile) || has('prebuilds')) && (await highest()) !== undefined;
}

function* entriesOf({ manifestBytes, signature, files }: Bundle): Generator<readonly [string, Uint8Array]> {
  yield [manifestFile, manifestBytes];
  if (signature !== undefined) yield [signatureFile, signature];
  yield* files;
}

/** Whether the folder has this very bundle, nothing of it damaged. */
async function isSame(bundle: Bundle, present: BundleFiles): Promise<boolean> {
  const signed = bundle.signature ?? Buffer.alloc(0);
  if (bundle.sha256 !== present.sha256 || !signed.equals(present.signature ?? Buffer.alloc(0))) return false;
  for (const [file, bytes] of bundle.files) {
    const found = await present.read(file, bytes.length).catch(() => undefined); // it is written anew
    if (found?.equals(bytes) !== true) return false;
  }
  return true;
}

function grantedBy(id: string, asked: readonly string[], grant: InstallOptions['grant']): readonly string[] {
  if (grant === undefined || grant === 'all') return grant === 'all' ? asked : [];
  const [unasked] = grant.filter((line) => !asked.includes(line));
  if (unasked === undefined) return grant;
  throw new TenonError('BadRequest', `${id} does not ask for the permission ${JSON.stringify(unasked)}`, {
    next: asked.length === 0 ? 'grant nothing: it asks for nothing' : `it asks for ${asked.join(', ')}`,
    details: { plugin: id, asked },
  });
}

function exists(id: string, folder: string): TenonError {
  return new TenonError('ApplicationExists', `${id} is there already, and was not installed: ${folder}`, {
    next: 'move it away, or give the bundle another id',
    details: { plugin: id, folder },
  });
}

function failed(id: string, cause: unknown): TenonError {
  if (cause instanceof TenonError) return cause;
  const { message, code } = cause as NodeJS.ErrnoException;
  const full = code === 'ENOSPC' || code === 'EDQUOT';
  return new TenonError('InstallFailed', `${id} could not be put in place: ${message}`, {
    next: full ? 'make room, and install it again' : 'see that the applications and data directories may be written',
    details: { plugin: id, ...(code === undefined ? {} : { reason: code }) },
    cause,
  });
}

function tooLarge(id: string, limit: number, error: unknown): TenonError {
  if ((error as NodeJS.ErrnoException).code !== 'EFBIG') return asTenonError(error);
  return new TenonError('ImageTooLarge', `${id}: its library has more than ${limit} bytes`, {
    next: 'strip the library, or raise the limit',
    details: { plugin: id, limit },
    cause: error,
  });
}
