/** The program minisign, as others have it. */
import { execFileSync, spawnSync } from 'node:child_process';

function isInstalled(): boolean {
  return spawnSync('minisign', ['-v']).status === 0;
}

/**
 * Why there is no minisign to test with, for `describe.skipIf` and for the name of what is left out; undefined: there is one.
 * Throws in CI, where one must be.
 */
export const noMinisign: string | undefined = isInstalled()
  ? undefined
  : 'minisign is not installed (Debian: minisign)';
if (noMinisign !== undefined && process.env['CI'] !== undefined) throw new Error(noMinisign);

/** Run it in `folder`; what it prints. Throws when it says no. */
export function minisign(folder: string, words: readonly string[], input?: string): string {
  // It may end before it has read what it does not ask for.
  const stdio = [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'] as const;
  return execFileSync('minisign', words, {
    cwd: folder,
    encoding: 'utf8',
    stdio: [...stdio],
    ...(input === undefined ? {} : { input }),
  });
}
