import { TenonError } from '../base/errors.js';

/** `place` without password; `why` as one clause. */
export function unavailable(place: string, why: string, cause?: unknown): TenonError {
  return new TenonError('RegistryUnavailable', `the registry ${place} cannot be reached: ${why}`, {
    next: 'plugins go on as they are; it is tried again by itself',
    ...(cause === undefined ? {} : { cause }),
  });
}
