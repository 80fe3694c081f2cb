/** What a host tells the one that goes on in its place: what its operator wants, and what runs. */
import type { Plugin } from './plugin.js';

/** How one plugin is to go on. */
export interface Wish {
  readonly id: string;
  /** Folder of its application. */
  readonly folder: string;
  /** SHA-256 of the build that runs; absent for one that was stopped by hand. */
  readonly sha256?: string;
  /** Whether somebody went back to that build: what the application is at the start of a host does not replace it. */
  readonly chosen?: boolean;
}

/**
 * Undefined for one that is to begin as its application says.
 * @param held SHA-256 of the build that it is in quarantine for
 */
export function wishOf({ id, folder, leave, wanted, running, chosen }: Plugin, held = ''): Wish | undefined {
  if (leave !== undefined) return undefined;
  if (!wanted) return { id, folder };
  const sha256 = running?.sha256 ?? held;
  if (sha256 === '') return undefined;
  return { id, folder, sha256, ...(chosen === sha256 ? { chosen: true } : {}) };
}
