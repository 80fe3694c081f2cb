/** Takes bundles out again: their folder in one step, then everything that was made of it. */
import type { Log } from '../base/log.js';
import { asTenonError, TenonError } from '../base/errors.js';
import type { Audit } from '../bundle/audit.js';
import { readBundleFolder } from '../bundle/folder.js';
import type { HighestVersions } from '../bundle/highest.js';
import type { Places } from '../bundle/place.js';
import { forgetBuilds } from '../compiler/owner.js';
import type { Applications, ApplicationTables } from './applications.js';
import type { Bundles } from './bundled.js';
import type { Grants } from './grants.js';
import type { Host } from './host.js';
import { isReplaceable } from './installation.js';
import type { UninstallOptions } from './installing.js';
import { readKeptTables } from './kept-tables.js';
import type { PluginView } from './plugin.js';
import type { Purge, Purges } from './purges.js';

export interface UninstallationOptions {
  log: Log;
  applications: Applications;
  bundles: Bundles;
  places: Places;
  highest: Pick<HighestVersions, 'of'>;
  audit: Pick<Audit, 'write'>;
  grants: Pick<Grants, 'forget' | 'set' | 'whoGrants'>;
  host: Pick<Host, 'refresh' | 'forgetKept' | 'keptTables' | 'versions'>;
  purges: Purges;
  /** Throws `PluginNotFound`. */
  show: (id: string) => PluginView;
  /** Absolute path of the builds in the data directory. */
  builds: string;
  /** Removes what the registry has of it, unless another host has it too. */
  purgeRow: (id: string) => Promise<void>;
  /** Removes the tables of an application with all that is in them. */
  purgeTables: (id: string, tables: ApplicationTables) => Promise<void>;
}

/** What tables are to be removed, and what there is to say of them. */
interface Made {
  readonly tables: ApplicationTables | undefined;
  readonly warnings: readonly string[];
}

export class Uninstallation {
  readonly #options: UninstallationOptions;

  constructor(options: UninstallationOptions) {
    this.#options = options;
  }

  /** As `Installing.uninstall`, of an id that nobody else is at work on; what there is to say of it. */
  async uninstall(id: string, { purge = false, by }: UninstallOptions): Promise<readonly string[]> {
    const { applications, audit, grants, highest, log, places, purges } = this.#options;
    if (purge && (await this.finish(id))) return [];
    const { folder } = this.#options.show(id);
    const files = folder === '' ? undefined : await readBundleFolder(folder).catch(() => undefined);
    if (folder !== applications.folderOf(id) || !(await isReplaceable(folder, files, () => highest.of(id))))
      throw new TenonError('NotInstalled', `${id} was not installed from a bundle`, {
        next: folder === '' ? 'change the program that has it' : `remove ${folder} itself`,
        details: { plugin: id, folder },
      });
    // Afterwards nobody can tell which they were.
    const { tables, warnings } = purge ? await this.#tablesOf(id, folder) : none;
    const version = files === undefined ? {} : { version: files.manifest.version, sha256: files.sha256 };
    await audit.write({ action: 'uninstall', plugin: id, ...version, by, ...(purge ? { message: 'purge' } : {}) });
    const begun: Purge = { sha256: files?.sha256, tables, by };
    const { given } = grants.whoGrants(id);
    try {
      if (purge) await purges.begin(id, begun);
      // Whoever comes next with this id is somebody else, whatever becomes of the rest.
      if (purge) await grants.forget(id, by);
      await this.#remove(id, folder, await places.take(folder));
    } catch (cause) {
      if (await applications.exists(folder)) {
        if (purge) await this.#giveBack(id, given, by);
        throw new TenonError('InstallFailed', `${id} could not be removed: ${(cause as Error).message}`, {
          next: 'see that the applications and data directories may be written',
          details: { plugin: id, folder },
          cause,
        });
      }
      throw cause;
    }
    if (purge) await this.#purge(id, begun);
    for (const warning of warnings) log.warn({ plugin: id }, warning);
    log.info({ plugin: id, purge }, `${id} was uninstalled`);
    return warnings;
  }

  /** Finish what an `uninstall` with `purge` has begun, of an id that nobody else is at work on; false when there is nothing of that. */
  async finish(id: string): Promise<boolean> {
    const { applications, log, places, purges } = this.#options;
    const begun = await purges.of(id);
    if (begun === undefined) return false;
    const folder = applications.folderOf(id);
    const there = await applications.exists(folder);
    const files = there ? await readBundleFolder(folder).catch(() => undefined) : undefined;
    if (there && (files === undefined || files.sha256 !== begun.sha256)) {
      log.warn(
        { plugin: id, folder },
        `the removal of ${id} that was interrupted is given up: ${folder} is there again`,
      );
      await purges.end(id);
      return false;
    }
    await this.#remove(id, folder, there ? await places.take(folder) : undefined);
    await this.#purge(id, begun);
    log.info({ plugin: id, purge: true }, `${id} was uninstalled: what was interrupted is finished`);
    return true;
  }

  /** @param place where its folder is now */
  async #remove(id: string, folder: string, place: string | undefined): Promise<void> {
    const { bundles, builds, host, places } = this.#options;
    await host.refresh(folder, 'api');
    if (place !== undefined) await places.discard(place);
    await bundles.forgetCopies(id);
    await forgetBuilds(builds, id);
    await host.forgetKept(id, false);
  }

  async #purge(id: string, { tables, by }: Purge): Promise<void> {
    const { grants, host, purges } = this.#options;
    await grants.forget(id, by);
    await host.forgetKept(id, true);
    if (tables !== undefined) await this.#options.purgeTables(id, tables);
    await this.#options.purgeRow(id);
    await purges.end(id);
  }

  /** It stays as it was. */
  async #giveBack(id: string, given: readonly string[], by: UninstallOptions['by']): Promise<void> {
    const { grants, log, purges } = this.#options;
    try {
      await grants.set(id, given, by);
      await purges.end(id);
    } catch (error) {
      log.error({ plugin: id, err: error }, `what was granted to ${id} could not be given back: grant it anew`);
    }
  }

  /** Those it served with last, whoever may use its folder now; of one that has never served, what the folder says. */
  async #tablesOf(id: string, folder: string): Promise<Made> {
    const { applications, host } = this.#options;
    try {
      const text = await host.keptTables(id);
      if (text !== undefined) return { ...none, tables: readKeptTables(text).tables };
      const read = await applications.read(folder).catch(asTenonError);
      if (!(read instanceof TenonError)) return { ...none, tables: read.tables };
      // It has served, without any.
      if ((await host.versions(id)).length > 0) return none;
      throw read;
    } catch (error) {
      const { message } = asTenonError(error);
      return {
        ...none,
        warnings: [`tables that ${id} may have had are kept: which they were is not known: ${message}`],
      };
    }
  }
}

const none: Made = { tables: undefined, warnings: [] };
