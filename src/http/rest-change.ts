/** PUT, POST, PATCH and DELETE of records, one or many in one request. */
import { TenonError } from '../base/errors.js';
import type { TableWrite, TableWritten } from '../binding/store.js';
import { readEntityTags, tagValues } from './entity-tags.js';
import { refuseGone, withoutGone } from './gone-members.js';
import { isJson, isList, joined, lines, listItems } from './json-slices.js';
import { receive } from './rest-body.js';
import {
  etagOf,
  json,
  mergePatch,
  missing,
  ndjson,
  negotiate,
  recordPath,
  type RestExchange,
} from './rest-exchange.js';
import { forbiddenBy, permitted, type PermittedWrite, requireKind } from './permitted-write.js';
import { queryOf, readParameters } from './rest-query.js';
import { pathOf } from './router.js';

/** Records that one request may bring. */
const bulkLimit = 10_000;

/** Create a record, or many that all come to be or none. */
export async function postRecords(exchange: RestExchange): Promise<void> {
  const { table } = exchange;
  const kind = readMode(exchange);
  requireKind(exchange.access, table, kind);
  const type = negotiate(exchange, [json, ndjson]);
  const { type: sent, body } = await receive(exchange, [json, ndjson]);
  if (sent === json && !isList(body)) {
    negotiate(exchange, [json]);
    const written = await writeOne(exchange, { table: table.number, kind, json: body });
    answerWritten(exchange, written);
    return;
  }
  const records = sent === json ? listItems(body, bulkLimit + 1) : lines(body, bulkLimit + 1);
  if (records.length > bulkLimit)
    throw new TenonError('BodyTooLarge', `the list has more than ${bulkLimit} records`, {
      next: 'send it in several requests',
      details: { limit: bulkLimit },
    });
  const written = await writeAll(
    exchange,
    records.map((record) => ({ table: table.number, kind, json: record })),
  );
  answerMany(exchange, written, type);
}

/** Create or replace the record. */
export async function putRecord(exchange: RestExchange, key: string): Promise<void> {
  await changeRecord(exchange, key, 'put', [json]);
}

/** Lay the body over the record (RFC 7396). */
export async function patchRecord(exchange: RestExchange, key: string): Promise<void> {
  await changeRecord(exchange, key, 'patch', [mergePatch, json]);
}

/** Take the record away. */
export async function deleteRecord(exchange: RestExchange, key: string): Promise<void> {
  const { response, table, access } = exchange;
  requireKind(access, table, 'remove');
  readParameters(queryOf(exchange.request.url ?? '/'), []);
  await writeOne(exchange, { table: table.number, kind: 'remove', key, ...preconditions(exchange) });
  response.statusCode = 204;
  response.end();
}

async function changeRecord(
  exchange: RestExchange,
  key: string,
  kind: 'put' | 'patch',
  accepted: readonly string[],
): Promise<void> {
  requireKind(exchange.access, exchange.table, kind);
  readParameters(queryOf(exchange.request.url ?? '/'), []);
  negotiate(exchange, [json]);
  const conditions = preconditions(exchange);
  const { body } = await receive(exchange, accepted);
  const written = await writeOne(exchange, { table: exchange.table.number, kind, key, json: body, ...conditions });
  answerWritten(exchange, written);
}

function readMode({ request }: RestExchange): 'create' | 'put' {
  const mode = readParameters(queryOf(request.url ?? '/'), ['mode']).get('mode') ?? 'create';
  if (mode === 'create') return 'create';
  if (mode === 'upsert') return 'put';
  throw new TenonError('QueryInvalid', `mode is create or upsert, not ${JSON.stringify(mode)}`, {
    details: { parameter: 'mode' },
  });
}

/** What the client asks of the record that is there. Throws `PreconditionFailed` when no record could meet it. */
function preconditions({ request }: RestExchange): Pick<TableWrite, 'ifMatch' | 'ifNoneMatch'> {
  const { 'if-match': match, 'if-none-match': noneMatch } = request.headers;
  const ifMatch = match === undefined ? undefined : revisions(tagValues(readEntityTags('If-Match', match), true));
  const ifNoneMatch =
    noneMatch === undefined ? undefined : revisions(tagValues(readEntityTags('If-None-Match', noneMatch), false));
  if (ifMatch?.length === 0)
    throw new TenonError('PreconditionFailed', `If-Match: ${match ?? ''} has no strong tag of a record`);
  return {
    ...(ifMatch === undefined ? {} : { ifMatch }),
    ...(ifNoneMatch === undefined || ifNoneMatch.length === 0 ? {} : { ifNoneMatch }),
  };
}

/** Those of the values that are a revision at all. */
function revisions(values: string[] | '*'): string[] | '*' {
  return values === '*' ? values : values.filter((value) => /^[0-9a-f]{16}$/.test(value));
}

async function writeOne(exchange: RestExchange, write: TableWrite): Promise<TableWritten> {
  const { definition, gone } = exchange.table;
  if (write.json !== undefined) refuseGone(write.json, definition, gone);
  const allowed = permitted(exchange.access, exchange.table, write);
  const [written] = await exchange.store.write([allowed.write]);
  if (written === undefined) throw new TenonError('Internal', 'the store did not say what became of a write');
  const refusal = malformed(write, written) ?? refusalOf(exchange, allowed, written, write.key ?? written.key);
  if (refusal !== undefined) throw refusal;
  return written;
}

async function writeAll(exchange: RestExchange, writes: TableWrite[]): Promise<TableWritten[]> {
  if (writes.length === 0) return [];
  const { definition, gone } = exchange.table;
  for (const [index, { json: record }] of writes.entries())
    if (record !== undefined) refuseGone(record, definition, gone, index);
  const allowed = writes.map((write) => permitted(exchange.access, exchange.table, write));
  const all = await exchange.store.write(allowed.map(({ write }) => write));
  for (const [index, written] of all.entries()) {
    const { [index]: one = { write: undefined } } = allowed;
    const refusal = malformed(writes[index], written, index) ?? refusalOf(exchange, one, written, written.key, index);
    if (refusal !== undefined) throw refusal;
  }
  if (all.some(({ outcome }) => outcome === 'undone'))
    throw new TenonError('Internal', 'nothing was written, and the store did not say why');
  return all;
}

/** What is no JSON at all is no record that breaks its table: an error for the first only. */
function malformed(
  write: TableWrite | undefined,
  { outcome, message = 'The text is not JSON' }: TableWritten,
  index?: number,
): TenonError | undefined {
  if (outcome !== 'invalid' || write?.json === undefined || isJson(write.json)) return undefined;
  return new TenonError('BadRequest', index === undefined ? message : `record ${index}: ${message}`, {
    next: 'send JSON, as RFC 8259 has it',
    details: index === undefined ? {} : { index },
  });
}

/** Why nothing was written, as an error; undefined when this write is not to blame. */
function refusalOf(
  { table, access }: RestExchange,
  allowed: PermittedWrite<unknown>,
  written: TableWritten,
  key: string,
  index?: number,
): TenonError | undefined {
  const { outcome, field, message } = written;
  const { name } = table.definition;
  const place = index === undefined ? '' : `record ${index}: `;
  const details = { table: name, ...(key === '' ? {} : { key }), ...(index === undefined ? {} : { index }) };
  switch (outcome) {
    case 'missing':
      return missing(table, key);
    case 'exists':
      return new TenonError('RecordExists', `${place}${name} has a record ${JSON.stringify(key)} already`, { details });
    case 'precondition':
      return (
        forbiddenBy(access, table, allowed, written, place) ??
        new TenonError(
          'PreconditionFailed',
          `${place}the record ${JSON.stringify(key)} of ${name} is not in the state that was asked for`,
          { next: 'read it again', details },
        )
      );
    case 'invalid':
      return new TenonError('RecordInvalid', place + (message ?? `it does not fit ${name}`), {
        details: { ...details, ...(field === undefined || field === '' ? {} : { field }) },
      });
    case 'created':
    case 'updated':
    case 'removed':
    case 'undone':
      return undefined;
    default:
      return outcome satisfies never;
  }
}

/** Whether the answer has no record: the client can do without it, or may not read it. */
function isMinimal({ request, response, table, access }: RestExchange): boolean {
  const { prefer } = request.headers;
  if (prefer === undefined || !/(?:^|[,;])\s*return\s*=\s*"?minimal"?\s*(?:$|[,;])/i.test([prefer].flat().join(',')))
    return !access.may(table, 'read');
  response.setHeader('preference-applied', 'return=minimal');
  return true;
}

function answerWritten(exchange: RestExchange, { outcome, key, record }: TableWritten): void {
  const { request, response } = exchange;
  const created = outcome === 'created';
  const minimal = isMinimal(exchange);
  response.statusCode = created ? 201 : minimal ? 204 : 200;
  if (created)
    response.setHeader('location', request.method === 'POST' ? recordPath(exchange, key) : pathOf(request.url ?? '/'));
  if (record !== undefined) response.setHeader('etag', etagOf(record.revision));
  if (minimal || record === undefined) {
    response.end();
    return;
  }
  response.setHeader('content-type', json);
  response.end(withoutGone(record.json, exchange.table.gone));
}

function answerMany(exchange: RestExchange, written: readonly TableWritten[], type: string): void {
  const { response, table } = exchange;
  const minimal = isMinimal(exchange);
  response.statusCode = written.some(({ outcome }) => outcome === 'created') ? 201 : minimal ? 204 : 200;
  if (minimal) {
    response.end();
    return;
  }
  const records = written.flatMap(({ record }) => (record === undefined ? [] : [withoutGone(record.json, table.gone)]));
  response.setHeader('content-type', type);
  response.end(type === ndjson ? joined([...records, Buffer.alloc(0)], '\n') : bracketed(joined(records, ',')));
}

function bracketed(inner: Buffer): Buffer {
  return Buffer.concat([Buffer.from('['), inner, Buffer.from(']')]);
}
