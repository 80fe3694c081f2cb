/** What is done to one plugin by hand, and what is answered then. */
import { TenonError } from '../base/errors.js';
import type { PluginState, PluginView } from '../host/plugin.js';
import type { Plugins } from '../host/plugins.js';
import type { ReloadRecord } from '../host/record.js';
import type { Operation, Parameter } from './operation.js';
import { dryRun, pluginId } from './parameters.js';
import { loadRefusals, rollbackRefusals, wishRefusals } from './refusals.js';
import type { RegistryAdminOptions } from './registry-admin.js';
import { ref, text } from './shapes.js';

type Action = 'load' | 'unload' | 'reload' | 'rollback' | 'enable' | 'disable';

/** What an action has come to, in one word. */
function statusOf(action: Action, state: PluginState, reload: ReloadRecord | undefined): string {
  if (action === 'unload') return 'unloaded';
  if (reload?.unchanged === true) return 'unchanged';
  if (action === 'rollback') return 'rolledBack';
  if (action === 'enable' || action === 'disable') return `${action}d`;
  return state === 'disabled' ? 'disabled' : `${action}ed`;
}

/** Body of the answer about a plugin whose application is not on this host. */
function answerElsewhere(action: Action, id: string): object {
  return { status: `${action}d`, plugin: { id, state: 'missing' } };
}

/** Body of the answer. */
export function answerOf(action: Action, view: PluginView, reload: ReloadRecord | undefined): object {
  const { id, state, version, generation, loadedAt } = view;
  return {
    status: statusOf(action, state, reload),
    plugin: { id, state, version, generation, loadedAt },
    ...(reload === undefined ? {} : { reload }),
  };
}

export interface ActionOptions {
  host: Plugins;
  registry: Pick<RegistryAdminOptions, 'setStatus'>;
}

export function actionOperations({ host, registry }: ActionOptions): Operation[] {
  const wish = async (action: 'enable' | 'disable', id: string): Promise<object> => {
    const here = await registry.setStatus(id, action === 'enable' ? 'active' : 'disabled');
    return here === undefined ? answerElsewhere(action, id) : answerOf(action, here, undefined);
  };
  return [
    actionOperation('load', 'Load a plugin that does not run', {
      errors: loadRefusals,
      act: async (id) => {
        await host.load(id);
        const view = host.show(id);
        if (view.state === 'disabled') throw disabled(view);
        return answerOf('load', view, undefined);
      },
      rehearse: (id) => host.rehearse('load', id),
    }),
    actionOperation('unload', 'Stop a plugin until it is loaded again, here alone', {
      errors: ['PluginNotFound', 'HostClosing', 'PluginStatic', 'ExtensionUnavailable', 'StillInUse'],
      act: async (id) => {
        await host.unload(id);
        return answerOf('unload', host.show(id), undefined);
      },
    }),
    actionOperation('reload', 'Build and swap in what the application is now', {
      errors: loadRefusals,
      act: async (id) => {
        const reload = await host.reload(id, 'api');
        return answerOf('reload', host.show(id), reload);
      },
      rehearse: (id) => host.rehearse('reload', id),
    }),
    actionOperation('rollback', 'Go back to a kept build', {
      errors: rollbackRefusals,
      parameters: [
        {
          name: 'to',
          in: 'query',
          description: 'Its hash (6 digits or more), generation or version; the build before, when it is not given',
          schema: text(),
        },
      ],
      act: async (id, to) => {
        const reload = await host.rollback(id, to);
        return answerOf('rollback', host.show(id), reload);
      },
      rehearse: (id, to) => host.rehearse('rollback', id, to),
    }),
    actionOperation('enable', 'Have a plugin run on every host of the registry', {
      errors: wishRefusals,
      act: (id) => wish('enable', id),
    }),
    actionOperation('disable', 'Have a plugin run on no host of the registry', {
      errors: wishRefusals,
      act: (id) => wish('disable', id),
    }),
  ];
}

interface ActionParts {
  readonly errors: Operation['errors'];
  readonly parameters?: readonly Parameter[];
  readonly act: (id: string, to: string | undefined) => Promise<object>;
  /** What it would come to; absent where there is nothing to be tried. */
  readonly rehearse?: ActionParts['act'];
}

function actionOperation(
  action: Action,
  summary: string,
  { errors, parameters = [], act, rehearse }: ActionParts,
): Operation {
  const done = ref('PluginAction');
  const schema = rehearse === undefined ? done : { anyOf: [done, ref('Rehearsed')] };
  return {
    id: `${action}Plugin`,
    tag: 'plugins',
    method: 'post',
    path: `/api/v1/plugins/{id}/${action}`,
    scope: 'config',
    summary,
    parameters: [pluginId, ...parameters, ...(rehearse === undefined ? [] : [dryRun])],
    answers: {
      200: {
        description: 'It is done, or with `dryRun` what it would come to',
        content: { 'application/json': schema },
      },
    },
    errors,
    handle: async ({ path: { id = '' }, query }) => {
      const work = query['dryRun'] === true && rehearse !== undefined ? rehearse : act;
      return { body: await work(id, query['to'] as string | undefined) };
    },
  };
}

function disabled({ id, error }: PluginView): TenonError {
  return new TenonError('PluginDisabled', error?.message ?? `${id} is disabled by its config.yaml`, {
    next: error === undefined ? 'set `enabled: true` there, then load it' : 'enable it',
    details: { plugin: id },
  });
}
