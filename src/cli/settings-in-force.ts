/** The settings that the process of a host has read: shown, and read again. */
import { definitions, type SettingName, type Settings, type Value } from '../base/settings.js';
import type { PrintedSetting, ResolvedSettings } from '../base/config.js';
import { TenonError } from '../base/errors.js';
import { tellParent } from '../supervisor/parent.js';
import type { ChangedSetting, ReadSettings, SettingsReload } from '../http/settings-admin.js';
import { changeable } from '../reload/configuration.js';

/** What the parent holds, or what says which host this is. */
const fixed: ReadonlySet<string> = new Set<SettingName>([
  'host',
  'port',
  'data',
  'adminPort',
  'adminAddress',
  'adminSocket',
  'logOutput',
]);
/** What a host takes up while it runs. */
const live: ReadonlySet<string> = new Set<SettingName>([...changeable, 'logLevel']);

export interface SettingsInForceOptions {
  settings: ResolvedSettings;
  /** Read what is there now. Throws as `resolveSettings` does. */
  read: () => ResolvedSettings;
  /** Resolves when the host can take changes. Rejects when it never will. */
  whenReady: () => Promise<void>;
  /** Take what holds at once. */
  apply: (changed: Partial<Settings>) => Promise<void>;
  /** Told of what has changed, once it holds, or when a fresh process has to begin with it. */
  taken: (reload: SettingsReload) => void;
}

/** One reading at a time. */
export class SettingsInForce implements ReadSettings {
  readonly #options: SettingsInForceOptions;
  #now: ResolvedSettings;
  #last: Promise<unknown> = Promise.resolve();
  /** Whether a fresh process is to begin with what was read. */
  #isOver = false;

  constructor(options: SettingsInForceOptions) {
    this.#options = options;
    this.#now = options.settings;
  }

  list(): readonly PrintedSetting[] {
    return this.#now.printed;
  }

  reload(dryRun: boolean): Promise<SettingsReload> {
    const next = this.#last.then(() => (dryRun ? this.#reload(true) : this.#tellWhile()));
    this.#last = next.catch(() => {}); // told to whoever asked
    return next;
  }

  /** A service manager waits for the end. */
  async #tellWhile(): Promise<SettingsReload> {
    void tellParent({ told: 'reloading' });
    let goesOn = true;
    try {
      const done = await this.#reload(false);
      goesOn = done.status !== 'restarting';
      return done;
    } catch (error) {
      goesOn = !isClosing(error);
      throw error;
    } finally {
      if (goesOn) void tellParent({ told: 'reloaded' });
    }
  }

  async #reload(dryRun: boolean): Promise<SettingsReload> {
    await this.#options.whenReady();
    if (this.#isOver) throw hostCloses();
    const read = this.#read();
    const changed = changesBetween(this.#now, read);
    const isFresh = changed.some(({ effect }) => effect === 'fresh');
    const status = changed.length === 0 ? 'unchanged' : isFresh ? 'restarting' : 'applied';
    if (dryRun || status === 'unchanged') return { status, changed };
    const names = changed.filter(({ effect }) => effect === 'live').map(({ name }) => name as SettingName);
    if (!isFresh) await this.#options.apply(Object.fromEntries(names.map((name) => [name, read.settings[name]])));
    this.#now = read;
    this.#isOver = isFresh;
    void tellParent({ told: 'settings', settings: read });
    this.#options.taken({ status, changed });
    return { status, changed };
  }

  #read(): ResolvedSettings {
    try {
      return this.#options.read();
    } catch (error) {
      if (error instanceof TenonError) throw error;
      throw new TenonError('SettingsInvalid', error instanceof Error ? error.message : String(error), { cause: error });
    }
  }
}

/** What a host that ends says to whoever wants its settings read again. */
export function hostCloses(): TenonError {
  return new TenonError('HostClosing', 'the host is shutting down', { next: 'ask the next host' });
}

export function isClosing(error: unknown): boolean {
  return error instanceof TenonError && error.code === 'HostClosing';
}

/** Throws `SettingsFixed`, naming those that cannot change. */
function changesBetween(
  { settings: before }: ResolvedSettings,
  { settings: after }: ResolvedSettings,
): ChangedSetting[] {
  const names = Object.keys(definitions) as SettingName[];
  const others = names.filter((name) => !isSame(before[name], after[name]));
  const stuck = others.filter((name) => fixed.has(name)).map((name) => definitions[name].key);
  if (stuck.length > 0)
    throw new TenonError(
      'SettingsFixed',
      `${stuck.join(' and ')} cannot change while the host runs: nothing was taken`,
      {
        next: 'restart the host, or undo the change',
        details: { settings: stuck },
      },
    );
  return others.map((name) => ({ name, key: definitions[name].key, effect: live.has(name) ? 'live' : 'fresh' }));
}

function isSame(one: Value, other: Value): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
