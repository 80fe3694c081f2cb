/** Whoever wants to know what happens, beside the log. */
import { type ErrorCode, TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { HostEvent } from './journal.js';
import type { ReloadRecord } from './record.js';

/** What may be told of every reload and first load, whoever asked for it. What one of them throws is logged. */
export interface ReloadCallbacks {
  onReloadStart?: ((plugin: string) => void) | undefined;
  /**
   * A version is undefined when there is none: the old one of a first load, the new one of a plugin that was disabled.
   * Both are the same when nothing had changed.
   */
  onReloadSuccess?:
    | ((plugin: string, oldVersion: string | undefined, newVersion: string | undefined) => void)
    | undefined;
  /** The old build goes on, when there is one. */
  onReloadFailed?: ((plugin: string, error: TenonError) => void) | undefined;
}

/** Told of every event. */
export type Listener = (event: HostEvent) => unknown;

/** Calls the one of `callbacks` that an event is for; what it gives back. */
export function toCallbacks({ onReloadStart, onReloadSuccess, onReloadFailed }: ReloadCallbacks): Listener {
  return (event) => {
    if (event.type === 'reload.started') return onReloadStart?.(event.plugin);
    if (!('record' in event)) return undefined;
    const { plugin, record } = event;
    if (record.outcome !== 'succeeded') return onReloadFailed?.(plugin, errorOf(record));
    const { from, to, unchanged } = record;
    return onReloadSuccess?.(plugin, from?.version, unchanged === true ? from?.version : to?.version);
  };
}

function errorOf({ error, plugin }: ReloadRecord): TenonError {
  if (error === undefined) return new TenonError('Internal', `the new build of ${plugin} was taken back`);
  return new TenonError(error.code satisfies ErrorCode, error.message, { details: error.details });
}

/** Tells all of `listeners`, in their order; one that throws, or rejects, is logged and keeps nothing from the others. */
export function tellAll(log: Log, listeners: readonly Listener[]): (event: HostEvent) => void {
  return (event) => {
    const { type, ...facts } = event;
    const plugin = 'plugin' in facts ? facts.plugin : undefined;
    const failed = (error: unknown): void =>
      log.error({ err: error, event: type, plugin }, 'a listener of events threw');
    for (const listener of listeners)
      try {
        const result = listener(event);
        if (result instanceof Promise) result.catch(failed);
      } catch (error) {
        failed(error);
      }
  };
}
