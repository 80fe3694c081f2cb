/** What the tables of the registry hold, as the host reads and writes it. */

export const statuses = ['active', 'disabled', 'invalid', 'quarantined'] as const;
/** Only `active` ones are to run. */
export type PluginStatus = (typeof statuses)[number];

/** What the reasons of hosts begin with: any other is that of a person. */
export const foundReason = 'found: ';

/** How one plugin should be, on every host. */
export interface DesiredPlugin {
  readonly name: string;
  /** Folder below the applications directory; null: the one whose application has this id. */
  readonly sourcePath: string | null;
  /** Library below the applications directory, of one that is not built; for people. */
  readonly binaryPath: string | null;
  readonly type: 'dynamic' | 'static';
  readonly status: PluginStatus;
  /** Why it has this status, when it was not asked for. */
  readonly statusReason: string | null;
  /** Version that was registered last; the one to serve when it is pinned. */
  readonly version: string | null;
  /** Whether somebody has chosen the version: hosts serve no other one they could serve. */
  readonly pinned: boolean;
  /** Config in place of `custom` in config.yaml, secrets as references; null: nothing is set. */
  readonly config: Readonly<Record<string, unknown>> | null;
  /** When a reload on every host was last asked for, ISO 8601. */
  readonly reloadAt: string | null;
  /** Grows with every change of what is above; of all plugins together, so that no two are alike. */
  readonly revision: number;
  /** Revision of the config alone; 0: never set. */
  readonly configRevision: number;
}

/** What a host found and loaded: what a new plugin is registered with. */
export interface FoundPlugin {
  readonly name: string;
  readonly sourcePath: string | null;
  readonly binaryPath: string | null;
  readonly type: 'dynamic' | 'static';
  /** Null for one that is invalid. */
  readonly version: string | null;
  /** Undefined for one that is valid. */
  readonly invalid?: string | undefined;
}

/** One route, as the registry lists it. */
export interface EndpointRow {
  readonly method: string;
  readonly path: string;
  readonly execution: string;
  readonly auth: string | null;
  readonly roles: readonly string[];
}

/** One library, as the registry lists it. */
export interface ArtifactRow {
  readonly version: string;
  readonly os: string;
  readonly arch: string;
  readonly libc: string;
  readonly sha256: string;
  readonly size: number;
  /** Id of the key that has signed the bundle it comes from, where that is trusted. */
  readonly signature?: string;
}

/** What a host runs of one plugin: an entry of `hosts.plugins`. */
export interface PluginReport {
  readonly state: string;
  readonly version?: string | undefined;
  readonly generation?: number | undefined;
  readonly sha256?: string | undefined;
  /** Revision of the plugin that the host has come to; the plugin is as that says, or `error` tells why it is not. */
  readonly revision: number;
  readonly error?: { readonly code: string; readonly message: string } | undefined;
}

/** A plugin whose config was set. */
export interface ConfiguredPlugin extends DesiredPlugin {
  /** Whether it had another one, when this one was written. */
  readonly changed: boolean;
}

/** One earlier config. */
export interface ConfigVersion {
  readonly revision: number;
  readonly config: Readonly<Record<string, unknown>> | null;
  /** ISO 8601. */
  readonly changedAt: string;
  /** Host or database user. */
  readonly changedBy: string;
}

/** A host, as the registry lists it. */
export interface HostRow {
  /** UUID. */
  readonly id: string;
  readonly name: string;
  readonly pid: number;
  readonly url: string | null;
  readonly version: string;
  readonly os: string;
  readonly arch: string;
  /** ISO 8601, by the clock of the host. */
  readonly startedAt: string;
  /** ISO 8601, by the clock of the database; it says so every 10 s. */
  readonly seenAt: string;
  /** ISO 8601; null: it has not said that it stops. */
  readonly stoppedAt: string | null;
  /** What it runs, by name: a {@link PluginReport} each. Empty when that is over 1 MiB, or over 64 MiB with those of the
   * hosts that were seen later. */
  readonly plugins: Readonly<Record<string, unknown>>;
}
