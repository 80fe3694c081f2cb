/** A listener of its own for the admin API: a port, a unix socket, or both. No plugin is served there. */
import { chmodSync } from 'node:fs';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { isMainThread } from 'node:worker_threads';
import { beforeBody } from './body.js';
import { originForm } from './router.js';
import { HttpServer, type ListenerCounts, type ServerEnd, type ServerOptions } from './server.js';
import { clearSocket, markAsLocal } from './unix-socket.js';
import { Upgrades } from './upgrade.js';

/** What both listeners have in common with the public one. */
type Edge = Pick<ServerOptions, 'limits' | 'log' | 'certificate'>;

export interface AdminListenerOptions extends Edge {
  /** Serves the API, health, metrics and documents. */
  application: RequestListener;
  /** Absent: no port. */
  at?: { readonly host: string; readonly port: number } | undefined;
  /** Absolute path of the unix socket, 0600, which speaks plain HTTP; absent: none. */
  socket?: string | undefined;
}

/** Bound sockets to listen on, which another process may hold too. */
export interface AdminDescriptors {
  readonly port?: number | undefined;
  readonly socket?: number | undefined;
}

/** Listens once, and closes once. */
export class AdminListener {
  readonly #application: RequestListener;
  readonly #upgrades: Upgrades;
  readonly #port: HttpServer | undefined;
  readonly #socket: HttpServer | undefined;
  readonly #path: string;
  #listening: Promise<string> | undefined;
  #closing = false;

  constructor({ application, at, socket, ...edge }: AdminListenerOptions) {
    this.#application = application;
    this.#upgrades = new Upgrades({ find: () => undefined, handle: this.#handle });
    this.#path = socket ?? '';
    if (at !== undefined) this.#port = new HttpServer({ ...edge, ...at, ...this.#served(() => {}) });
    if (socket !== undefined)
      this.#socket = new HttpServer({
        ...edge,
        certificate: undefined,
        host: socket,
        port: 0,
        path: socket,
        ...this.#served(markAsLocal),
      });
  }

  /**
   * Begin to listen; the URL, `unix:/path` when there is no port. Again: the same. Rejects with `AddressInUse`, also for a socket that somebody
   * listens on, and with `SettingsInvalid` for a path that cannot be one; the file of a host that was killed is taken away.
   */
  listen(held: AdminDescriptors = {}): Promise<string> {
    this.#listening ??= this.#listen(held).catch((error: unknown) => {
      this.#listening = undefined;
      throw error;
    });
    return this.#listening;
  }

  async #listen(held: AdminDescriptors): Promise<string> {
    try {
      if (this.#socket !== undefined && held.socket === undefined) {
        await clearSocket(this.#path);
        await privately(this.#path, this.#socket);
      } else await this.#socket?.listen(held.socket);
      const place = await this.#port?.listen(held.port);
      return place?.url ?? `unix:${this.#path}`;
    } catch (error) {
      await this.#socket?.unlisten();
      throw error;
    }
  }

  /** What has become of the connections of each, by how `/metrics` calls it; those that do not listen are absent. */
  get connections(): ListenerCounts[] {
    return [
      ...(this.#port?.listening === true ? [{ listener: 'admin', counts: this.#port.counts } as const] : []),
      ...(this.#socket?.listening === true ? [{ listener: 'socket', counts: this.#socket.counts } as const] : []),
    ];
  }

  /** Ends as the public one does; `lastAnswers` of the calls is part of it. */
  async close(end: ServerEnd): Promise<void> {
    this.#closing = true;
    this.#upgrades.close();
    await Promise.all([this.#port?.close(end), this.#socket?.close(end)]);
  }

  #served(
    mark: (request: IncomingMessage) => void,
  ): Pick<ServerOptions, 'handle' | 'handleExpecting' | 'handleUpgrade'> {
    return {
      handle: (request, response) => {
        mark(request);
        this.#handle(request, response);
      },
      handleExpecting: (request, response) => {
        mark(request);
        response.setHeader('connection', 'close');
        beforeBody(request, () => {
          response.writeContinue();
          if (!this.#closing && response.shouldKeepAlive) response.removeHeader('connection');
        });
        this.#handle(request, response);
      },
      handleUpgrade: (request, socket, head) => {
        mark(request);
        this.#upgrades.handle(request, socket, head);
      },
    };
  }

  readonly #handle = (request: IncomingMessage, response: ServerResponse): void => {
    request.url = originForm(request.url ?? '/');
    if (this.#closing) response.setHeader('connection', 'close');
    this.#application(request, response);
  };
}

/** Have `server` make its socket so that nobody else may ever connect to it. */
async function privately(path: string, server: HttpServer): Promise<void> {
  // The mask is the process's, which threads of Node may not change; they are left with the moment until the next line.
  const before = isMainThread ? process.umask(0o177) : undefined;
  let listening: Promise<unknown>;
  try {
    listening = server.listen();
  } finally {
    if (before !== undefined) process.umask(before);
  }
  await listening;
  chmodSync(path, 0o600);
}
