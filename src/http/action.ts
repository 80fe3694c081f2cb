/** What is done to one plugin by hand, and what is answered then. */
import type { PluginState, PluginView } from '../host/plugin.js';
import type { ReloadRecord } from '../host/record.js';

export const actions = ['load', 'unload', 'reload', 'rollback', 'enable', 'disable'] as const;
export type Action = (typeof actions)[number];

/** What an action has come to, in one word. */
function statusOf(action: Action, state: PluginState, reload: ReloadRecord | undefined): string {
  if (action === 'unload') return 'unloaded';
  if (reload?.unchanged === true) return 'unchanged';
  if (action === 'rollback') return 'rolledBack';
  if (action === 'enable' || action === 'disable') return `${action}d`;
  return state === 'disabled' ? 'disabled' : `${action}ed`;
}

/** Body of the answer about a plugin whose application is not on this host. */
export function answerElsewhere(action: Action, id: string): object {
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
