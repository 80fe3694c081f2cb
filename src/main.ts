/** The composition root: the rooms of a host are built here in order, and closed in reverse. */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Closer } from './base/closer.js';
import { type Environment, listOf, type Settings } from './base/config.js';
import { keepPrivate, openDataDirectory, requireDirectory } from './base/data-directory.js';
import { TenonError } from './base/errors.js';
import { removeHostFile } from './base/host-file.js';
import { hostId } from './base/host-id.js';
import { type Log, logLevels, type LogRecord, tapLog } from './base/log.js';
import { tokenKey } from './base/token-key.js';
import { flushTracing } from './base/tracing.js';
import { version } from './base/version.js';
import { type Front, loadCore } from './binding/core.js';
import { Audit } from './bundle/audit.js';
import { HighestVersions } from './bundle/highest.js';
import { Places } from './bundle/place.js';
import { type SignaturePolicy, Trust } from './bundle/trust.js';
import { recoverBuilds } from './compiler/hold.js';
import { Applications } from './host/applications.js';
import { Bundles } from './host/bundled.js';
import { Chains } from './host/chains.js';
import type { CheckedStatic } from './host/checked-static.js';
import { Convergence } from './host/converge.js';
import { Desires } from './host/desired.js';
import { DroppedArchives } from './host/dropped.js';
import { Grants } from './host/grants.js';
import { Host } from './host/host.js';
import { Installation } from './host/installation.js';
import { Installer } from './host/installer.js';
import { type Listener, tellAll } from './host/listeners.js';
import { LogLevels } from './host/log-levels.js';
import { type OwnOutput, writeOutput } from './host/output-log.js';
import { writePluginLog } from './host/plugin-log.js';
import { PluginConfigs, pluginsWithConfig } from './host/plugin-configs.js';
import { emitNews } from './host/plugin-news.js';
import { Plugins } from './host/plugins.js';
import { probationOf } from './host/probation.js';
import type { Admission } from './host/replace.js';
import { Live } from './host/live.js';
import { Outgoing } from './host/outgoing.js';
import { Purges } from './host/purges.js';
import { RouteBook } from './host/routes.js';
import { SavedStates } from './host/saved-states.js';
import { StaticGates } from './host/static-gate.js';
import { StaticPlugins } from './host/static-plugins.js';
import { Subscriptions } from './host/subscriptions.js';
import { TableWorlds } from './host/table-world.js';
import { Uninstallation } from './host/uninstallation.js';
import { adminApplication, type AdminOptions, reservedSegments } from './http/admin.js';
import { LogFeed } from './http/logs.js';
import type { ReadSettings } from './http/settings-admin.js';
import { Announcement } from './http/announcement.js';
import { certificateOf } from './http/certificate.js';
import { EventFeed } from './http/events.js';
import { compressing } from './http/compression.js';
import { fileServing } from './http/static-files.js';
import { FrontDoor } from './http/front-door.js';
import { Guard } from './http/guard.js';
import { Metrics } from './http/metrics.js';
import { RouteDocument } from './http/openapi-routes.js';
import { staticEndpoint } from './http/static-endpoints.js';
import { TableEndpoints } from './http/table-endpoints.js';
import { type Gateway, TableGates } from './http/table-gate.js';
import { adminToken } from './http/token.js';
import { Tokens } from './http/tokens.js';
import { limitsOf } from './plugin/limits.js';
import { Staging } from './plugin/stage.js';
import { Trial } from './plugin/trial.js';
import { openRegistry } from './registry/open.js';
import { configurationOf } from './reload/configuration.js';
import { hotReloadOf } from './reload/hot-reload.js';
import { HotReloadManager } from './reload/manager.js';
import type { TenonHost, Wishes } from './embedding.js';
import { openTableStore } from './tables/open.js';
import { Tables } from './tables/tables.js';

/** What a host is made with, beside its settings. */
export interface Surroundings {
  readSettings: ReadSettings | undefined;
  log: Log;
  listeners: readonly Listener[];
  environment: Environment;
  definitions: readonly CheckedStatic[];
  output?: OwnOutput | undefined;
}

/** Between two looks for what was killed and runs, and for an archive to come and be read (a request has 30 s to arrive), ms. */
const [killedMs, uploadMs] = [10_000, 40_000];

/** Build a host of `settings`; what it sets up is closed by `closer`, by the caller when this rejects. */
export async function compose(
  settings: Settings,
  closer: Closer,
  { log: own, listeners, environment, definitions, output, readSettings }: Surroundings,
): Promise<TenonHost> {
  const events = new EventFeed(() => log);
  const logs = new LogFeed(() => log);
  const levels = new LogLevels(
    () => settings.logLevel,
    (level, plugin) => front.setLogLevel(level, plugin),
  );
  const tellLog = (record: LogRecord, kept: boolean): void => {
    if (kept) logs.tell(record);
    if (logLevels[record.level] >= logLevels.warn) events.tellLog(record);
  };
  const log = tapLog(own, tellLog, () => levels.lowest);
  // The core keeps their levels.
  const pluginLog = tapLog(own, tellLog);
  closer.add('traces', () => flushTracing((error) => log.warn({ err: error }, 'the last spans were not exported')));
  const { data, applications: directory } = settings;
  requireDirectory('applications', directory);
  openDataDirectory(data, log);
  const certificate = certificateOf(settings, log);
  closer.add('certificate', () => certificate?.close());
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

  const trust = new Trust(path.resolve(settings.trust || path.join(data, 'trust.json')));
  const audit = new Audit(path.join(data, 'audit.log'));
  const tokens = await Tokens.open({ file: path.join(data, 'tokens.json'), audit, log });
  closer.add('tokens', () => tokens.close());
  const staging = await Staging.open({
    dataDirectory: data,
    mayExecute: (place) => core.mayExecute(place),
    keepStaged: settings.keepStaged,
  });
  closer.add('staging', () => staging.close());
  const metrics = new Metrics({
    core: (openMetrics) => front.metricsText(openMetrics),
    statics: () => statics.counts(),
    figures: async () => ({
      build: { version, abi: `${core.abi.major}.${core.abi.minor}`, node: process.versions.node },
      ready: host.ready,
      plugins: plugins.figures(),
      images: host.images(),
      registry: { ...registry.status(), ...registry.figures() },
      connections: door.connections,
      store: await tables.store?.metrics(),
    }),
  });
  const trial = new Trial();
  closer.add('trial', () => trial.close());

  const front: Front = new core.Front({
    onReady: () => door.pump(),
    onLog: (records, dropped) => {
      metrics.events.logDropped(dropped);
      writePluginLog(pluginLog, records, dropped, (request) => door.traceOf(request));
    },
    logLevel: levels.lowest,
    onFetch: (requests) => outgoing.take(requests),
    tokenKey: tokenKey(data, log),
    operatorToken: admin.token,
  });
  closer.add('front', () => front.close());
  if (output !== undefined) {
    front.tagOutput(output.mark);
    output.open((lines, dropped) => writeOutput(pluginLog, levels, lines, dropped));
  }
  const outgoing = new Outgoing(
    (number, answer) => front.fetched(number, answer),
    (request) => door.traceOf(request),
  );
  closer.add('outgoing requests', () => outgoing.close());

  const tables = new Tables({
    open: () => openTableStore(core, { ...settings, directory: path.join(data, 'tables') }),
    log,
  });
  closer.add('tables', () => tables.close());
  const compress = compressing(settings.compression);
  const gateway: Gateway = {
    gateOf: (application) => chains.gateOf(application),
    pass: (request, response, passage) => door.pass(request, response, passage),
  };
  const endpoints = new TableEndpoints({
    log,
    bodyLimit: settings.bodyLimit,
    introspection: settings.graphqlIntrospection,
    compress,
    gates: new TableGates(gateway),
  });
  closer.add('changes of tables', () => endpoints.close());
  const desires = new Desires(registry);
  const chains = new Chains((id) => new Live(core, front, { id, queueLimit: settings.queueLimit }));
  const secretPlaces = { environment, secrets: path.resolve(settings.secrets || path.join(data, 'secrets')) };
  const bundles = new Bundles({
    core,
    trust,
    policy: settings.localSignatures as SignaturePolicy,
    imageLimit: settings.imageLimit,
    fileLimit: settings.bundleLimit,
    copies: path.join(data, 'cache', 'bundles'),
  });
  const grants = await Grants.open({
    file: path.join(data, 'grants.json'),
    fixed: settings.permissionGrants,
    scope: settings.permissionScope === 'all' ? 'all' : 'bundles',
    audit,
    changed: (id) => host.permit(id),
  });
  const applications = new Applications({
    directory,
    dataDirectory: data,
    environment,
    buildMs: settings.buildMs,
    bundles,
    onBuild: (outcome, ms) => metrics.events.built(outcome, ms),
  });
  const subscriptions = new Subscriptions(log);
  const document = new RouteDocument({
    placeOf: (route) => endpoints.placeOf(route),
    gateOf: (id) => chains.gateOf(id),
  });
  const routes = new RouteBook(reservedSegments, fileServing({ ...gateway, compress }), (all) => {
    door.serve(all);
    document.serve(all);
  });
  const tell = tellAll(log, [
    (event) => manager.observe(event),
    (event) => convergence.observe(event),
    (event) => events.tellEvent(event),
    (event) => emitNews(front, event),
    (event) => metrics.events.observe(event),
    subscriptions.tell,
    ...listeners,
  ]);
  const admission: Admission = {
    core,
    trial,
    staging,
    imageLimit: settings.imageLimit,
    trialMs: settings.trialMs,
    keepStaged: settings.keepStaged,
  };
  const states = new SavedStates({ directory: path.join(data, 'state'), stateLimit: settings.stateLimit });
  const host = new Host({
    core,
    chains,
    log,
    admission,
    applications,
    limits: limitsOf(settings),
    secretPlaces,
    tables: new TableWorlds(tables, (served) => endpoints.open(served)),
    desires,
    grants,
    forgotten: (id) => convergence.forgotten(id),
    states,
    preserveState: () => settings.preserveState,
    refusedState: settings.refusedState === 'fail' ? 'fail' : 'empty',
    probation: probationOf(settings),
    pinnedLimit: { count: settings.pinnedLimit, bytes: settings.pinnedBytesLimit },
    versions: { directory: path.join(data, 'versions'), limit: settings.keptVersions },
    routes,
    isStatic: (id) => statics.has(id),
    refuseKilled: (id, sha256) => bundles.refuseKilled(id, sha256),
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
  const manager = new HotReloadManager({
    host: plugins,
    dropped: (name) => void dropped.take(name, 'watch'),
    log,
    settings,
  });
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
    quiet: manager.quiet,
    limits: { bytes: settings.bundleLimit, timeMs: uploadMs },
    policies: {
      upload: settings.uploadSignatures as SignaturePolicy,
      local: settings.localSignatures as SignaturePolicy,
    },
  });
  const purges = new Purges(path.join(data, 'purges'));
  const uninstallation = new Uninstallation({
    ...shared,
    host,
    show: (id) => plugins.show(id),
    purgeRow: (id) => convergence.purge(id, hostId(data)),
    builds: path.join(data, 'cache', 'builds'),
    purgeTables: (id, made) => tables.purge(id, made),
    purges,
  });
  const installing = new Installer({ installation, uninstallation, purges, audit, log });
  const dropped = new DroppedArchives({ directory, limit: settings.bundleLimit, installing, log });
  const convergence = new Convergence({ door: registry, desires, host: plugins, applications, log });
  void convergence.open();
  const hotReload = hotReloadOf(manager);
  let closing = false;
  const discover = async (): Promise<void> => {
    if (closing) throw new TenonError('HostClosing', 'the host is shutting down', { next: 'make another host' });
    await convergence.open();
    await statics.start();
    const trigger = host.ready ? 'api' : 'start';
    await installing.finish();
    await host.discover(trigger);
    await endKilled();
    await dropped.takeAll(trigger);
    front.endStart();
    convergence.begin();
    if (trigger === 'api') await convergence.registered();
  };
  // The file of what was killed may be written by anybody whom the operator lets.
  const endKilled = (): Promise<void> => host.endKilled().catch(() => {}); // logged where it happened
  const killing = setInterval(() => void endKilled(), killedMs).unref();
  closer.add('kill list', () => clearInterval(killing));
  const guard = new Guard({
    token: admin.token,
    tokens,
    names: [settings.host, settings.adminAddress, ...listOf(settings.adminHosts)],
  });
  const configured = pluginsWithConfig(plugins, applications);
  const administration: AdminOptions = {
    host: plugins,
    guard,
    hotReload,
    events,
    registry: convergence,
    log: { logs, levels },
    install: { installing, limit: settings.bundleLimit },
    grants,
    tokens,
    imageLimit: settings.imageLimit,
    bundles: { trust, audit, killed: () => host.endKilled() },
    configs: new PluginConfigs({ log, registry, convergence, ...secretPlaces, plugins: configured }),
    discover,
    tables: { store: () => tables.store, backups: path.join(data, 'backups') },
    metrics,
    compress,
    settings: readSettings,
    others: () => document.part(),
  };
  const door = new FrontDoor({
    front,
    log,
    settings,
    certificate,
    metrics,
    reserved: reservedSegments,
    application: (isElsewhere) => adminApplication({ ...administration, isElsewhere }),
    socketOf: (route) => endpoints.socketOf(route),
  });
  closer.add('plugins', () => host.close());
  closer.add('what the registry says', () => convergence.close());
  let leave: ((wishes: Wishes) => void) | undefined;
  closer.add('wishes', () => leave?.({ plugins: host.wishes(), hotReload: configurationOf(settings) }));

  // What is being installed or removed needs all of the above.
  closer.add('installing', () => installing.close());
  closer.add('dropped archives', () => dropped.close());

  closer.add('front door', async () => {
    const closed = door.close({ continues: leave !== undefined, endStreams: () => plugins.endStreams() });
    await Promise.all([endpoints.close(), closed]);
  });

  const announcement = new Announcement({ data, log, certificate, registry });
  closer.add('announcement', () => announcement.withdraw());
  closer.add('events', () => events.close());
  closer.add('logs', () => logs.close());
  closer.add('hot reload', () => manager.close());
  closer.add('time for those who share out requests', async () => {
    if (leave !== undefined) return;
    plugins.leave();
    if (door.listening && settings.shutdownDelayMs > 0) await sleep(settings.shutdownDelayMs);
  });
  if (settings.hotReload) await manager.enable();

  return {
    settings,
    hotReload,
    admin,
    handle: door.handle,
    handler: () => door.take,
    handleUpgrade: door.handleUpgrade,
    inject: (request) => door.inject(request),
    on: (type, listener) => subscriptions.on(type, listener),
    adminUrl: () => door.adminUrl,
    setLogLevel: (level, plugin) =>
      plugin === undefined ? levels.set(level) : levels.setPlugin(plugins.show(plugin).id, level),
    listen: async (descriptor, held) => {
      const listening = await door.listen(descriptor, held);
      if (!closing) announcement.make(listening);
      return listening.url;
    },
    reloadCertificate: () => certificate?.reload(),
    reloadTokens: () => tokens.reload(),
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
    install: (archive, asked) => installing.install(archive, asked),
    uninstall: (id, asked) => installing.uninstall(id, asked),
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
