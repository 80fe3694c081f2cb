/** The body of a request for a table, as a whole and of a type that is read here. */
import { TenonError } from '../base/errors.js';
import { announcedLength, readBody } from './body.js';
import { mergePatch, type RestExchange } from './rest-exchange.js';

/** A body and its type, one of those that were accepted. */
export interface ReceivedBody {
  type: string;
  body: Buffer;
}

/**
 * Read the body. Rejects with `ContentTypeUnsupported` or `BodyTooLarge`; stays pending when the client goes before its
 * end.
 */
export function receive(exchange: RestExchange, accepted: readonly string[]): Promise<ReceivedBody> {
  const { request, bodyLimit } = exchange;
  const type = contentType(exchange, accepted);
  return new Promise((resolve, reject) => {
    const tooLarge = (): void =>
      reject(
        new TenonError('BodyTooLarge', `the body is over the limit of ${bodyLimit} bytes`, {
          details: { limit: bodyLimit },
        }),
      );
    if (announcedLength(request) > bodyLimit) tooLarge();
    else if (request.readableDidRead || request.readableEnded)
      reject(
        new TenonError('Internal', 'the body was read before the request came to the host', {
          next: 'let the host handle requests before any body parser',
        }),
      );
    else readBody(request, bodyLimit, (bytes) => resolve({ type, body: asBuffer(bytes) }), tooLarge);
  });
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A body without a type is refused: a page of another origin can send one without asking first. */
function contentType({ request, response }: RestExchange, accepted: readonly string[]): string {
  const { 'content-type': given = '', 'content-encoding': encoding = 'identity' } = request.headers;
  const [type = '', ...parameters] = given.split(';').map((part) => part.trim().toLowerCase());
  const charset = parameters.find((parameter) => parameter.startsWith('charset='))?.replace(/^charset="?|"$/g, '');
  const details = { accepted };
  if (encoding.toLowerCase() !== 'identity') {
    response.setHeader('accept-encoding', 'identity');
    throw new TenonError('ContentTypeUnsupported', `a body with content-encoding ${encoding} is not read`, { details });
  }
  const known = accepted.find((candidate) => candidate === type || candidate === aliases[type]);
  if (known !== undefined && (charset === undefined || charset === 'utf-8' || charset === 'utf8')) return known;
  response.setHeader(accepted.includes(mergePatch) ? 'accept-patch' : 'accept-post', accepted.join(', '));
  throw new TenonError(
    'ContentTypeUnsupported',
    given === '' ? 'the body has no content-type' : `a body of type ${given} is not read here`,
    { next: `send ${accepted.join(' or ')}, in UTF-8`, details },
  );
}

const aliases: Readonly<Record<string, string>> = { 'application/ndjson': 'application/x-ndjson' };
