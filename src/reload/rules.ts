/** What of an application is watched, and how: the host's settings, and what its config.yaml sets apart. */
import { closeSync, constants, fstatSync, openSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import picomatch from 'picomatch';
import type { Settings } from '../base/config.js';
import { configLimit, parseConfig, type ReloadConfig } from '../compiler/config.js';

/** The settings that are read here; they may change. */
export type RuleSettings = Pick<
  Settings,
  'libraryDebounceMs' | 'sourceDebounceMs' | 'watchPatterns' | 'excludePatterns' | 'maxRetries' | 'retryDelayMs'
>;

/** Rules for the files of one application; paths are relative to its folder. */
export interface Rules {
  /** False: what changes while it runs is not taken up. */
  readonly enabled: boolean;
  readonly exclude: readonly string[];
  readonly maxRetries: number;
  readonly retryDelayMs: number;
  /** Whether nothing below the path counts, or it itself. */
  excludes: (file: string) => boolean;
  /** Whether the file is part of the application. */
  watches: (file: string) => boolean;
  /** Quiet time after a change of the file, ms. */
  quietMs: (file: string) => number;
}

/** What is written by others than people, and may take a while. */
const library = /\.(?:so|dylib|tgz|tar\.gz)$/;
const configName = 'config.yaml';

function matcher(patterns: readonly string[]): (file: string) => boolean {
  // Without `regex: false` a "+" after braces repeats them, and can take for ever.
  return picomatch([...patterns], { dot: true, basename: true, noextglob: true, nonegate: true, regex: false });
}

/** What one application sets apart. */
interface Own extends ReloadConfig {
  /** Folder of files that are served as they are: a change of them is nothing to reload. */
  files?: string;
}

function rulesFrom(settings: RuleSettings, own: Own): Rules {
  const exclude = own.exclude ?? settings.excludePatterns;
  const isExcluded = matcher(exclude);
  const isServed = (file: string): boolean => own.files === file || file.startsWith(`${own.files}/`);
  const isWatched = matcher(own.watch ?? settings.watchPatterns);
  return {
    enabled: own.enabled ?? true,
    exclude,
    maxRetries: own.maxRetries ?? settings.maxRetries,
    retryDelayMs: own.retryDelayMs ?? settings.retryDelayMs,
    excludes: (file) => file !== configName && (isExcluded(file) || isServed(file)),
    watches: (file) => file === configName || isWatched(file),
    quietMs: (file) => own.debounceMs ?? (library.test(file) ? settings.libraryDebounceMs : settings.sourceDebounceMs),
  };
}

interface Known {
  /** How config.yaml looked when it was read. */
  stamp: string;
  own: Own;
  rules: Rules;
}

/** The rules of every application, read anew when its config.yaml looks different. */
export class RuleBook {
  readonly #settings: RuleSettings;
  readonly #known = new Map<string, Known>();

  constructor(settings: RuleSettings) {
    this.#settings = settings;
  }

  /** As they were when the folder was last looked at. */
  of(folder: string): Rules {
    return this.#known.get(folder)?.rules ?? this.look(folder);
  }

  /** As they are now. A config.yaml that cannot be read or is wrong changes nothing. */
  look(folder: string): Rules {
    const file = path.join(folder, configName);
    const stamp = stampOf(file);
    const known = this.#known.get(folder);
    if (known?.stamp === stamp) return known.rules;
    const own = (stamp === '' ? {} : ownConfig(file, folder)) ?? known?.own ?? {};
    const rules = rulesFrom(this.#settings, own);
    this.#known.set(folder, { stamp, own, rules });
    return rules;
  }

  /** The settings have changed. */
  renew(): void {
    for (const known of this.#known.values()) known.rules = rulesFrom(this.#settings, known.own);
  }

  forget(folder: string): void {
    this.#known.delete(folder);
  }
}

function stampOf(file: string): string {
  try {
    const { ino, size, mtimeMs, ctimeMs } = statSync(file);
    return `${ino}:${size}:${mtimeMs}:${ctimeMs}`;
  } catch {
    return '';
  }
}

/** Undefined when the file is not there or is wrong, which is for the reload to say. */
function ownConfig(file: string, folder: string): Own | undefined {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    const info = fstatSync(descriptor);
    if (!info.isFile() || info.size > configLimit) return undefined;
    const { reserved, staticFiles } = parseConfig(readFileSync(descriptor, 'utf8'), folder);
    return { ...reserved.reload, ...(staticFiles === undefined ? {} : { files: staticFiles.directory }) };
  } catch {
    return undefined;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}
