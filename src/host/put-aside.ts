/** Puts a file aside that cannot be used, for a person to look at. */
import { randomBytes } from 'node:crypto';
import { readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { syncDirectory } from '../base/replace-file.js';

/** How many of one file stay; the oldest goes. */
const kept = 4;
const suffix = /^\.[a-z]+-(\d{4}-\d\d-\d\dT[\d-]+Z-[0-9a-f]{6})$/;

/**
 * Rename `file` to a name that says why, `<file>.<why>-<time>-<random>`, and that nothing has; the path it has then. Of
 * those that were put aside before only the newest stay, 4 with this one.
 */
export async function putAside(file: string, why: string): Promise<string> {
  const time = new Date().toISOString().replaceAll(/[:.]/g, '-');
  const place = `${file}.${why}-${time}-${randomBytes(3).toString('hex')}`;
  await rename(file, place);
  const directory = path.dirname(file);
  const name = path.basename(file);
  const timeOf = (other: string): string | undefined =>
    other.startsWith(name) ? suffix.exec(other.slice(name.length))?.[1] : undefined;
  const aside = (await readdir(directory))
    .map((other) => ({ other, at: timeOf(other) ?? '' }))
    .filter(({ other, at }) => at !== '' && other !== path.basename(place))
    .toSorted((left, right) => (left.at < right.at ? 1 : -1));
  for (const { other } of aside.slice(kept - 1))
    await rm(path.join(directory, other), { force: true, recursive: true });
  await syncDirectory(directory);
  return place;
}
