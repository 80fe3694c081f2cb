/**
 * What embedders import, and the composition root: the rooms are built here in order, and closed in reverse.
 *
 *     const host = await createHost({ applications: '/srv/applications', data: '/var/lib/tenon' });
 *     console.log(await host.listen());
 */
import { rmSync } from 'node:fs';
import type { IncomingMessage, RequestListener } from 'node:http';
import path from 'node:path';
import type { Duplex } from 'node:stream';
import { Closer } from './base/closer.js';
import { type Environment, processEnvironment, resolveSettings, type Settings } from './base/config.js';
import { keepPrivate, openDataDirectory, requireDirectory } from './base/data-directory.js';
import { TenonError } from './base/errors.js';
import { removeHostFile, writeHostFile } from './base/host-file.js';
import { hostId } from './base/host-id.js';
import { type Log, silentLog, tapLog } from './base/log.js';
import { tokenKey } from './base/token-key.js';
import { version } from './base/version.js';
import { type Front, loadCore } from './binding/core.js';
import { recoverBuilds } from './compiler/hold.js';
import { Applications } from './host/applications.js';
import { Chains } from './host/chains.js';
import { type CheckedStatic, checkStatics } from './host/checked-static.js';
import { Convergence } from './host/converge.js';
import { Desires } from './host/desired.js';
import { Host } from './host/host.js';
import type { Images } from './host/images.js';
import type { HostEvent } from './host/journal.js';
import { type Listener, type ReloadCallbacks, tellAll, toCallbacks } from './host/listeners.js';
import { writePluginLog } from './host/plugin-log.js';
import { PluginConfigs, pluginsWithConfig } from './host/plugin-configs.js';
import { emitNews } from './host/plugin-news.js';
import type { PluginView } from './host/plugin.js';
import { Plugins } from './host/plugins.js';
import { probationOf } from './host/probation.js';
import type { ReloadRecord } from './host/record.js';
import { Live } from './host/live.js';
import { Outgoing } from './host/outgoing.js';
import { RouteBook } from './host/routes.js';
import { SavedStates } from './host/saved-states.js';
import { StaticGates } from './host/static-gate.js';
import type { StaticPluginSource } from './host/static-plugin.js';
import { StaticPlugins } from './host/static-plugins.js';
import { TableWorlds } from './host/table-world.js';
import type { Version } from './host/versions.js';
import type { Wish } from './host/wishes.js';
import { adminApplication, reservedSegments } from './http/admin.js';
import { Calls } from './http/calls.js';
import { EventFeed } from './http/events.js';
import { Guard } from './http/guard.js';
import { HttpServer } from './http/server.js';
import { staticEndpoint } from './http/static-endpoints.js';
import { withStatics } from './http/static-metrics.js';
import { TableEndpoints } from './http/table-endpoints.js';
import { type Gateway, TableGates } from './http/table-gate.js';
import { adminToken, type AdminToken } from './http/token.js';
import { Upgrades } from './http/upgrade.js';
import { limitsOf } from './plugin/limits.js';
import { Staging } from './plugin/stage.js';
import { Trial } from './plugin/trial.js';
import type { RegistryStatus } from './registry/door.js';
import { openRegistry } from './registry/open.js';
import { configurationOf, type HotReloadConfig } from './reload/configuration.js';
import { type HotReload, hotReloadOf } from './reload/hot-reload.js';
import { HotReloadManager } from './reload/manager.js';
import { openTableStore } from './tables/open.js';
import { Tables } from './tables/tables.js';

export { errorCodes, TenonError, type ErrorCode } from './base/errors.js';
export type { Settings } from './base/config.js';
export type { Log } from './base/log.js';
export type { Gauge, Images } from './host/images.js';
export type { HostEvent } from './host/journal.js';
export type { ReloadCallbacks } from './host/listeners.js';
export type { RegistryView } from './host/desired.js';
export type { ConfigChange, ConfigHistoryEntry, ConfigView } from './host/plugin-configs.js';
export type { GenerationView, PluginState, PluginView, RouteView } from './host/plugin.js';
export type { BuildFacts, Phase, ReloadRecord, Trigger } from './host/record.js';
export type * from './host/static-plugin.js';
export type { Version } from './host/versions.js';
export type { Wish } from './host/wishes.js';
export type { RegistryStatus } from './registry/door.js';
export type { HostRow, PluginReport, PluginStatus } from './registry/rows.js';
export type { HotReloadConfig } from './reload/configuration.js';
export type { HotReload } from './reload/hot-reload.js';
export type { HotReloadStatus } from './reload/manager.js';

/** Settings that differ from their defaults; neither the environment nor `tenon.yaml` is looked at. */
export type HostSettings = { [Name in keyof Settings]?: Settings[Name] | undefined };

export interface CreateHostOptions extends HostSettings, ReloadCallbacks {
  /** Where the host and its plugins log; nowhere by default. */
  log?: Log;
  /** Told while plugins come, change and go, in the turn of the event loop in which it is true. */
  onEvent?: (event: HostEvent) => void;
  /** Environment of the compilers; the process's own by default. */
  environment?: Environment;
  /** Plugins that are part of the program, in the order in which they start; see docs/static-plugins.md. */
  plugins?: readonly StaticPluginSource[];
}

/** What a host leaves to the one that goes on in its place. */
export interface Wishes {
  plugins: readonly Wish[];
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
   * Opens the WebSockets that the host serves: for the event `upgrade` of a server of your own. It takes the connection over in
   * any case, and answers what is no WebSocket of the host; paths of your own sockets are kept from it. Sockets are closed
   * by `close`, with 1012.
   */
  readonly handleUpgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
  /**
   * Begin to listen on the port of the settings; the URL. Rejects with `AddressInUse`, and with TypeError when it listens
   * already. From then on `host.json` in the data directory says where the host is, until it closes.
   * @param descriptor a bound socket to listen on instead, which another process may hold too
   */
  listen(descriptor?: number): Promise<string>;
  /** Scan the applications directory for what came, changed or went. `/readyz` says ready after the first time. */
  discover(): Promise<void>;
  /**
   * Go on where the host before this one has ended, before `listen` and `discover`: what ran is loaded from the kept
   * builds, without a compiler, and what was stopped stays so. A build that is not kept is left to `discover`, which also
   * loads what has changed since, but nothing in place of a build that somebody went back to. Rejects with TypeError.
   */
  resume(wishes: Wishes): Promise<void>;
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
  /** How the registry is reached. */
  registry(): RegistryStatus;
  /** Build and swap in what the application is now; resolves when the old generation is gone. */
  reload(id: string): Promise<ReloadRecord>;
  /**
   * Go back to a kept build: the one before, or the one that `to` names by its hash (6 digits or more), generation or
   * version. Rejects with `VersionNotFound`, `VersionDamaged`, and like `reload`.
   */
  rollback(id: string, to?: string): Promise<ReloadRecord>;
  /** Builds that can be gone back to, the one that served last first. */
  versions(id: string): Promise<readonly Version[]>;
  /** The last 100 reload records, newest first. */
  reloads(): ReloadRecord[];
  /**
   * Stop accepting, end builds, let requests under way end for as long as `drainMs`, take every plugin down. Twice is fine.
   * From then on `listen`, `discover`, `load`, `unload` and `reload` reject with `HostClosing`.
   * @param leave told what `resume` of the next host takes, when no request is under way any more
   */
  close(leave?: (wishes: Wishes) => void): Promise<void>;
}

/**
 * Make a host: lock the data directory, load the core, compile and load every application, and watch them unless
 * `hotReload` is false. A bad application is logged and stops nothing. Throws TypeError for a wrong option,
 * `SettingsInvalid` for a directory that is none, `DataDirectoryLocked`, `NativePartMissing`; nothing is left open then.
 */
export async function createHost(options: CreateHostOptions = {}): Promise<TenonHost> {
  const host = await openHost(options);
  try {
    await host.discover();
  } catch (error) {
    await host.close().catch((second: unknown) => options.log?.error({ err: second }, 'not everything closed'));
    throw error;
  }
  return host;
}

/**
 * `createHost` up to the applications: none is compiled or loaded before `discover` is called. For whoever wants to
 * listen, or to be able to close, while they are built.
 */
export async function openHost(options: CreateHostOptions = {}): Promise<TenonHost> {
  const { log = silentLog(), onEvent, environment = processEnvironment(), ...others } = options;
  const { onReloadStart, onReloadSuccess, onReloadFailed, plugins = [], ...flags } = others;
  const { settings } = resolveSettings({ flags, variables: {} });
  const definitions = await checkStatics(plugins, reservedSegments);
  const closer = new Closer();
  try {
    const callbacks = toCallbacks({ onReloadStart, onReloadSuccess, onReloadFailed });
    const listeners: Listener[] = [(event) => onEvent?.(event), callbacks];
    return await compose(settings, closer, { log, listeners, environment, definitions });
  } catch (error) {
    await closer.close().catch((second: unknown) => log.error({ err: second }, 'what was set up did not close'));
    throw error;
  }
}

interface Surroundings {
  log: Log;
  listeners: readonly Listener[];
  environment: Environment;
  definitions: readonly CheckedStatic[];
}

async function compose(
  settings: Settings,
  closer: Closer,
  { log: own, listeners, environment, definitions }: Surroundings,
): Promise<TenonHost> {
  const events = new EventFeed(() => log);
  const log = tapLog(own, (record) => events.tellLog(record));
  const { data, applications: directory } = settings;
  requireDirectory('applications', directory);
  openDataDirectory(data, log);
  const core = loadCore();
  const lock = core.lockFile(path.join(data, 'lock'));
  closer.add('data directory lock', () => lock.release());
  removeHostFile(data);
  const registry = openRegistry({ ...settings, hostId: () => hostId(data), log });
  closer.add('registry', () => registry.close());
  const admin = adminToken(data, settings.adminToken);
  if (admin.file !== undefined) keepPrivate(admin.file, log);
  for (const { directory: place, error } of await recoverBuilds(data))
    log.warn({ err: error, path: place }, 'what a killed build left behind could not be removed');

  const staging = await Staging.open({
    dataDirectory: data,
    mayExecute: (place) => core.mayExecute(place),
    keepStaged: settings.keepStaged,
  });
  // A process that ends without closing takes the directory with it, where it can.
  const sweep = (): void => rmSync(staging.directory, { recursive: true, force: true });
  if (!settings.keepStaged) process.once('exit', sweep);
  closer.add('staging', () => {
    process.off('exit', sweep);
    return staging.close();
  });
  const trial = new Trial();
  closer.add('trial', () => trial.close());

  const front: Front = new core.Front({
    onReady: () => door.pump(),
    onLog: (records, dropped) => writePluginLog(log, records, dropped),
    onFetch: (requests) => outgoing.take(requests),
    tokenKey: tokenKey(data, log),
    operatorToken: admin.token,
  });
  closer.add('front', () => front.close());
  const outgoing = new Outgoing((number, answer) => front.fetched(number, answer));
  closer.add('outgoing requests', () => outgoing.close());

  const tables = new Tables({
    open: () => openTableStore(core, { ...settings, directory: path.join(data, 'tables') }),
    log,
  });
  closer.add('tables', () => tables.close());
  const gateway: Gateway = {
    gateOf: (application) => chains.gateOf(application),
    pass: (request, response, passage) => door.pass(request, response, passage),
  };
  const endpoints = new TableEndpoints({
    log,
    bodyLimit: settings.bodyLimit,
    introspection: settings.graphqlIntrospection,
    gates: new TableGates(gateway),
  });
  closer.add('changes of tables', () => endpoints.close());
  const desires = new Desires(registry);
  const chains = new Chains((id) => new Live(core, front, { id, queueLimit: settings.queueLimit }));
  const secretPlaces = { environment, secrets: path.resolve(settings.secrets || path.join(data, 'secrets')) };
  const applications = new Applications({ directory, dataDirectory: data, environment, buildMs: settings.buildMs });
  const routes = new RouteBook(reservedSegments, (all) => door.serve(all));
  const tell = tellAll(log, [
    (event) => manager.observe(event),
    (event) => convergence.observe(event),
    (event) => events.tellEvent(event),
    (event) => emitNews(front, event),
    ...listeners,
  ]);
  const host = new Host({
    core,
    chains,
    log,
    admission: {
      core,
      trial,
      staging,
      imageLimit: settings.imageLimit,
      trialMs: settings.trialMs,
      keepStaged: settings.keepStaged,
    },
    applications,
    limits: limitsOf(settings),
    secretPlaces,
    tables: new TableWorlds(tables, (served) => endpoints.open(served)),
    desires,
    forgotten: (id) => convergence.forgotten(id),
    states: new SavedStates({ directory: path.join(data, 'state'), stateLimit: settings.stateLimit }),
    preserveState: () => settings.preserveState,
    refusedState: settings.refusedState === 'fail' ? 'fail' : 'empty',
    probation: probationOf(settings),
    pinnedLimit: { count: settings.pinnedLimit, bytes: settings.pinnedBytesLimit },
    versions: { directory: path.join(data, 'versions'), limit: settings.keptVersions },
    routes,
    isStatic: (id) => statics.has(id),
    onEvent: tell,
    attempt: (folder) => manager.attempt(folder),
  });
  const statics = new StaticPlugins(definitions, {
    log,
    routes,
    chains,
    gates: new StaticGates({ core, chains, limits: settings }),
    desires,
    secretPlaces,
    limits: settings,
    endpoint: (route, at) => staticEndpoint({ log, ...gateway }, route, at),
    tell,
  });
  closer.add('static plugins', () => statics.close());
  const plugins = new Plugins(host, statics);
  const manager = new HotReloadManager({ host: plugins, log, settings });
  const convergence = new Convergence({ door: registry, desires, host: plugins, applications, log });
  void convergence.open();
  const hotReload = hotReloadOf(manager);
  let closing = false;
  const discover = async (): Promise<void> => {
    if (closing) throw new TenonError('HostClosing', 'the host is shutting down', { next: 'make another host' });
    await convergence.open();
    await statics.start();
    const trigger = host.ready ? 'api' : 'start';
    await host.discover(trigger);
    front.endStart();
    convergence.begin();
    if (trigger === 'api') await convergence.registered();
  };
  const guard = new Guard({
    token: admin.token,
    names: [settings.host, ...listOf(settings.adminHosts)],
  });
  const configured = pluginsWithConfig(plugins, applications);
  const otherwise = adminApplication({
    host: plugins,
    guard,
    hotReload,
    events,
    registry: convergence,
    configs: new PluginConfigs({ log, registry, convergence, ...secretPlaces, plugins: configured }),
    discover,
    tables: { store: () => tables.store, backups: path.join(data, 'backups') },
    metrics: () => withStatics(front.metricsText(), statics.counts()),
  });
  const door = new Calls({ front, log, reserved: reservedSegments, otherwise });
  const upgrades = new Upgrades({
    find: (path) => endpoints.socketOf(door.find('GET', path)),
    handle: door.handle,
    origins: listOf(settings.tablesOrigins),
    ...(settings.tablesHosts === '' ? {} : { hosts: listOf(settings.tablesHosts.toLowerCase()) }),
  });
  closer.add('plugins', () => host.close());
  closer.add('what the registry says', () => convergence.close());
  let leave: ((wishes: Wishes) => void) | undefined;
  closer.add('wishes', () => leave?.({ plugins: host.wishes(), hotReload: configurationOf(settings) }));

  const server = new HttpServer({
    handle: door.handle,
    handleExpecting: door.handleExpecting,
    handleUpgrade: (request, socket, head) => upgrades.handle(request, socket, head),
    onError: (error) => log.warn({ error: error.message }, 'a connection could not be accepted'),
    host: settings.host,
    port: settings.port,
  });
  closer.add('server', async () => {
    door.lastAnswers();
    upgrades.close();
    const closed = server.close({
      deadlineMs: settings.drainMs,
      continues: leave !== undefined,
      endStreams: () => plugins.endStreams(),
    });
    await Promise.all([endpoints.close(), closed]);
  });

  closer.add('host file', () => removeHostFile(data));
  closer.add('events', () => events.close());
  closer.add('hot reload', () => manager.close());
  if (settings.hotReload) await manager.enable();

  return {
    settings,
    hotReload,
    admin,
    handle: door.handle,
    handleUpgrade: (request, socket, head) => upgrades.handle(request, socket, head),
    listen: async (descriptor) => {
      const { url } = await server.listen(descriptor);
      try {
        registry.listens(url);
        if (!closing) writeHostFile(data, { pid: process.pid, url, startedAt: new Date().toISOString(), version });
      } catch (error) {
        log.warn({ err: error }, 'where the host is could not be written: the command line does not find it by itself');
      }
      return url;
    },
    discover,
    resume: async ({ plugins: wishes, hotReload: config }) => {
      await manager.configure(config);
      await convergence.recall();
      await statics.start();
      await host.resume(wishes);
    },
    plugins: () => plugins.list(),
    images: () => host.images(),
    plugin: (id) => plugins.show(id),
    load: (id) => plugins.load(id),
    enable: (id) => convergence.setStatus(id, 'active'),
    disable: (id) => convergence.setStatus(id, 'disabled'),
    unload: (id) => plugins.unload(id),
    reload: (id) => plugins.reload(id, 'api'),
    rollback: (id, to) => plugins.rollback(id, to),
    versions: (id) => plugins.versions(id),
    reloads: () => host.reloads(),
    registry: () => registry.status(),
    close: (told) => {
      closing = true;
      leave ??= told;
      return closer.close();
    },
  };
}

/** What commas separate. */
function listOf(text: string): string[] {
  return text.match(/[^ ,]+/g) ?? [];
}
