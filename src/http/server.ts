/** The port: node:http, its time limits, and how it ends. */
import type { Duplex } from 'node:stream';
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerOptions as ServerOptionsOfNode,
  type ServerResponse,
} from 'node:http';
import { type AddressInfo, Server as NetServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { TenonError } from '../base/errors.js';

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
  /** Told of a connection that could not be accepted, for want of descriptors as a rule; the server goes on. */
  onError: (error: Error) => void;
  host: string;
  /** 0 takes a free one. */
  port: number;
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
  readonly #server: Server;
  readonly #sockets = new Map<Socket, Connection>();
  readonly #host: string;
  readonly #port: number;
  #listening: Promise<Place> | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: ServerOptions) {
    this.#host = options.host;
    this.#port = options.port;
    this.#server = createServer(serverOptions, options.handle);
    this.#server.on('checkContinue', options.handleExpecting);
    this.#server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) =>
      afterAnswers(socket, () => {
        if (isForSocket(request)) {
          const connection = this.#sockets.get(socket);
          if (connection !== undefined) connection.upgraded = true;
          options.handleUpgrade(request, socket, head);
        } else this.#readAgain(request, socket, head);
      }),
    );
    this.#server.on('error', (error: Error) => {
      if (this.#server.listening) options.onError(error);
    });
    this.#server.on('connection', (socket: Socket) => {
      if (this.#sockets.has(socket)) return;
      this.#sockets.set(socket, { accepted: performance.now() });
      socket.once('close', () => this.#sockets.delete(socket));
    });
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
    return new Promise((resolve, reject) => {
      const fail = (cause: NodeJS.ErrnoException): void => reject(cannotListen(this.#host, this.#port, cause));
      this.#server.once('error', fail);
      const where = descriptor === undefined ? { host: this.#host, port: this.#port } : { fd: descriptor };
      this.#server.listen(where, () => {
        this.#server.off('error', fail);
        const { address, family, port } = this.#server.address() as AddressInfo;
        resolve({ host: address, port, url: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}` });
      });
    });
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
    const look = (): void => {
      endStreams();
      this.#endIdle(graceMs);
    };
    look();
    // Behind a poll of the sockets: what has come by now is read before.
    const looks = setInterval(() => setImmediate(look), idleCheckMs);
    if (continues) await this.#untilIdle(before, graceMs);
    // http's own `close` cuts a connection whose answer was handed over but has not left yet: it counts as idle there.
    const closed = new Promise<void>((resolve) => void NetServer.prototype.close.call(this.#server, () => resolve()));
    // http's own `closeAllConnections` does not know those with another protocol.
    const cut = setTimeout(() => {
      for (const socket of this.#sockets.keys()) socket.destroy();
    }, deadlineMs);
    await closed;
    clearInterval(looks);
    clearTimeout(cut);
    this.#server.close(() => {}); // ends what http itself keeps, its check of slow clients
  }

  /** Node before 24.9 ends HTTP where any upgrade begins, and reads no body: the request is given to it again without one. */
  #readAgain(request: IncomingMessage, socket: Socket, head: Buffer): void {
    socket.unshift(Buffer.concat([headWithoutUpgrade(request), head]));
    this.#server.emit('connection', socket);
  }

  /** None of `sockets` is open and idle, or `limitMs` have passed. */
  async #untilIdle(sockets: ReadonlySet<Socket>, limitMs: number): Promise<void> {
    const end = performance.now() + limitMs;
    const waits = (socket: Socket): boolean => this.#sockets.has(socket) && !isAnswering(socket);
    while (performance.now() < end && [...sockets].some(waits)) await sleep(untilIdleMs);
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
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  keepAliveTimeout: 72_000,
  noDelay: true,
  shouldUpgradeCallback: isForSocket,
};

function isForSocket({ headers }: IncomingMessage): boolean {
  return headers.upgrade?.toLowerCase() === 'websocket';
}

/** The bytes of a request up to its body, without a word about another protocol. */
function headWithoutUpgrade({ method, url, httpVersion, rawHeaders }: IncomingMessage): Buffer {
  const lines = [`${method ?? 'GET'} ${url ?? '/'} HTTP/${httpVersion}`];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? '';
    const value = rawHeaders[at + 1] ?? '';
    const lower = name.toLowerCase();
    if (lower === 'upgrade' || lower === 'http2-settings') continue;
    lines.push(`${name}: ${lower === 'connection' ? withoutUpgrade(value) : value}`);
  }
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
}

/** The options of a connection that are left. */
function withoutUpgrade(value: string): string {
  const hops = ['upgrade', 'http2-settings'];
  const kept = value.split(',').filter((option) => !hops.includes(option.trim().toLowerCase()));
  return kept.join(',').trim();
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

/** node:http's own mark. */
function answerOn(socket: Socket & { _httpMessage?: ServerResponse | null }): ServerResponse | undefined {
  return socket._httpMessage ?? undefined;
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
