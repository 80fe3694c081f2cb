/** Where a client of changes goes on: a sequence, and of which database it is. */
import { TenonError } from '../base/errors.js';
import type { Store } from '../binding/store.js';

const identityDigits = 8;

/** What a client gives to go on after the change `sequence`. */
export function changeToken(store: Store, sequence: string): string {
  return `${store.identity.slice(0, identityDigits)}-${sequence}`;
}

/** The sequence in `token`; undefined when it is of another database. Throws `BadRequest` when it is no token at all. */
export function sequenceOf(store: Store, token: string): string | undefined {
  const [, identity, sequence] = /^([\da-f]{8})-(\d{1,15})$/i.exec(token) ?? [];
  if (identity === undefined)
    throw new TenonError('BadRequest', `${JSON.stringify(token.slice(0, 40))} is no id of a change`, {
      next: 'give the id that came with a change, as it was',
    });
  return identity.toLowerCase() === store.identity.slice(0, identityDigits).toLowerCase() ? sequence : undefined;
}
