/** What embedders give a host, and what they get. */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Environment } from './base/config.js';
import type { Containment, KeptContainment } from './base/containment.js';
import type { Log } from './base/log.js';
import type { Settings } from './base/settings.js';
import type { ContainmentListener } from './host/containing.js';
import type { Images } from './host/images.js';
import type { HostEvent } from './host/journal.js';
import type { Installed, InstallOptions, Uninstalled, UninstallOptions } from './host/installing.js';
import type { ReloadCallbacks } from './host/listeners.js';
import type { PluginView } from './host/plugin.js';
import type { OwnOutput } from './host/output-log.js';
import type { ReloadRecord } from './host/record.js';
import type { StaticPluginSource } from './host/static-plugin.js';
import type { EventOf } from './host/subscriptions.js';
import type { Version } from './host/versions.js';
import type { ReadSettings } from './http/settings-admin.js';
import type { Wish } from './host/wishes.js';
import type { InjectedAnswer, InjectedRequest } from './http/inject.js';
import type { AdminDescriptors } from './http/admin-listener.js';
import type { AdminToken } from './http/token.js';
import type { RegistryStatus } from './registry/door.js';
import type { HotReloadConfig } from './reload/configuration.js';
import type { HotReload } from './reload/hot-reload.js';

/** Settings that differ from their defaults; neither the environment nor `tenon.yaml` is looked at. */
export type HostSettings = { [Name in keyof Settings]?: Settings[Name] | undefined };

export interface CreateHostOptions extends HostSettings, ReloadCallbacks {
  /** Where the host and its plugins log, from its own level on unless `logLevel` is given; nowhere by default. */
  log?: Log;
  /** Told while plugins come, change and go, in the turn of the event loop in which it is true. */
  onEvent?: (event: HostEvent) => void;
  /** Environment of the compilers; the process's own by default. */
  environment?: Environment;
  /**
   * What the API shows of the settings, for a program that reads them from somewhere and can read them again; by default it
   * answers that they are the program's.
   */
  readSettings?: ReadSettings;
  /** Plugins that are part of the program, in the order in which they start; see docs/static-plugins.md. */
  plugins?: readonly StaticPluginSource[];
}

/** What a host leaves to the one that goes on in its place. */
export interface Wishes {
  plugins: readonly Wish[];
  /** Whether the host had tried everything that there was, or had itself gone on with all that one had left which had; absent: no. */
  isWhole?: boolean;
  hotReload: HotReloadConfig;
}

/** A running host. */
export interface TenonHost {
  /** All settings with their values; those of hot reload follow `hotReload.configure`. */
  readonly settings: Settings;
  readonly hotReload: HotReload;
  /** The admin token, and where it is kept. */
  readonly admin: AdminToken;
  /**
   * Answers what plugins and the host serve: for a server of your own, instead of `listen`. It reads the bodies itself, so
   * it comes before body parsers; headers that are set already stay.
   */
  readonly handle: RequestListener;
  /**
   * The same as a middleware, for `app.use` of Express, Connect, and Fastify with its middleware support, also below a path: what neither
   * the plugins nor the host serve is left to what comes after it. Below a path the addresses in answers do not have that.
   */
  handler(): (request: IncomingMessage, response: ServerResponse, next?: (error?: unknown) => void) => void;
  /**
   * Opens the WebSockets that the host serves: for the event `upgrade` of a server of your own. It takes the connection over in
   * any case, and answers what is no WebSocket of the host; paths of your own sockets are kept from it. Sockets are closed
   * by `close`, with 1012.
   */
  readonly handleUpgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
  /**
   * A request without a socket, for tests: `await host.inject('/hello/greeting')`. It is answered as one over the network, without
   * what a port does before: its limits, its checks of heads, and `Expect`. Resolves when the answer has ended; rejects with TypeError for a wrong request, and when its signal aborts.
   */
  inject(request: string | InjectedRequest): Promise<InjectedAnswer>;
  /**
   * Call `listener` with every event of `type`, in the turn of the event loop in which it is true; what it throws is logged. What is
   * returned ends that. Throws TypeError for a type that there is not.
   */
  on<Type extends HostEvent['type']>(type: Type, listener: (event: EventOf<Type>) => unknown): () => void;
  /**
   * Begin to listen on the port of the settings; the URL. Rejects with `AddressInUse`, and with TypeError when it listens
   * already. From then on `host.json` in the data directory says where the host is, until it closes.
   * @param descriptor a bound socket to listen on instead, which another process may hold too
   * @param admin the same for the listener of the admin API, when it has one, which begins first
   */
  listen(descriptor?: number, admin?: AdminDescriptors): Promise<string>;
  /** Where the admin API has a listener of its own, `unix:/path` when that has no port; undefined without one, and before `listen`. */
  adminUrl(): string | undefined;
  /**
   * Read the certificate and its key now, which is also done when they change; without HTTPS nothing. Throws `TlsInvalid`: the
   * certificate before stays.
   */
  reloadCertificate(): void;
  /**
   * Read `tokens.json` of the data directory again: what was taken out of it by hand is admitted no more. Never rejects; of a file that
   * cannot be used that is logged, and no token but the admin token is admitted.
   */
  reloadTokens(): Promise<void>;
  /**
   * Scan the applications directory for what came, changed or went. `/readyz` says ready after the first time, or after `resume` when all
   * that served in the host before serves again.
   */
  discover(): Promise<void>;
  /**
   * Go on where the host before this one has ended, before `listen` and `discover`: what ran is loaded from the kept
   * builds, without a compiler, and what was stopped stays so. A build that is not kept is left to `discover`, which also
   * loads what has changed since, but nothing in place of a build that somebody went back to. Rejects with TypeError.
   */
  resume(wishes: Wishes): Promise<void>;
  /** What `resume` of the next host takes, if this one ended now. */
  wishes(): Wishes;
  /** What is not loaded for what crashes have led to. */
  containment(): Containment;
  /**
   * Hold the plugin back no longer, and load it; what it is then, undefined where its application is not here. Without an id: end the safe
   * mode, and load what there is. Rejects with `NotQuarantined`, `PluginNotFound`, and like `load`, released all the same.
   */
  release(id?: string): Promise<PluginView | undefined>;
  plugins(): PluginView[];
  /** What plugins keep mapped in this process now. */
  images(): Images;
  /** Throws `PluginNotFound`. */
  plugin(id: string): PluginView;
  load(id: string): Promise<PluginView>;
  unload(id: string): Promise<PluginView>;
  /**
   * Have it run on every host of the registry, or on none; what it is here then, undefined where its application is not here.
   * Rejects with `RegistryUnavailable`, with `PluginNotFound`, and when it is to run and does not serve here.
   */
  enable(id: string): Promise<PluginView | undefined>;
  disable(id: string): Promise<PluginView | undefined>;
  /**
   * Lowest level that is logged from now on, as `debug` or `silent`; of one plugin, or of the host and of plugins that have none of their own.
   * Undefined goes back to the setting, or to the host's. Throws `PluginNotFound`, and TypeError for a word that is no level.
   */
  setLogLevel(level: string | undefined, plugin?: string): void;
  /** How the registry is reached. */
  registry(): RegistryStatus;
  /** Build and swap in what the application is now; resolves when the old generation is gone. */
  reload(id: string): Promise<ReloadRecord>;
  /**
   * Go back to a kept build: the one before, or the one that `to` names by its hash (6 digits or more), generation or
   * version. Rejects with `VersionNotFound`, `VersionDamaged`, and like `reload`.
   */
  rollback(id: string, to?: string): Promise<ReloadRecord>;
  /**
   * Install or upgrade from the archive of a bundle, while everything serves. Rejects with the codes of archives, manifests,
   * signatures and choices, `BundleDowngrade`, `ApplicationExists`, `InstallRunning`, `DependencyMissing`, `InstallFailed`, and as a
   * reload does; what was there before serves then.
   */
  install(archive: Uint8Array | AsyncIterable<Uint8Array>, options: InstallOptions): Promise<Installed>;
  /** Unload what was installed, and remove its folder. Rejects with `PluginNotFound`, `NotInstalled`, `InstallFailed` and `InstallRunning`. */
  uninstall(id: string, options: UninstallOptions): Promise<Uninstalled>;
  /** Builds that can be gone back to, the one that served last first. */
  versions(id: string): Promise<readonly Version[]>;
  /** The last 100 reload records, newest first. */
  reloads(): ReloadRecord[];
  /**
   * With `leave` first go on serving everybody until the requests that are under way now are over, for as long as `drainMs`; closing again without cuts that short. Then
   * stop accepting, end builds, let requests under way end for as long as `drainMs`, take every plugin down. Twice is fine.
   * From then on `listen`, `discover`, `load`, `unload` and `reload` reject with `HostClosing`.
   * @param leave told what `resume` of the next host takes, when no request is under way any more
   */
  close(leave?: (wishes: Wishes) => void): Promise<void>;
}

/** What a parent process is told of a host. */
export interface ParentListener {
  /** What `wishes` gives may be another. */
  wishesChanged?: (() => void) | undefined;
  /** Ids of its requests are this, `-` and a number. */
  requestsNamed?: ((name: string) => void) | undefined;
}

/** What a host has from the parent process that runs it. */
export interface OwnProcess {
  /** Where what is written to the standard streams of the process is read, to be logged. */
  output?: OwnOutput | undefined;
  /** What it must keep to; nothing by default. */
  containment?: KeptContainment | undefined;
  /** Whether somebody else holds the lock of the data directory for it. */
  locked?: boolean | undefined;
  /** Descriptor of the black box that it writes. */
  box?: number | undefined;
  /**
   * Have a host of the release in `folder`, without one of the same release, take the place of this one. Resolves when that stands by: then
   * this one begins anew. Rejects with `ReleaseInvalid`, `UpgradeRunning`, `UpgradeFailed` and `HostClosing`.
   */
  upgrade?: ((folder?: string) => Promise<{ version: string }>) | undefined;
  /** The parent, where there is one: told of what it is to keep, and when what `wishes` gives may be another. */
  parent?: (ContainmentListener & ParentListener) | undefined;
}
