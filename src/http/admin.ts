/** What the host itself serves: health, the list of plugins, the admin API. Express, behind the plugins' routes. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import express, { type NextFunction, type Request, type Response } from 'express';
import { TenonError } from '../base/errors.js';
import type { Grants } from '../host/grants.js';
import type { PluginConfigs } from '../host/plugin-configs.js';
import type { Plugins } from '../host/plugins.js';
import { publicAbsence } from './absent.js';
import { actionOperations } from './action.js';
import { type CrashesAdminOptions, crashOperations } from './crashes-admin.js';
import { docsOperations } from './docs-page.js';
import type { EventFeed } from './events.js';
import type { Guard } from './guard.js';
import { healthOperations } from './health.js';
import { type HotReload, hotReloadOperations } from './hot-reload.js';
import { installOperations, type InstallRoutes } from './install.js';
import type { Otherwise } from './calls.js';
import { type Compress, compressing } from './compression.js';
import type { Metrics } from './metrics.js';
import { type LogAdminOptions, logOperations } from './logs.js';
import { mount } from './mount.js';
import { type ReadSettings, settingsOperations } from './settings-admin.js';
import { type OpenApiPart, openApiOperation } from './openapi.js';
import type { Operation } from './operation.js';
import { permissionOperations } from './permissions-admin.js';
import { pluginConfigOperations } from './plugin-config.js';
import { pluginsOperations } from './plugins-admin.js';
import { sendError, sendProblem } from './problem.js';
import { rehearsalOperations } from './rehearsal-admin.js';
import { type RegistryAdminOptions, registryOperations } from './registry-admin.js';
import { pathOf } from './router.js';
import { type TablesAdminOptions, tablesOperations } from './tables-admin.js';
import { tokenOperations } from './tokens-admin.js';
import type { Tokens } from './tokens.js';
import { type TrustAdminOptions, trustOperations } from './trust-admin.js';
import { type Upgrade, upgradeOperations } from './upgrade-admin.js';

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
  log: Omit<LogAdminOptions, 'show'>;
  install: InstallRoutes;
  bundles: TrustAdminOptions;
  grants: Grants;
  tokens: Tokens;
  /** Bytes of a library. */
  imageLimit: number;
  /** Absent in a program that gives the host its settings. */
  settings: ReadSettings | undefined;
  crashes: CrashesAdminOptions;
  /** Absent where no parent process can run another host. */
  upgrade: Upgrade | undefined;
  /** What plugins and the host count. */
  metrics: Metrics;
  /** Absent: no answer is compressed. */
  compress?: Compress;
  /** Scan the applications directory. */
  discover: () => Promise<void>;
  /** What plugins and tables add to the API's document; the same object as long as it says the same. */
  others?: () => OpenApiPart;
  /** Whether the API has a listener of its own, and is not served here. */
  isElsewhere?: boolean;
}

function apiElsewhere(): TenonError {
  return new TenonError('RouteNotFound', 'the admin API is not served here: it has a listener of its own', {
    next: 'see the settings admin.port and admin.socket of the host',
  });
}

const nothing: OpenApiPart = { paths: {}, schemas: {}, tags: [] };

/** The operations that are served here, of which the document tells. */
function operationsOf(options: AdminOptions): readonly Operation[] {
  const { host, configs, grants } = options;
  const show = host.show.bind(host);
  const all: Operation[] = [
    ...healthOperations(options),
    openApiOperation(() => served, options.others ?? (() => nothing)),
    ...docsOperations(),
    ...pluginsOperations(options),
    ...actionOperations(options),
    ...hotReloadOperations(host, options.hotReload),
    ...pluginConfigOperations({ configs, show }),
    ...permissionOperations({ grants, show }),
    ...tablesOperations(options.tables),
    ...registryOperations(options.registry),
    ...installOperations(options.install),
    ...trustOperations(options.bundles),
    ...tokenOperations(options.tokens),
    ...rehearsalOperations(host, options.imageLimit),
    ...logOperations({ ...options.log, show }),
    ...settingsOperations(options.settings),
    ...crashOperations(options.crashes),
    ...upgradeOperations(options.upgrade, options.bundles.audit),
  ];
  const served = options.isElsewhere === true ? all.filter(({ scope }) => scope === undefined) : all;
  return served;
}

/** Answers what no plugin serves; what is not served here either is left to `next`, or answered with 404. */
export function adminApplication(options: AdminOptions): Otherwise {
  const { host, guard } = options;
  const app = express();
  app.disable('x-powered-by');
  app.set('etag', false);
  if (options.isElsewhere === true)
    app.use('/api', (request: Request, response: Response) => sendError(request, response, apiElsewhere()));
  mount(app, guard, operationsOf(options), options.compress ?? compressing(false));
  // Express knows an error handler by its four parameters.
  app.use((error: unknown, request: Request, response: Response, _next: NextFunction) => {
    const status =
      error instanceof Error && !(error instanceof TenonError) && 'status' in error ? error.status : undefined;
    if (status === 413) sendError(request, response, new TenonError('BodyTooLarge', (error as Error).message));
    else if (status === 400 || status === 415)
      sendError(request, response, new TenonError('BadRequest', (error as Error).message));
    else sendError(request, response, error);
  });
  return (request, response, next) => {
    const path = pathOf(request.url ?? '/');
    app(request as Request, response as Response, () => {
      const absence = host.absence(path);
      if (absence !== undefined) sendError(request, response, publicAbsence(absence));
      else if (next !== undefined) next();
      // Whose path it is, is not known before all was tried; a program that embeds a host need not have it try anything.
      else if (options.upgrade !== undefined && !host.ready) sendError(request, response, notReady(request, path));
      else sendNowhere(request, response, path);
    });
  };
}

function notReady({ method = '' }: IncomingMessage, path: string): TenonError {
  return new TenonError('HostNotReady', `nothing is served at ${method} ${path} as long as the host is not ready`, {
    next: 'ask again; /readyz says when it is',
    details: { method, path },
  });
}

function sendNowhere(request: IncomingMessage, response: ServerResponse, path: string): void {
  sendProblem(request, response, {
    code: 'RouteNotFound',
    message: `nothing is served at ${request.method ?? ''} ${path}`,
    details: { method: request.method, path },
  });
}
