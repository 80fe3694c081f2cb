/** What one request, or one socket, may do with tables. */
import type { ServerResponse } from 'node:http';
import { TenonError } from '../base/errors.js';
import { type Action, type Caller, type DefaultAccess, permits, rolesFor } from '../tables/permissions.js';
import type { ServedTable } from '../tables/served.js';

export interface AccessFacts {
  /** Undefined for nobody. */
  readonly caller: Caller | undefined;
  /** For tables that say nothing. */
  readonly otherwise: DefaultAccess;
  /** Values of `WWW-Authenticate`: how somebody could make known who they are; undefined where nobody can. */
  readonly challenges: () => readonly string[] | undefined;
  /** Methods that an extension refuses; of a socket, whose messages are not asked about one by one. */
  readonly refused?: readonly string[];
  /** Nothing but reading may be done, whatever tables say, because an extension refuses this method. */
  readonly readsOnly?: string;
}

/** Decided anew at every question: a socket lives longer than the answer to one. */
export class Access {
  readonly #facts: AccessFacts;

  constructor(facts: AccessFacts) {
    this.#facts = facts;
  }

  /** The same where an extension refuses these of the methods that messages write by; `isAll`: those are all of them. */
  without(refused: readonly string[], isAll: boolean): Access {
    const [readsOnly] = refused;
    return new Access({ ...this.#facts, refused, ...(isAll && readsOnly !== undefined ? { readsOnly } : {}) });
  }

  /** What may be done by a message that stands for a request with this method. */
  by(method: string): Access {
    const { refused = [] } = this.#facts;
    return refused.includes(method) ? new Access({ ...this.#facts, readsOnly: method }) : this;
  }

  may({ schema }: ServedTable, action: Action): boolean {
    if (this.#facts.readsOnly !== undefined && action !== 'read') return false;
    return permits(schema, action, this.#facts.caller, this.#facts.otherwise);
  }

  /** Throws `Unauthenticated` when nobody is known and somebody might, else `Forbidden`. */
  demand(table: ServedTable, action: Action): void {
    if (!this.may(table, action)) throw this.refusal(table, action);
  }

  /** Throws when none of `actions` may be done. */
  demandAny(table: ServedTable, actions: readonly [Action, ...Action[]]): void {
    if (!actions.some((action) => this.may(table, action))) throw this.refusal(table, actions[0]);
  }

  /** Why `action` may not be done; `where` is put in front. */
  refusal({ application, definition, schema }: ServedTable, action: Action, where = ''): TenonError {
    const { caller, otherwise, challenges, readsOnly } = this.#facts;
    const roles = rolesFor(schema, action, otherwise);
    const details = { plugin: application, table: definition.name, action, roles };
    const act = `${where}${application}: to ${action} records of ${definition.name}`;
    if (readsOnly !== undefined && action !== 'read') {
      const why = `an extension refuses a ${readsOnly} here`;
      return new TenonError('Forbidden', `${act} is not possible over this socket: ${why}`, { details });
    }
    if (roles.length === 0) return new TenonError('Forbidden', `${act} is allowed to nobody`, { details });
    const needed = roles.includes('identity') ? 'somebody who is known' : `the role ${roles.join(' or ')}`;
    if (caller === undefined && challenges() !== undefined)
      return new TenonError('Unauthenticated', `${act} needs ${needed}, and the request does not say who asks`, {
        details,
      });
    const who = caller === undefined ? 'nobody is known here' : `${caller.subject} has not got it`;
    return new TenonError('Forbidden', `${act} needs ${needed}: ${who}`, { details });
  }

  /** Say in the headers of an answer with this error how to make known who asks. */
  explain(response: ServerResponse, error: unknown): void {
    if (!(error instanceof TenonError) || error.code !== 'Unauthenticated' || response.headersSent) return;
    const challenges = this.#facts.challenges() ?? [];
    if (challenges.length > 0) response.setHeader('www-authenticate', [...challenges]);
  }
}

/** Of tables that no extension stands before: nobody is known. */
export const openAccess = new Access({ caller: undefined, otherwise: 'open', challenges: () => undefined });

/** Who asks, as the gate tells it: empty for nobody. Throws SyntaxError. */
export function readCaller(identity: string): Caller | undefined {
  if (identity === '') return undefined;
  const { subject, roles } = JSON.parse(identity) as Caller;
  return { subject, roles };
}
