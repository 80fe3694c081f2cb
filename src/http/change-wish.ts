/** What a request for a stream of changes asks for. */
import type { IncomingMessage } from 'node:http';
import { TenonError } from '../base/errors.js';
import type { ServedTable } from '../tables/served.js';
import { queryOf, readListQuery } from './rest-query.js';
import type { ChangeWish } from './told-changes.js';

/** Parameters that are of the stream; like those of a list, they are about a field when an operator follows the name. */
const ownParameter = /^(from|snapshot)=(?![=<>]|[a-z]+=)(.*)$/;

/**
 * The query's `from` and `snapshot`, and its filter as REST reads it; the header `Last-Event-ID` goes before `from`. Throws
 * `QueryInvalid`.
 */
export function readChangeWish(request: IncomingMessage, { definition }: ServedTable, key?: string): ChangeWish {
  const own = new Map<string, string>();
  const rest: string[] = [];
  for (const piece of queryOf(request.url ?? '/').split('&')) {
    const [, name = '', value = ''] = ownParameter.exec(piece) ?? [];
    if (name === '') rest.push(piece);
    else if (own.has(name)) throw invalid(name, `${name} is given twice`);
    else own.set(name, value);
  }
  const { filter, ...others } = readListQuery(rest.join('&'), definition);
  if (others.order.length > 0) throw invalid('sort', 'changes come in the order in which they became true, not sorted');
  if (others.fields !== undefined) throw invalid('select', 'changes bring whole records');
  if (others.limit !== undefined || others.offset > 0 || others.after !== undefined || others.count)
    throw invalid('limit', 'a stream of changes has no pages');
  const from = request.headers['last-event-id']?.toString() || own.get('from');
  return {
    ...(from === undefined ? {} : { from }),
    ...(key === undefined ? {} : { key }),
    ...(filter === undefined ? {} : { filter }),
    snapshot: truth(own.get('snapshot')),
  };
}

function truth(text: string | undefined): boolean {
  if (text === undefined || text === 'false') return false;
  if (text === 'true') return true;
  throw invalid('snapshot', `snapshot is true or false, not ${JSON.stringify(text)}`);
}

function invalid(parameter: string, message: string): TenonError {
  return new TenonError('QueryInvalid', message, { details: { parameter } });
}
