/** GET of a table: a page as JSON, or everything that matches as lines, page by page. */
import type { ServerResponse } from 'node:http';
import { TenonError } from '../base/errors.js';
import type { TablePage, TableQuery } from '../binding/store.js';
import type { GoneFields } from '../tables/gone-fields.js';
import { shownFields, withoutGone } from './gone-members.js';
import { joined, lines } from './json-slices.js';
import { json, ndjson, negotiate, type RestExchange } from './rest-exchange.js';
import { linkCursor, type ListQuery, pageLimits, queryOf, queryWithCursor, readListQuery } from './rest-query.js';
import { pathOf } from './router.js';

interface Listing extends ListQuery {
  /** What of the fields is not shown. */
  hidden: GoneFields | undefined;
}

/** Bytes that a page of lines should have about, and records it has at most. */
const portion = { bytes: 1024 * 1024, records: 1000, first: 16 } as const;

/** Answer with the records that the query of the address asks for. */
export async function answerList(exchange: RestExchange): Promise<void> {
  const { request, table } = exchange;
  const type = negotiate(exchange, [json, ndjson]);
  const asked = readListQuery(queryOf(request.url ?? '/'), table.definition);
  const query =
    asked.fields === undefined
      ? { ...asked, fields: shownFields(table.definition, table.gone), hidden: table.gone }
      : { ...asked, hidden: undefined };
  if (query.count) await setTotal(exchange, query);
  if (type === ndjson) await answerLines(exchange, query);
  else await answerPage(exchange, query);
}

async function setTotal({ response, store, table }: RestExchange, { filter }: ListQuery): Promise<void> {
  const total = await (filter === undefined ? store.count(table.number) : store.count(table.number, filter));
  response.setHeader('x-total-count', String(total));
}

function tableQuery(query: ListQuery, limit: number): TableQuery {
  const { filter, order, fields, offset, after, backwards } = query;
  return {
    limit,
    order,
    ...(filter === undefined ? {} : { filter }),
    ...(fields === undefined ? {} : { fields }),
    ...(offset === 0 ? {} : { offset }),
    ...(after === undefined ? {} : { after }),
    ...(backwards ? { backwards } : {}),
  };
}

async function answerPage({ request, response, store, table }: RestExchange, query: Listing): Promise<void> {
  const { limit = pageLimits.usual } = query;
  if (limit > pageLimits.most)
    throw new TenonError('QueryInvalid', `limit is ${pageLimits.most} at most, not ${limit}`, {
      next: 'follow the Link header from page to page, or accept application/x-ndjson for everything at once',
      details: { parameter: 'limit' },
    });
  const page = await store.query(table.number, tableQuery(query, limit));
  const links = linksOf(request.url ?? '/', query, page);
  if (links !== '') response.setHeader('link', links);
  const body = hasInner(query.hidden) ? withoutGone(page.json, query.hidden) : page.json;
  const length = String(body.length);
  response.writeHead(200, ['content-type', json, 'content-length', length, 'vary', 'accept']);
  response.end(body);
}

/** Where the pages around this one are, as the value of a Link header (RFC 8288). */
function linksOf(target: string, { backwards, after, offset }: ListQuery, page: TablePage): string {
  const query = queryOf(target);
  const link = (cursor: string, rel: 'next' | 'prev'): string =>
    `<${pathOf(target)}?${queryWithCursor(query, linkCursor(cursor, rel === 'prev'))}>; rel="${rel}"`;
  const later = backwards ? true : page.more;
  const earlier = backwards ? page.more : after !== undefined || offset > 0;
  return [
    ...(later && page.last !== undefined ? [link(page.last, 'next')] : []),
    ...(earlier && page.first !== undefined ? [link(page.first, 'prev')] : []),
  ].join(', ');
}

async function answerLines(exchange: RestExchange, query: Listing): Promise<void> {
  const { request, response, store, table } = exchange;
  if (query.backwards) throw new TenonError('CursorInvalid', 'lines are not read backwards');
  let left = query.limit ?? Number.POSITIVE_INFINITY;
  let next = query;
  let size = Math.min(portion.first, left);
  for (;;) {
    const page = await store.query(table.number, { ...tableQuery(next, size), lines: true });
    const text = hasInner(query.hidden) ? shownLines(page.json, query.hidden) : page.json;
    if (isGone(response)) return;
    begin(response);
    left -= page.count;
    if (request.method === 'HEAD') {
      response.end();
      return;
    }
    if (!page.more || page.last === undefined || left <= 0) {
      response.end(text);
      return;
    }
    if (!response.write(text)) await drained(exchange);
    if (isGone(response)) return;
    next = { ...next, offset: 0, after: page.last };
    const average = Math.max(1, page.json.length / page.count);
    size = Math.min(portion.records, left, Math.max(1, Math.floor(portion.bytes / average)));
  }
}

/** Whether something of a field that is shown is not. */
function hasInner(hidden: GoneFields | undefined): boolean {
  return hidden !== undefined && hidden.within.size > 0;
}

function shownLines(text: Buffer, hidden: GoneFields | undefined): Buffer {
  const shown = lines(text, Number.POSITIVE_INFINITY).map((line) => withoutGone(line, hidden));
  return joined([...shown, Buffer.alloc(0)], '\n');
}

function begin(response: ServerResponse): void {
  if (response.headersSent) return;
  response.setHeader('content-type', ndjson);
  response.setHeader('vary', 'accept');
}

function isGone(response: ServerResponse): boolean {
  return response.closed || response.destroyed || response.req.socket.destroyed;
}

/** Until more may be written, or nobody reads any more. An answer that waits behind another hears of that from the socket only. */
function drained({ request, response }: RestExchange): Promise<void> {
  const { socket } = request;
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('drain', done).off('close', done);
      socket.off('close', done);
      resolve();
    };
    response.on('drain', done).on('close', done);
    socket.on('close', done);
  });
}
