/** The directories that the settings name: whether they can be used, and that secrets in them are the owner's alone. */
import { chmodSync, mkdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { TenonError } from './errors.js';
import type { Log } from './log.js';

function refuse(setting: string, place: string, reason: string): TenonError {
  return new TenonError('SettingsInvalid', `${setting}: ${place} ${reason}`, {
    next: `name a directory with the setting ${setting}`,
    details: { setting, path: place },
  });
}

/** Throws `SettingsInvalid` when `place` is there and is no directory. */
export function requireDirectory(setting: string, place: string): void {
  const there = statSync(place, { throwIfNoEntry: false });
  if (there !== undefined && !there.isDirectory()) throw refuse(setting, place, 'is not a directory');
}

/** Make the data directory, its owner's alone, or take the one that is there. Throws `SettingsInvalid` when it cannot be one. */
export function makeDataDirectory(directory: string): void {
  requireDirectory('data', directory);
  try {
    makeDirectories(directory);
  } catch (cause) {
    throw refuse('data', directory, `cannot be made: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}

/** One after the other: where a file system takes none, as /proc, Node's own `recursive` tries for ever. */
function makeDirectories(directory: string): void {
  if (statSync(directory, { throwIfNoEntry: false }) !== undefined) return;
  makeDirectories(path.dirname(directory));
  try {
    mkdirSync(directory, { mode: 0o700 });
  } catch (error) {
    // Another process may have made it meanwhile.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/** The same; one that is there and open to others is closed to them, and that is said. */
export function openDataDirectory(directory: string, log: Log): void {
  makeDataDirectory(directory);
  keepPrivate(directory, log);
}

/** Take all rights to `place` from everybody but its owner, and say so. A place that is shared stays, and that is said. */
export function keepPrivate(place: string, log: Log): void {
  const { mode } = statSync(place);
  if ((mode & 0o077) === 0) return;
  const before = (mode & 0o777).toString(8);
  const after = mode & 0o700;
  let reason = 'everybody shares it';
  const shared = (mode & 0o1000) !== 0 || path.dirname(place) === place;
  if (!shared)
    try {
      chmodSync(place, after);
      log.warn({ path: place }, `${place} was open to others (mode ${before}): it is its owner's alone now`);
      return;
    } catch (error) {
      reason = error instanceof Error ? error.message : String(error);
    }
  log.warn({ path: place }, `${place} stays open to others (mode ${before}): ${reason}; use one that is yours alone`);
}
