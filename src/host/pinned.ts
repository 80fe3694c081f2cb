/** Which build a plugin has whose version somebody has chosen in the registry. */
import { asTenonError, TenonError } from '../base/errors.js';
import type { Applications } from './applications.js';
import { type Desires, heldBack } from './desired.js';
import type { Plugin } from './plugin.js';
import type { Trigger } from './record.js';
import type { Version, Versions } from './versions.js';

export interface PinsOptions {
  applications: Applications;
  versions: Versions;
  desires: Desires;
}

export class Pins {
  readonly #options: PinsOptions;

  constructor(options: PinsOptions) {
    this.#options = options;
  }

  /**
   * Have `load` put in place what the folder has, or the kept build of the version that somebody has chosen. What a folder has is
   * told to {@link check} as soon as that is known.
   */
  async load<Result>(
    plugin: Plugin,
    trigger: Trigger,
    load: (kept: Version | undefined) => Promise<Result>,
  ): Promise<Result> {
    const first = await this.#before(plugin, trigger);
    return load(first).catch(async (error: unknown) => {
      const kept = asTenonError(error).code === 'VersionUnavailable' ? await this.kept(plugin) : undefined;
      if (kept === undefined) throw error;
      return load(kept);
    });
  }

  /** The kept build to load without a look at what the folder has. */
  async #before(plugin: Plugin, trigger: Trigger): Promise<Version | undefined> {
    const pin = this.#pinOf(plugin.id);
    if (pin === undefined) return undefined;
    // One that cannot be read is met again by the reload, when that needs the folder.
    const application = await this.#options.applications.read(plugin.folder).catch(() => undefined);
    if (application?.enabled === false) return undefined;
    const source = application?.source;
    // What a library without sources has is not known before it is opened.
    const unknown = source?.prebuilt !== undefined && (trigger === 'watch' || trigger === 'api');
    if (source?.config.version === pin || unknown) return undefined;
    return this.#find(plugin, pin);
  }

  /** The kept build of the version that is pinned, when there is one. */
  async kept(plugin: Plugin): Promise<Version | undefined> {
    const pin = this.#pinOf(plugin.id);
    return pin === undefined ? undefined : this.#find(plugin, pin);
  }

  /** Throws `VersionUnavailable` when the plugin is to have another version than `found`, which its folder has. */
  check(id: string, found: string): void {
    const pin = this.#pinOf(id);
    if (pin === undefined || pin === found) return;
    throw new TenonError(
      'VersionUnavailable',
      `${id}: the registry pins version ${pin}, and this host has ${found} and no kept build of that`,
      { next: `give its folder version ${pin}, or set \`pinned\` to false`, details: { plugin: id, pin, found } },
    );
  }

  #pinOf(id: string): string | undefined {
    const desired = this.#options.desires.of(id);
    // Of one that is not to run no build is to be loaded.
    return desired?.pinned === true && heldBack(desired) === undefined ? (desired.version ?? undefined) : undefined;
  }

  async #find({ id, running }: Plugin, pin: string): Promise<Version | undefined> {
    const builds = (await this.#options.versions.list(id)).filter(({ version }) => version === pin);
    return (
      builds.find(({ sha256 }) => sha256 === running?.sha256) ?? builds.find(({ condemned }) => condemned === undefined)
    );
  }
}
