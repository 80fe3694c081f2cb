/** JSON in the body of a request: what nobody can read in two ways. */
import { TenonError } from '../base/errors.js';
import { JsonRefused, strictJson } from '../bundle/strict-json.js';

const depthLimit = 64;

/** Throws `BadRequest` for what is no JSON, for a name that is there twice, `__proto__`, what is deeper than 64 levels, and neither an object nor a list. */
export function readJsonBody(bytes: Uint8Array): unknown {
  let value: unknown;
  try {
    value = strictJson(bytes, depthLimit);
  } catch (error) {
    if (!(error instanceof JsonRefused)) throw error;
    const { pointer, message } = error;
    throw new TenonError('BadRequest', `${pointer === '' ? 'the body' : pointer} ${message}`, { details: { pointer } });
  }
  if (typeof value !== 'object' || value === null)
    throw new TenonError('BadRequest', 'the body is neither an object nor a list of JSON');
  refusePrototype(value, 'the body');
  return value;
}

/** Whoever merges such a value with another one may set what all objects have. Throws `BadRequest`. */
export function refusePrototype(value: unknown, what: string): void {
  if (typeof value !== 'object' || value === null) return;
  for (const [name, member] of Object.entries(value)) {
    if (name === '__proto__')
      throw new TenonError('BadRequest', `${what} has a member __proto__`, { next: 'give it another name' });
    refusePrototype(member, what);
  }
}
