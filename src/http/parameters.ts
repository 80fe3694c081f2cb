/** Parameters in the query of an admin request. */
import type { Request } from 'express';
import { TenonError } from '../base/errors.js';

/** Throws `BadRequest` when there is any of `others`: one that is mistyped would do what was only to be checked. `known` names the rest. */
export function refuseUnknown(others: Request['query'], known: string): void {
  const [unknown] = Object.keys(others);
  if (unknown !== undefined)
    throw new TenonError('BadRequest', `there is no parameter ${JSON.stringify(unknown)} here, only ${known}`);
}

/** True or false, false when it is not given. Throws `BadRequest`. */
export function readTruth(name: string, given: unknown): boolean {
  if (given === undefined || given === 'false') return false;
  if (given === 'true') return true;
  throw new TenonError('BadRequest', `${name}: ${JSON.stringify(given)} is not true or false`);
}
