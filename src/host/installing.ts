/** Puts bundles into the applications directory and takes them out again, while everything serves. */
import type { AuditEntry } from '../bundle/audit.js';
import type { PluginView } from './plugin.js';

export interface InstallOptions {
  /** Check everything, up to the trial, and change nothing. */
  dryRun?: boolean;
  /** Whether a version before the newest that was installed is meant. */
  allowDowngrade?: boolean;
  /** Permissions to grant, of those it asks for; `all`: all of them. What was granted before stays. */
  grant?: readonly string[] | 'all';
  /** `upload`: over the API; `local`: found in the applications directory. */
  origin: 'upload' | 'local';
  /** For the audit log. */
  by: AuditEntry['by'];
}

/** What an installation came to. */
export interface Installed {
  status: 'installed' | 'upgraded' | 'unchanged' | 'valid';
  plugin: { id: string; version: string; generation?: number; loadedAt?: string };
  /** SHA-256 of its manifest. */
  sha256: string;
  /** Version that was there before. */
  from?: string;
  /** Platform whose library was chosen; `sources`: it was built here. */
  library: string;
  signer?: { keyId: string; name: string };
  permissions: { asked: readonly string[]; granted: readonly string[]; missing: readonly string[] };
  warnings: readonly string[];
}

export interface UninstallOptions {
  /** Also its tables, state, config and kept builds. */
  purge?: boolean;
  by: AuditEntry['by'];
}

export interface Uninstalled {
  status: 'uninstalled';
  plugin: Pick<PluginView, 'id'>;
  /** One sentence each: what is left of it although it was to go. */
  warnings: readonly string[];
}

/** The one who installs; one at a time for each plugin. */
export interface Installing {
  /**
   * Install or upgrade from an archive. Nothing is written before all of it was checked and its library has passed its
   * trial; when the new version does not serve, what was there before is there again and serves.
   * Rejects with the codes of archives, manifests, signatures and choices, `BundleDowngrade`, `ApplicationExists` (an
   * application that was not installed has its id), `InstallRunning`, `DependencyMissing`, `InstallFailed`, and as a
   * reload does.
   */
  install(archive: Uint8Array | AsyncIterable<Uint8Array>, options: InstallOptions): Promise<Installed>;
  /**
   * Unload it and remove its folder. A removal with `purge` that was interrupted is finished by asking for it again, by
   * the next start, and before the next installation. Rejects with `PluginNotFound`, `NotInstalled`, `InstallFailed` and `InstallRunning`.
   */
  uninstall(id: string, options: UninstallOptions): Promise<Uninstalled>;
}
