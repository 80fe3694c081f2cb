/** What the admin API shows of plugins and of the host. */
import { version } from '../base/version.js';
import type { Plugins } from '../host/plugins.js';
import type { RegistryStatus } from '../registry/door.js';
import type { EventFeed } from './events.js';
import type { Operation } from './operation.js';
import { pluginId } from './parameters.js';
import { listOf, objectOf, ref, text, whole } from './shapes.js';

export interface PluginsAdminOptions {
  host: Plugins;
  events: EventFeed;
  hotReload: { status: () => object };
  registry: { status: () => RegistryStatus };
  /** Scan the applications directory. */
  discover: () => Promise<void>;
}

export function pluginsOperations(options: PluginsAdminOptions): Operation[] {
  return [...pluginOperations(options), ...hostOperations(options)];
}

function pluginOperations({ host, discover }: PluginsAdminOptions): Operation[] {
  return [
    {
      id: 'listPlugins',
      tag: 'plugins',
      method: 'get',
      path: '/api/v1/plugins',
      scope: 'read',
      summary: 'The plugins, with all that their operator may see',
      answers: {
        200: {
          description: 'By id',
          content: { 'application/json': objectOf({ plugins: listOf(ref('PluginView')) }) },
        },
      },
      errors: [],
      handle: () => ({ body: { plugins: host.list() } }),
    },
    {
      id: 'discoverPlugins',
      tag: 'plugins',
      method: 'post',
      path: '/api/v1/plugins/discover',
      scope: 'config',
      summary: 'Scan the applications directory now',
      answers: {
        200: {
          description: 'What was found was loaded, as far as it can be',
          content: { 'application/json': objectOf({ status: text(), plugins: listOf(ref('PluginSummary')) }) },
        },
      },
      errors: ['HostClosing', 'ApplicationUnreadable'],
      handle: async () => {
        await discover();
        return { body: { status: 'discovered', plugins: host.summaries() } };
      },
    },
    {
      id: 'showPlugin',
      tag: 'plugins',
      method: 'get',
      path: '/api/v1/plugins/{id}',
      scope: 'read',
      summary: 'A plugin, with all that its operator may see',
      parameters: [pluginId],
      answers: { 200: { description: 'The plugin', content: { 'application/json': ref('PluginView') } } },
      errors: ['PluginNotFound'],
      handle: ({ path: { id = '' } }) => ({ body: host.show(id) }),
    },
    {
      id: 'listVersions',
      tag: 'plugins',
      method: 'get',
      path: '/api/v1/plugins/{id}/versions',
      scope: 'read',
      summary: 'Builds that can be gone back to',
      parameters: [pluginId],
      answers: {
        200: {
          description: 'The one that served last first',
          content: { 'application/json': objectOf({ versions: listOf(ref('KeptBuild')) }) },
        },
      },
      errors: ['PluginNotFound'],
      handle: async ({ path: { id = '' } }) => {
        const running = host.show(id).generations.find(({ state }) => state === 'ready')?.sha256;
        const versions = await host.versions(id);
        return { body: { versions: versions.map((kept) => ({ ...kept, running: kept.sha256 === running })) } };
      },
    },
  ];
}

function hostOperations({ host, events, hotReload, registry }: PluginsAdminOptions): Operation[] {
  const startedAt = new Date().toISOString();
  return [
    {
      id: 'showStatus',
      tag: 'host',
      method: 'get',
      path: '/api/v1/status',
      scope: 'read',
      summary: 'How it stands with the host',
      answers: { 200: { description: 'Its status', content: { 'application/json': ref('HostStatus') } } },
      errors: [],
      handle: () => ({
        body: {
          version,
          startedAt,
          ready: host.ready,
          images: host.images(),
          hotReload: hotReload.status(),
          registry: registry.status(),
        },
      }),
    },
    {
      id: 'listReloads',
      tag: 'host',
      method: 'get',
      path: '/api/v1/reloads',
      scope: 'read',
      summary: 'What was reloaded; the last 100 are kept',
      parameters: [
        { name: 'plugin', in: 'query', description: 'Of this plugin alone', schema: text() },
        { name: 'limit', in: 'query', description: 'At most so many', schema: whole(undefined, { minimum: 1 }) },
      ],
      answers: {
        200: {
          description: 'Newest first',
          content: { 'application/json': objectOf({ reloads: listOf(ref('ReloadRecord')) }) },
        },
      },
      errors: [],
      handle: ({ query: { plugin, limit } }) => ({
        body: {
          reloads: host.reloads({
            plugin: plugin as string | undefined,
            limit: limit as number | undefined,
          }),
        },
      }),
    },
    {
      id: 'followEvents',
      tag: 'host',
      method: 'get',
      path: '/api/v1/events',
      scope: 'read',
      summary: 'What happens, as it happens',
      description:
        'Server-sent events: `event` is the type, `data` JSON of a HostEvent, `id` where to go on. The last 1,000 are kept; when that is not all that a client has missed, an event `gap` comes first. Who does not read is cut off once 1 MiB waits.',
      parameters: [
        {
          name: 'Last-Event-ID',
          in: 'header',
          description: 'The last event that was heard: what came since is told first',
          schema: text(),
        },
      ],
      answers: {
        200: {
          description: 'A stream without end',
          content: {
            'text/event-stream': {
              type: 'string',
              description: 'The data of each event is JSON of what `x-itemSchema` says',
              'x-itemSchema': ref('HostEvent'),
            },
          },
        },
      },
      errors: ['HostClosing'],
      handle: ({ request, response }) => {
        events.serve(request, response);
        return undefined;
      },
    },
  ];
}
