/** Takes bundles out again: their folder in one step, then everything that was made of it. */
import type { Log } from '../base/log.js';
import { TenonError } from '../base/errors.js';
import type { Audit } from '../bundle/audit.js';
import { readBundleFolder } from '../bundle/folder.js';
import type { HighestVersions } from '../bundle/highest.js';
import type { Places } from '../bundle/place.js';
import { forgetBuilds } from '../compiler/owner.js';
import type { Applications } from './applications.js';
import type { Bundles } from './bundled.js';
import type { Grants } from './grants.js';
import type { Host } from './host.js';
import { isReplaceable } from './installation.js';
import type { UninstallOptions } from './installing.js';
import type { PluginView } from './plugin.js';

export interface UninstallationOptions {
  log: Log;
  applications: Applications;
  bundles: Bundles;
  places: Places;
  highest: Pick<HighestVersions, 'of'>;
  audit: Pick<Audit, 'write'>;
  grants: Pick<Grants, 'forget'>;
  host: Pick<Host, 'refresh' | 'forgetKept'>;
  /** Throws `PluginNotFound`. */
  show: (id: string) => PluginView;
  /** Absolute path of the builds in the data directory. */
  builds: string;
  /** Removes what the registry has of it, unless another host has it too. */
  purgeRow: (id: string) => Promise<void>;
  /** Removes the tables of an application with all that is in them. */
  purgeTables: (id: string, tables: Awaited<ReturnType<Applications['read']>>['tables']) => Promise<void>;
}

export class Uninstallation {
  readonly #options: UninstallationOptions;

  constructor(options: UninstallationOptions) {
    this.#options = options;
  }

  /** As `Installing.uninstall`, of an id that nobody else is at work on. */
  async uninstall(id: string, { purge = false, by }: UninstallOptions): Promise<void> {
    const { applications, audit, bundles, grants, highest, host, log, places } = this.#options;
    const { folder } = this.#options.show(id);
    const files = folder === '' ? undefined : await readBundleFolder(folder).catch(() => undefined);
    if (folder !== applications.folderOf(id) || !(await isReplaceable(folder, files, () => highest.of(id))))
      throw new TenonError('NotInstalled', `${id} was not installed from a bundle`, {
        next: folder === '' ? 'change the program that has it' : `remove ${folder} itself`,
        details: { plugin: id, folder },
      });
    // Afterwards nobody can tell which they were.
    const tables = purge ? (await applications.read(folder).catch(() => undefined))?.tables : undefined;
    const version = files === undefined ? {} : { version: files.manifest.version, sha256: files.sha256 };
    await audit.write({ action: 'uninstall', plugin: id, ...version, by, ...(purge ? { message: 'purge' } : {}) });
    const place = await places.take(folder).catch((cause: unknown) => {
      throw new TenonError('InstallFailed', `${id} could not be removed: ${(cause as Error).message}`, {
        next: 'see that the applications directory may be written',
        details: { plugin: id, folder },
        cause,
      });
    });
    await host.refresh(folder, 'api');
    await places.discard(place);
    await host.forgetKept(id, purge);
    await bundles.forgetCopies(id);
    await forgetBuilds(this.#options.builds, id);
    if (purge) {
      await this.#options.purgeTables(id, tables);
      await this.#options.purgeRow(id);
      await grants.forget(id, by);
    }
    log.info({ plugin: id, purge }, `${id} was uninstalled`);
  }
}
