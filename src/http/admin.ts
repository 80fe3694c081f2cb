/** What the host itself serves: health, the list of plugins, the admin API. Express, behind the plugins' routes. */
import { fileURLToPath } from 'node:url';
import express, { type Express, type NextFunction, type Request, type Response } from 'express';
import { TenonError } from '../base/errors.js';
import type { PluginConfigs } from '../host/plugin-configs.js';
import type { Grants } from '../host/grants.js';
import type { Plugins } from '../host/plugins.js';
import type { ReloadRecord } from '../host/record.js';
import { actions, answerElsewhere, answerOf } from './action.js';
import type { EventFeed } from './events.js';
import type { Guard } from './guard.js';
import { type HotReload, hotReloadRoutes } from './hot-reload.js';
import { installRoutes, type InstallRoutes } from './install.js';
import { pluginConfigRoutes } from './plugin-config.js';
import { errorsPage, sendError, sendProblem } from './problem.js';
import { mount } from './mount.js';
import { isAway, type RegistryAdminOptions, registryFacts, registryOperations } from './registry-admin.js';
import { pathOf } from './router.js';
import { type TablesAdminOptions, tablesRoutes } from './tables-admin.js';
import { permissionRoutes } from './permissions-admin.js';
import { type TrustAdminOptions, trustRoutes } from './trust-admin.js';

/** First segments of the paths that are the host's and no plugin's. */
export const reservedSegments = ['livez', 'readyz', 'metrics', 'openapi.json', 'docs', 'plugins', 'api'];

const documents = fileURLToPath(new URL('../../docs', import.meta.url));

const healthKeptMs = 1000;

/** Asks the plugins at most once a second, whoever asks how often. */
function healthOf(host: Plugins): () => Promise<Map<string, string>> {
  let at = Number.NEGATIVE_INFINITY;
  let last: Promise<Map<string, string>> | undefined;
  return () => {
    const now = performance.now();
    if (last === undefined || now - at > healthKeptMs) {
      at = now;
      last = host.health();
    }
    return last;
  };
}

function publicRoutes(app: Express, { host, guard, tables, registry, metrics }: AdminOptions): void {
  const health = healthOf(host);
  app.get('/livez', (_request, response) => {
    response.type('text/plain').send('ok\n');
  });
  app.get('/readyz', async (request, response) => {
    const sick = await health();
    const trouble = tables.store()?.trouble();
    const ready = host.ready && sick.size === 0 && trouble === undefined;
    const isShut = host.list().some(({ shutBy }) => shutBy !== undefined);
    const degraded = isAway(registry.status()) || isShut;
    response.status(ready ? 200 : 503);
    if (request.query['verbose'] === undefined) {
      response.type('text/plain').send(ready ? (degraded ? 'degraded\n' : 'ok\n') : 'not ready\n');
      return;
    }
    // Messages name paths and quote sources: they are for whoever has the token.
    const trusted = request.headers.authorization !== undefined && guard.deny(request) === undefined;
    const plugins = host.list().map(({ id, state, generation, error, shutBy }) => ({
      id,
      state,
      ...(generation === undefined ? {} : { generation, healthy: !sick.has(id) && shutBy === undefined }),
      ...(trusted && error !== undefined ? { error: error.message } : {}),
      ...(trusted && shutBy !== undefined ? { health: error?.message } : {}),
      ...(trusted && sick.has(id) ? { health: sick.get(id) } : {}),
    }));
    const shut = isShut ? { degraded } : {};
    const ill = trouble === undefined ? {} : { tables: trusted ? trouble : { code: trouble.code } };
    response.json({
      ready,
      started: host.ready,
      plugins,
      ...ill,
      ...registryFacts(registry.status(), trusted),
      ...shut,
    });
  });
  app.get('/metrics', (_request, response) => {
    response.type('text/plain; version=0.0.4').send(metrics());
  });
  app.get(errorsPage, (_request, response) => {
    response.sendFile('errors.md', { root: documents });
  });
  app.get('/plugins', (_request, response) => {
    response.json({ plugins: host.summaries() });
  });
  app.get('/plugins/:id', (request, response) => {
    const found = host.summaries().find(({ id }) => id === request.params.id);
    if (found === undefined) host.show(request.params.id);
    response.json(found);
  });
}

function adminRoutes(app: Express, { host, events, hotReload, registry, discover }: AdminOptions): void {
  app.get('/api/v1/events', (request, response) => events.serve(request, response));
  app.post('/api/v1/plugins/discover', async (_request, response) => {
    await discover();
    response.json({ status: 'discovered', plugins: host.summaries() });
  });
  app.get('/api/v1/plugins', (_request, response) => {
    response.json({ plugins: host.list() });
  });
  app.get('/api/v1/plugins/:id', (request, response) => {
    response.json(host.show(request.params.id));
  });
  app.get('/api/v1/plugins/:id/versions', async (request, response) => {
    const running = host.show(request.params.id).generations.find(({ state }) => state === 'ready')?.sha256;
    const versions = await host.versions(request.params.id);
    response.json({ versions: versions.map((version) => ({ ...version, running: version.sha256 === running })) });
  });
  app.get('/api/v1/status', (_request, response) => {
    response.json({
      ready: host.ready,
      images: host.images(),
      hotReload: hotReload.status(),
      registry: registry.status(),
    });
  });
  app.get('/api/v1/reloads', (request, response) => {
    const { plugin, limit } = request.query;
    const count = limit === undefined ? undefined : Number(limit);
    if (count !== undefined && !(Number.isInteger(count) && count >= 1))
      throw new TenonError('BadRequest', `limit: ${JSON.stringify(limit)} is not a whole number from 1 upwards`);
    response.json({ reloads: host.reloads({ plugin: typeof plugin === 'string' ? plugin : undefined, limit: count }) });
  });
  for (const action of actions)
    app.post(`/api/v1/plugins/:id/${action}`, async (request: Request<{ id: string }>, response) => {
      const { id } = request.params;
      let reload: ReloadRecord | undefined;
      if (action === 'reload') reload = await host.reload(id, 'api');
      if (action === 'rollback') reload = await host.rollback(id, wordOf(request.query, 'to'));
      if (action === 'load') await host.load(id);
      if (action === 'unload') await host.unload(id);
      if (action === 'enable' || action === 'disable') {
        const here = await registry.setStatus(id, action === 'enable' ? 'active' : 'disabled');
        response.json(here === undefined ? answerElsewhere(action, id) : answerOf(action, here, undefined));
        return;
      }
      const view = host.show(id);
      if (action === 'load' && view.state === 'disabled')
        throw new TenonError('PluginDisabled', view.error?.message ?? `${id} is disabled by its config.yaml`, {
          next: view.error === undefined ? 'set `enabled: true` there, then load it' : 'enable it',
          details: { plugin: id },
        });
      response.json(answerOf(action, view, reload));
    });
}

/** A parameter of the query that may be given once. Throws `BadRequest`. */
function wordOf(query: Request['query'], name: string): string | undefined {
  const value = query[name];
  if (value === undefined || (typeof value === 'string' && value !== '')) return value;
  throw new TenonError('BadRequest', `${name}: ${JSON.stringify(value)} is not one value`);
}

/** What the admin API shows and steers. */
export interface AdminOptions {
  host: Plugins;
  /** Decides who may see and do more than everybody. */
  guard: Guard;
  hotReload: HotReload;
  events: EventFeed;
  configs: PluginConfigs;
  tables: TablesAdminOptions;
  registry: RegistryAdminOptions;
  install: InstallRoutes;
  bundles: TrustAdminOptions;
  grants: Grants;
  /** What plugins and the host count, in the text format of Prometheus. */
  metrics: () => string;
  /** Scan the applications directory. */
  discover: () => Promise<void>;
}

/** The Express application. */
export function adminApplication(options: AdminOptions): Express {
  const { host, guard } = options;
  const app = express();
  app.disable('x-powered-by');
  app.set('etag', false);
  publicRoutes(app, options);
  app.use('/api', (request: Request, response: Response, next: NextFunction) => {
    response.setHeader('cache-control', 'no-store');
    const denial = guard.deny(request);
    if (denial === undefined) next();
    else sendError(request, response, denial.error, denial.headers);
  });
  adminRoutes(app, options);
  hotReloadRoutes(app, host, options.hotReload);
  pluginConfigRoutes(app, { configs: options.configs, show: (id) => host.show(id) });
  tablesRoutes(app, options.tables);
  mount(app, guard, registryOperations(options.registry));
  installRoutes(app, options.install);
  trustRoutes(app, options.bundles);
  permissionRoutes(app, { grants: options.grants, show: (id) => host.show(id) });
  app.use((request: Request, response: Response) => {
    const absence = host.absence(pathOf(request.originalUrl));
    if (absence !== undefined) {
      sendError(request, response, absence);
      return;
    }
    sendProblem(request, response, {
      code: 'RouteNotFound',
      message: `nothing is served at ${request.method} ${pathOf(request.originalUrl)}`,
      details: { method: request.method, path: pathOf(request.originalUrl) },
    });
  });
  // Express knows an error handler by its four parameters.
  app.use((error: unknown, request: Request, response: Response, _next: NextFunction) => {
    const status =
      error instanceof Error && !(error instanceof TenonError) && 'status' in error ? error.status : undefined;
    if (status === 413) sendError(request, response, new TenonError('BodyTooLarge', (error as Error).message));
    else if (status === 400 || status === 415)
      sendError(request, response, new TenonError('BadRequest', (error as Error).message));
    else sendError(request, response, error);
  });
  return app;
}
