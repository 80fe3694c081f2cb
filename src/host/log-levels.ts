/** The levels of the log while the host runs: its own, and those of plugins that differ. */
import { levelNumber, logLevels } from '../base/log.js';

/** What is kept: records of these levels and above. */
export interface LogLevelsView {
  /** Of the host, and of plugins that are not listed. */
  level: string;
  /** The setting `logLevel`, which a start goes back to. */
  setting: string;
  /** By plugin. */
  plugins: Record<string, string>;
}

export class LogLevels {
  readonly #setting: () => string;
  readonly #tellCore: (level: number, plugin?: string) => void;
  readonly #plugins = new Map<string, string>();
  #level: string;
  #lowest: number;

  /** @param tellCore has the core keep tenon.log from this level on, of all plugins or of one; 0 takes that of one back */
  constructor(setting: () => string, tellCore: (level: number, plugin?: string) => void) {
    this.#setting = setting;
    this.#level = setting();
    this.#lowest = levelNumber(this.#level);
    this.#tellCore = tellCore;
  }

  /** The number of the host's. */
  get lowest(): number {
    return this.#lowest;
  }

  /** The number of that of a plugin, or of the host. */
  lowestOf(plugin: string | undefined): number {
    const own = plugin === undefined ? undefined : this.#plugins.get(plugin);
    return own === undefined ? this.#lowest : levelNumber(own);
  }

  view(): LogLevelsView {
    const plugins = [...this.#plugins].toSorted(([one], [other]) => one.localeCompare(other));
    return { level: this.#level, setting: this.#setting(), plugins: Object.fromEntries(plugins) };
  }

  /** Until the host ends; undefined goes back to the setting. Throws TypeError for a word that is no level. */
  set(level: string | undefined): void {
    requireLevel(level);
    this.#level = level ?? this.#setting();
    this.#lowest = levelNumber(this.#level);
    this.#tellCore(this.#lowest);
  }

  /** Of one plugin, whatever becomes of its generations; undefined: that of the host again. Throws TypeError likewise. */
  setPlugin(plugin: string, level: string | undefined): void {
    requireLevel(level);
    if (level === undefined) this.#plugins.delete(plugin);
    else this.#plugins.set(plugin, level);
    this.#tellCore(level === undefined ? 0 : levelNumber(level), plugin);
  }
}

function requireLevel(level: string | undefined): void {
  if (level !== undefined && level !== 'silent' && !Object.hasOwn(logLevels, level))
    throw new TypeError(
      `level: ${JSON.stringify(level)} is none of ${[...Object.keys(logLevels), 'silent'].join(', ')}`,
    );
}
