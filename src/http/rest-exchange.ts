/** One request for a table, and what all answers to one have in common. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { TenonError } from '../base/errors.js';
import type { Store } from '../binding/store.js';
import type { ServedTable } from '../tables/served.js';
import type { Access } from './access.js';
import { preferred } from './accept.js';
import { pathOf } from './router.js';

export interface RestExchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly store: Store;
  readonly table: ServedTable;
  readonly access: Access;
  /** Bytes of body that are read at most. */
  readonly bodyLimit: number;
}

export const json = 'application/json';
export const ndjson = 'application/x-ndjson';
export const mergePatch = 'application/merge-patch+json';

/** The type to answer with. Throws `NotAcceptable`. */
export function negotiate({ request }: RestExchange, offered: readonly string[]): string {
  const { accept } = request.headers;
  const type = preferred(accept, offered);
  if (type !== undefined) return type;
  throw new TenonError('NotAcceptable', `nothing of ${accept ?? ''} can be answered here`, {
    next: `accept ${offered.join(' or ')}`,
    details: { offered },
  });
}

export function missing(table: ServedTable, key: string): TenonError {
  const { name } = table.definition;
  return new TenonError('RecordNotFound', `${name} has no record ${JSON.stringify(key)}`, {
    details: { table: name, key },
  });
}

/** Path of a record of the table at which the request came. */
export function recordPath({ request }: RestExchange, key: string): string {
  return `${pathOf(request.url ?? '/').replace(/\/+$/, '')}/${encodeURIComponent(key)}`;
}

/** The entity tag of a record: its revision in quotes. */
export function etagOf(revision: string): string {
  return `"${revision}"`;
}
