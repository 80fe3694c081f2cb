/** One record for each request that is answered, whoever answers it. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Log } from '../base/log.js';
import { traceIds } from '../base/tracing.js';
import type { ServedRoute } from '../host/live.js';
import type { Otherwise } from './calls.js';
import { carryRequestId, generationOf, requestIdOf } from './request-id.js';
import { originForm, pathOf } from './router.js';
import { tracedRequest } from './tracing-requests.js';

export interface RequestLogOptions {
  log: Log;
  find: (method: string, path: string) => ServedRoute | undefined;
  /** Where they come in; told of those that do not come in at the public one. */
  listener: 'public' | 'admin';
}

/** Logs what goes through the listeners it wraps; each answer carries `x-request-id` then. */
export class RequestLog {
  readonly #options: RequestLogOptions;

  constructor(options: RequestLogOptions) {
    this.#options = options;
  }

  wrap(handle: Otherwise): Otherwise {
    return (request, response, next) => {
      this.#observe(request, response);
      handle(request, response, next);
    };
  }

  #observe(request: IncomingMessage, response: ServerResponse): void {
    const { log, find, listener } = this.#options;
    const began = performance.now();
    const method = request.method ?? 'GET';
    // Without the query, which may have secrets in it.
    const path = pathOf(originForm(request.url ?? '/'));
    const route = find(method, path);
    const remote = request.socket.remoteAddress;
    const bytes = countBody(response);
    carryId(request, response);
    response.once('close', () => {
      const generation = generationOf(request);
      const facts = {
        method,
        path,
        ...(route === undefined ? {} : { route: route.path, plugin: route.plugin }),
        ...(generation === undefined ? {} : { generation }),
        status: response.statusCode,
        ms: Math.round((performance.now() - began) * 1000) / 1000,
        bytes: method === 'HEAD' ? 0 : bytes(),
        remote,
        ...(listener === 'public' ? {} : { listener }),
        requestId: requestIdOf(request),
        ...fromClient(request),
        ...idsOf(request),
        ...(response.writableFinished ? {} : { aborted: true }),
      };
      log.info(facts, `${method} ${path} ${response.statusCode}`);
    });
  }
}

/** Bytes of the body, asked at the end. */
function countBody(response: ServerResponse): () => number {
  let count = 0;
  const sizeOf = (chunk: unknown, encoding: unknown): number => {
    if (typeof chunk === 'string')
      return Buffer.byteLength(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8');
    return chunk instanceof Uint8Array ? chunk.byteLength : 0;
  };
  for (const name of ['write', 'end'] as const) {
    const own = response[name].bind(response) as (...all: unknown[]) => unknown;
    response[name] = ((...all: unknown[]) => {
      count += sizeOf(all[0], all[1]);
      return own(...all);
    }) as never;
  }
  return () => count;
}

/** The id is known when the head is written, at the latest. */
function carryId(request: IncomingMessage, response: ServerResponse): void {
  const own = response.writeHead.bind(response) as (...all: unknown[]) => ServerResponse;
  response.writeHead = (...all: unknown[]) => {
    if (!response.headersSent) carryRequestId(response, requestIdOf(request));
    return own(...all);
  };
}

const visible = /^[\x21-\x7e]{1,128}$/;
const traceParent = /^[\da-f]{2}-(?!0{32})([\da-f]{32})-(?!0{16})[\da-f]{16}-[\da-f]{2}(?:-.*)?$/;

/** How the client calls its request. */
function fromClient({ headers }: IncomingMessage): { clientRequestId?: string; traceId?: string } {
  const id = headers['x-request-id'];
  const parent = headers['traceparent'];
  const [, trace] = (typeof parent === 'string' && traceParent.exec(parent)) || [];
  return {
    ...(typeof id === 'string' && visible.test(id) ? { clientRequestId: id } : {}),
    ...(trace === undefined ? {} : { traceId: trace }),
  };
}

/** Of its span, where requests are traced. */
function idsOf(request: IncomingMessage): object {
  const around = tracedRequest(request);
  return (around && traceIds(around)) ?? {};
}
