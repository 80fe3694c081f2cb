/** A span for each request that comes to the door, from its head until its answer has left or its client is gone. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  beginSpan,
  contextFrom,
  contextOf,
  headersFor,
  markFailed,
  type Span,
  type SpanAttributes,
  type TraceContext,
  tracing,
  within,
  writeTraceParent,
} from '../base/tracing.js';
import type { ServedRoute } from '../host/live.js';
import { onDisconnect } from './disconnect.js';
import { codeOf } from './problem.js';
import { generationOf, requestIdOf } from './request-id.js';
import { originForm, pathOf } from './router.js';

type Handle = (request: IncomingMessage, response: ServerResponse, next?: () => void) => void;

export interface RequestSpansOptions {
  find: (method: string, path: string) => ServedRoute | undefined;
  /** First segments of paths that the host itself serves. */
  reserved: readonly string[];
}

interface Traced {
  readonly span: Span;
  readonly around: TraceContext;
  /** What the core has called it. */
  number?: number;
}

/** Plugins are still heard of so many requests that have ended. */
const mostEnded = 1024;
const knownMethods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'CONNECT', 'TRACE', 'QUERY']);
const spans = new WeakMap<IncomingMessage, Traced>();

/** What `request` is, as a part of a trace; undefined when it is none. */
export function tracedRequest(request: IncomingMessage): TraceContext | undefined {
  return spans.get(request)?.around;
}

export class RequestSpans {
  readonly #options: RequestSpansOptions;
  readonly #numbered = new Map<number, TraceContext>();
  readonly #ended = new Map<number, TraceContext>();

  constructor(options: RequestSpansOptions) {
    this.#options = options;
  }

  /** `handle` with a span around it, as long as somebody traces. */
  wrap(handle: Handle): Handle {
    return (request, response, next) => {
      if (tracing.on) this.#trace(handle, request, response, next);
      else handle(request, response, next);
    };
  }

  /** The core has numbered `request`. */
  readonly name = (request: IncomingMessage, number: number): void => {
    const traced = spans.get(request);
    if (traced === undefined || traced.number !== undefined) return;
    traced.number = number;
    this.#numbered.set(number, traced.around);
  };

  /** What the request of this number is, as a part of a trace; also for a while after its end. */
  readonly of = (number: number): TraceContext | undefined => this.#numbered.get(number) ?? this.#ended.get(number);

  #trace(handle: Handle, request: IncomingMessage, response: ServerResponse, next?: () => void): void {
    const method = request.method ?? 'GET';
    const path = pathOf(originForm(request.url ?? '/'));
    const route = this.#options.find(method, path);
    // Below a server of the user's it may be somebody else's.
    const isOthers = next !== undefined && route === undefined && !this.#isReserved(path);
    const parent = isOthers || spans.has(request) ? undefined : contextFrom(request.headers);
    const span =
      parent &&
      beginSpan(nameOf(method, route?.path), {
        kind: 'server',
        parent,
        attributes: attributesOf(request, method, path, route),
      });
    if (parent === undefined || span === undefined) {
      handle(request, response, next);
      return;
    }
    const around = contextOf(span, parent);
    const traced: Traced = { span, around };
    spans.set(request, traced);
    passOn(request, span, around);
    let isOver = false;
    onDisconnect(request, response, () => {
      if (isOver) return;
      isOver = true;
      this.#end(traced, request, response, route);
    });
    within(around, () => handle(request, response, next));
  }

  #end(
    { span, around, number }: Traced,
    request: IncomingMessage,
    response: ServerResponse,
    route?: ServedRoute,
  ): void {
    if (number !== undefined) {
      this.#numbered.delete(number);
      this.#ended.set(number, around);
      if (this.#ended.size > mostEnded) this.#ended.delete(this.#ended.keys().next().value as number);
    }
    if (span.isRecording()) {
      const { headersSent, statusCode } = response;
      const own = route === undefined ? ownRoute(request) : undefined;
      if (own !== undefined) {
        span.setAttribute('http.route', own);
        span.updateName(nameOf(request.method ?? 'GET', own));
      }
      const generation = generationOf(request);
      if (generation !== undefined) span.setAttribute('tenon.generation', generation);
      span.setAttribute('tenon.request_id', requestIdOf(request));
      if (headersSent) span.setAttribute('http.response.status_code', statusCode);
      const code = codeOf(response);
      if (headersSent && statusCode >= 500) markFailed(span, code ?? String(statusCode));
      else if (!response.writableFinished && !isEventStream(response)) markFailed(span, 'aborted');
      else if (code !== undefined) span.setAttribute('error.type', code);
    }
    span.end();
  }

  #isReserved(path: string): boolean {
    return this.#options.reserved.includes(path.split('/')[1] ?? '');
  }
}

function nameOf(method: string, route: string | undefined): string {
  const known = knownMethods.has(method) ? method : 'HTTP';
  return route === undefined ? known : `${known} ${route}`;
}

/** By the semantic conventions of HTTP; without the query, which may have secrets in it. */
function attributesOf(request: IncomingMessage, method: string, path: string, route?: ServedRoute): SpanAttributes {
  const { headers, socket } = request;
  const isKnown = knownMethods.has(method);
  const agent = headers['user-agent'];
  return {
    'http.request.method': isKnown ? method : '_OTHER',
    ...(isKnown ? {} : { 'http.request.method_original': method }),
    'url.path': path,
    'url.scheme': 'encrypted' in socket && socket.encrypted === true ? 'https' : 'http',
    'network.protocol.version': request.httpVersion,
    ...addressOf(headers.host),
    ...(socket.remoteAddress === undefined ? {} : { 'client.address': socket.remoteAddress }),
    ...(agent === undefined ? {} : { 'user_agent.original': agent }),
    ...(route === undefined ? {} : { 'http.route': route.path, 'tenon.plugin': route.plugin }),
  };
}

function addressOf(host: string | undefined): SpanAttributes {
  const [, name, port] = /^(\[[\da-f:.]+\]|[\w.-]+)(?::(\d{1,5}))?$/i.exec(host ?? '') ?? [];
  if (name === undefined) return {};
  return { 'server.address': name, ...(port === undefined ? {} : { 'server.port': Number(port) }) };
}

/** From here on the request says that it is a part of `span`: to plugins, which pass it on. */
function passOn(request: IncomingMessage, span: Span, around: TraceContext): void {
  const ours = { ...headersFor(around), ...writeTraceParent(span.spanContext()) };
  const raw = request.rawHeaders;
  const kept: string[] = [];
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = raw[at] ?? '';
    const lower = name.toLowerCase();
    if (!(lower in ours) && lower !== 'tracestate') kept.push(name, raw[at + 1] ?? '');
  }
  request.rawHeaders = [...kept, ...Object.entries(ours).flat()];
  if (ours['tracestate'] === undefined) delete request.headers['tracestate'];
  Object.assign(request.headers, ours);
}

/** The pattern of the host's own route that Express has found. */
function ownRoute(request: IncomingMessage & { route?: { path?: unknown } }): string | undefined {
  const path = request.route?.path;
  return typeof path === 'string' ? path : undefined;
}

function isEventStream(response: ServerResponse): boolean {
  const type = response.getHeader('content-type');
  return typeof type === 'string' && type.startsWith('text/event-stream');
}
