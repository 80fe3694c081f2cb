/** GET of one record: what is in memory is answered at once. */
import { TenonError } from '../base/errors.js';
import type { TableDefinition } from '../binding/store.js';
import { finish } from './answer.js';
import { includesTag, readEntityTags, tagValues } from './entity-tags.js';
import { withoutGone } from './gone-members.js';
import { pickMembers } from './json-slices.js';
import { etagOf, json, missing, negotiate, type RestExchange } from './rest-exchange.js';
import { queryOf, readFields, readParameters } from './rest-query.js';

/** What a client may ask of the answer beside the record itself. */
interface Wish {
  ifMatch: string | undefined;
  ifNoneMatch: string | undefined;
  fields: string[] | undefined;
}

const none: Wish = { ifMatch: undefined, ifNoneMatch: undefined, fields: undefined };

/** Answer with the record; the promise is of one that has to be read from a disk. */
export function answerRecord(exchange: RestExchange, key: string): Promise<void> | undefined {
  const { store, table } = exchange;
  const wish = readWish(exchange, table.definition);
  const bytes = store.getNowAsSent(table.number, key);
  if (bytes === undefined)
    return store.get(table.number, key).then((record) => {
      if (record === null) throw missing(table, key);
      send(exchange, wish, record.json, record.revision);
    });
  if (bytes === null) throw missing(table, key);
  send(exchange, wish, bytes, hexadecimal(store.words));
  return undefined;
}

/** Looks at the raw headers only: the object of all headers is made when it is asked for, and costs more than the rest. */
function readWish(exchange: RestExchange, definition: TableDefinition): Wish {
  const { rawHeaders, url = '/' } = exchange.request;
  let conditional = false;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    if (name.length === 6) {
      const value = rawHeaders[i + 1] as string;
      if (value !== '*/*' && value !== json && name.toLowerCase() === 'accept') negotiate(exchange, [json]);
    } else if (name.length === 13 || name.length === 8) {
      const lower = name.toLowerCase();
      if (lower === 'if-none-match' || lower === 'if-match') conditional = true;
    }
  }
  if (!conditional && !url.includes('?')) return none;
  const { headers } = exchange.request;
  return {
    ifMatch: headers['if-match'],
    ifNoneMatch: headers['if-none-match'],
    fields: readFields(readParameters(queryOf(url), ['select']).get('select'), definition),
  };
}

function send({ response, table }: RestExchange, wish: Wish, record: string | Buffer, revision: string): void {
  if (wish !== none && !isWanted(wish, revision)) {
    response.statusCode = 304;
    response.setHeader('etag', etagOf(revision));
    response.setHeader('vary', 'accept');
    response.end();
    return;
  }
  const body =
    wish.fields !== undefined
      ? pickMembers(asBuffer(record), wish.fields)
      : table.gone === undefined
        ? record
        : withoutGone(asBuffer(record), table.gone);
  const length = String(body.length);
  // All headers at once: node:http sends a body that is a string in one piece with them.
  response.writeHead(200, ['content-type', json, 'content-length', length, 'etag', etagOf(revision), 'vary', 'accept']);
  finish(response, 200, body);
}

function asBuffer(bytes: string | Buffer): Buffer {
  return typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes;
}

/** Whether the client has not got this revision yet. Throws `PreconditionFailed` when it asked for another one. */
function isWanted({ ifMatch, ifNoneMatch }: Wish, revision: string): boolean {
  if (ifMatch !== undefined && !includesTag(tagValues(readEntityTags('If-Match', ifMatch), true), revision))
    throw new TenonError('PreconditionFailed', `the record is at revision ${etagOf(revision)}, not at ${ifMatch}`);
  return (
    ifNoneMatch === undefined || !includesTag(tagValues(readEntityTags('If-None-Match', ifNoneMatch), false), revision)
  );
}

function hexadecimal(words: Uint32Array): string {
  const high = (words[0] as number).toString(16);
  const low = (words[1] as number).toString(16);
  return high.padStart(8, '0') + low.padStart(8, '0');
}
