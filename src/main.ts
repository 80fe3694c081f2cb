/** The composition root: the rooms of a host are built here in order, and closed in reverse. */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Closer } from './base/closer.js';
import { type Environment, listOf, type Settings } from './base/config.js';
import { nothingContained } from './base/containment.js';
import { keepPrivate, openDataDirectory, requireDirectory } from './base/data-directory.js';
import { TenonError } from './base/errors.js';
import { hostId } from './base/host-id.js';
import { type Log, logLevels, type LogRecord, tapLog } from './base/log.js';
import { tokenKey } from './base/token-key.js';
import { flushTracing } from './base/tracing.js';
import { version } from './base/version.js';
import { type Front, loadCore } from './binding/core.js';
import { Audit } from './bundle/audit.js';
import { type SignaturePolicy, Trust } from './bundle/trust.js';
import { recoverBuilds } from './compiler/hold.js';
import { Applications } from './host/applications.js';
import { Bundles } from './host/bundled.js';
import { Chains } from './host/chains.js';
import type { CheckedStatic } from './host/checked-static.js';
import { Containing } from './host/containing.js';
import { Convergence } from './host/converge.js';
import { Desires } from './host/desired.js';
import { Grants } from './host/grants.js';
import { GuardFindings } from './host/guard-findings.js';
import { guardPlugins } from './host/guard-plugins.js';
import { holdData } from './host/hold-data.js';
import { Host } from './host/host.js';
import { openInstalling } from './host/open-installing.js';
import { isolationSettings } from './host/isolation-of.js';
import { type Listener, tellAll } from './host/listeners.js';
import { LogLevels } from './host/log-levels.js';
import { writeOutput } from './host/output-log.js';
import { writePluginLog } from './host/plugin-log.js';
import { PluginConfigs, pluginsWithConfig } from './host/plugin-configs.js';
import { emitNews } from './host/plugin-news.js';
import { pluginVerbs } from './host/plugin-verbs.js';
import { Plugins } from './host/plugins.js';
import { probationOf } from './host/probation.js';
import type { Admission } from './host/replace.js';
import { Live } from './host/live.js';
import { Outgoing } from './host/outgoing.js';
import { RouteBook } from './host/routes.js';
import { SavedStates } from './host/saved-states.js';
import { StaticGates } from './host/static-gate.js';
import { StaticPlugins } from './host/static-plugins.js';
import { Subscriptions } from './host/subscriptions.js';
import { TableWorlds } from './host/table-world.js';
import { watchKilled } from './host/watch-killed.js';
import { adminApplication, type AdminOptions, reservedSegments } from './http/admin.js';
import { LogFeed } from './http/logs.js';
import type { ReadSettings } from './http/settings-admin.js';
import { Announcement } from './http/announcement.js';
import { certificateOf } from './http/certificate.js';
import { crashesOf } from './http/crashes.js';
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
import type { OwnProcess, TenonHost, Wishes } from './embedding.js';
import { openTableStore } from './tables/open.js';
import { Tables } from './tables/tables.js';

/** What a host is made with, beside its settings. */
export interface Surroundings {
  readSettings: ReadSettings | undefined;
  log: Log;
  listeners: readonly Listener[];
  environment: Environment;
  definitions: readonly CheckedStatic[];
  own: OwnProcess;
}

/** Build a host of `settings`; what it sets up is closed by `closer`, by the caller when this rejects. */
export async function compose(
  settings: Settings,
  closer: Closer,
  { log: given, listeners, environment, definitions, own, readSettings }: Surroundings,
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
  const log = tapLog(given, tellLog, () => levels.lowest);
  // The core keeps their levels.
  const pluginLog = tapLog(given, tellLog);
  closer.add('traces', () => flushTracing((error) => log.warn({ err: error }, 'the last spans were not exported')));
  const { data, applications: directory } = settings;
  requireDirectory('applications', directory);
  openDataDirectory(data, log);
  const certificate = certificateOf(settings, log);
  closer.add('certificate', () => certificate?.close());
  const core = loadCore();
  const { locked = false, parent, box, output } = own;
  await holdData({ core, data, applications: directory, keep: settings.crashReports, log, locked, parent }, closer);
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
    core,
    keepStaged: settings.keepStaged,
  });
  closer.add('staging', () => staging.close());
  const metrics = new Metrics({
    core: (openMetrics) => front.metricsText(openMetrics),
    statics: () => statics.counts(),
    figures: async () => ({
      build: { version, abi: `${core.abi.major}.${core.abi.minor}`, node: process.versions.node },
      ready: plugins.serves,
      plugins: plugins.figures(),
      images: host.images(),
      registry: { ...registry.status(), ...registry.figures() },
      connections: door.connections,
      crashes: await crashes.figures(),
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
    strict: settings.guard === 'strict',
  });
  closer.add('front', () => front.close());
  own.parent?.requestsNamed?.(front.name);
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
    ...isolationSettings(settings),
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
    (event) => guarding.observe(event),
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
    apart: new Set(),
  };
  const containing = new Containing(own.containment ?? nothingContained, own.parent);
  const findings = new GuardFindings();
  const states = new SavedStates({ ...settings, directory: path.join(data, 'state') });
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
    containing,
    findings,
    wishesChanged: own.parent?.wishesChanged,
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
  const guarding = guardPlugins({
    log,
    core,
    findings,
    host,
    apart: admission.apart,
    tell,
    box,
    front,
    settings,
    parent,
  });
  closer.add('guards', () => guarding.end());
  const plugins = new Plugins(host, statics);
  const manager = new HotReloadManager({
    host: plugins,
    dropped: (name) => void dropped.take(name, 'watch'),
    log,
    settings,
  });
  const { installing, dropped } = await openInstalling({
    log,
    settings,
    data,
    core,
    admission,
    applications,
    bundles,
    audit,
    grants,
    host,
    plugins,
    quiet: manager.quiet,
    purgeRow: (id) => convergence.purge(id, hostId(data)),
    purgeTables: (id, made) => tables.purge(id, made),
  });
  const convergence = new Convergence({ door: registry, desires, host: plugins, applications, log });
  const hotReload = hotReloadOf(manager);
  let closing = false;
  const discover = async (): Promise<void> => {
    if (closing) throw new TenonError('HostClosing', 'the host is shutting down', { next: 'make another host' });
    await convergence.open();
    await statics.start();
    const trigger = host.ready ? 'api' : 'start';
    await installing.finish();
    await host.discover(trigger);
    await killing.look();
    await dropped.takeAll(trigger);
    front.endStart();
    convergence.begin();
    if (trigger === 'api') await convergence.registered();
  };
  const killing = watchKilled(host);
  closer.add('kill list', killing.end);
  const guard = new Guard({
    token: admin.token,
    tokens,
    names: [settings.host, settings.adminAddress, ...listOf(settings.adminHosts)],
  });
  const crashes = crashesOf(settings, { containment: () => plugins.held, release: (id) => plugins.release(id) });
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
    crashes,
    upgrade: own.upgrade,
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
  const wishes = (): Wishes => ({ ...plugins.left(), hotReload: configurationOf(settings) });
  closer.add('wishes', () => leave?.(wishes()));

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
  closer.add('requests under way', () => leave && door.underWayOver());
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
    resume: async ({ plugins: left, isWhole, hotReload: config }) => {
      await manager.configure(config);
      await convergence.recall();
      await statics.start();
      await host.resume(left, isWhole);
    },
    wishes,
    ...pluginVerbs({ host, plugins, installing }),
    enable: (id) => convergence.setStatus(id, 'active'),
    disable: (id) => convergence.setStatus(id, 'disabled'),
    registry: () => registry.status(),
    close: (told) => {
      closing = true;
      leave ??= told;
      if (told === undefined) door.hurry();
      return closer.close();
    },
  };
}
