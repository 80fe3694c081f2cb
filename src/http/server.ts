/** The port: node:http, its time limits, and how it ends. */
import { createServer, type RequestListener, type Server } from 'node:http';
import { type AddressInfo, Server as NetServer, type Socket } from 'node:net';
import { TenonError } from '../base/errors.js';

/** Where to listen, and who answers. */
export interface ServerOptions {
  handle: RequestListener;
  /** Takes the requests with `Expect: 100-continue`; leave to go on is its business. */
  handleExpecting: RequestListener;
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

/** One port. Listens once, and closes once. */
export class HttpServer {
  readonly #server: Server;
  /** Open connections, each with the time it was accepted, as `performance.now()`. */
  readonly #sockets = new Map<Socket, number>();
  readonly #host: string;
  readonly #port: number;
  #listening: Promise<Place> | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: ServerOptions) {
    this.#host = options.host;
    this.#port = options.port;
    this.#server = createServer(
      { headersTimeout: 10_000, requestTimeout: 30_000, keepAliveTimeout: 72_000, noDelay: true },
      options.handle,
    );
    this.#server.on('checkContinue', options.handleExpecting);
    this.#server.on('error', (error: Error) => {
      if (this.#server.listening) options.onError(error);
    });
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.set(socket, performance.now());
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

  /** Stop accepting, end idle connections, let answers under way finish for `deadlineMs`, then cut. Twice is fine. */
  close(deadlineMs: number): Promise<void> {
    this.#closing ??= this.#close(deadlineMs);
    return this.#closing;
  }

  async #close(deadlineMs: number): Promise<void> {
    await this.#listening?.catch(() => {}); // told to whoever asked for it
    if (!this.#server.listening) return;
    // http's own `close` cuts a connection whose answer was handed over but has not left yet: it counts as idle there.
    const closed = new Promise<void>((resolve) => void NetServer.prototype.close.call(this.#server, () => resolve()));
    this.#endIdle();
    const idle = setInterval(() => this.#endIdle(), idleCheckMs);
    const cut = setTimeout(() => this.#server.closeAllConnections(), deadlineMs);
    await closed;
    clearInterval(idle);
    clearTimeout(cut);
    this.#server.close(() => {}); // ends what http itself keeps, its check of slow clients
  }

  /** End the connections that answer nothing and have nothing left to send. The first request of a new one is waited for. */
  #endIdle(): void {
    const now = performance.now();
    for (const [socket, at] of this.#sockets) {
      const isNew = socket.bytesWritten === 0 && now - at < firstRequestMs;
      if (!isNew && !isAnswering(socket) && socket.writableLength === 0) socket.destroySoon();
    }
  }
}

const idleCheckMs = 50;
/** From the accepting of a connection to its first request, when the server closes meanwhile. */
const firstRequestMs = 1_000;

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

/** Whether a response belongs to the connection: from its request until its last byte has left (node:http's own mark). */
function isAnswering(socket: Socket & { _httpMessage?: unknown }): boolean {
  return socket._httpMessage !== undefined && socket._httpMessage !== null;
}
