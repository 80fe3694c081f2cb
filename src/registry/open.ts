/** The registry that the settings of a host ask for. */
import os from 'node:os';
import path from 'node:path';
import type { Settings } from '../base/config.js';
import type { Log } from '../base/log.js';
import { version } from '../base/version.js';
import type { RegistryDoor } from './door.js';
import { EmbeddedDatabase } from './embedded.js';
import { noRegistry } from './none.js';
import { Registry } from './registry.js';
import { ServerDatabase } from './server.js';

export interface OpenRegistryOptions
  extends Pick<Settings, 'registry' | 'databaseUrl' | 'registryWaitMs' | 'registryReconcileMs'> {
  /** Absolute path of the data directory. This process has its lock. */
  readonly data: string;
  /** UUID of the host; asked for where there is a registry. */
  readonly hostId: () => string;
  readonly log: Log;
}

/** Nothing is connected to before it is opened. Throws `SettingsInvalid` for a URL that cannot be read. */
export function openRegistry(options: OpenRegistryOptions): RegistryDoor {
  const { registry, databaseUrl, registryWaitMs, registryReconcileMs, data, hostId, log } = options;
  if (!registry) return noRegistry();
  return new Registry({
    database:
      databaseUrl === ''
        ? new EmbeddedDatabase({ directory: path.join(data, 'registry') })
        : new ServerDatabase({ url: databaseUrl }),
    copyFile: path.join(data, 'registry.json'),
    host: {
      id: hostId(),
      name: os.hostname(),
      version,
      os: process.platform,
      arch: process.arch,
      pid: process.pid,
      startedAt: new Date().toISOString(),
    },
    log,
    waitMs: registryWaitMs,
    reconcileMs: registryReconcileMs,
  });
}
