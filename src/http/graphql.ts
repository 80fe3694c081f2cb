/** GraphQL of an application: one address for queries, mutations, subscriptions and, in a browser, GraphiQL. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type ExecutionResult, OperationTypeNode } from 'graphql';
import type { WebSocket } from 'ws';
import { TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { Changes } from '../tables/changes.js';
import { actions } from '../tables/permissions.js';
import type { ServedTable, ServedTables } from '../tables/served.js';
import type { Access } from './access.js';
import { announcedLength, readBody } from './body.js';
import {
  type Accepted,
  accepted,
  plainResult,
  sendJson,
  sendRefusal,
  statusOf,
  unauthenticatedIn,
} from './graphql-answer.js';
import { malformed, RequestRefused } from './graphql-errors.js';
import { defaultLimits, type GraphqlLimits } from './graphql-limits.js';
import { Operations, type Prepared } from './graphql-operations.js';
import { type Parameters, parametersInBody, parametersInUrl } from './graphql-parameters.js';
import { GraphiqlPage } from './graphql-page.js';
import { makeGraphqlSchema } from './graphql-schema.js';
import { GraphqlSockets } from './graphql-socket.js';
import { ResultStream } from './graphql-stream.js';
import { sendError } from './problem.js';

export type { GraphqlLimits } from './graphql-limits.js';
export { GraphiqlPage } from './graphql-page.js';
export { graphqlProtocol } from './graphql-socket.js';

export interface GraphqlOptions {
  log: Log;
  changes: Changes;
  limits?: Partial<GraphqlLimits>;
  /** Shared by all endpoints, so that it is kept once. */
  page?: GraphiqlPage;
  /** Between two comments on an event stream; 12,000 by default. A client that has not read for two of them is cut off. */
  heartbeatMs?: number;
}

const served = ['GET', 'HEAD', 'POST'];
const jsonTypes = ['application/json', 'application/graphql-response+json'];

/** One request on its way. */
interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly accept: Accepted;
  readonly access: Access;
}

/**
 * Serves the tables of one application that are exported to GraphQL. The constructor throws `SchemaInvalid` when names
 * meet, TypeError when no table is exported.
 */
export class GraphqlEndpoint {
  readonly #log: Log;
  readonly #limits: GraphqlLimits;
  readonly #operations: Operations;
  readonly #sockets: GraphqlSockets;
  readonly #page: GraphiqlPage;
  readonly #heartbeatMs: number | undefined;
  readonly #tables: readonly ServedTable[];
  readonly #streams = new Set<ResultStream>();
  #closed = false;

  constructor(tables: ServedTables, options: GraphqlOptions) {
    this.#log = options.log;
    this.#tables = tables.tables;
    this.#limits = { ...defaultLimits, ...options.limits };
    this.#operations = new Operations(makeGraphqlSchema(tables, options.changes), tables.store, this.#limits);
    this.#sockets = new GraphqlSockets(this.#operations, options.log);
    this.#page = options.page ?? new GraphiqlPage();
    this.#heartbeatMs = options.heartbeatMs;
  }

  /** Event streams and WebSockets that are open. */
  get clients(): number {
    return this.#streams.size + this.#sockets.size;
  }

  /** Answer a request. Whatever is wrong with it is in the answer. */
  handle(request: IncomingMessage, response: ServerResponse, access: Access): void {
    const accept = accepted(request);
    const exchange = { request, response, accept, access };
    try {
      if (!served.includes(request.method ?? '')) throw notServed(request);
      if (request.method !== 'POST' && accept.page) this.#page.serve(request, response);
      else if (accept.json === undefined && !accept.stream) throw notAcceptable();
      else if (request.method === 'POST') this.#receive(exchange);
      else this.#one(exchange, parametersInUrl(request.url ?? ''));
    } catch (error) {
      this.#fail(exchange, error);
    }
  }

  /** Serve a WebSocket that was opened here with the subprotocol {@link graphqlProtocol}; another is closed with 4406. */
  serveSocket(socket: WebSocket, access: Access): void {
    if (this.#closed) socket.close(1012, 'the application is served anew');
    else if (this.#isFull()) socket.close(1013, 'too many clients');
    else this.#sockets.serve(socket, access);
  }

  /** Throws when nothing at all may be done here. */
  requireSomething(access: Access): void {
    const exported = this.#tables.filter(({ schema }) => schema.exports.graphql);
    const [first] = exported;
    if (first === undefined || exported.some((table) => actions.some((action) => access.may(table, action)))) return;
    throw access.refusal(first, 'read');
  }

  /** End streams and sockets, whose clients come again; what runs is answered. Twice is fine. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const stream of this.#streams) stream.end();
    await this.#sockets.close();
  }

  #receive(exchange: Exchange): void {
    const { request, response } = exchange;
    const { bodyBytes } = this.#limits;
    checkContentType(request);
    if (announcedLength(request) > bodyBytes) throw tooLarge(bodyBytes);
    readBody(
      request,
      bodyBytes,
      (body) => {
        try {
          const parameters = parametersInBody(body, this.#limits.batch);
          if (Array.isArray(parameters)) this.#batch(exchange, parameters);
          else this.#one(exchange, parameters);
        } catch (error) {
          this.#fail(exchange, error);
        }
      },
      () => sendError(request, response, tooLarge(bodyBytes)),
    );
  }

  #one(exchange: Exchange, parameters: Parameters): void {
    const { request, accept, access } = exchange;
    const prepared = this.#operations.prepare(parameters, access);
    if (prepared.kind === OperationTypeNode.MUTATION && request.method !== 'POST') throw onlyByPost(request);
    if (prepared.kind === OperationTypeNode.SUBSCRIPTION) this.#subscribe(exchange, prepared);
    else if (accept.json === undefined) this.#stream(exchange, prepared);
    else this.#answer(exchange, prepared, accept.json);
  }

  #answer(exchange: Exchange, prepared: Prepared, type: string): void {
    const { response } = exchange;
    const send = (result: ExecutionResult): void => {
      exchange.access.explain(response, unauthenticatedIn(result));
      sendJson(response, statusOf(result, type), type, plainResult(result, this.#log));
    };
    const result = this.#operations.run(prepared);
    if (!(result instanceof Promise)) {
      send(result);
      return;
    }
    abandonWithout(response, [prepared], result)
      .then(send)
      .catch((error: unknown) => this.#fail(exchange, error));
  }

  #batch(exchange: Exchange, requests: readonly Parameters[]): void {
    const type = exchange.accept.json;
    if (type === undefined) throw malformed('a list of requests is not answered by an event stream');
    let spent = 0;
    const all = requests.map((parameters) => {
      const prepared = this.#prepareOfMany(parameters, exchange.access, spent);
      if (!(prepared instanceof RequestRefused)) spent += prepared.cost;
      return prepared;
    });
    const prepared = all.filter((one): one is Prepared => !(one instanceof RequestRefused));
    abandonWithout(exchange.response, prepared, this.#runAll(all)).then(
      (results) => {
        const [refused, ...others] = results.map(unauthenticatedIn);
        const isRefused = refused !== undefined && others.every((one) => one !== undefined);
        if (isRefused) exchange.access.explain(exchange.response, refused);
        const told = results.map((result) => plainResult(result, this.#log));
        sendJson(exchange.response, isRefused ? 401 : 200, type, told);
      },
      (error: unknown) => this.#fail(exchange, error),
    );
  }

  /** What is wrong with one document is said in its place; a limit refuses the whole request. */
  #prepareOfMany(parameters: Parameters, access: Access, spent: number): Prepared | RequestRefused {
    try {
      const prepared = this.#operations.prepare(parameters, access, spent);
      if (prepared.kind !== OperationTypeNode.SUBSCRIPTION) return prepared;
      throw malformed('a subscription cannot be one of a list of requests');
    } catch (error) {
      if (error instanceof RequestRefused && !error.isHard) return error;
      throw error;
    }
  }

  /** One after the other, as mutations have to be. */
  async #runAll(all: readonly (Prepared | RequestRefused)[]): Promise<ExecutionResult[]> {
    const results: ExecutionResult[] = [];
    for (const one of all)
      results.push(one instanceof RequestRefused ? { errors: one.errors } : await this.#operations.run(one));
    return results;
  }

  #stream(exchange: Exchange, prepared: Prepared): void {
    const stream = this.#begin(exchange);
    const result = Promise.resolve(this.#operations.run(prepared));
    abandonWithout(exchange.response, [prepared], result).then(
      (result) => stream.tell(result),
      (error: unknown) => this.#fail(exchange, error),
    );
  }

  #subscribe(exchange: Exchange, prepared: Prepared): void {
    if (!exchange.accept.stream) throw onlyByStream();
    this.#operations.requireCaller(prepared);
    const stream = this.#begin(exchange);
    this.#operations.subscribe(prepared).then(
      (events) => (Symbol.asyncIterator in events ? stream.follow(events) : stream.tell(events)),
      (error: unknown) => this.#fail(exchange, error),
    );
  }

  #isFull(): boolean {
    return this.clients >= this.#limits.clients;
  }

  /** Throws `TooManySubscribers`. */
  #begin({ request, response }: Exchange): ResultStream {
    if (this.#isFull())
      throw new TenonError('TooManySubscribers', `${this.#limits.clients} clients follow results already`, {
        next: 'try again later',
      });
    const leave = (ended: ResultStream): void => void this.#streams.delete(ended);
    const stream = new ResultStream(request, response, this.#log, leave, this.#heartbeatMs);
    this.#streams.add(stream);
    if (this.#closed) stream.end();
    return stream;
  }

  #fail(exchange: Exchange, error: unknown): void {
    const { request, response, accept, access } = exchange;
    if (!(error instanceof RequestRefused)) {
      access.explain(response, error);
      if (!(error instanceof TenonError)) this.#log.error({ err: error }, 'a request of GraphQL failed');
      sendError(request, response, error instanceof TenonError ? error : internal(), allowOf(error));
    } else if (accept.json === undefined && accept.stream && !response.headersSent && !this.#isFull())
      this.#begin(exchange).refuse(error);
    else sendRefusal(response, accept.json ?? 'application/json', error, this.#log);
  }
}

function checkContentType(request: IncomingMessage): void {
  const given = request.headers['content-type'];
  const [type = '', ...parameters] = (given ?? '').split(';').map((part) => part.trim().toLowerCase());
  const charset = parameters
    .find((parameter) => parameter.startsWith('charset='))
    ?.slice(8)
    .replaceAll('"', '');
  const encoding = request.headers['content-encoding'];
  if (
    type === 'application/json' &&
    (charset === undefined || charset === 'utf-8' || charset === 'utf8') &&
    (encoding === undefined || encoding === 'identity')
  )
    return;
  throw new TenonError(
    'ContentTypeUnsupported',
    given === undefined ? 'the body has no content-type' : `a body of ${given} is not read here`,
    { next: 'send application/json in UTF-8, uncompressed', details: { accepted: ['application/json'] } },
  );
}

function tooLarge(limit: number): TenonError {
  return new TenonError('BodyTooLarge', `the body is over the limit of ${limit} bytes`, { details: { limit } });
}

function notServed(request: IncomingMessage): MethodError {
  return new MethodError(`${request.method ?? ''} is not served here`, served.join(', '));
}

function onlyByPost(request: IncomingMessage): MethodError {
  return new MethodError(`a mutation is not run by ${request.method ?? ''}`, 'POST');
}

/** With the methods that there are. */
class MethodError extends TenonError {
  readonly allow: string;

  constructor(message: string, allow: string) {
    super('MethodNotAllowed', message, { next: `use ${allow}` });
    this.allow = allow;
  }
}

function allowOf(error: unknown): Record<string, string> | undefined {
  return error instanceof MethodError ? { allow: error.allow } : undefined;
}

function notAcceptable(): TenonError {
  return new TenonError('NotAcceptable', 'the client accepts no kind of answer that GraphQL gives', {
    details: { offered: [...jsonTypes, 'text/event-stream'] },
  });
}

function onlyByStream(): TenonError {
  return new TenonError('NotAcceptable', 'a subscription is answered by an event stream', {
    next: 'accept text/event-stream, or open a WebSocket',
    details: { offered: ['text/event-stream'] },
  });
}

/** `result`; nothing more is read or written for it once the client has gone. */
function abandonWithout<T>(response: ServerResponse, operations: readonly Prepared[], result: Promise<T>): Promise<T> {
  const leave = (): void => {
    for (const { reading } of operations) reading.abandon(new TenonError('BadRequest', 'the client has gone'));
  };
  if (response.destroyed) leave();
  response.once('close', leave);
  return result.finally(() => response.off('close', leave));
}

function internal(): TenonError {
  return new TenonError('Internal', 'an error of the host; it is in its log');
}
