/** What goes wrong with the registry, as errors of Tenon. */
import { TenonError } from '../base/errors.js';

/** SQLSTATE of an error of the database. */
export function sqlState(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && /^[0-9A-Z]{5}$/.test(error.code)
    ? error.code
    : undefined;
}

/** Whether the database has refused the values, and would again. */
export function isRefusal(error: unknown): boolean {
  return /^2[23]/.test(sqlState(error) ?? '');
}

/** `error`, or `RegistryUnavailable` with its words, or `RegistryInvalid` when the values cannot be written. */
export function registryError(error: unknown, doing: string): TenonError {
  if (error instanceof TenonError) return error;
  const words = error instanceof Error ? error.message : String(error);
  return isRefusal(error)
    ? new TenonError('RegistryInvalid', `the registry refuses to ${doing}: ${words}`, { cause: error })
    : new TenonError('RegistryUnavailable', `the registry cannot ${doing}: ${words}`, {
        next: 'ask again when /readyz?verbose says that the registry is connected',
        cause: error,
      });
}
