/** What the host itself serves: health, the list of plugins, the admin API. Express, behind the plugins' routes. */
import express, { type Express, type NextFunction, type Request, type Response } from 'express';
import { TenonError } from '../base/errors.js';
import type { Grants } from '../host/grants.js';
import type { PluginConfigs } from '../host/plugin-configs.js';
import type { Plugins } from '../host/plugins.js';
import { actionOperations } from './action.js';
import type { EventFeed } from './events.js';
import type { Guard } from './guard.js';
import { healthOperations } from './health.js';
import { type HotReload, hotReloadOperations } from './hot-reload.js';
import { installOperations, type InstallRoutes } from './install.js';
import { mount } from './mount.js';
import { type OpenApiPart, openApiOperation } from './openapi.js';
import type { Operation } from './operation.js';
import { permissionOperations } from './permissions-admin.js';
import { pluginConfigOperations } from './plugin-config.js';
import { pluginsOperations } from './plugins-admin.js';
import { sendError, sendProblem } from './problem.js';
import { type RegistryAdminOptions, registryOperations } from './registry-admin.js';
import { pathOf } from './router.js';
import { type TablesAdminOptions, tablesOperations } from './tables-admin.js';
import { type TrustAdminOptions, trustOperations } from './trust-admin.js';

/** First segments of the paths that are the host's and no plugin's. */
export const reservedSegments = ['livez', 'readyz', 'metrics', 'openapi.json', 'docs', 'plugins', 'api'];

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
  /** What plugins and tables add to the API's document; the same object as long as it says the same. */
  others?: () => OpenApiPart;
}

const nothing: OpenApiPart = { paths: {}, schemas: {}, tags: [] };

/** All operations of the host, of which the document tells. */
function operationsOf(options: AdminOptions): readonly Operation[] {
  const { host, configs, grants } = options;
  const show = host.show.bind(host);
  const operations: Operation[] = [
    ...healthOperations(options),
    openApiOperation(() => operations, options.others ?? (() => nothing)),
    ...pluginsOperations(options),
    ...actionOperations(options),
    ...hotReloadOperations(host, options.hotReload),
    ...pluginConfigOperations({ configs, show }),
    ...permissionOperations({ grants, show }),
    ...tablesOperations(options.tables),
    ...registryOperations(options.registry),
    ...installOperations(options.install),
    ...trustOperations(options.bundles),
  ];
  return operations;
}

/** The Express application. */
export function adminApplication(options: AdminOptions): Express {
  const { host, guard } = options;
  const app = express();
  app.disable('x-powered-by');
  app.set('etag', false);
  mount(app, guard, operationsOf(options));
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
