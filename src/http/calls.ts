/**
 * The way of a request into a plugin and back. What runs for every request is plain code on plain objects: no promise,
 * no closure, no copy of the headers.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type ErrorCode, TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import { tracing } from '../base/tracing.js';
import { type Front, Outcome, Word } from '../binding/core.js';
import type { ServedRoute } from '../host/live.js';
import { type Bytes, finish, HeaderBlocks, parseBlock } from './answer.js';
import { meetPage } from './cors.js';
import { announcedLength, beforeBody, isAwaited, readBody } from './body.js';
import { onDisconnect } from './disconnect.js';
import type { RequestMeters } from './metrics-requests.js';
import { sendError, sendProblem } from './problem.js';
import { refusalCode } from './refusal-code.js';
import { nameRequest } from './request-id.js';
import { isDecodable, originForm, pathOf, Router } from './router.js';

/** Refusals of extensions, which say in headers what the client is to do. */
const explained: ReadonlySet<ErrorCode> = new Set(['Unauthenticated', 'TooManyAttempts']);

/** Status of a call of a gate that goes on. */
const passed = 100;
/** No call that waits. */
const nowhere = -1;

/** A body of so many bytes is read before anybody is asked: that costs less than asking twice. */
const unaskedBytes = 16 * 1024;

/** The contract's number for HEAD, which the route of GET serves. */
const headMethod = 2;

/** A request on its way through the extensions of a plugin, which something else than the plugin answers. */
export interface Passage {
  readonly plugin: string;
  readonly method: string;
  readonly path: string;
  /** A gate of the plugin. */
  readonly slot: number;
  /** They let it pass; `identity` is JSON, empty for nobody. What they have put into headers is on the response. */
  go(identity: string): void;
  /** They do not: the response is about to be written. */
  answering(): void;
}

/** A request that waits for its answer, or for the rest of it. */
interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly route: Pick<ServedRoute, 'plugin' | 'method' | 'path'>;
  readonly passage?: Passage;
}

/** Whoever else answers. */
export type Otherwise = (request: IncomingMessage, response: ServerResponse, next?: () => void) => void;

/** What the calls go through, and what is not theirs. */
export interface CallsOptions {
  front: Front;
  log: Log;
  /** Whether each request is to be known by its id and generation afterwards (`request-id`); else only those that may be answered elsewhere. */
  names?: boolean;
  /** Told how the core has numbered a request, as long as requests are traced. */
  numbered?: (request: IncomingMessage, number: number) => void;
  /** First segments of paths that no route serves. */
  reserved: readonly string[];
  /** Takes every request whose path no plugin serves, or calls `next`, when it is given, for one that it does not serve either. */
  otherwise: Otherwise;
  /** Told of every request. */
  meters: RequestMeters;
}

/** Serves requests: those of plugins by calls into the core, all others by `otherwise`. One belongs to one front. */
export class Calls {
  readonly #front: Front;
  readonly #result: Int32Array;
  readonly #log: Log;
  readonly #reserved: readonly string[];
  readonly #otherwise: Otherwise;
  readonly #blocks: HeaderBlocks;
  readonly #meters: RequestMeters;
  readonly #pending = new Map<number, Exchange>();
  readonly #names: boolean;
  readonly #numbered: ((request: IncomingMessage, number: number) => void) | undefined;
  #router: Router;
  #closing = false;

  constructor(options: CallsOptions) {
    const { front } = options;
    this.#front = front;
    this.#result = front.result;
    this.#log = options.log;
    this.#reserved = options.reserved;
    this.#otherwise = options.otherwise;
    this.#names = options.names === true;
    this.#numbered = options.numbered;
    this.#meters = options.meters;
    this.#blocks = new HeaderBlocks(() => front.headers());
    this.#router = new Router([], options.reserved);
  }

  /** Serve these routes and no other from the next request on. Throws `RouteInvalid`, and then nothing changes. */
  serve(routes: readonly ServedRoute[]): void {
    this.#router = new Router(routes, this.#reserved);
    this.#meters.serve(routes);
  }

  /** The route that serves `method` on `path`. */
  find(method: string, path: string): ServedRoute | undefined {
    return this.#router.find(method, path);
  }

  /** From now on every answer closes its connection. */
  lastAnswers(): void {
    this.#closing = true;
  }

  /** What node:http, Express or any other server of the user's calls with a request. */
  readonly handle = (request: IncomingMessage, response: ServerResponse): void => this.take(request, response);

  /** The same as a middleware: what nothing is served at is left to `next`. */
  readonly take = (request: IncomingMessage, response: ServerResponse, next?: () => void): void => {
    const began = performance.now();
    const route = this.#answer(request, response, next);
    this.#meters.note(request, response, route, began);
  };

  /** Answer a request, now or later; the route that does. */
  #answer(request: IncomingMessage, response: ServerResponse, next?: () => void): ServedRoute | undefined {
    let url = request.url ?? '/';
    if (url.charCodeAt(0) !== 47) {
      url = originForm(url);
      request.url = url;
    }
    const method = request.method ?? 'GET';
    const path = pathOf(url);
    if (this.#closing) response.setHeader('connection', 'close');
    const route = this.#router.find(method, path);
    if (route === undefined) {
      this.#elsewhere(request, response, path, next);
      return undefined;
    }
    if (route.cors !== undefined && meetPage(request, response, route.cors, () => this.#router.allowed(path)))
      return undefined;
    if (route.endpoint !== undefined) {
      route.endpoint(request, response);
      return route;
    }
    const length = announcedLength(request);
    if (length === 0) this.#call(request, response, route, undefined);
    else this.#receive(request, response, route, length);
    return route;
  }

  /**
   * The same for node:http's `checkContinue`: a client that asks first is told to go on only when its body begins to be
   * read. Without that word it may or may not send the body, so the connection ends with the answer.
   */
  readonly handleExpecting = (request: IncomingMessage, response: ServerResponse): void => {
    response.setHeader('connection', 'close');
    beforeBody(request, () => {
      response.writeContinue();
      if (!this.#closing && response.shouldKeepAlive) response.removeHeader('connection');
    });
    this.handle(request, response);
  };

  /**
   * Bring a request through the extensions of a plugin, without its body; the answer is theirs, or `passage` goes on. A response that
   * is on no connection yet is only written.
   */
  pass(request: IncomingMessage, response: ServerResponse, passage: Passage): void {
    this.#pass(request, response, passage, false);
  }

  #pass(request: IncomingMessage, response: ServerResponse, passage: Passage, asksOnly: boolean): void {
    const url = originForm(request.url ?? '/');
    const headers = request.rawHeaders.join('\n');
    const method = request.method === 'HEAD' ? headMethod : undefined;
    const bytes = this.#front.call(passage.slot, url, headers, undefined, method, asksOnly);
    nameRequest(request, this.#requestId());
    if (tracing.on) this.#numbered?.(request, this.#requestNumber());
    const exchange = { request, response, route: passage, passage };
    if (this.#result[Word.Outcome] === Outcome.Response) this.#settle(exchange, nowhere, bytes);
    else this.#await(exchange, bytes);
  }

  /** Take what the core has finished. */
  readonly pump = (): void => {
    const front = this.#front;
    const result = this.#result;
    for (;;) {
      const bytes = front.next();
      if (result[Word.Outcome] === Outcome.None) return;
      const call = result[Word.Call] as number;
      const exchange = this.#pending.get(call);
      if (exchange !== undefined) this.#settle(exchange, call, bytes);
    }
  };

  /** @param number what the core has called it by before */
  #call(
    request: IncomingMessage,
    response: ServerResponse,
    route: ServedRoute,
    body: Uint8Array | undefined,
    number?: number,
  ): void {
    const front = this.#front;
    const result = this.#result;
    const url = request.url ?? '/';
    // An inline handler may still ask for the headers; one on another thread needs them copied first.
    const raw = request.rawHeaders;
    const headers = route.execution === 'inline' ? raw : raw.join('\n');
    let bytes: Bytes;
    if (number !== undefined) {
      const method = request.method === 'HEAD' ? headMethod : undefined;
      bytes = front.call(route.slot, url, headers, body, method, false, number);
    } else if (request.method === 'HEAD') bytes = front.call(route.slot, url, headers, body, headMethod);
    else if (body !== undefined) bytes = front.call(route.slot, url, headers, body);
    else bytes = front.call(route.slot, url, headers);
    if (this.#names || tracing.on) this.#name(request);
    if (result[Word.Outcome] === Outcome.Response) {
      const block = result[Word.Headers] as number;
      if (block !== 0) this.#blocks.apply(response, block);
      finish(response, result[Word.Status] as number, bytes);
      return;
    }
    this.#await({ request, response, route }, bytes);
  }

  #await(exchange: Exchange, bytes: Bytes): void {
    const call = this.#result[Word.Call] as number;
    if (this.#result[Word.Outcome] !== Outcome.Refused) {
      this.#pending.set(call, exchange);
      const abandon = (): void => {
        if (this.#pending.get(call) !== exchange) return;
        this.#pending.delete(call);
        this.#front.cancel(call);
      };
      onDisconnect(exchange.request, exchange.response, abandon);
    }
    if (this.#result[Word.Outcome] !== Outcome.Pending) this.#settle(exchange, call, bytes);
  }

  /** Bring what the result words say to the client. */
  #settle(exchange: Exchange, call: number, bytes: Bytes): void {
    const { response, passage } = exchange;
    const result = this.#result;
    if (this.#names || tracing.on) this.#name(exchange.request);
    const block = result[Word.Headers] as number;
    if (passage !== undefined && result[Word.Outcome] === Outcome.Response && result[Word.Status] === passed) {
      this.#pending.delete(call);
      if (block !== 0) this.#blocks.apply(response, block);
      passage.go(identityIn(bytes));
      return;
    }
    if (!response.headersSent) passage?.answering();
    switch (result[Word.Outcome] as number) {
      case Outcome.Response:
        this.#pending.delete(call);
        if (block !== 0) this.#blocks.apply(response, block);
        finish(response, result[Word.Status] as number, bytes);
        return;
      case Outcome.Head:
        if (block !== 0) this.#blocks.apply(response, block);
        response.statusCode = result[Word.Status] as number;
        if (exchange.request.method === 'HEAD') {
          // The head is all there is to send; nobody waits for the rest.
          this.#pending.delete(call);
          this.#front.cancel(call);
          response.end();
          return;
        }
        response.flushHeaders();
        this.#write(response, call, bytes);
        return;
      case Outcome.Chunk:
        this.#write(response, call, bytes);
        return;
      case Outcome.End:
        this.#pending.delete(call);
        if (bytes === undefined || bytes.length === 0) response.end();
        else finish(response, response.statusCode, bytes);
        return;
      case Outcome.Abort:
        this.#pending.delete(call);
        this.#log.warn(
          { plugin: exchange.route.plugin, path: exchange.route.path, requestId: this.#requestId() },
          `stream cut: ${text(bytes)}`,
        );
        response.destroy();
        return;
      case Outcome.Refused:
        this.#pending.delete(call);
        this.#refuse(exchange, bytes);
        return;
      default:
    }
  }

  #write(response: ServerResponse, call: number, bytes: Bytes): void {
    if (bytes === undefined || bytes.length === 0) return;
    const size = bytes.length;
    const left = (): void => {
      if (this.#pending.has(call)) this.#front.acknowledge(call, size);
    };
    if (typeof bytes === 'string') response.write(bytes, 'latin1', left);
    else response.write(bytes, left);
  }

  #refuse(exchange: Exchange, bytes: Bytes): void {
    const { request, response, route } = exchange;
    const status = this.#result[Word.Status] as number;
    const code = refusalCode(this.#result[Word.Refusal] as number, status);
    const said = text(bytes) || `${route.plugin} did not answer`;
    const [permission, ...rest] = code === 'PermissionDenied' ? said.split('\n') : [];
    const message = permission === undefined ? said : rest.join('\n');
    const requestId = this.#requestId();
    const generation = (this.#result[Word.Generation] as number) >>> 0;
    const facts = {
      plugin: route.plugin,
      path: route.path,
      requestId,
      code,
      ...(generation === 0 ? {} : { generation }),
    };
    // The core has logged what failed in an extension, with the cause.
    if (status >= 500 && code !== 'PluginBusy' && code !== 'ExtensionFailed') this.#log.warn(facts, message);
    const details = {
      plugin: route.plugin,
      route: `${route.method} ${route.path}`,
      ...(permission === undefined ? {} : { permission }),
    };
    if (explained.has(code))
      for (const { name, value } of parseBlock(this.#front.headers())) response.setHeader(name, value);
    const wait = code === 'ProcessRestarting' ? /tried again in (\d+) s$/.exec(message)?.[1] : undefined;
    sendProblem(request, response, {
      code,
      message,
      details,
      requestId,
      ...(status === 0 ? {} : { status }),
      ...(wait === undefined ? {} : { headers: { 'retry-after': wait } }),
    });
  }

  /** Of a call that waits the generation is none of this result's words. */
  #name(request: IncomingMessage): void {
    const isPending = this.#result[Word.Outcome] === Outcome.Pending;
    const generation = isPending ? 0 : (this.#result[Word.Generation] as number) >>> 0;
    nameRequest(request, this.#requestId(), generation === 0 ? undefined : generation);
    if (tracing.on) this.#numbered?.(request, this.#requestNumber());
  }

  #requestNumber(): number {
    const low = (this.#result[Word.RequestLow] as number) >>> 0;
    const high = (this.#result[Word.RequestHigh] as number) >>> 0;
    return high * 0x1_0000_0000 + low;
  }

  #requestId(): string {
    return `${this.#front.name}-${this.#requestNumber()}`;
  }

  #receive(request: IncomingMessage, response: ServerResponse, route: ServedRoute, length: number): void {
    const tooLarge = (): void =>
      sendProblem(request, response, {
        code: 'BodyTooLarge',
        message: `the body is over the limit of ${route.bodyLimit} bytes`,
        details: { limit: route.bodyLimit, plugin: route.plugin },
      });
    if (length > route.bodyLimit) tooLarge();
    else if (request.readableDidRead || request.readableEnded)
      sendError(
        request,
        response,
        new TenonError('Internal', 'the body was read before the request came to the host', {
          next: 'let the host handle requests before any body parser',
        }),
      );
    else {
      const read = (number?: number): void =>
        readBody(request, route.bodyLimit, (body) => this.#call(request, response, route, body, number), tooLarge);
      if (length >= 0 && length <= unaskedBytes && !isAwaited(request)) read();
      else this.#ask(request, response, route, read);
    }
  }

  /** Go on when its extensions, and the route itself, would let the request through. Their steps come again with the body. */
  #ask(request: IncomingMessage, response: ServerResponse, route: ServedRoute, read: (number: number) => void): void {
    const { plugin, method, path, slot } = route;
    const go = (): void => read(this.#requestNumber());
    this.#pass(request, response, { plugin, method, path, slot, go, answering: () => {} }, true);
  }

  #elsewhere(request: IncomingMessage, response: ServerResponse, path: string, next?: () => void): void {
    const methods = this.#router.allowed(path);
    if (methods.length === 0) {
      if (isDecodable(path)) this.#otherwise(request, response, next);
      else if (next !== undefined) next();
      else sendError(request, response, undecodable(path));
      return;
    }
    const at = (method = methods[0] ?? ''): ServedRoute | undefined => this.#router.find(method, path);
    const { cors } = at(request.headers['access-control-request-method']) ?? at() ?? {};
    if (cors !== undefined && meetPage(request, response, cors, () => methods)) return;
    const allow = [...methods, 'OPTIONS'].filter((method, at, all) => all.indexOf(method) === at).join(', ');
    if (request.method === 'OPTIONS') {
      response.setHeader('allow', allow);
      finish(response, 204, undefined);
      return;
    }
    sendProblem(request, response, {
      code: 'MethodNotAllowed',
      message: `${request.method ?? ''} is not served at ${path}`,
      details: { allow: methods },
      headers: { allow },
    });
  }
}

function undecodable(path: string): TenonError {
  return new TenonError('BadRequest', `the path ${path} has a percent escape that is cut short or is no UTF-8`, {
    next: 'escape the bytes of UTF-8, and a percent sign itself as %25',
    details: { path },
  });
}

/** JSON of who asks. */
function identityIn(bytes: Bytes): string {
  if (bytes === undefined || bytes.length === 0) return '';
  return typeof bytes === 'string' ? Buffer.from(bytes, 'latin1').toString() : Buffer.from(bytes).toString();
}

/** The sentence that comes with an answer that is not the plugin's. */
function text(bytes: Bytes): string {
  return typeof bytes === 'string' ? bytes : '';
}
