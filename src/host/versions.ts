/** Builds that have served, kept so that a plugin can go back to them. */
import { mkdir, readdir, readFile, rm, rmdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { asTenonError, TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import { replaceFile } from '../base/replace-file.js';
import type { BundleFacts } from './bundled.js';
import { putAside } from './put-aside.js';
import { TriedBuilds } from './tried-builds.js';

/** One kept build of a plugin. */
export interface Version {
  /** SHA-256 of its library, hexadecimal. */
  readonly sha256: string;
  /** What its descriptor says; `unknown` when the list of kept builds was lost. */
  readonly version: string;
  /** Bytes. */
  readonly size: number;
  /** Generation it last served as; 0 when that was lost. */
  readonly generation: number;
  /** When it last began to serve, ISO 8601. */
  readonly servedAt: string;
  /** Why it was taken back; absent for one that did well. Such a build is loaded by hand only. */
  readonly condemned?: string;
  /** Whether it ran in processes of its own when it was taken back. */
  readonly condemnedApart?: true;
  /** The bundle it came with. */
  readonly bundle?: BundleFacts;
}

/** Why a build is loaded by hand only. */
export interface Condemnation {
  readonly reason: string;
  /** Whether it ran in processes of its own then. */
  readonly isApart: boolean;
}

export interface VersionsOptions {
  /** Absolute path; a folder for each plugin is made in it. */
  directory: string;
  /** Kept builds of one plugin, the running one among them; at least 2. */
  limit: number;
  log: Log;
}

const index = 'versions.json';
const tablesFile = 'tables.json';
const configFile = 'config.json';
const good = { reason: '', isApart: false };
const goneKept = 16;
/** For the disk to take a build that serves, while the one before it waits to be shut down, ms. */
const patienceMs = 2000;
/** A generation's number is one word to the core. */
const lastNumber = 2 ** 31 - 1;
const hash = /^[0-9a-f]{64}$/;
const library = /^([0-9a-f]{64})\.library$/;

/**
 * The kept builds of all plugins of one data directory. What is asked is answered after what was told before. A disk
 * that takes nothing costs the way back, and no reload: it is logged.
 */
export class Versions {
  readonly #options: VersionsOptions;
  readonly #tried: TriedBuilds;
  readonly #proven: TriedBuilds;
  readonly #known = new Map<string, Version[]>();
  readonly #work = new Map<string, Promise<void>>();
  /** What was told of builds and is not written yet: that one is good, or why it is not. */
  readonly #told = new Map<string, Condemnation>();
  /** Libraries of each plugin that served last, by hash, while one of them may not be written yet; as many as are kept. */
  readonly #unwritten = new Map<string, Map<string, Uint8Array>>();

  constructor(options: VersionsOptions) {
    this.#options = options;
    this.#tried = new TriedBuilds(`${options.directory}-tried.json`);
    this.#proven = new TriedBuilds(`${options.directory}-proven.json`, 'for good');
  }

  /** Whether the build was tried and has served here, in this host or one before it that the same process has run. */
  wasTried(sha256: string): Promise<boolean> {
    return this.#tried.has(sha256);
  }

  /** Whether the build has shown that it is well, in this host or any before it. */
  isProven(sha256: string): Promise<boolean> {
    return this.#proven.has(sha256);
  }

  /** The build of `id` has shown that it is well. Kept in the background. */
  proves(id: string, sha256: string): void {
    const added = this.#proven.add(sha256);
    this.#next(id, `that a build of ${id} is well could not be kept`, () => added);
  }

  /**
   * Why the build of `id` with this hash is loaded by hand only, if it is. What is being written does not hold it up: only
   * the first question about a plugin reads its list. Where that cannot be read, it is logged, and no build is.
   */
  async condemned(id: string, sha256: string): Promise<Condemnation | undefined> {
    const told = this.#told.get(`${id} ${sha256}`);
    if (told !== undefined) return told === good ? undefined : told;
    const kept = (await this.#glance(id)).find((version) => version.sha256 === sha256);
    return kept?.condemned === undefined
      ? undefined
      : { reason: kept.condemned, isApart: kept.condemnedApart === true };
  }

  /** Number of the last generation that is known to have served, in this host or one before it; 0 when none is. */
  async lastGeneration(id: string): Promise<number> {
    return Math.max(0, ...(await this.#glance(id)).map(({ generation }) => generation));
  }

  /** Kept builds of `id`, the one that came last first. */
  async list(id: string): Promise<readonly Version[]> {
    await this.#work.get(id);
    return this.#read(id);
  }

  /** Absolute path of the library of a kept build. What it holds is to be checked against the hash. */
  fileOf(id: string, { sha256 }: Version): string {
    return path.join(this.#folder(id), `${sha256}.library`);
  }

  /**
   * The kept build that `wanted` alone names: the beginning of its hash (6 digits or more), the number of its generation,
   * or its version; without it the one before `running` (hash) that was not condemned. Throws
   * `VersionNotFound`.
   */
  async find(id: string, wanted: string | undefined, running: string | undefined): Promise<Version> {
    const kept = await this.list(id);
    const place = kept.findIndex(({ sha256 }) => sha256 === running);
    const [found, second] = kept.filter((version, at) => {
      if (wanted === undefined) return at > place && version.condemned === undefined;
      if (wanted.length >= 6 && version.sha256.startsWith(wanted)) return true;
      return String(version.generation) === wanted || version.version === wanted;
    });
    if (found !== undefined && (second === undefined || wanted === undefined)) return found;
    if (found !== undefined)
      throw new TenonError('VersionNotFound', `${id}: several kept builds are ${JSON.stringify(wanted)}`, {
        next: `name one by its hash: ${kept.map(({ sha256 }) => sha256.slice(0, 12)).join(', ')}`,
        details: { plugin: id, wanted, kept: kept.map(({ sha256, version }) => ({ sha256, version })) },
      });
    const what = wanted === undefined ? 'no other build to go back to' : `no kept build ${JSON.stringify(wanted)}`;
    throw new TenonError('VersionNotFound', `${id}: there is ${what}`, {
      next: kept.length === 0 ? 'builds are kept once they have served' : `see GET /api/v1/plugins/${id}/versions`,
      details: { plugin: id, wanted, kept: kept.map(({ sha256, version }) => ({ sha256, version })) },
    });
  }

  /** `build` serves from now on. Its bytes are kept in the background. One that was gone `backTo` keeps its place. */
  serves(
    id: string,
    build: Omit<Version, 'servedAt' | 'condemned' | 'condemnedApart'>,
    bytes: Uint8Array,
    backTo: boolean,
  ): void {
    this.#hold(id, build.sha256, bytes);
    this.#later(id, build.sha256, good, async () => {
      const held = this.#unwritten.get(id)?.get(build.sha256);
      // So many others have served since that it is not kept.
      if (held === undefined) return;
      const kept = await this.#read(id);
      const version: Version = { ...build, servedAt: new Date().toISOString() };
      const before = kept.findIndex(({ sha256 }) => sha256 === build.sha256);
      const place = backTo ? Math.max(0, before) : 0;
      const all: Version[] = kept.filter(({ sha256 }) => sha256 !== build.sha256);
      all.splice(place, 0, version);
      await mkdir(this.#folder(id), { recursive: true, mode: 0o700 });
      if (before === -1) await replaceFile(this.fileOf(id, version), held, { durable: true });
      await this.#write(id, all.slice(0, this.#options.limit));
      await this.#tried.add(build.sha256);
      for (const dropped of all.slice(this.#options.limit)) await rm(this.fileOf(id, dropped), { force: true });
    });
  }

  /** Resolves when all that was told of `id` is written or given up, or was waited for long enough. Never rejects. */
  async settled(id: string): Promise<void> {
    const enough = new AbortController();
    const patience = sleep(patienceMs, undefined, { signal: enough.signal, ref: false }).catch(() => {});
    await Promise.race([this.#work.get(id), patience]);
    enough.abort();
  }

  /** What the plugin's tables are made of from now on, as text; undefined for one without. Kept in the background. */
  keepTables(id: string, text: string | undefined): void {
    this.#keepBeside(id, tablesFile, `what the tables of ${id} are made of could not be kept`, text);
  }

  /** What of the plugin's config is in force from now on, as text. Kept in the background. */
  keepConfig(id: string, text: string | undefined): void {
    this.#keepBeside(id, configFile, `what of the config of ${id} is in force could not be kept`, text);
  }

  #keepBeside(id: string, name: string, trouble: string, text: string | undefined): void {
    const file = path.join(this.#folder(id), name);
    this.#next(id, trouble, async () => {
      const before = await readFile(file, 'utf8').catch(ifAbsent(undefined));
      if (before === text) return;
      if (text === undefined) return rm(file, { force: true });
      await mkdir(this.#folder(id), { recursive: true, mode: 0o700 });
      await replaceFile(file, text, { durable: true });
    });
  }

  /** What was kept of its tables when it served last; undefined when it had none. */
  tablesOf(id: string): Promise<string | undefined> {
    return this.#readBeside(id, tablesFile);
  }

  /** What was kept of its config when it served last; undefined when nothing was. */
  configOf(id: string): Promise<string | undefined> {
    return this.#readBeside(id, configFile);
  }

  async #readBeside(id: string, name: string): Promise<string | undefined> {
    await this.#work.get(id);
    return readFile(path.join(this.#folder(id), name), 'utf8').catch(ifAbsent(undefined));
  }

  /** The build did not do well: from now on it is loaded by hand only. */
  condemn(id: string, sha256: string, { reason, isApart }: Condemnation): void {
    this.#later(id, sha256, { reason, isApart }, async () => {
      const kept = await this.#read(id);
      // One that never served is not kept, and there may be no folder.
      if (!kept.some((version) => version.sha256 === sha256)) return;
      await this.#write(
        id,
        kept.map((version) => {
          if (version.sha256 !== sha256) return version;
          const { condemnedApart: _, ...build } = version;
          return { ...build, condemned: reason, ...(isApart ? { condemnedApart: true } : {}) };
        }),
      );
    });
  }

  /**
   * Keep builds of plugins that are not `present` for when they come back: of the 16 whose last change is the latest. What
   * cannot be removed is logged.
   */
  async forgetGone(present: (id: string) => boolean): Promise<void> {
    try {
      const folders = await readdir(this.#options.directory, { withFileTypes: true }).catch(ifAbsent([]));
      const gone: { id: string; at: number }[] = [];
      for (const folder of folders) {
        const id = folder.name;
        if (!folder.isDirectory() || present(id)) continue;
        const { mtimeMs: at } = await stat(path.join(this.#folder(id), index)).catch(ifAbsent({ mtimeMs: 0 }));
        gone.push({ id, at });
      }
      for (const { id } of gone.toSorted((left, right) => right.at - left.at).slice(goneKept)) {
        if (present(id) || this.#work.has(id)) continue;
        const removed = rm(this.#folder(id), { recursive: true, force: true });
        // Whoever comes back meanwhile reads its list afterwards.
        const settled = removed.catch(() => {});
        this.#work.set(id, settled);
        void settled.then(() => {
          if (this.#work.get(id) === settled) this.#work.delete(id);
        });
        this.#known.delete(id);
        await removed;
      }
    } catch (error) {
      const { message } = asTenonError(error);
      this.#options.log.warn({ error: message }, 'kept builds of applications that are gone could not be removed');
    }
  }

  /** No build of `id` is kept any more. Rejects when they cannot be removed. */
  async forget(id: string): Promise<void> {
    await this.#work.get(id);
    const builds = (await this.#glance(id)).map(({ sha256 }) => sha256);
    this.#known.delete(id);
    await rm(this.#folder(id), { recursive: true, force: true });
    for (const memory of [this.#tried, this.#proven]) await memory.remove(builds);
    await rmdir(this.#options.directory).catch(() => {}); // others have builds there, or it was never made
  }

  /** Everything that was told is written, or was given up. */
  async close(): Promise<void> {
    await Promise.all(this.#work.values());
  }

  /** The list without what is being written; nothing where it cannot be read. */
  async #glance(id: string): Promise<readonly Version[]> {
    try {
      return this.#known.get(id) ?? (await this.list(id));
    } catch (error) {
      const { message } = asTenonError(error);
      this.#options.log.warn(
        { plugin: id, error: message },
        `the kept builds of ${id} could not be read: which were taken back is not known`,
      );
      return [];
    }
  }

  #hold(id: string, sha256: string, bytes: Uint8Array): void {
    const held = this.#unwritten.get(id) ?? new Map<string, Uint8Array>();
    this.#unwritten.set(id, held);
    held.delete(sha256);
    held.set(sha256, bytes);
    const [oldest] = held.keys();
    if (held.size > this.#options.limit && oldest !== undefined) held.delete(oldest);
  }

  #later(id: string, sha256: string, told: Condemnation, work: () => Promise<void>): void {
    this.#told.set(`${id} ${sha256}`, told);
    this.#next(id, `a build of ${id} could not be kept to go back to`, work);
  }

  /** @param trouble what is logged when it fails */
  #next(id: string, trouble: string, work: () => Promise<void>): void {
    const before = this.#work.get(id) ?? Promise.resolve();
    const done = before.then(work).catch((error: unknown) => {
      const { message } = asTenonError(error);
      this.#options.log.warn({ plugin: id, error: message }, trouble);
    });
    this.#work.set(id, done);
    void done.then(() => {
      if (this.#work.get(id) !== done) return;
      this.#work.delete(id);
      this.#unwritten.delete(id);
      for (const key of this.#told.keys()) if (key.startsWith(`${id} `)) this.#told.delete(key);
    });
  }

  async #read(id: string): Promise<Version[]> {
    const known = this.#known.get(id);
    if (known !== undefined) return known;
    const folder = this.#folder(id);
    const files = new Set(await readdir(folder).catch(ifAbsent([])));
    const listed = files.has(index) ? await this.#listed(id) : undefined;
    const kept = listed?.filter(({ sha256 }) => files.has(`${sha256}.library`)) ?? (await found(folder, files));
    // Left by a host that was killed between two writes.
    for (const name of files) {
      const [, sha256] = library.exec(name) ?? [];
      const unlisted = sha256 !== undefined && !kept.some((version) => version.sha256 === sha256);
      if (unlisted || /\.(?:new|tmp)$/.test(name)) await rm(path.join(folder, name), { force: true });
    }
    this.#known.set(id, kept);
    return kept;
  }

  /** What the index of `id` says. One that cannot be read is put aside, and is as none: undefined. */
  async #listed(id: string): Promise<Version[] | undefined> {
    const file = path.join(this.#folder(id), index);
    try {
      return parse(await readFile(file, 'utf8'));
    } catch (cause) {
      const { message } = asTenonError(cause);
      const place = await putAside(file, 'damaged');
      this.#options.log.warn(
        { plugin: id, error: message },
        `the list of kept builds of ${id} could not be read, and was put aside as ${place}; which were taken back is not known`,
      );
      return undefined;
    }
  }

  async #write(id: string, versions: Version[]): Promise<void> {
    // It holds for this host also when it cannot be written for the next one.
    this.#known.set(id, versions);
    const text = `${JSON.stringify(versions, undefined, 2)}\n`;
    await replaceFile(path.join(this.#folder(id), index), text, { durable: true });
  }

  #folder(id: string): string {
    return path.join(this.#options.directory, id);
  }
}

function parse(text: string): Version[] {
  const read: unknown = JSON.parse(text);
  if (Array.isArray(read) && read.every(isVersion)) return read;
  throw new Error('it is no list of builds');
}

/** The builds whose libraries are among `files`, the one written last first. */
async function found(folder: string, files: Iterable<string>): Promise<Version[]> {
  const builds: Version[] = [];
  for (const name of files) {
    const [, sha256] = library.exec(name) ?? [];
    if (sha256 === undefined) continue;
    const { size, mtime } = await stat(path.join(folder, name));
    builds.push({ sha256, version: 'unknown', size, generation: 0, servedAt: mtime.toISOString() });
  }
  return builds.toSorted((left, right) => right.servedAt.localeCompare(left.servedAt));
}

function ifAbsent<T>(instead: T): (error: unknown) => T {
  return (error) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return instead;
    throw error;
  };
}

function isVersion(value: unknown): value is Version {
  if (typeof value !== 'object' || value === null) return false;
  const { sha256, version, size, generation, servedAt, condemned, condemnedApart, bundle } = value as Record<
    string,
    unknown
  >;
  return (
    (bundle === undefined || isBundleFacts(bundle)) &&
    typeof sha256 === 'string' &&
    hash.test(sha256) &&
    typeof version === 'string' &&
    typeof size === 'number' &&
    Number.isInteger(generation) &&
    Number(generation) >= 0 &&
    Number(generation) <= lastNumber &&
    typeof servedAt === 'string' &&
    (condemned === undefined || typeof condemned === 'string') &&
    (condemnedApart === undefined || condemnedApart === true)
  );
}

function isBundleFacts(value: unknown): value is BundleFacts {
  if (typeof value !== 'object' || value === null) return false;
  const { sha256, version, library: from, warnings, permissions } = value as Record<string, unknown>;
  const texts = [sha256, version, from].every((each) => typeof each === 'string');
  const lists = [warnings, permissions].every(Array.isArray);
  return texts && lists && hash.test(String(sha256));
}
