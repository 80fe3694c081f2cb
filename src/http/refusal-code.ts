/** Which error an answer of the core's own is. */
import type { ErrorCode } from '../base/errors.js';
import { Refusal } from '../binding/refusal.js';

const codes: Readonly<Record<number, ErrorCode>> = {
  [Refusal.RouteGone]: 'RouteGone',
  [Refusal.PluginStopped]: 'PluginStopped',
  [Refusal.PluginBusy]: 'PluginBusy',
  [Refusal.DeadlineExceeded]: 'DeadlineExceeded',
  [Refusal.HandlerFailed]: 'HandlerFailed',
  [Refusal.ResponseInvalid]: 'ResponseInvalid',
  [Refusal.PluginUnresponsive]: 'PluginUnresponsive',
  [Refusal.Unauthenticated]: 'Unauthenticated',
  [Refusal.Forbidden]: 'Forbidden',
  [Refusal.ExtensionUnavailable]: 'ExtensionUnavailable',
  [Refusal.TooManyAttempts]: 'TooManyAttempts',
  [Refusal.ExtensionFailed]: 'ExtensionFailed',
  [Refusal.PermissionDenied]: 'PermissionDenied',
  [Refusal.MemoryOverrun]: 'MemoryOverrun',
  [Refusal.ProcessEnded]: 'ProcessEnded',
};

/** `refusal` is a number of {@link Refusal}; `status` that of its answer. */
export function refusalCode(refusal: number, status: number): ErrorCode {
  if (refusal === Refusal.ProcessEnded && status === 503) return 'ProcessRestarting';
  return codes[refusal] ?? 'Internal';
}
