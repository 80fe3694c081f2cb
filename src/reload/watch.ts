/** Notices what changes in the applications directory. */
import { realpathSync } from 'node:fs';
import path from 'node:path';
import { type FSWatcher, watch } from 'chokidar';
import { isArchiveName } from '../host/dropped.js';
import { differences, entriesOf, identityOf, type Look, lookAt, lookAtFile } from './look.js';
import type { RuleBook, Rules } from './rules.js';

export interface WatchOptions {
  /** Absolute path of the applications directory. */
  directory: string;
  /** Absolute paths below which nothing is looked at: the data directory. */
  ignore: readonly string[];
  /** What of each application counts, and how long it has to be quiet. */
  rules: RuleBook;
  /** Between two looks at everything, ms; asked before each. */
  intervalMs: () => number;
  /** Called for each application that came, changed or went, when it has come to rest; with the files, relative to it. */
  changed: (folder: string, files: readonly string[]) => void;
  /** The same for an archive that came or changed; with its name. */
  dropped?: (name: string) => void;
  /** Called when the system does not watch everything. */
  failed: (error: Error) => void;
}

/** How long after an application was told it is looked at again: a change may get lost while the watcher is busy. */
const secondLookMs = 60;
/** An application that does not come to rest is told as it is, this long after it began to move. */
const latestMs = 5_000;
/** Folders that are no application, whatever the rules. */
const noApplication = /^(?:\..*|node_modules|.*~|#.*#|.*\.(?:sw[a-z]|tmp|part|log))$/;

interface Restless {
  timer: NodeJS.Timeout | undefined;
  /** Whether it is looked at, and whether it was heard of meanwhile: what was seen may be older than that. */
  looking: boolean;
  heard: boolean;
  /** How the application looked last, and when that was seen, as `performance.now()`. */
  look: Look;
  seen: number;
  /** When it moved last, likewise. */
  moved: number;
  /** When it is told at the latest, likewise. */
  latest: number;
}

interface Reported {
  readonly look: Look;
  /** As `performance.now()`. */
  readonly at: number;
  readonly exclude: readonly string[];
  /** Which directory of the file system it is. */
  readonly identity: string;
}

const nothing: Look = new Map();

/**
 * Watches from `enable` to `disable`, as often as wanted. An event only says where to look: an application has changed
 * when its files look different from what was reported last, and has come to rest when none of them has changed for its
 * quiet time, by the clock of the file system. Symbolic links are not followed: a linked folder is no application, and
 * what is in one is not looked at.
 */
export class Watch {
  readonly #options: WatchOptions;
  readonly #restless = new Map<string, Restless>();
  readonly #reported = new Map<string, Reported>();
  /** Folders that somebody changes who tells of it. */
  readonly #held = new Set<string>();
  readonly #secondLooks = new Map<string, NodeJS.Timeout>();
  #wanted = false;
  #watcher: FSWatcher | undefined;
  #rescan: NodeJS.Timeout | undefined;
  /** Begins and ends come one after another. */
  #turn: Promise<void> = Promise.resolve();

  constructor(options: WatchOptions) {
    this.#options = options;
  }

  get enabled(): boolean {
    return this.#wanted;
  }

  /** Application folders that are watched now. */
  get watching(): number {
    return [...this.#reported.keys()].filter((folder) => !isArchive(folder)).length;
  }

  /** Begin; what is there now counts as known. Resolves when all of it is watched. */
  enable(): Promise<void> {
    this.#wanted = true;
    return this.#next(async () => {
      if (this.#watcher !== undefined || !this.#wanted) return;
      await this.#know();
      if (!this.#wanted) return;
      await this.#begin();
      this.#scanLater();
    });
  }

  /** Stop; what has not come to rest is forgotten. */
  disable(): Promise<void> {
    this.#wanted = false;
    this.#forget();
    return this.#next(async () => {
      if (this.#wanted) return;
      const watcher = this.#watcher;
      this.#watcher = undefined;
      this.#forget();
      this.#reported.clear();
      await watcher?.close();
    });
  }

  /**
   * Run `change`, which changes the rules: what counts then counts as known, and what moves at this moment is not lost.
   * @param excludes whether it may change what is excluded: that is watched anew
   */
  async renew(change: () => void, excludes: boolean): Promise<void> {
    const before = new Map([...this.#reported.keys()].map((folder) => [folder, this.#options.rules.of(folder)]));
    change();
    if (!this.#wanted) return;
    await this.#know(before);
    if (this.#rescan !== undefined) this.#scanLater();
    if (excludes) await this.#rebegin();
  }

  /** Tell nothing of `folder` until it is released: somebody changes it, and has it loaded. */
  hold(folder: string): void {
    this.#held.add(folder);
    clearTimeout(this.#restless.get(folder)?.timer);
    this.#restless.delete(folder);
  }

  /** What is in a folder that is held counts as known. */
  async acknowledge(folder: string): Promise<void> {
    if (!this.#wanted) return;
    const look = await this.#look(folder);
    if (this.#wanted) this.#settled(folder, look);
  }

  /** What has changed since it was acknowledged is told, from now on. */
  async release(folder: string): Promise<void> {
    this.#held.delete(folder);
    if (this.#wanted) await this.#lookAgain(folder);
  }

  /** Stop. Closing twice is fine. */
  close(): Promise<void> {
    return this.disable();
  }

  #next(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {}); // told to whoever asked
    return done;
  }

  /** The system's watches are made for what the rules exclude at that time. */
  #rebegin(): Promise<void> {
    return this.#next(async () => {
      const before = this.#watcher;
      if (before === undefined || !this.#wanted) return;
      // One that begins beside it would share its watches, also those of directories that are not there any more.
      await before.close();
      await this.#begin();
    });
  }

  async #begin(): Promise<void> {
    const { directory, failed } = this.#options;
    // The directory itself may be a link; the watcher would not follow that one either.
    const real = targetOf(directory);
    const here = (file: string): string => path.join(directory, path.relative(real, file));
    const watcher = watch(real, {
      ignoreInitial: true,
      ignorePermissionErrors: true,
      followSymlinks: false,
      atomic: false,
      ignored: (file) => file !== real && this.#ignored(here(file)),
    });
    this.#watcher = watcher;
    const hint = (file: string): void => {
      if (this.#watcher === watcher) this.#moved(here(file));
    };
    watcher.on('all', (_event, file) => hint(file));
    // These come before the watcher drops what follows the event before too closely.
    watcher.on('raw', (_event, file, about) => {
      const { watchedPath } = about as { watchedPath?: string };
      if (watchedPath === undefined) return;
      const itself = typeof file !== 'string' || path.basename(watchedPath) === file;
      hint(itself ? watchedPath : path.join(watchedPath, file));
    });
    watcher.on('error', (error) => failed(error instanceof Error ? error : new Error(String(error))));
    await new Promise<void>((resolve) => {
      watcher.once('ready', resolve);
    });
    // Whatever moved before the watch was complete.
    if (this.#wanted) await this.#lookAround();
  }

  #forget(): void {
    clearTimeout(this.#rescan);
    this.#rescan = undefined;
    for (const { timer } of this.#restless.values()) clearTimeout(timer);
    for (const timer of this.#secondLooks.values()) clearTimeout(timer);
    this.#restless.clear();
    this.#secondLooks.clear();
  }

  /**
   * What is there counts as known, but for what is moving, and what has moved since it was reported. For that it has to
   * count by today's rules as well as by those of `before`.
   */
  async #know(before: ReadonlyMap<string, Rules> = new Map()): Promise<void> {
    for (const folder of new Set([...this.#folders(), ...this.#reported.keys()])) {
      if (this.#restless.has(folder)) continue;
      const look = await this.#look(folder);
      if (!this.#wanted) return;
      if (this.#restless.has(folder)) continue;
      const [then, now] = [before.get(folder), this.#options.rules.of(folder)];
      const moved = differences(this.#known(folder), look);
      if (then !== undefined && moved.some((file) => counts(file, then) && counts(file, now))) this.#disturb(folder);
      else this.#report(folder, look);
    }
  }

  #report(folder: string, look: Look): void {
    const { rules } = this.#options;
    const { exclude } = rules.of(folder);
    const identity = identityOf(folder);
    if (look.size > 0) this.#reported.set(folder, { look, at: performance.now(), exclude, identity });
    else {
      this.#reported.delete(folder);
      rules.forget(folder);
    }
  }

  #scanLater(): void {
    clearTimeout(this.#rescan);
    const scan = async (): Promise<void> => {
      await this.#lookAround();
      if (this.#rescan === timer) this.#scanLater();
    };
    const timer = setTimeout(() => void scan().catch(this.#options.failed), this.#options.intervalMs()).unref();
    this.#rescan = timer;
  }

  #ignored(file: string): boolean {
    const { directory, ignore, rules } = this.#options;
    if (ignore.includes(file)) return true;
    const [name = '', ...rest] = path.relative(directory, file).split(path.sep);
    if (name === '' || name === '..') return false;
    return (
      noApplication.test(name) || (rest.length > 0 && rules.of(path.join(directory, name)).excludes(rest.join('/')))
    );
  }

  #folders(): string[] {
    const { directory } = this.#options;
    return entriesOf(directory)
      .filter((entry) => entry.isDirectory() || (entry.isFile() && isArchiveName(entry.name)))
      .map((entry) => path.join(directory, entry.name))
      .filter((folder) => !this.#ignored(folder));
  }

  #moved(file: string): void {
    const { directory } = this.#options;
    const [name = ''] = path.relative(directory, file).split(path.sep);
    if (name !== '' && name !== '..' && !this.#ignored(file)) this.#disturb(path.join(directory, name));
  }

  async #lookAround(): Promise<void> {
    for (const folder of new Set([...this.#folders(), ...this.#reported.keys()])) await this.#lookAgain(folder);
  }

  /** It is disturbed when it looks different from what was reported. */
  async #lookAgain(folder: string): Promise<void> {
    if (this.#restless.has(folder)) return;
    const look = await this.#look(folder);
    if (differences(this.#known(folder), look).length > 0) this.#disturb(folder);
  }

  #known(folder: string): Look {
    return this.#reported.get(folder)?.look ?? nothing;
  }

  #disturb(folder: string): void {
    const before = this.#restless.get(folder);
    if (before !== undefined) before.heard ||= before.looking;
    if (before !== undefined || !this.#wanted || this.#held.has(folder)) return;
    const now = performance.now();
    const seen = this.#reported.get(folder)?.at ?? Number.NEGATIVE_INFINITY;
    const restless: Restless = {
      timer: undefined,
      looking: false,
      heard: false,
      look: this.#known(folder),
      seen,
      moved: now,
      latest: now + latestMs,
    };
    this.#restless.set(folder, restless);
    this.#settleLater(folder, restless, 0);
  }

  #settleLater(folder: string, restless: Restless, ms: number): void {
    const settle = (): void => void this.#settle(folder, restless).catch(this.#options.failed);
    if (ms > 0) restless.timer = setTimeout(settle, Math.ceil(ms));
    else settle();
  }

  async #settle(folder: string, restless: Restless): Promise<void> {
    const begun = performance.now();
    restless.looking = true;
    const look = await this.#look(folder);
    restless.looking = false;
    if (this.#restless.get(folder) !== restless) return;
    const now = performance.now();
    const moved = differences(restless.look, look);
    if (moved.length > 0) restless.moved = now - Math.min(ageOf(look, moved), now - restless.seen);
    if (restless.heard) restless.moved = now;
    restless.heard = false;
    restless.look = look;
    restless.seen = begun;
    const files = differences(this.#known(folder), look);
    const rules = this.#options.rules.of(folder);
    const quietMs = files.length === 0 ? secondLookMs : largest(files.map(rules.quietMs));
    const latest = Math.max(restless.latest, restless.latest - latestMs + quietMs);
    const wait = Math.min(restless.moved + quietMs, latest) - now;
    if (wait > 0) {
      this.#settleLater(folder, restless, wait);
      return;
    }
    this.#restless.delete(folder);
    if (files.length > 0) this.#tell(folder, look, files);
  }

  #tell(folder: string, look: Look, files: readonly string[]): void {
    const { changed, dropped } = this.#options;
    this.#settled(folder, look);
    if (!isArchive(folder)) changed(folder, files);
    else if (look.size > 0) dropped?.(path.basename(folder));
  }

  /** It is known to look so from now on. */
  #settled(folder: string, look: Look): void {
    const { failed } = this.#options;
    const before = this.#reported.get(folder);
    this.#report(folder, look);
    if (isArchive(folder)) return;
    const after = this.#reported.get(folder);
    clearTimeout(this.#secondLooks.get(folder));
    const second = (): void => {
      this.#secondLooks.delete(folder);
      void this.#lookAgain(folder).catch(failed);
    };
    this.#secondLooks.set(folder, setTimeout(second, secondLookMs));
    // The system goes on watching a directory that another has taken the place of.
    const other = before?.identity !== after?.identity || before?.exclude.join('\n') !== after?.exclude.join('\n');
    if (before !== undefined && after !== undefined && other) this.#rebegin().catch(failed);
  }

  /** How an application looks; empty when there is none. */
  #look(folder: string): Promise<Look> {
    const { ignore, rules } = this.#options;
    if (isArchive(folder)) return Promise.resolve(lookAtFile(folder));
    return lookAt(folder, rules.look(folder), (file) => ignore.includes(file));
  }
}

function isArchive(folder: string): boolean {
  return isArchiveName(path.basename(folder));
}

/** How long ago the last of `files` changed, ms; 0 when one of them is gone. */
function ageOf(look: Look, files: readonly string[]): number {
  const last = largest(files.map((file) => look.get(file)?.changedMs ?? Number.POSITIVE_INFINITY));
  return Math.max(0, Date.now() - last);
}

/** Of any number of numbers. */
function largest(numbers: readonly number[]): number {
  return numbers.reduce((most, number) => Math.max(most, number), Number.NEGATIVE_INFINITY);
}

/** Whether a file is one of the application by `rules`: no folder that it is in is excluded. */
function counts(file: string, rules: Rules): boolean {
  const parts = file.split('/');
  return rules.watches(file) && !parts.some((_, at) => rules.excludes(parts.slice(0, at + 1).join('/')));
}

function targetOf(directory: string): string {
  try {
    return realpathSync(directory);
  } catch {
    return directory; // it may come later
  }
}
