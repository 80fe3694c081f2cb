/** Answers that pay for it leave compressed, as the client accepts them: those of the host itself, of tables and of files. */
import { constants } from 'node:zlib';
import type { IncomingMessage, ServerResponse } from 'node:http';
import compression from 'compression';
import type { Request, Response } from 'express';

/** Told of an answer that has not begun, and that may leave compressed. */
export type Compress = (request: IncomingMessage, response: ServerResponse) => void;

/** Those that had no encoding of their own when their head was about to leave. */
const unencoded = new WeakSet<ServerResponse>();

/** Below that the head alone costs more than is won, bytes. */
const leastBytes = 1024;
/** More takes much longer for a few percent. */
const brotliQuality = 4;
const gzipLevel = 6;

/** Types of text that ends: what is sent bit by bit is not held up. */
const types =
  /^(?:text\/(?!event-stream)[\w.+-]+|application\/(?:[\w.-]+\+)?(?:json|xml|javascript|manifest|wasm)|application\/openmetrics-text|image\/svg\+xml|image\/x-icon|font\/(?:ttf|otf)|application\/vnd\.ms-fontobject)(?:\s*;|$)/i;

/** Whether bytes of this type become fewer. */
function isCompressible(type: unknown): boolean {
  return typeof type === 'string' && types.test(type);
}

/** Does nothing when it is turned off. */
export function compressing(enabled: boolean): Compress {
  if (!enabled) return () => {};
  const middleware = compression({
    threshold: leastBytes,
    level: gzipLevel,
    brotli: { params: { [constants.BROTLI_PARAM_QUALITY]: brotliQuality } },
    filter: (request, response) =>
      isPlain(response) && hasWholeBody(request, response) && isCompressible(response.getHeader('content-type')),
  });
  return (request, response) => {
    weakenTag(response);
    middleware(request as Request, response as Response, () => {});
  };
}

function isPlain(response: ServerResponse): boolean {
  if (response.hasHeader('content-encoding')) return false;
  unencoded.add(response);
  return true;
}

/** Of a range the bytes are meant, and some answers have none. */
function hasWholeBody({ method }: IncomingMessage, { statusCode }: ServerResponse): boolean {
  return method !== 'HEAD' && statusCode >= 200 && ![204, 205, 206, 304].includes(statusCode);
}

/** The bytes under a strong tag are those before they were compressed. Set before the middleware is, so that it acts after it. */
function weakenTag(response: ServerResponse): void {
  const own = response.writeHead.bind(response) as (...all: unknown[]) => ServerResponse;
  response.writeHead = (...all: unknown[]) => {
    const tag = response.getHeader('etag');
    if (
      unencoded.has(response) &&
      !response.headersSent &&
      typeof tag === 'string' &&
      tag.startsWith('"') &&
      response.hasHeader('content-encoding')
    )
      response.setHeader('etag', `W/${tag}`);
    return own(...all);
  };
}
