/** What installs and removes bundles, put together. */
import path from 'node:path';
import type { Settings } from '../base/config.js';
import { hostId } from '../base/host-id.js';
import type { Log } from '../base/log.js';
import type { Core } from '../binding/core.js';
import type { Audit } from '../bundle/audit.js';
import { HighestVersions } from '../bundle/highest.js';
import { Places } from '../bundle/place.js';
import type { SignaturePolicy } from '../bundle/trust.js';
import type { Applications } from './applications.js';
import type { Bundles } from './bundled.js';
import { DroppedArchives } from './dropped.js';
import type { Grants } from './grants.js';
import type { Host } from './host.js';
import { Installation } from './installation.js';
import { Installer } from './installer.js';
import type { Plugins } from './plugins.js';
import { Purges } from './purges.js';
import type { Quiet } from './quiet.js';
import type { Admission } from './replace.js';
import { Uninstallation, type UninstallationOptions } from './uninstallation.js';

export interface InstallingOptions extends Pick<UninstallationOptions, 'purgeRow' | 'purgeTables'> {
  log: Log;
  settings: Settings;
  /** Absolute path of the data directory. */
  data: string;
  core: Core;
  admission: Admission;
  applications: Applications;
  bundles: Bundles;
  audit: Audit;
  grants: Grants;
  host: Host;
  plugins: Plugins;
  quiet: Quiet;
}

/** For an archive to come and be read (a request has 30 s to arrive), ms. */
const uploadMs = 40_000;

/** What an installation that was cut short has left is cleared away when this resolves. */
export async function openInstalling(
  options: InstallingOptions,
): Promise<{ installing: Installer; dropped: DroppedArchives }> {
  const { log, settings, data, core, admission, applications, bundles, audit, grants, host, plugins } = options;
  const { applications: directory } = settings;
  const places = new Places({
    directory,
    owner: hostId(data).slice(0, 8),
    exchange: (one, other) => core.exchangeNames(one, other),
  });
  for (const { place, error } of await places.sweep())
    log.warn({ path: place, err: error }, 'what an installation has left there could not be cleared away');
  const highest = new HighestVersions(path.join(data, 'installed.json'));
  const shared = { log, applications, bundles, places, audit, grants, highest };
  const installation = new Installation({
    ...shared,
    host: plugins,
    admission,
    quiet: options.quiet,
    limits: { bytes: settings.bundleLimit, timeMs: uploadMs },
    policies: {
      upload: settings.uploadSignatures as SignaturePolicy,
      local: settings.localSignatures as SignaturePolicy,
    },
  });
  const purges = new Purges(path.join(data, 'purges'));
  const { purgeRow, purgeTables } = options;
  const uninstallation = new Uninstallation({
    ...shared,
    host,
    show: (id) => plugins.show(id),
    purgeRow,
    builds: path.join(data, 'cache', 'builds'),
    purgeTables,
    purges,
  });
  const installing = new Installer({ installation, uninstallation, purges, audit, log });
  return { installing, dropped: new DroppedArchives({ directory, limit: settings.bundleLimit, installing, log }) };
}
