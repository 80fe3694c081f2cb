/** Whether the host lives and can serve, what everybody may see of its plugins, and what the codes of its errors mean. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { noSuchPlugin } from '../host/absence.js';
import type { PluginView } from '../host/plugin.js';
import type { Plugins } from '../host/plugins.js';
import type { Guard } from './guard.js';
import type { Answered, Asked, Operation } from './operation.js';
import { errorsPage } from './problem.js';
import type { Metrics } from './metrics.js';
import { isAway, type RegistryAdminOptions, registryFacts } from './registry-admin.js';
import { pluginId } from './parameters.js';
import { listOf, objectOf, ref, text } from './shapes.js';
import type { TablesAdminOptions } from './tables-admin.js';

export interface HealthOptions {
  host: Plugins;
  guard: Guard;
  tables: Pick<TablesAdminOptions, 'store'>;
  registry: Pick<RegistryAdminOptions, 'status'>;
  /** What plugins and the host count. */
  metrics: Metrics;
  /** Whether the API has a listener of its own: then no token is asked about here, for a wrong one would count against who uses it there. */
  isElsewhere?: boolean;
}

const errorsFile = fileURLToPath(new URL('../../docs/errors.md', import.meta.url));
const healthKeptMs = 1000;
/** Between the end of a plugin's own process and the next one. */
const longestPauseMs = 30_000;
const plainText = { 'text/plain': text() };
const plain = { 'content-type': 'text/plain; charset=utf-8' };

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

/** Whether its process has ended so lately that the next one is on its way. */
function isBetweenProcesses({ isolation }: PluginView): boolean {
  const now = Date.now();
  return (isolation?.processes ?? []).some(
    ({ pid, lastEndAt }) => pid === 0 || (lastEndAt !== undefined && now - lastEndAt < longestPauseMs),
  );
}

function readinessOf({
  host,
  guard,
  tables,
  registry,
  isElsewhere = false,
}: HealthOptions): (asked: Asked) => Promise<Answered> {
  const health = healthOf(host);
  return async ({ query, request }) => {
    const sick = await health();
    const trouble = tables.store()?.trouble();
    const { bad, quarantined, safeMode } = host.held;
    const left = new Set([...bad, ...quarantined].map(({ plugin }) => plugin));
    const views = host.list();
    // In the host's process the same would have been a crash: another host would serve, and be ready.
    const down = views.filter((view) => sick.has(view.id) && isBetweenProcesses(view));
    const ready = host.serves && sick.size === down.length && trouble === undefined && safeMode === undefined;
    const isShut =
      down.length > 0 || views.some(({ shutBy, state }) => shutBy !== undefined || state === 'quarantined');
    const degraded = isAway(registry.status()) || isShut;
    const status = ready ? 200 : 503;
    if (query['verbose'] === undefined)
      return {
        status,
        headers: plain,
        text: ready
          ? degraded
            ? 'degraded\n'
            : 'ok\n'
          : safeMode === undefined
            ? 'not ready\n'
            : 'not ready: safe mode\n',
      };
    // Messages name paths and quote sources: they are for whoever has the token.
    const asks = !isElsewhere && request.headers.authorization !== undefined;
    const trusted = asks && guard.deny(request) === undefined;
    const plugins = views.map(({ id, state, generation, error, shutBy }) => ({
      id,
      state,
      ...(generation === undefined ? {} : { generation, healthy: !sick.has(id) && shutBy === undefined }),
      ...(generation !== undefined && left.has(id) ? { heldBack: true } : {}),
      ...(trusted && error !== undefined ? { error: error.message } : {}),
      ...(trusted && shutBy !== undefined ? { health: error?.message } : {}),
      ...(trusted && sick.has(id) ? { health: sick.get(id) } : {}),
    }));
    const shut = isShut ? { degraded } : {};
    const ill = trouble === undefined ? {} : { tables: trusted ? trouble : { code: trouble.code } };
    const body = {
      ready,
      started: host.ready,
      plugins,
      ...ill,
      ...(safeMode === undefined ? {} : { safeMode: trusted ? safeMode : { since: safeMode.since } }),
      ...registryFacts(registry.status(), trusted),
      ...shut,
    };
    return { status, body };
  };
}

/** What everybody may ask for. */
export function healthOperations(options: HealthOptions): Operation[] {
  const { host, metrics } = options;
  const readiness = { ...plainText, 'application/json': ref('Readiness') };
  return [
    {
      id: 'checkLife',
      tag: 'health',
      method: 'get',
      path: '/livez',
      summary: 'Whether the process answers',
      answers: { 200: { description: 'It does', content: plainText } },
      errors: [],
      handle: () => ({ headers: plain, text: 'ok\n' }),
    },
    {
      id: 'checkReadiness',
      tag: 'health',
      method: 'get',
      path: '/readyz',
      summary: 'Whether the host is to be sent requests',
      description:
        'The text is `ok`, `degraded` (it serves, but the registry or an extension is away, or a plugin is in quarantine), `not ready` or `not ready: safe mode`. Messages of errors are told to whoever has a token, where the API is served.',
      parameters: [
        {
          name: 'verbose',
          in: 'query',
          description: 'With any value, or none: why, as JSON',
          schema: text(),
          allowEmptyValue: true,
        },
      ],
      answers: {
        200: { description: 'It is', content: readiness },
        503: { description: 'It is not', content: readiness },
      },
      errors: [],
      handle: readinessOf(options),
    },
    {
      id: 'readMetrics',
      tag: 'health',
      method: 'get',
      path: '/metrics',
      summary: 'What plugins and the host count',
      answers: {
        200: {
          description: 'In the text format of Prometheus, or in that of OpenMetrics for who accepts it',
          content: { ...plainText, 'application/openmetrics-text': text() },
        },
      },
      errors: [],
      handle: async ({ request, response }) => {
        await metrics.serve(request, response);
        return undefined;
      },
    },
    {
      id: 'listPublicPlugins',
      tag: 'plugins',
      method: 'get',
      path: '/plugins',
      summary: 'The plugins, as everybody may see them',
      answers: {
        200: {
          description: 'By id',
          content: { 'application/json': objectOf({ plugins: listOf(ref('PluginSummary')) }) },
        },
      },
      errors: [],
      handle: () => ({ body: { plugins: host.summaries() } }),
    },
    {
      id: 'showPublicPlugin',
      tag: 'plugins',
      method: 'get',
      path: '/plugins/{id}',
      summary: 'A plugin, as everybody may see it',
      parameters: [pluginId],
      answers: { 200: { description: 'The plugin', content: { 'application/json': ref('PluginSummary') } } },
      errors: ['PluginNotFound'],
      handle: ({ path: { id = '' } }) => {
        const all = host.summaries();
        const found = all.find((one) => one.id === id);
        if (found !== undefined) return { body: found };
        throw noSuchPlugin(
          id,
          all.map((one) => one.id),
        );
      },
    },
    {
      id: 'explainErrors',
      tag: 'health',
      method: 'get',
      path: errorsPage,
      summary: 'What the codes of errors mean',
      answers: { 200: { description: 'A page', content: { 'text/markdown': text() } } },
      errors: [],
      handle: async () => ({
        headers: { 'content-type': 'text/markdown; charset=utf-8' },
        text: await readFile(errorsFile, 'utf8'),
      }),
    },
  ];
}
