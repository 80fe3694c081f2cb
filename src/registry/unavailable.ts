import { type ErrorFacts, TenonError } from '../base/errors.js';

/** What a person has to correct before any further try can succeed, by SQLSTATE and by code of the system. */
const corrections: Readonly<Record<string, string>> = {
  '28000': 'correct the user in DATABASE_URL, or let it in on the server',
  '28P01': 'correct user and password in DATABASE_URL',
  '3D000': 'create the database, or correct its name in DATABASE_URL',
  '42501': 'let the user make tables in the schema',
  ENOTFOUND: 'correct the host in DATABASE_URL',
};

/** Undefined for what may pass by itself. */
export function correctionOf(error: unknown): string | undefined {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
  if (typeof code === 'string' && Object.hasOwn(corrections, code)) return corrections[code];
  return error instanceof Error && error.cause !== undefined ? correctionOf(error.cause) : undefined;
}

/** `place` without password; `why` as one clause; `next` as one clause, when there is something to do. */
export function unavailable(place: string, why: string, { cause, next }: Omit<ErrorFacts, 'details'> = {}): TenonError {
  return new TenonError('RegistryUnavailable', `the registry ${place} cannot be reached: ${why}`, {
    next: next ?? correctionOf(cause) ?? 'plugins go on as they are; it is tried again by itself',
    ...(cause === undefined ? {} : { cause }),
  });
}
