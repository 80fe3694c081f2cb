/** The port: node:http, its time limits, and how it ends. */
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { TenonError } from '../base/errors.js';

export interface ServerOptions {
  handle: RequestListener;
  host: string;
  /** 0 takes a free one. */
  port: number;
}

export class HttpServer {
  readonly #server: Server;
  readonly #host: string;
  readonly #port: number;
  #closing: Promise<void> | undefined;

  constructor(options: ServerOptions) {
    this.#host = options.host;
    this.#port = options.port;
    this.#server = createServer(
      { headersTimeout: 10_000, requestTimeout: 30_000, keepAliveTimeout: 72_000, noDelay: true },
      options.handle,
    );
  }

  /** Begin to listen; where it listens. Rejects with `AddressInUse`. */
  listen(): Promise<{ host: string; port: number; url: string }> {
    return new Promise((resolve, reject) => {
      const fail = (cause: NodeJS.ErrnoException): void => {
        const place = `${this.#host}:${this.#port}`;
        const taken = cause.code === 'EADDRINUSE';
        reject(
          new TenonError(
            taken ? 'AddressInUse' : 'Internal',
            taken ? `${place} is taken by another process` : `${place}: ${cause.message}`,
            {
              next: 'choose another with --host or --port',
              details: { host: this.#host, port: this.#port },
              cause,
            },
          ),
        );
      };
      this.#server.once('error', fail);
      this.#server.listen(this.#port, this.#host, () => {
        this.#server.off('error', fail);
        const { address, family, port } = this.#server.address() as AddressInfo;
        resolve({ host: address, port, url: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}` });
      });
    });
  }

  /** Stop accepting, end idle connections, let answers under way finish for `deadlineMs`, then cut. Twice is fine. */
  close(deadlineMs: number): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      if (!this.#server.listening) {
        resolve();
        return;
      }
      const idle = setInterval(() => this.#server.closeIdleConnections(), 50);
      const cut = setTimeout(() => this.#server.closeAllConnections(), deadlineMs);
      this.#server.close(() => {
        clearInterval(idle);
        clearTimeout(cut);
        resolve();
      });
      this.#server.closeIdleConnections();
    });
    return this.#closing;
  }
}
