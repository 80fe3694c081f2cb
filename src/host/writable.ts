/** What a plugin in a process of its own may write to: never what decides over it, or belongs to others. */
import { accessSync, constants, existsSync, mkdirSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { TenonError } from '../base/errors.js';
import { isBelow } from '../compiler/way.js';

/** What no plugin may change. */
export interface Guarded {
  /** Absolute path of the data directory. */
  readonly data: string;
  /** Absolute path of the applications directory. */
  readonly applications: string;
  /** Absolute path of its own folder. */
  readonly folder: string;
  /** Files that make up the application, relative to its folder or absolute; they need not be there. */
  readonly files: readonly string[];
}

/** `place` (absolute) without links, as far as it is there. */
export function realPlace(place: string): string {
  try {
    return realpathSync(place);
  } catch {
    const above = path.dirname(place);
    return above === place ? place : path.join(realPlace(above), path.basename(place));
  }
}

/** Throws `ConfigInvalid` for the first of `places` (absolute, or relative to its folder) that gives something away. */
export function requireHarmless(id: string, places: readonly string[], guarded: Guarded): void {
  const folder = realPlace(guarded.folder);
  const data = realPlace(guarded.data);
  const applications = realPlace(guarded.applications);
  const files = guarded.files.map((file) => realPlace(path.resolve(folder, file)));
  for (const given of places) {
    const place = realPlace(path.resolve(guarded.folder, given));
    const has = (other: string): boolean => other === place || isBelow(place, other);
    const isIn = (other: string): boolean => other === place || isBelow(other, place);
    const why =
      has(data) || isIn(data)
        ? 'is or has what the host keeps'
        : has(applications) || (isIn(applications) && !isIn(folder))
          ? 'is or has an application of others'
          : has(folder) || isIn(path.join(folder, 'resources')) || files.some((file) => has(file))
            ? 'is or has what the application is made of'
            : undefined;
    if (why !== undefined)
      throw new TenonError('ConfigInvalid', `${id}: \`isolation.writable\` names \`${given}\`, which ${why}`, {
        next: 'name a folder for what the plugin writes alone, such as .state',
        details: { plugin: id, place: given },
      });
  }
}

/** Make a folder of each of `places` that is not there. Throws `ConfigInvalid` where that cannot be done. */
export function makeWritable(id: string, places: readonly string[]): void {
  for (const place of places) {
    try {
      mkdirSync(place, { recursive: true, mode: 0o700 });
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      // It is a file.
      if (code === 'EEXIST') continue;
      throw unmakeable(id, place, message);
    }
  }
}

/** Throws `ConfigInvalid` for the first of `places` (absolute) of which {@link makeWritable} could not make a folder; none is made. */
export function requireMakeable(id: string, places: readonly string[]): void {
  for (const place of places) {
    let above = place;
    while (!existsSync(above)) above = path.dirname(above);
    if (above === place) continue;
    try {
      // A slash says that it has to be a folder.
      accessSync(`${above}/`, constants.W_OK | constants.X_OK);
    } catch (error) {
      throw unmakeable(id, place, (error as NodeJS.ErrnoException).message);
    }
  }
}

function unmakeable(id: string, place: string, message: string): TenonError {
  return new TenonError('ConfigInvalid', `${id}: \`isolation.writable\` names ${place}: ${message}`, {
    next: 'make it, or name another one',
    details: { plugin: id, place },
  });
}
