/** What the rooms above know of the registry. `registry.ts` is the real one; a host without one has {@link noRegistry}. */
import type {
  ConfiguredPlugin,
  ArtifactRow,
  ConfigVersion,
  DesiredPlugin,
  EndpointRow,
  FoundPlugin,
  HostRow,
  PluginReport,
  PluginStatus,
} from './rows.js';

/** How the registry is reached. */
export interface RegistryStatus {
  /** `none`: there is no registry, the applications directory alone says what is to run. */
  readonly kind: 'none' | 'embedded' | 'server';
  /** Where it is, without password. */
  readonly place: string;
  readonly connected: boolean;
  /** Since when it is, or is not, connected, ISO 8601. */
  readonly since: string;
  /** Why it is not. */
  readonly error?: string;
  /** Connections that were made so far. */
  readonly connections: number;
}

/** What was done so far to know what the registry says. */
export interface RegistryFigures {
  /** Notifications that came. */
  notifications: number;
  /** Reads of everything that succeeded, and the time they took, seconds. */
  reads: number;
  readSeconds: number;
  /** When the last of them ended, seconds since the epoch; absent before the first. */
  readAt?: number;
}

/** Told by the registry to the host, one at a time. */
export interface RegistryListener {
  /**
   * What these plugins should be may be different from what it was; those that `gone` names are no longer registered. Called with
   * the differences alone, after each notification and each full read. Those of `changed` that `desired` does not know are not
   * registered, but were not removed while the host ran: before `open` had resolved, or it is another registry than before.
   */
  changed: (names: readonly string[], gone: readonly string[]) => void;
  /** It is connected and was read in full, or is away. */
  reached: (connected: boolean) => void;
}

/** A reload as it is kept: what a reload record of the host says. */
export interface ReloadRow {
  readonly id: string;
  readonly plugin: string;
  readonly trigger: string;
  readonly outcome: string;
  readonly from?: object | undefined;
  readonly to?: object | undefined;
  readonly startedAt: string;
  readonly totalMs: number;
  readonly phases: object;
  readonly attempts: number;
  readonly error?: object | undefined;
}

export interface RegistryDoor {
  /** From when this resolves `desired` tells what was known last, from the copy on disk. Nothing is connected to. Never rejects. */
  recall(): Promise<void>;
  /**
   * Begin to connect. Resolves when it was read in full, when the first try has failed, or after `registry.waitMs`: from then on
   * `desired` tells what is known, from the copy on disk while it cannot be read. Never rejects.
   */
  open(listener: RegistryListener): Promise<void>;
  status(): RegistryStatus;
  figures(): Readonly<RegistryFigures>;
  /** How a plugin should be; undefined: nobody has registered it, or nothing is known. Synchronous, from memory. */
  desired(name: string): DesiredPlugin | undefined;
  /** All of them, by name. */
  all(): ReadonlyMap<string, DesiredPlugin>;

  // These write, wait until it is written and known here, and reject with `RegistryUnavailable` while it is away.
  /** A plugin that is not registered is; of one that is, what a host found `invalid` becomes `active` when it is valid now. */
  register(found: FoundPlugin): Promise<DesiredPlugin>;
  /** Rejects with `PluginNotFound` for one that is not registered. */
  setStatus(name: string, status: PluginStatus, reason?: string): Promise<DesiredPlugin>;
  /** Null goes back to what the application says. `ifRevision`: rejects with `PreconditionFailed` when another one is in force. */
  setConfig(
    name: string,
    config: Readonly<Record<string, unknown>> | null,
    ifRevision?: number,
  ): Promise<ConfiguredPlugin>;
  /** The last 100, newest first. */
  configs(name: string): Promise<ConfigVersion[]>;
  /** The hosts of this registry, by name; at most 1,000. Rejects with `RegistryUnavailable` while it is away. */
  hosts(): Promise<HostRow[]>;
  /** It is registered no more, on any host. Fine for one that is not registered. */
  remove(name: string): Promise<void>;

  // These return at once and never throw: what is reported is written when that is possible, the last of each kind wins.
  /** What this host runs of it; undefined: nothing any more, its application is gone. */
  report(name: string, report: PluginReport | undefined): void;
  /** What a plugin serves, since its own files have changed here: version, routes and library. */
  serves(name: string, version: string, endpoints: readonly EndpointRow[], artifact: ArtifactRow | undefined): void;
  /** At most 1,000 wait while it is away; the oldest go first, and are counted in the log. */
  reloaded(row: ReloadRow): void;
  /** Where this host is reached, once it listens. */
  listens(url: string): void;

  /** Read in full and tell the differences; resolves when it is. Rejects with `RegistryUnavailable`. */
  reconcile(): Promise<void>;
  /** What waits to be written is, for at most 2 s; says that the host has stopped. Twice is fine. */
  close(): Promise<void>;
}
