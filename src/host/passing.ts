/** Which failures of a reload may pass by themselves. */
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
