/** Where the files are that an application serves, and below which path. */
import path from 'node:path';
import type { StaticFiles } from '../compiler/config.js';

export interface ServedFiles extends Omit<StaticFiles, 'directory' | 'path'> {
  /** Absolute path of the folder; of a bundle that lists its files in its private copy, of checked bytes. */
  readonly root: string;
  /** Path before their names; empty at the root. */
  readonly base: string;
}

/** Where an application lies. */
export interface FilesPlace {
  readonly prefix: string;
  readonly folder: string;
  /** Makes the copy that is read in place of the folder, and says where it is. */
  readonly place?: (() => Promise<string>) | undefined;
}

export function servedFiles(
  files: StaticFiles | undefined,
  { prefix, folder, place = async () => folder }: FilesPlace,
): (() => Promise<ServedFiles>) | undefined {
  if (files === undefined) return undefined;
  const { directory, path: below, ...rest } = files;
  const base = prefix + below.replace(/\/+$/, '');
  return async () => ({ ...rest, root: path.join(await place(), directory), base });
}
