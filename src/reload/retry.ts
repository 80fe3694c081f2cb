/** When a reload that failed is tried again. */
import type { ErrorCode } from '../base/errors.js';

/** Failures that may pass without anybody doing anything; those of a compiler or a config do not. */
const passing: ReadonlySet<ErrorCode> = new Set([
  // the library is still being written
  'ImageNotFound',
  'ImageChanging',
  'ImageTruncated',
  'ImageFormat',
  // the machine is busy, or short of something
  'TrialTimeout',
  'TrialUnavailable',
  'StagingFailed',
  'LifecycleTimeout',
  'Internal',
  // what the plugin wants is not free yet: a port, a lock, a route of another plugin
  'TrialRefused',
  'LifecycleFailed',
  'RouteConflict',
  'StateRefused',
]);

/** Whether a failure with this code may pass by itself. */
export function mayPass(code: ErrorCode): boolean {
  return passing.has(code);
}

/**
 * How long to wait before retry number `retry` (from 1), ms: `delayMs` doubled for each retry before, at most `mostMs`,
 * and up to a quarter less or more, so that what failed together is not tried together. `random` is from 0 to 1.
 */
export function retryDelay(retry: number, delayMs: number, mostMs: number, random = Math.random()): number {
  const even = Math.min(mostMs, delayMs * 2 ** Math.min(retry - 1, 32));
  return Math.min(mostMs, Math.round(even * (0.75 + random / 2)));
}
