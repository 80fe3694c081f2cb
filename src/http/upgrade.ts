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
  /** Takes the socket over, all of its events too. */
  serve(socket: WebSocket, request: IncomingMessage): void;
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
  /** Names the host may be called by, without port; any by default. */
  hosts?: readonly string[];
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
      this.#server.handleUpgrade(request, socket, head, (opened) => {
        socket.off('error', ignore);
        route.serve(opened, request);
      });
    } catch (error) {
      answer(request, socket, (response) => sendError(request, response, error, headersOf(error)));
    }
  }

  /** No other socket is opened. Those that are belong to whoever serves them. Twice is fine. */
  close(): void {
    this.#closed = true;
  }

  #routeOf(request: IncomingMessage): SocketRoute {
    if (this.#closed) throw new TenonError('HostClosing', 'the host is shutting down', { next: 'ask the next host' });
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
  #checkNames({ headers }: IncomingMessage): void {
    const { hosts, origins = [] } = this.#options;
    const name = (headers.host ?? '').toLowerCase();
    if (hosts !== undefined && !hosts.includes(name.replace(/:\d*$/, '')))
      throw new TenonError('OriginNotAllowed', `no WebSocket is served under the name ${JSON.stringify(name)}`, {
        next: 'call the host by a name it knows, or add this one to the setting `tables.hosts`',
        details: { name },
      });
    const { origin } = headers;
    if (origin === undefined || origins.includes('*') || origins.includes(origin)) return;
    if (origin.toLowerCase().replace(/^https?:\/\//, '') === name) return;
    throw new TenonError('OriginNotAllowed', `a page of ${origin} may not open a WebSocket here`, {
      next: 'add the origin to the setting `tables.origins`',
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
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket as Parameters<ServerResponse['assignSocket']>[0]);
  response.on('error', ignore); // of a client that has gone
  response.once('finish', () => socket.end(() => socket.destroy()));
  socket.once('close', () => response.destroy());
  write(response);
}

/** node:http's own mark. */
function isAnswering(socket: Duplex & { _httpMessage?: unknown }): boolean {
  return socket._httpMessage !== undefined && socket._httpMessage !== null;
}

function ignore(): void {}
