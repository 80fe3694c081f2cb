/** The port: node:http or node:https, its limits, and how it ends. */
import type { Duplex } from 'node:stream';
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerOptions as ServerOptionsOfNode,
  type ServerResponse,
} from 'node:http';
import { createServer as createSecureServer, type Server as SecureServer } from 'node:https';
import { type AddressInfo, Server as NetServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Settings } from '../base/config.js';
import { TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { Certificate } from './certificate.js';
import { type ConnectionCounts, type ConnectionLimits, Connections, type Refused } from './connections.js';
import { Muted } from './muted.js';
import { headWithoutUpgrade } from './plain-head.js';
import { sendError } from './problem.js';
import { HeadCheck } from './request-head.js';
import { answerOn, endWith, Unreadable } from './unreadable.js';

/** Where to listen, and who answers. */
export interface ServerOptions {
  handle: RequestListener;
  /** Takes the requests with `Expect: 100-continue`; leave to go on is its business. */
  handleExpecting: RequestListener;
  /**
   * Takes over the connections of requests with `Upgrade: websocket`, and ends them when the server closes. With any other
   * protocol requests are ordinary ones.
   */
  handleUpgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
  limits: ServerLimits;
  log: Log;
  /** HTTPS in place of HTTP. Closed by whoever has opened it. */
  certificate?: Certificate | undefined;
  host: string;
  /** 0 takes a free one. */
  port: number;
  /** Unix socket to listen on in place of both. */
  path?: string;
}

/** Settings of every server. */
export type ServerLimits = ConnectionLimits &
  Pick<Settings, 'headersMs' | 'requestMs' | 'keepAliveMs' | 'headersLimit'>;

/** What a server has seen since it began. */
export interface ServerCounts extends ConnectionCounts {
  /** Requests that could not be read, or did not arrive in time, by the code that they were answered. */
  readonly unreadable: Readonly<Record<string, number>>;
  /** Handshakes of TLS that have failed. */
  readonly handshakes: number;
  /** When the certificate expires, Unix time in seconds; of HTTPS. */
  readonly certificateExpires?: number;
}

/** The same by which listener it is: the port for everybody, or the port or the socket of the admin API. */
export interface ListenerCounts {
  readonly listener: 'public' | 'admin' | 'socket';
  readonly counts: ServerCounts;
}

/** Where a server listens. */
export interface Place {
  host: string;
  port: number;
  url: string;
}

/** How a server ends. */
export interface ServerEnd {
  /** For answers under way, ms; then they are cut. */
  deadlineMs: number;
  /**
   * Whether another process accepts on the same socket afterwards: then connections are still accepted for as long as
   * clients with one need to hear that it ends.
   */
  continues: boolean;
  /** Ends the answers that have no end of their own; called again and again, for those that begin meanwhile. */
  endStreams: () => void;
}

/** What is known of an open connection; times as `performance.now()`. */
interface Connection {
  readonly accepted: number;
  /** Since when it has answered nothing, while the server closes, and the bytes that had been read of it by then. */
  idle?: { since: number; bytesRead: number } | undefined;
  /** Its protocol is another now: whoever speaks that ends it. */
  upgraded?: true;
}

/** One port. Listens once, and closes once. */
export class HttpServer {
  readonly #server: Server | SecureServer;
  readonly #certificate: Certificate | undefined;
  readonly #connections: Connections;
  readonly #unreadable: Unreadable;
  readonly #refusals: Muted;
  /** Those that speak HTTP: of TLS, once a handshake is over. */
  readonly #sockets = new Map<Socket, Connection>();
  readonly #host: string;
  readonly #port: number;
  readonly #path: string | undefined;
  #handshakes = 0;
  #listening: Promise<Place> | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: ServerOptions) {
    const { limits, log, certificate } = options;
    this.#host = options.host;
    this.#port = options.port;
    this.#path = options.path;
    this.#certificate = certificate;
    this.#unreadable = new Unreadable(limits.headersLimit);
    this.#refusals = new Muted((count, facts) =>
      log.warn({ ...facts, count }, 'too many connections: some were refused'),
    );
    const stalls = new Muted((count) =>
      log.warn({ count, stallMs: limits.stallMs }, 'clients took nothing of their answers: cut off'),
    );
    this.#connections = new Connections(limits, (count) => stalls.tell({}, count));
    const given = { ...serverOptions, ...limitsOfNode(limits) };
    this.#server = certificate === undefined ? createServer(given) : secureServer(certificate, limits, given);
    this.#takeConnections();
    this.#takeRequests(options);
    this.#server.on('clientError', (error: Error, socket: Duplex) => this.#unreadable.answer(error, socket as Socket));
    this.#server.on('error', (error: Error) => {
      if (this.#server.listening) log.warn({ error: error.message }, 'a connection could not be accepted');
    });
  }

  /** What has been seen until now. */
  get counts(): ServerCounts {
    const expires = this.#certificate?.expiresAt.getTime();
    return {
      ...this.#connections.counts,
      unreadable: this.#unreadable.counts,
      handshakes: this.#handshakes,
      ...(expires === undefined ? {} : { certificateExpires: expires / 1000 }),
    };
  }

  /** Stand before node's own listener, which reads from whatever it is told of. */
  #takeConnections(): void {
    const server = this.#server;
    const [serve] = server.listeners('connection') as [(this: unknown, socket: Socket) => void];
    server.removeAllListeners('connection');
    server.on('connection', (socket: Socket) => {
      const refused = this.#sockets.has(socket) ? undefined : this.#connections.admit(socket);
      if (refused === undefined) serve.call(server, socket);
      else this.#refuse(socket, refused);
    });
    server.on(this.#certificate === undefined ? 'connection' : 'secureConnection', (socket: Socket) => {
      if (this.#sockets.has(socket) || socket.destroyed || socket.writableEnded) return;
      this.#sockets.set(socket, { accepted: performance.now() });
      socket.once('close', () => this.#sockets.delete(socket));
    });
    server.on('tlsClientError', () => {
      this.#handshakes += 1;
    });
  }

  #refuse(socket: Socket, refused: Refused): void {
    this.#refusals.tell({ limit: refused });
    // To speak TLS costs what is to be saved; and what is short of descriptors must not keep this one.
    if (this.#certificate !== undefined || refused === 'descriptors') socket.destroy();
    else
      endWith(
        socket,
        new TenonError('TooManyConnections', 'too many connections are open', { next: 'come back later' }),
      );
  }

  #takeRequests({ handle, handleExpecting, handleUpgrade, limits }: ServerOptions): void {
    const head = new HeadCheck(limits.headersLimit);
    /** Something on them was answered with `Connection: close`. */
    const ending = new WeakSet<Socket>();
    const checked =
      (serve: RequestListener): RequestListener =>
      (request, response) => {
        const { socket } = request;
        // What comes behind a last answer is nobody's, least of all the rest of a body that was not read as one.
        if (socket.writableEnded || (response.socket === null && ending.has(socket))) return;
        const error = head.refuse(request);
        if (error !== undefined || this.#closing !== undefined) ending.add(socket);
        if (error !== undefined) refuse(request, response, error);
        else if (request.url === '*') answerAsterisk(response);
        else serve(request, response);
      };
    this.#server.on('request', checked(handle));
    this.#server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
      // Node takes a list with it for the same.
      const isAlone = request.headers.expect?.trim().toLowerCase() === '100-continue';
      checked(isAlone ? handleExpecting : refuseExpectation)(request, response);
    });
    this.#server.on('checkExpectation', checked(refuseExpectation));
    this.#server.on('connect', (_request: IncomingMessage, socket: Socket) => refuseTunnel(socket));
    this.#server.on('upgrade', (request: IncomingMessage, socket: Socket, rest: Buffer) =>
      afterAnswers(socket, () => {
        if (!isForSocket(request)) {
          this.#readAgain(request, socket, rest);
          return;
        }
        const error = head.refuse(request);
        if (error !== undefined) {
          endWith(socket, error);
          return;
        }
        const connection = this.#sockets.get(socket);
        if (connection !== undefined) connection.upgraded = true;
        handleUpgrade(request, socket, rest);
      }),
    );
  }

  /**
   * Begin to listen; where it listens. Rejects with `AddressInUse`, and may be tried again then; with `HostClosing` when
   * closing has begun; with TypeError when it listens already.
   * @param descriptor a bound socket to listen on, instead of one of its own
   */
  listen(descriptor?: number): Promise<Place> {
    if (this.#closing !== undefined)
      return Promise.reject(new TenonError('HostClosing', 'the host is shutting down', { next: 'make another host' }));
    if (this.#listening !== undefined)
      return Promise.reject(new TypeError(`listen: the host listens on ${this.#host}:${this.#port} already`));
    this.#listening = this.#listen(descriptor);
    this.#listening.catch(() => {
      this.#listening = undefined;
    });
    return this.#listening;
  }

  #listen(descriptor: number | undefined): Promise<Place> {
    this.#certificate?.onRenewal((pair) => {
      if ('setSecureContext' in this.#server) this.#server.setSecureContext({ ...pair, ...protocols });
    });
    const scheme = this.#certificate === undefined ? 'http' : 'https';
    return new Promise((resolve, reject) => {
      const fail = (cause: NodeJS.ErrnoException): void => reject(cannotListen(this.#host, this.#port, cause));
      this.#server.once('error', fail);
      const own = this.#path === undefined ? { host: this.#host, port: this.#port } : { path: this.#path };
      const where = descriptor === undefined ? own : { fd: descriptor };
      this.#server.listen(where, () => {
        this.#server.off('error', fail);
        this.#connections.begin(this.#server);
        if (this.#path !== undefined) {
          resolve({ host: this.#path, port: 0, url: `unix:${this.#path}` });
          return;
        }
        const { address, family, port } = this.#server.address() as AddressInfo;
        resolve({ host: address, port, url: `${scheme}://${family === 'IPv6' ? `[${address}]` : address}:${port}` });
      });
    });
  }

  /** Listen no more, as if that had never begun: it may be tried again. */
  async unlisten(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise<void>((resolve) => void this.#server.close(() => resolve()));
    this.#connections.cutAll();
    await closed;
    this.#listening = undefined;
  }

  /** Whether clients can connect. */
  get listening(): boolean {
    return this.#server.listening;
  }

  /**
   * Stop accepting, end connections, let answers under way finish. Connections with another protocol are left to whoever
   * speaks it, until the deadline. An idle connection is ended a little later: a request
   * that its client is just sending is answered still, and whoever answers says that the connection ends. Twice is fine.
   */
  close(end: ServerEnd): Promise<void> {
    this.#closing ??= this.#close(end);
    return this.#closing;
  }

  async #close({ deadlineMs, continues, endStreams }: ServerEnd): Promise<void> {
    await this.#listening?.catch(() => {}); // told to whoever asked for it
    if (!this.#server.listening) return;
    const graceMs = Math.min(deadlineMs, continues ? continuedGraceMs : lastGraceMs);
    const before = new Set(this.#sockets.keys());
    const begun = performance.now();
    const look = (): void => {
      endStreams();
      this.#endIdle(graceMs);
      if (performance.now() - begun > firstRequestMs) this.#endHandshakes();
    };
    look();
    // Behind a poll of the sockets: what has come by now is read before.
    const looks = setInterval(() => setImmediate(look), idleCheckMs);
    if (continues) await this.#untilIdle(before, graceMs);
    // http's own `close` cuts a connection whose answer was handed over but has not left yet: it counts as idle there.
    const closed = new Promise<void>((resolve) => void NetServer.prototype.close.call(this.#server, () => resolve()));
    // http's own `closeAllConnections` does not know those with another protocol.
    const cut = setTimeout(() => this.#connections.cutAll(), deadlineMs);
    await closed;
    clearInterval(looks);
    clearTimeout(cut);
    this.#server.close(() => {}); // ends what http itself keeps, its check of slow clients
  }

  /** Node before 24.9 ends HTTP where any upgrade begins, and reads no body: the request is given to it again without one. */
  #readAgain(request: IncomingMessage, socket: Socket, head: Buffer): void {
    socket.unshift(Buffer.concat([headWithoutUpgrade(request), head]));
    this.#server.emit(this.#certificate === undefined ? 'connection' : 'secureConnection', socket);
  }

  /** None of `sockets` is open and idle, or `limitMs` have passed. */
  async #untilIdle(sockets: ReadonlySet<Socket>, limitMs: number): Promise<void> {
    const end = performance.now() + limitMs;
    const waits = (socket: Socket): boolean => this.#sockets.has(socket) && !isAnswering(socket);
    while (performance.now() < end && [...sockets].some(waits)) await sleep(untilIdleMs);
  }

  /** Of those that do not come to a request. */
  #endHandshakes(): void {
    const talking = new Set([...this.#sockets.keys()].map(transportOf));
    for (const socket of this.#connections) if (!talking.has(socket)) socket.destroy();
  }

  /**
   * End the connections that have answered nothing for `graceMs`, and on which no request has begun to arrive. The first
   * request of a new one is waited for.
   */
  #endIdle(graceMs: number): void {
    const now = performance.now();
    for (const [socket, connection] of this.#sockets) {
      if (connection.upgraded === true) continue;
      const { bytesRead } = socket;
      const isNew = socket.bytesWritten === 0 && now - connection.accepted < firstRequestMs;
      if (isNew || isAnswering(socket) || socket.writableLength > 0) connection.idle = undefined;
      else {
        connection.idle ??= { since: now, bytesRead };
        if (connection.idle.bytesRead === bytesRead && now - connection.idle.since >= graceMs) socket.destroySoon();
      }
    }
  }
}

/** The socket that one of TLS was made of; Node's own mark. */
function transportOf(socket: Socket & { _parent?: Socket | null }): Socket {
  return socket._parent ?? socket;
}

/** How long an idle connection is kept when nobody goes on in the place of this process, ms. */
const lastGraceMs = 100;
/** The same when another process does: a request and its answer, half around the world. */
const continuedGraceMs = 500;
const untilIdleMs = 10;
const idleCheckMs = 50;
/** From the accepting of a connection to its first request, when the server closes meanwhile. */
const firstRequestMs = 1_000;

/** As `upgrade` of a request is asked about by Node from 24.9 on. */
const serverOptions: ServerOptionsOfNode & { shouldUpgradeCallback: (request: IncomingMessage) => boolean } = {
  noDelay: true,
  requireHostHeader: false, // Node's own answer is no problem+json
  shouldUpgradeCallback: isForSocket,
};

const protocols = { minVersion: 'TLSv1.2' } as const;

function limitsOfNode({ headersMs, requestMs, keepAliveMs, headersLimit }: ServerLimits): ServerOptionsOfNode {
  const shorter = Math.min(headersMs, requestMs);
  return {
    headersTimeout: shorter,
    requestTimeout: requestMs,
    keepAliveTimeout: keepAliveMs,
    maxHeaderSize: headersLimit,
    connectionsCheckingInterval: Math.min(1_000, Math.max(50, shorter / 4)),
  };
}

function secureServer(certificate: Certificate, limits: ServerLimits, given: ServerOptionsOfNode): SecureServer {
  return createSecureServer({
    ...given,
    ...certificate.pair,
    ...protocols,
    ALPNProtocols: ['http/1.1'],
    handshakeTimeout: limits.headersMs,
  });
}

function refuse(request: IncomingMessage, response: ServerResponse, error: TenonError): void {
  response.setHeader('connection', 'close');
  sendError(request, response, error);
}

/** `OPTIONS *` asks about the server as a whole. */
function answerAsterisk(response: ServerResponse): void {
  response.statusCode = 204;
  response.setHeader('allow', 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS');
  response.end();
}

function refuseExpectation(request: IncomingMessage, response: ServerResponse): void {
  const { expect } = request.headers;
  const sentence = `the request expects ${JSON.stringify(expect)}, and only 100-continue is known`;
  refuse(request, response, new TenonError('ExpectationFailed', sentence));
}

function refuseTunnel(socket: Socket): void {
  socket.on('error', () => {}); // its end says it
  const error = new TenonError('MethodNotAllowed', 'CONNECT is not served: this is no proxy');
  afterAnswers(socket, () => endWith(socket, error, { Allow: 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS' }));
}

function isForSocket({ headers }: IncomingMessage): boolean {
  return headers.upgrade?.toLowerCase() === 'websocket';
}

/** Why `host:port` cannot be listened on. */
export function cannotListen(host: string, port: number, cause: NodeJS.ErrnoException): TenonError {
  const place = `${host}:${port}`;
  const taken = cause.code === 'EADDRINUSE';
  return new TenonError(
    taken ? 'AddressInUse' : 'Internal',
    taken ? `${place} is taken by another process` : `${place}: ${cause.message}`,
    { next: 'choose another with --host or --port', details: { host, port }, cause },
  );
}

/** Whether a response belongs to the connection: from its request until its last byte has left. */
function isAnswering(socket: Socket): boolean {
  return answerOn(socket) !== undefined;
}

/** Go on once all that was asked for on the connection before is answered; never, when it ends with that. */
function afterAnswers(socket: Socket, go: () => void): void {
  const answer = answerOn(socket);
  if (answer === undefined) {
    if (socket.writable) go();
    return;
  }
  // node:http listens to it no more; its end is told to the answer.
  const ignore = (): void => {};
  socket.on('error', ignore);
  answer.once('finish', () => {
    afterAnswers(socket, go);
    socket.off('error', ignore);
  });
}
