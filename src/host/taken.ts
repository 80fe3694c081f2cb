/** What one plugin wants and another one has. */
import { type ErrorCode, TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';

/** Of an id that the application in `other` has. */
function idTaken(id: string, folder: string, other: string): TenonError {
  return new TenonError('ConfigInvalid', `${folder}: the app_id ${id} belongs to ${other}`, {
    next: 'give one of the two another app_id',
    details: { plugin: id, folder, other },
  });
}

/** Whether a plugin failed because another one has its paths or tables. */
export function isTaken(code: ErrorCode): boolean {
  return code === 'RouteConflict' || code === 'TableTaken';
}

/** Folders that were refused because another one has their id. */
export class RefusedFolders {
  readonly #ids = new Map<string, string>();
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  /** Throws `ConfigInvalid`: `id` is that of `other`. */
  refuse(id: string, folder: string, other: string): never {
    this.#ids.set(folder, id);
    const error = idTaken(id, folder, other);
    this.#log.error({ plugin: id, code: error.code, details: error.details }, error.message);
    throw error;
  }

  forget(folder: string): void {
    this.#ids.delete(folder);
  }

  /** Those whose id is `id`. */
  of(id: string): string[] {
    return [...this.#ids].filter(([, theirs]) => theirs === id).map(([folder]) => folder);
  }
}
