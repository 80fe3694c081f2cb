/** Why nothing is served although there is a plugin that would. */
import { closest } from '../base/closest.js';
import { TenonError } from '../base/errors.js';
import { isHeldBack, type Plugin } from './plugin.js';

/** That there is no plugin `id` among those that are `known`. */
export function noSuchPlugin(id: string, known: readonly string[]): TenonError {
  const meant = closest(id, known);
  return new TenonError('PluginNotFound', `there is no plugin ${JSON.stringify(id)}`, {
    next: meant === undefined ? 'see GET /plugins for those there are' : `did you mean ${meant}?`,
    details: { plugin: id, known },
  });
}

/** A plugin that may not run. */
export interface PossiblyAbsent extends Pick<Plugin, 'id' | 'rest' | 'error'> {
  readonly prefix?: string | undefined;
  readonly running: object | undefined;
  owns: (path: string) => boolean;
}

/** Of `plugins` one has `path` and does not run, and not by its own config. */
export function absenceAt(path: string, plugins: Iterable<PossiblyAbsent>): TenonError | undefined {
  const length = ({ id, prefix = `/${id}` }: PossiblyAbsent): number => prefix.length;
  const [plugin] = [...plugins]
    .filter((one) => one.running === undefined && one.rest !== 'disabled' && one.owns(path))
    .toSorted((one, other) => length(other) - length(one));
  if (plugin === undefined) return undefined;
  const { id, rest, error } = plugin;
  if (error !== undefined && rest !== 'stopped' && isHeldBack(error)) return error;
  const why = error === undefined ? '' : ` (${error.code})`;
  return new TenonError('PluginStopped', `${id} does not run: it is ${rest}${why}`, {
    next: rest === 'stopped' ? `POST /api/v1/plugins/${id}/load` : `see GET /api/v1/plugins/${id}`,
    details: { plugin: id, state: rest },
  });
}
