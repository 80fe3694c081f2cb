/** What lies on the way to a file: a link or a folder that is put in the place of another one leads to another file. */
import { type BigIntStats, lstatSync, readlinkSync } from 'node:fs';
import path from 'node:path';

/** Links that are followed on one way, as many as Linux follows. */
const linkLimit = 40;

/** The folders and links that were passed, by absolute path. */
export type Way = ReadonlyMap<string, BigIntStats>;

/** On the way to all of `places` (absolute; they need not be there), each that is a folder or a link itself included. */
export function wayTo(places: Iterable<string>): Way {
  const passed = new Map<string, BigIntStats>();
  /** Where each folder really is. */
  const real = new Map<string, string>();
  const enter = (place: string, links: number): string => {
    const before = real.get(place);
    if (before !== undefined || path.dirname(place) === place) return before ?? place;
    const here = path.join(enter(path.dirname(place), links), path.basename(place));
    const stats = passed.get(here) ?? lookAt(here);
    let end = here;
    if (stats?.isDirectory() === true) passed.set(here, stats);
    if (stats?.isSymbolicLink() === true) {
      passed.set(here, stats);
      const target = targetOf(here);
      if (target !== undefined && links < linkLimit) end = enter(path.resolve(path.dirname(here), target), links + 1);
    }
    real.set(place, end);
    return end;
  };
  for (const place of places) enter(place, 0);
  return passed;
}

/**
 * Whether each folder and link of `after` is the one of `before`. One that was not looked at before must not have changed
 * since `time`, ns. A name that comes into a folder or goes changes both of its times, a move of the folder only one.
 */
export function leadsAsBefore(before: Way, after: Way, time: bigint): boolean {
  for (const [place, now] of after) {
    const was = before.get(place);
    if (was === undefined && now.ctimeNs > time) return false;
    if (was === undefined || was.ctimeNs === now.ctimeNs) continue;
    if (was.dev !== now.dev || was.ino !== now.ino || was.mtimeNs === now.mtimeNs || now.isSymbolicLink()) return false;
  }
  return true;
}

/** Whether `file` lies below `folder`, by their names; both absolute. */
export function isBelow(folder: string, file: string): boolean {
  return file.startsWith(folder === path.sep ? folder : folder + path.sep);
}

function lookAt(place: string): BigIntStats | undefined {
  try {
    return lstatSync(place, { bigint: true });
  } catch {
    return undefined;
  }
}

function targetOf(link: string): string | undefined {
  try {
    return readlinkSync(link);
  } catch {
    return undefined;
  }
}
