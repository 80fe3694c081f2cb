/** Goes on where the host before this one has ended: with the kept builds, without a compiler. */
import { setTimeout as sleep } from 'node:timers/promises';
import { asTenonError, type TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { Applications } from './applications.js';
import type { Containing } from './containing.js';
import type { Desires } from './desired.js';
import type { Extensions } from './extensions.js';
import type { Plugin } from './plugin.js';
import type { ReloadRequest } from './reload-request.js';
import type { TableDoor } from './table-world.js';
import type { Version, Versions } from './versions.js';
import type { Wish } from './wishes.js';

export interface ResumptionOptions {
  log: Log;
  applications: Pick<Applications, 'read'>;
  containing: Containing;
  desires: Desires;
  versions: Versions;
  extensions: Pick<Extensions, 'inOrder'>;
  tables: Pick<TableDoor, 'openSoon'>;
  /** One that is there. */
  find: (id: string) => Plugin | undefined;
  /** The plugin of a folder; undefined when that is gone. */
  enter: (id: string, folder: string) => Promise<Plugin | undefined>;
  /** Bring the plugin of a folder to what its application says. */
  anew: (folder: string) => Promise<unknown>;
  /** Load it, when its turn has come. */
  begin: (plugin: Plugin, what: Pick<ReloadRequest, 'byHand' | 'version' | 'insteadOf'>) => Promise<unknown>;
}

/** For an application whose kept build cannot be had to be built and loaded before the others are served without it, ms. */
const anewMs = 2000;

export class Resumption {
  readonly #options: ResumptionOptions;
  #left: readonly Wish[] = [];
  #isDone = false;

  constructor(options: ResumptionOptions) {
    this.#options = options;
  }

  /** What was left, while no plugin is loaded: it is the next host's, too. */
  get waiting(): readonly Wish[] {
    return this.#options.containing.whyNone === undefined ? [] : this.#left;
  }

  /** Whether all that was left is as it was, and the host before this one had tried all that there was. */
  get isDone(): boolean {
    return this.#isDone;
  }

  /**
   * Go on with what was left for this host. What cannot be is left to `discover`.
   * @param isWhole whether the host before this one had tried all that there was, or been told so itself
   */
  async goOn(left: readonly Wish[], isWhole: boolean): Promise<void> {
    const { extensions, tables, versions } = this.#options;
    this.#left = left;
    const prepare = async (id: string): Promise<void> => {
      if ((await versions.tablesOf(id)) !== undefined) tables.openSoon();
    };
    for (const { id } of left) prepare(id).catch(() => {}); // the load meets the same error, and reports it
    await extensions.inOrder([...new Set(left.map(({ folder }) => folder))], async (folder) => {
      for (const wish of left.filter((one) => one.folder === folder)) await this.#resumeOne(wish);
    });
    this.#isDone = isWhole && left.every((wish) => this.#isAsBefore(wish));
  }

  #isAsBefore({ id, sha256 }: Wish): boolean {
    const { desires, find } = this.#options;
    if (desires.holdsBack(id)) return true;
    const plugin = find(id);
    if (plugin === undefined) return false;
    return sha256 === undefined ? !plugin.wanted : plugin.running !== undefined || plugin.rest === 'quarantined';
  }

  /** One plugin goes on. That it does not is logged: then it goes on as its application says. */
  async #resumeOne(wish: Wish): Promise<void> {
    const { anew, log } = this.#options;
    try {
      await this.#resume(wish);
    } catch (error) {
      log.warn({ plugin: wish.id, err: error }, `${wish.id} goes on as its application says`);
      await this.#prepare(wish);
      // What it comes to is in its record.
      await Promise.race([anew(wish.folder).catch(() => {}), sleep(anewMs, undefined, { ref: false })]);
    }
  }

  async #resume({ id, folder, sha256, chosen = false }: Wish): Promise<void> {
    const { begin, containing, desires, enter, versions } = this.#options;
    const plugin = await enter(id, folder);
    if (plugin === undefined || desires.holdsBack(id)) return;
    if (sha256 === undefined) {
      desires.heed(id);
      plugin.wanted = false;
      plugin.rest = 'stopped';
      return;
    }
    const quarantined = containing.whyQuarantined(id, sha256);
    const held = containing.whyNone ?? quarantined;
    if (held !== undefined) {
      if (chosen) plugin.chosen = sha256;
      return this.#hold(plugin, held, quarantined === held ? 'quarantined' : 'stopped');
    }
    await plugin.turns.take('resume', async () => {
      const bad = containing.whyBad(id, sha256);
      const version = await (bad === undefined ? versions.find(id, sha256, undefined) : this.#before(plugin, bad));
      if (version === undefined) return undefined;
      desires.resumes(id, version.version);
      return begin(plugin, { byHand: chosen && bad === undefined, version, ...(bad && { insteadOf: bad }) });
    });
  }

  /** The kept build before the one that is not to be loaded. Without one the plugin rests. */
  async #before(plugin: Plugin, bad: TenonError): Promise<Version | undefined> {
    const { versions } = this.#options;
    const sha256 = String(bad.details['sha256']);
    versions.condemn(plugin.id, sha256, { reason: bad.message, isApart: false });
    try {
      return await versions.find(plugin.id, undefined, sha256);
    } catch (error) {
      if (asTenonError(error).code !== 'VersionNotFound') throw error;
      await this.#hold(plugin, bad, 'failed');
      return undefined;
    }
  }

  /** Its paths are known to be its own before its application is built: that may take long, or fail. */
  async #prepare({ id, folder }: Wish): Promise<void> {
    const plugin = await this.#options.enter(id, folder).catch(() => undefined); // the load meets the same error
    if (plugin !== undefined && plugin.running === undefined) await this.#learnPrefix(plugin);
  }

  /** It rests, and its paths are known to be its own. */
  async #hold(plugin: Plugin, why: TenonError, rest: Plugin['rest']): Promise<void> {
    await this.#learnPrefix(plugin);
    plugin.rest = rest;
    plugin.error = why;
  }

  async #learnPrefix(plugin: Plugin): Promise<void> {
    // One that cannot be read is met again by `discover`.
    const application = await this.#options.applications.read(plugin.folder).catch(() => undefined);
    if (application?.id === plugin.id) plugin.prefix = application.prefix;
  }
}
