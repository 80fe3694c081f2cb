import { type ErrorFacts, TenonError } from '../base/errors.js';

/** `place` without password; `why` as one clause; `next` as one clause, when there is something to do. */
export function unavailable(place: string, why: string, { cause, next }: Omit<ErrorFacts, 'details'> = {}): TenonError {
  return new TenonError('RegistryUnavailable', `the registry ${place} cannot be reached: ${why}`, {
    next: next ?? 'plugins go on as they are; it is tried again by itself',
    ...(cause === undefined ? {} : { cause }),
  });
}
