/** Makes the requests of plugins to other servers: node:http and node:https, with connections that are kept. */
import http, { type ClientRequest, type IncomingMessage } from 'node:http';
import https from 'node:https';
import { tracing, type TraceContext } from '../base/tracing.js';
import type { OutgoingAnswer, OutgoingRequest } from '../binding/outgoing.js';
import { outgoingFailure } from './outgoing-failure.js';
import { traceOutgoing } from './tracing-outgoing.js';

type Order = Extract<OutgoingRequest, { cancelled: false }>;
/** What the request of this number is, as a part of a trace. */
type TraceOf = (request: number) => TraceContext | undefined;
type Answer = (number: number, answer: OutgoingAnswer) => void;

/** Bounds of answers, bytes: the headers of one, the body of one, and all bodies that are not complete yet. */
const headerBytes = 64 * 1024;
const bodyBytes = 64 * 1024 * 1024;
const heldBytes = 512 * 1024 * 1024;

/** A connection that is not in use is kept for so long. */
const idleMs = 15_000;

/** A request that may be sent again when the connection it went out on turns out to have been closed before. */
const safe = new Set(['GET', 'HEAD', 'OPTIONS']);

/** What all requests share. */
interface Shared {
  readonly agents: Readonly<Record<'http:' | 'https:', http.Agent>>;
  held: number;
}

/** One request, until its answer is complete, or there will be none. */
class Exchange {
  readonly #order: Order;
  readonly #shared: Shared;
  readonly #end: (answer: OutgoingAnswer | undefined) => void;
  readonly #deadline: NodeJS.Timeout;
  #request: ClientRequest | undefined;
  #pieces: Buffer[] = [];
  #size = 0;
  #over = false;

  /** @param end told once what came of it; nothing when it was cancelled */
  constructor(order: Order, shared: Shared, end: (answer: OutgoingAnswer | undefined) => void) {
    this.#order = order;
    this.#shared = shared;
    this.#end = end;
    this.#deadline = setTimeout(() => this.#late(), order.deadlineMs);
  }

  start(): void {
    const { url: text } = this.#order;
    if (!URL.canParse(text)) {
      this.#finish({ message: 'the URL is none' });
      return;
    }
    const url = new URL(text);
    try {
      this.#send(url, false);
    } catch (error) {
      this.#fail(url, error);
    }
  }

  /** Nobody waits for it any more. */
  cancel(): void {
    this.#finish(undefined);
  }

  #send(url: URL, again: boolean): void {
    const { method, headers, body } = this.#order;
    const agent = this.#shared.agents[url.protocol === 'https:' ? 'https:' : 'http:'];
    // Verified whatever the environment says: NODE_TLS_REJECT_UNAUTHORIZED is a default, not a permission.
    const options = { method, agent, maxHeaderSize: headerBytes, insecureHTTPParser: false, rejectUnauthorized: true };
    const request = (url.protocol === 'https:' ? https : http).request(url, options);
    this.#request = request;
    for (let index = 0; index + 1 < headers.length; index += 2)
      request.appendHeader(headers[index] ?? '', headers[index + 1] ?? '');
    // node:http frames no body of methods that rarely have one.
    if (body.byteLength > 0 || /^(POST|PUT|PATCH)$/.test(method)) request.setHeader('content-length', body.byteLength);
    let answered = false;
    request.on('response', (response) => {
      answered = true;
      this.#receive(url, response);
    });
    request.on('upgrade', (_response, socket) => {
      socket.destroy();
      this.#finish({ message: `${url.host} changed the protocol without being asked` });
    });
    request.on('error', (error) => {
      if (this.#over || request !== this.#request) return;
      const stale = request.reusedSocket && !answered && !again && safe.has(method);
      if (stale && 'code' in error && error.code === 'ECONNRESET') this.#send(url, true);
      else this.#fail(url, error);
    });
    request.end(body);
  }

  #receive(url: URL, response: IncomingMessage): void {
    const { statusCode = 0, rawHeaders } = response;
    if (statusCode < 100 || statusCode > 599) {
      this.#finish({ message: `${url.host} answered with the status ${statusCode}, which is none` });
      return;
    }
    response.on('data', (piece: Buffer) => {
      if (this.#over) return;
      this.#shared.held += piece.byteLength;
      this.#size += piece.byteLength;
      this.#pieces.push(piece);
      if (this.#size > bodyBytes) this.#finish({ message: `${url.host} answered with more than ${bodyBytes} bytes` });
      else if (this.#shared.held > heldBytes)
        this.#finish({ message: `no room for the answer of ${url.host}: too many others are on their way` });
    });
    response.on('error', (error) => this.#fail(url, error));
    response.on('end', () => {
      const headers = rawHeaders.map((text, index) => (index % 2 === 0 ? text.toLowerCase() : text));
      this.#finish({ status: statusCode, headers, body: this.#pieces });
    });
  }

  #late(): void {
    const { url, deadlineMs } = this.#order;
    const where = URL.canParse(url) ? new URL(url).host : 'the server';
    this.#finish({ message: `${where} did not answer in the ${deadlineMs} ms there were`, cancelled: true });
  }

  #fail(url: URL, error: unknown): void {
    this.#finish({ message: outgoingFailure(url, error instanceof Error ? error : new Error(String(error))) });
  }

  #finish(answer: OutgoingAnswer | undefined): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#deadline);
    this.#shared.held -= this.#size;
    // A connection whose answer was read to its end is kept.
    if (answer === undefined || 'message' in answer) this.#request?.destroy();
    this.#end(answer);
    this.#pieces = [];
  }
}

/** All requests of a host. They do not keep the process alive longer than their connections do. */
export class Outgoing {
  readonly #answer: Answer;
  readonly #traceOf: TraceOf;
  readonly #shared: Shared;
  readonly #open = new Map<number, Exchange>();
  #closed = false;

  /** @param answer told once for each request that was not cancelled, from the event loop */
  constructor(answer: Answer, traceOf: TraceOf = () => undefined) {
    this.#answer = answer;
    this.#traceOf = traceOf;
    const options = { keepAlive: true, maxFreeSockets: 64, timeout: idleMs };
    this.#shared = { agents: { 'http:': new http.Agent(options), 'https:': new https.Agent(options) }, held: 0 };
  }

  /** Make these, and give up those that are cancelled. */
  take(requests: readonly OutgoingRequest[]): void {
    for (const request of requests) {
      if (request.cancelled) this.#open.get(request.number)?.cancel();
      else if (this.#closed) this.#answer(request.number, { message: 'the host is shutting down', cancelled: true });
      else this.#begin(request);
    }
  }

  /** Give all of them up; those that come later are, too. Twice is fine. */
  close(): void {
    this.#closed = true;
    for (const [number, exchange] of this.#open) {
      exchange.cancel();
      this.#answer(number, { message: 'the host is shutting down', cancelled: true });
    }
    for (const agent of Object.values(this.#shared.agents)) agent.destroy();
  }

  #begin(given: Order): void {
    const { number } = given;
    const traced = tracing.on ? traceOutgoing(given, this.#traceOf(given.request)) : undefined;
    const order = traced === undefined ? given : { ...given, headers: traced.headers };
    const exchange = new Exchange(order, this.#shared, (answer) => {
      this.#open.delete(number);
      traced?.end(answer);
      if (answer !== undefined) this.#answer(number, answer);
    });
    this.#open.set(number, exchange);
    exchange.start();
  }
}
