/** Has a data directory to itself, and what a host that crashed has left there looked at. */
import type { Closer } from '../base/closer.js';
import { removeHostFile } from '../base/host-file.js';
import { lockData } from './data-lock.js';
import { openOwnBox, type OwnBoxOptions } from './own-box.js';

export interface HoldDataOptions extends OwnBoxOptions {
  /** Whether somebody else holds its lock for this process. */
  locked: boolean;
  /** Told by this one, where there is one: it sees how this one ends. */
  parent: object | undefined;
}

/** Rejects with `DataDirectoryLocked`. */
export async function holdData({ locked, parent, ...options }: HoldDataOptions, closer: Closer): Promise<void> {
  const { core, data } = options;
  const lock = locked ? undefined : lockData(core, data);
  closer.add('data directory lock', () => lock?.release());
  removeHostFile(data);
  if (parent === undefined) closer.add('black box', await openOwnBox(options));
}
