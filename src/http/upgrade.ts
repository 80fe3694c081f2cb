/** From an HTTP connection to a WebSocket, or to an answer that says why not. */
import { type IncomingMessage, type RequestListener, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { TenonError } from '../base/errors.js';
import { sendError } from './problem.js';
import { originForm, pathOf } from './router.js';

/** Who talks over the sockets of a path. */
export interface SocketRoute {
  /** Subprotocol that is agreed on when a client offers it; none by default. */
  readonly protocol?: string;
  /**
   * Decides whether a socket is opened: calls `open` or `refuse`, once, at once or later, or neither when the client goes.
   * @param response on no connection yet; its headers are those of the socket's opening, or it is the refusal, written after `refuse`
   */
  admit(request: IncomingMessage, response: ServerResponse, decision: Decision): void;
}

/** What may come of a client that asks for a socket. */
export interface Decision {
  /** @param serve takes the socket over, all of its events too */
  readonly open: (serve: (socket: WebSocket) => void) => void;
  readonly refuse: () => void;
}

export interface UpgradeOptions {
  /** Who serves this path (without its query). May throw a TenonError, which is answered. */
  find(path: string): SocketRoute | undefined;
  /** Answers what asks for another protocol and may go on without it. */
  handle: RequestListener;
  /**
   * Origins whose pages may open sockets beside pages of the host itself, as a browser says them: `https://example.org`; `*` stands for
   * all. A client that is no browser says none and is let in.
   */
  origins?: readonly string[];
  /** Whether pages of this origin may open the sockets of a path, beside those of `origins`. */
  allows?: (path: string, origin: string) => boolean;
  /** Names the host may be called by, without port; any by default. */
  hosts?: readonly string[];
  /** Told of each socket that was opened, before it is served. */
  opened?: (path: string, socket: WebSocket) => void;
}

interface Opening {
  readonly socket: Duplex;
  readonly head: Buffer;
  readonly serve: (socket: WebSocket) => void;
}

/** Bounds of what a client may send in one message. Many small pieces cost more memory than their bytes. */
const socketLimits = {
  maxPayload: 1024 * 1024,
  maxFragments: 1024,
  maxBufferedChunks: 4096,
  closeTimeout: 5_000,
};

/** Answers the event `upgrade` of a server. */
export class Upgrades {
  readonly #options: UpgradeOptions;
  readonly #server: WebSocketServer;
  readonly #protocols = new WeakMap<IncomingMessage, string>();
  /** Whose headers the opening of a socket has. */
  readonly #responses = new WeakMap<IncomingMessage, ServerResponse>();
  #closed = false;

  constructor(options: UpgradeOptions) {
    this.#options = options;
    this.#server = new WebSocketServer({
      ...socketLimits,
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      handleProtocols: (offered, request) => {
        const protocol = this.#protocols.get(request);
        return protocol !== undefined && offered.has(protocol) ? protocol : false;
      },
    });
    this.#server.on('headers', (lines, request) => {
      for (const [name, value] of Object.entries(this.#responses.get(request)?.getHeaders() ?? {}))
        for (const one of [value].flat()) lines.push(`${name}: ${one}`);
    });
  }

  /** Takes the connection over in any case. */
  handle(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', ignore); // its end says it
    // A client that did not wait for its last answer: nothing may be written into that.
    if (isAnswering(socket)) {
      socket.destroy();
      return;
    }
    if (request.headers.upgrade?.toLowerCase() !== 'websocket') {
      this.#withoutUpgrade(request, socket);
      return;
    }
    try {
      const route = this.#routeOf(request);
      if (route.protocol !== undefined) this.#protocols.set(request, route.protocol);
      const response = offline(request);
      route.admit(request, response, {
        open: (serve) => this.#open(request, response, { socket, head, serve }),
        refuse: () => connect(response, socket),
      });
    } catch (error) {
      answer(request, socket, (response) => sendError(request, response, error, headersOf(error)));
    }
  }

  #open(request: IncomingMessage, response: ServerResponse, { socket, head, serve }: Opening): void {
    if (socket.destroyed) return;
    if (this.#closed) {
      connect(response, socket);
      sendError(request, response, closing());
      return;
    }
    this.#responses.set(request, response);
    this.#server.handleUpgrade(request, socket, head, (opened) => {
      socket.off('error', ignore);
      this.#options.opened?.(pathOf(originForm(request.url ?? '/')), opened);
      serve(opened);
    });
  }

  /** No other socket is opened. Those that are belong to whoever serves them. Twice is fine. */
  close(): void {
    this.#closed = true;
  }

  #routeOf(request: IncomingMessage): SocketRoute {
    if (this.#closed) throw closing();
    this.#checkNames(request);
    const path = pathOf(originForm(request.url ?? '/'));
    const route = this.#options.find(path);
    if (route === undefined)
      throw new TenonError('RouteNotFound', `no WebSocket is served at ${path}`, {
        next: 'see `tenon routes`',
        details: { path },
      });
    if (request.headers['sec-websocket-version'] !== '13')
      throw new TenonError('UpgradeRequired', 'the client speaks another version of the WebSocket protocol', {
        next: 'use version 13',
      });
    return route;
  }

  /** A page of anybody may open a socket to any host, and the browser sends its cookies along. */
  #checkNames({ headers, url = '/' }: IncomingMessage): void {
    const { hosts, origins = [], allows } = this.#options;
    const name = (headers.host ?? '').toLowerCase();
    if (hosts !== undefined && !hosts.includes(name.replace(/:\d*$/, '')))
      throw new TenonError('OriginNotAllowed', `no WebSocket is served under the name ${JSON.stringify(name)}`, {
        next: 'call the host by a name it knows, or add this one to the setting `tables.hosts`',
        details: { name },
      });
    const { origin } = headers;
    if (origin === undefined || origins.includes('*') || origins.includes(origin)) return;
    if (origin.toLowerCase().replace(/^https?:\/\//, '') === name) return;
    if (allows?.(pathOf(originForm(url)), origin) === true) return;
    throw new TenonError('OriginNotAllowed', `a page of ${origin} may not open a WebSocket here`, {
      next: 'add the origin to the setting `tables.origins`, or to `cors` of the application',
      details: { origin },
    });
  }

  #withoutUpgrade(request: IncomingMessage, socket: Duplex): void {
    const bodiless =
      request.headers['content-length'] === undefined && request.headers['transfer-encoding'] === undefined;
    answer(request, socket, (response) => {
      if (bodiless) {
        this.#options.handle(request, response);
        return;
      }
      // Its body was not read as one: node:http stops reading where an upgrade begins.
      const error = new TenonError('UpgradeRequired', `there is no protocol ${request.headers.upgrade ?? ''} here`, {
        next: 'send the request without the header Upgrade',
      });
      sendError(request, response, error, headersOf(error));
    });
  }
}

function headersOf(error: unknown): Record<string, string> {
  return error instanceof TenonError && error.code === 'UpgradeRequired'
    ? { upgrade: 'websocket', 'sec-websocket-version': '13' }
    : {};
}

/** An ordinary answer on a connection that node:http has let go of; the connection ends with it. */
function answer(request: IncomingMessage, socket: Duplex, write: (response: ServerResponse) => void): void {
  const response = offline(request);
  connect(response, socket);
  write(response);
}

function offline(request: IncomingMessage): ServerResponse {
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.on('error', ignore); // of a client that has gone
  return response;
}

function connect(response: ServerResponse, socket: Duplex): void {
  response.once('finish', () => socket.end(() => socket.destroy()));
  response.assignSocket(socket as Parameters<ServerResponse['assignSocket']>[0]);
  socket.once('close', () => response.destroy());
}

function closing(): TenonError {
  return new TenonError('HostClosing', 'the host is shutting down', { next: 'ask the next host' });
}

/** node:http's own mark. */
function isAnswering(socket: Duplex & { _httpMessage?: unknown }): boolean {
  return socket._httpMessage !== undefined && socket._httpMessage !== null;
}

function ignore(): void {}
