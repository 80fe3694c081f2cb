/** Which directory the builds of a folder have: two checkouts of one application do not share a library. */
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, realpath, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { sha256 } from './fingerprint.js';
import { Hold, type HoldOptions } from './hold.js';

/**
 * Absolute path of the directory in `builds` for the application `id` in `folder`: `<id>`, unless that belongs to another
 * folder that is still there; then `<id>@` with eight digits that stand for this one.
 */
export async function claimDirectory(
  builds: string,
  id: string,
  folder: string,
  options: HoldOptions,
): Promise<string> {
  // Of one that is gone just now, its sources will tell.
  const real = await realpath(folder).catch(() => folder);
  const first = path.join(builds, id);
  if ((await ownerOf(first)) === real) return first;
  const hold = await Hold.take(path.join(builds, '.claims'), options);
  try {
    const before = await ownerOf(first);
    if (before === real || before === undefined || !existsSync(before)) {
      if (before !== real) await setOwner(first, real);
      await removeAbandoned(builds, id);
      return first;
    }
    const second = path.join(builds, `${id}@${sha256(real).slice(0, 8)}`);
    if ((await ownerOf(second)) !== real) await setOwner(second, real);
    return second;
  } finally {
    hold.release();
  }
}

async function ownerOf(directory: string): Promise<string | undefined> {
  return readFile(path.join(directory, 'owner'), 'utf8').catch(() => undefined);
}

/** Only where claims are held, so that there is one at a time. */
async function setOwner(directory: string, folder: string): Promise<void> {
  const fresh = path.join(path.dirname(directory), '.claims', 'owner.tmp');
  await mkdir(directory, { recursive: true });
  await writeFile(fresh, folder);
  await rename(fresh, path.join(directory, 'owner'));
}

/** Remove the builds of the application `id`, whatever its folder; those that somebody is at work in stay. */
export async function forgetBuilds(builds: string, id: string): Promise<void> {
  const names = await readdir(builds).catch(() => []); // none were made
  for (const name of names)
    if (name === id || name.startsWith(`${id}@`)) await Hold.takeFree(path.join(builds, name))?.discard();
}

/** Directories of further folders that are gone; nobody comes to build in them. */
async function removeAbandoned(builds: string, id: string): Promise<void> {
  for (const name of await readdir(builds)) {
    if (!name.startsWith(`${id}@`)) continue;
    const directory = path.join(builds, name);
    const owner = await ownerOf(directory);
    if (owner === undefined || existsSync(owner)) continue;
    const hold = Hold.takeFree(directory);
    await hold?.discard();
  }
}
