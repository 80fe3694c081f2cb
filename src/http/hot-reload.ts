/** Hot reload over HTTP: what it does, on and off, its configuration, and a reload at once. */
import { TenonError } from '../base/errors.js';
import type { Plugins } from '../host/plugins.js';
import type { ReloadRecord } from '../host/record.js';
import { answerOf } from './action.js';
import type { Operation } from './operation.js';
import { pluginId } from './parameters.js';
import { loadRefusals } from './refusals.js';
import { ref } from './shapes.js';

/** What the routes steer. */
export interface HotReload {
  status: () => object;
  enable: () => Promise<void>;
  disable: () => Promise<void>;
  /** Rejects as `Plugins.reload` does. */
  trigger: (id: string) => Promise<ReloadRecord>;
  /** Rejects with TypeError, and then nothing is changed; the status. */
  configure: (changes: Record<string, unknown>) => Promise<object>;
}

const status = { 200: { description: 'What it does now', content: { 'application/json': ref('HotReloadStatus') } } };

export function hotReloadOperations(host: Plugins, hotReload: HotReload): Operation[] {
  const shared = { tag: 'hot reload', answers: status } as const;
  return [
    {
      ...shared,
      id: 'showHotReload',
      method: 'get',
      path: '/api/v1/hot-reload/status',
      scope: 'read',
      summary: 'What takes changes up by itself, and what it has done',
      errors: [],
      handle: () => ({ body: hotReload.status() }),
    },
    {
      ...shared,
      id: 'enableHotReload',
      method: 'post',
      path: '/api/v1/hot-reload/enable',
      scope: 'config',
      summary: 'Take up changes from now on',
      errors: ['HostClosing'],
      handle: async () => {
        await hotReload.enable();
        return { body: hotReload.status() };
      },
    },
    {
      ...shared,
      id: 'disableHotReload',
      method: 'post',
      path: '/api/v1/hot-reload/disable',
      scope: 'config',
      summary: 'Take up no change until it is enabled',
      errors: [],
      handle: async () => {
        await hotReload.disable();
        return { body: hotReload.status() };
      },
    },
    {
      id: 'triggerHotReload',
      tag: 'hot reload',
      method: 'post',
      path: '/api/v1/hot-reload/trigger/{id}',
      scope: 'config',
      summary: 'Reload a plugin at once, whether it is watched or not',
      parameters: [pluginId],
      answers: { 200: { description: 'It is done', content: { 'application/json': ref('PluginAction') } } },
      errors: loadRefusals,
      handle: async ({ path: { id = '' } }) => {
        const reload = await hotReload.trigger(id);
        return { body: answerOf('reload', host.show(id), reload) };
      },
    },
    {
      ...shared,
      id: 'configureHotReload',
      method: 'put',
      path: '/api/v1/hot-reload/config',
      scope: 'config',
      summary: 'Change what is given, until the host ends',
      requestBody: {
        description: 'Some of its keys, with their values',
        required: false,
        content: { 'application/json': ref('HotReloadChanges') },
        read: 'json',
        limit: 64 * 1024,
      },
      errors: ['HostClosing'],
      handle: ({ body }) => configure(hotReload, (body ?? {}) as Record<string, unknown>),
    },
  ];
}

async function configure(hotReload: HotReload, changes: Record<string, unknown>): Promise<{ body: object }> {
  try {
    return { body: await hotReload.configure(changes) };
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new TenonError('BadRequest', error.message, { next: 'see docs/hot-reload.md', cause: error });
  }
}
