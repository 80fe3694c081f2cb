/** What one plugin wants and another one has. */
import { type ErrorCode, TenonError } from '../base/errors.js';

/** Of an id that the application in `other` has. */
export function idTaken(id: string, folder: string, other: string): TenonError {
  return new TenonError('ConfigInvalid', `${folder}: the app_id ${id} belongs to ${other}`, {
    next: 'give one of the two another app_id',
    details: { plugin: id, folder, other },
  });
}

/** Whether a plugin failed because another one has its paths or tables. */
export function isTaken(code: ErrorCode): boolean {
  return code === 'RouteConflict' || code === 'TableTaken';
}
