/** How long the verdict of a trial holds. */
import { startTime } from '../base/process-start.js';
import { version } from '../base/version.js';

/**
 * Names all hosts of this release that one process has run, one after the other, as `tenon start` does: what a library links with, the
 * machine and the checks are the same for all of them. Undefined where that is not known.
 */
export function trialSession(): string | undefined {
  const began = startTime(process.ppid);
  return began === '0' ? undefined : `${version} ${process.ppid} ${began}`;
}
