/** Who has to be there before whom: what applications list under `extensions`, and what is wrong with it. */
import { closest } from '../base/closest.js';
import { TenonError } from '../base/errors.js';
import type { ExtensionUse } from '../compiler/config.js';

/** What an application's config says of extensions. */
export interface Declared {
  readonly id: string;
  readonly enabled: boolean;
  /** `unknown`: its config could not be read, ever. */
  readonly extension: boolean | 'telemetry' | 'unknown';
  readonly uses: readonly ExtensionUse[];
}

/** All applications of a host, by id. */
export type DeclaredById = ReadonlyMap<string, Declared>;

/**
 * Check what `id` lists. Throws `ExtensionMissing` for what is required and not there, or no extension;
 * `ExtensionCycle` with the way back to itself.
 */
export function checkUses(id: string, all: DeclaredById): void {
  for (const use of all.get(id)?.uses ?? []) {
    const found = all.get(use.id);
    if (found === undefined && use.required) throw missing(id, use.id, all);
    if (found?.extension === false && use.required)
      throw new TenonError('ExtensionMissing', `${id} lists ${use.id}, which is an application and no extension`, {
        next: `set \`extension: true\` in the config.yaml of ${use.id}, or take it out of \`extensions\` of ${id}`,
        details: { plugin: id, extension: use.id },
      });
  }
  const circle = wayBack(id, all);
  if (circle === undefined) return;
  throw new TenonError('ExtensionCycle', `${id} needs itself: ${circle.join(' -> ')}`, {
    next: 'take one of these steps out of `extensions`',
    details: { plugin: id, path: circle },
  });
}

function missing(id: string, extension: string, all: DeclaredById): TenonError {
  const known = [...all.values()].filter((one) => one.extension !== false && one.id !== id).map((one) => one.id);
  const meant = closest(extension, known);
  const hint = meant === undefined ? '' : `; did you mean ${meant}?`;
  return new TenonError('ExtensionMissing', `${id} lists the extension ${extension}, which is not there${hint}`, {
    next: `install ${extension}, or correct \`extensions\` of ${id}`,
    details: { plugin: id, extension, known },
  });
}

/** The shortest way along `extensions` from `id` back to it, both ends included. */
function wayBack(id: string, all: DeclaredById): string[] | undefined {
  const cameFrom = new Map<string, string>();
  const queue = [id];
  for (const at of queue)
    for (const use of all.get(at)?.uses ?? []) {
      if (use.id === id) return wayAlong(cameFrom, id, at);
      if (cameFrom.has(use.id)) continue;
      cameFrom.set(use.id, at);
      queue.push(use.id);
    }
  return undefined;
}

function wayAlong(cameFrom: ReadonlyMap<string, string>, id: string, last: string): string[] {
  const way = [id];
  for (let at: string | undefined = last; at !== undefined && at !== id; at = cameFrom.get(at)) way.unshift(at);
  return [id, ...way];
}

/**
 * Who has to be tried before each application: what it lists, and before all others telemetry, with what that lists
 * itself, so that it is told of everything from the beginning.
 */
export function predecessors(all: DeclaredById): (id: string) => readonly string[] {
  const telemetry = [...all.values()].filter((one) => one.extension === 'telemetry').map((one) => one.id);
  const early = new Set(telemetry);
  for (const id of early) for (const use of all.get(id)?.uses ?? []) early.add(use.id);
  return (id) => {
    const listed = (all.get(id)?.uses ?? []).map((use) => use.id);
    return early.has(id) ? listed : [...telemetry, ...listed];
  };
}
