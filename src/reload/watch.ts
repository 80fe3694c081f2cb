/** Notices what changes in the applications directory. */
import { type Dirent, lstatSync, readdirSync, realpathSync, statSync } from 'node:fs';
import path from 'node:path';
import { type FSWatcher, watch } from 'chokidar';

export interface WatchOptions {
  /** Absolute path of the applications directory. */
  directory: string;
  /** Absolute paths below which nothing is looked at: the data directory. */
  ignore: readonly string[];
  /** Quiet time after a change of anything but a library, ms. */
  sourceDebounceMs: number;
  /** Quiet time after a change of a library, ms. */
  libraryDebounceMs: number;
  /** Called for each application that came, changed or went, when it has come to rest. */
  changed: (folder: string) => void;
  /** Called when the system does not watch everything. */
  failed: (error: Error) => void;
}

/** How long after an event everything is looked at again: chokidar drops a change within 50 ms of the one before. */
const secondLookMs = 60;
/** A look at everything now and then finds what an overflow of the system's queue has lost. */
const rescanMs = 30_000;
/** An application that does not come to rest is told as it is, this long after it began to move. */
const latestMs = 5_000;

const library = /\.(?:so|dylib)$/;
/** What editors, compilers, version control and running programs leave behind. */
const noise = /^(?:\..*|node_modules|4913|.*~|#.*#|.*\.(?:sw[a-z]|tmp|part|o|pid|log(?:\.\d+)?))$/;

interface Restless {
  timer: NodeJS.Timeout;
  quietMs: number;
  /** When it moved last, as `performance.now()`. */
  moved: number;
  /** When it is told at the latest, as `performance.now()`. */
  latest: number;
  /** How the application looked last. */
  look: string;
}

/**
 * Watches from `enable` to `disable`, as often as wanted. An event only says where to look: an application has changed
 * when its files look different from what was reported last, and look the same twice in a row. What is in the files is
 * not read. Symbolic links are not followed: a linked folder is no application, and what is in one is not looked at.
 */
export class Watch {
  readonly #options: WatchOptions;
  readonly #restless = new Map<string, Restless>();
  readonly #reported = new Map<string, string>();
  #watcher: FSWatcher | undefined;
  #rescan: NodeJS.Timeout | undefined;

  constructor(options: WatchOptions) {
    this.#options = options;
  }

  get enabled(): boolean {
    return this.#watcher !== undefined;
  }

  /** Begin; what is there now counts as known. Resolves when all of it is watched. */
  async enable(): Promise<void> {
    if (this.#watcher !== undefined) return;
    const { directory, failed } = this.#options;
    this.#reported.clear();
    for (const folder of this.#folders()) this.#reported.set(folder, this.#look(folder));
    // The directory itself may be a link; the watcher would not follow that one either.
    const real = targetOf(directory);
    const here = (file: string): string => path.join(directory, path.relative(real, file));
    const watcher = watch(real, {
      ignoreInitial: true,
      ignorePermissionErrors: true,
      followSymlinks: false,
      ignored: (file) => file !== real && this.#ignored(here(file)),
    });
    this.#watcher = watcher;
    watcher.on('all', (_event, file) => this.#moved(here(file)));
    watcher.on('error', (error) => failed(error instanceof Error ? error : new Error(String(error))));
    await new Promise<void>((resolve) => {
      watcher.once('ready', resolve);
    });
    // Whatever moved before the watch was complete.
    if (this.#watcher === watcher) this.#lookAround();
    this.#rescan = setInterval(() => this.#lookAround(), rescanMs).unref();
  }

  /** Stop; what has not come to rest is forgotten. */
  async disable(): Promise<void> {
    const watcher = this.#watcher;
    this.#watcher = undefined;
    clearInterval(this.#rescan);
    for (const { timer } of this.#restless.values()) clearTimeout(timer);
    this.#restless.clear();
    await watcher?.close();
  }

  /** Stop. Closing twice is fine. */
  close(): Promise<void> {
    return this.disable();
  }

  #ignored(file: string): boolean {
    return noise.test(path.basename(file)) || this.#options.ignore.includes(file);
  }

  #folders(): string[] {
    const { directory } = this.#options;
    return entriesOf(directory)
      .filter((entry) => entry.isDirectory())
      .map((entry) => path.join(directory, entry.name))
      .filter((folder) => !this.#ignored(folder));
  }

  #moved(file: string): void {
    const [name = ''] = path.relative(this.#options.directory, file).split(path.sep);
    if (name === '' || name === '..') return;
    const { libraryDebounceMs, sourceDebounceMs } = this.#options;
    this.#disturb(path.join(this.#options.directory, name), library.test(file) ? libraryDebounceMs : sourceDebounceMs);
  }

  #lookAround(): void {
    for (const folder of new Set([...this.#folders(), ...this.#reported.keys()]))
      if (!this.#restless.has(folder) && this.#look(folder) !== (this.#reported.get(folder) ?? ''))
        this.#disturb(folder, this.#options.libraryDebounceMs);
  }

  #disturb(folder: string, quietMs: number): void {
    const before = this.#restless.get(folder);
    clearTimeout(before?.timer);
    const longest = Math.max(quietMs, before?.quietMs ?? 0);
    const now = performance.now();
    const latest = before?.latest ?? now + Math.max(longest, latestMs);
    // What is seen now and still seen after the wait has not moved since: a lone change needs no second wait.
    const look = before?.look ?? this.#look(folder);
    const timer = setTimeout(() => this.#settle(folder), Math.min(longest, Math.max(0, latest - now)));
    this.#restless.set(folder, { timer, quietMs: longest, moved: now, latest, look });
  }

  #settle(folder: string): void {
    const restless = this.#restless.get(folder);
    if (restless === undefined) return;
    const look = this.#look(folder);
    const now = performance.now();
    const still = look === restless.look;
    restless.look = look;
    if (!still && now < restless.latest) {
      restless.timer = setTimeout(() => this.#settle(folder), secondLookMs);
      return;
    }
    const blindMs = restless.moved + secondLookMs - now;
    if (blindMs > 0) {
      // Of a change that comes until then there may be no event.
      restless.latest = now + Math.max(restless.quietMs, latestMs);
      restless.timer = setTimeout(() => this.#settle(folder), blindMs);
    } else this.#restless.delete(folder);
    if (look === (this.#reported.get(folder) ?? '')) return;
    if (look === '') this.#reported.delete(folder);
    else this.#reported.set(folder, look);
    this.#options.changed(folder);
  }

  /** How the files of an application look; empty when there are none. */
  #look(folder: string): string {
    const lines: string[] = [];
    const walk = (directory: string): void => {
      for (const entry of entriesOf(directory)) {
        const file = path.join(directory, entry.name);
        if (this.#ignored(file)) continue;
        if (entry.isDirectory()) walk(file);
        else lines.push(`${file} ${stamp(file)}`);
      }
    };
    if (isFolder(folder)) walk(folder);
    return lines.sort().join('\n');
  }
}

function entriesOf(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch {
    return []; // gone, or not to be read: nothing of it can be seen
  }
}

function targetOf(directory: string): string {
  try {
    return realpathSync(directory);
  } catch {
    return directory; // it may come later
  }
}

function isFolder(file: string): boolean {
  try {
    return lstatSync(file).isDirectory();
  } catch {
    return false;
  }
}

/** Of a link to a file that of the file, else that of the link. */
function stamp(file: string): string {
  try {
    const target = statSync(file, { bigint: true, throwIfNoEntry: false });
    const { dev, ino, size, mtimeNs } = target?.isFile() === true ? target : lstatSync(file, { bigint: true });
    return `${dev}:${ino}:${size}:${mtimeNs}`;
  } catch {
    return 'gone';
  }
}
