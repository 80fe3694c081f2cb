/** A proxy between a host and its server, to break what is between them. */
import { once } from 'node:events';
import { createServer, type Server, Socket } from 'node:net';

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
}

/** Passes bytes to a port of this machine until it is told otherwise. */
export class Proxy {
  readonly #server: Server;
  readonly #target: number;
  readonly #pairs = new Set<Pair>();
  #refuses = false;
  #paused = false;
  #made = 0;

  private constructor(server: Server, target: number) {
    this.#server = server;
    this.#target = target;
  }

  static async start(target: number): Promise<Proxy> {
    const server = createServer({ allowHalfOpen: false });
    const proxy = new Proxy(server, target);
    server.on('connection', (near) => proxy.#take(near));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return proxy;
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    return address.port;
  }

  /** Connections that are open now. */
  get open(): number {
    return this.#pairs.size;
  }

  /** Connections that were taken so far. */
  get made(): number {
    return this.#made;
  }

  /** Reset all connections; new ones are taken. */
  cut(): void {
    for (const { near, far } of this.#pairs) {
      near.resetAndDestroy();
      far.resetAndDestroy();
    }
  }

  /** Reset each new connection from now on; those that are open stay. */
  refuse(): void {
    this.#refuses = true;
  }

  /** No byte passes any more, and nobody is told: half-open connections. New ones are taken and stay silent. */
  pause(): void {
    this.#paused = true;
    for (const { near, far } of this.#pairs) {
      near.pause();
      far.pause();
    }
  }

  /** New connections are taken and bytes pass again, those that waited too. */
  resume(): void {
    this.#refuses = false;
    this.#paused = false;
    for (const { near, far } of this.#pairs) {
      near.resume();
      far.resume();
    }
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.cut();
    await closed;
  }

  #take(near: Socket): void {
    this.#made += 1;
    near.on('error', () => {}); // its end tells
    if (this.#refuses) {
      near.resetAndDestroy();
      return;
    }
    const far = new Socket();
    const pair = { near, far };
    this.#pairs.add(pair);
    const end = (): void => {
      this.#pairs.delete(pair);
      near.destroy();
      far.destroy();
    };
    far.on('error', () => {});
    near.on('close', end);
    far.on('close', end);
    near.on('data', (bytes) => far.write(bytes));
    far.on('data', (bytes) => near.write(bytes));
    far.connect(this.#target, '127.0.0.1');
    if (this.#paused) {
      near.pause();
      far.pause();
    }
  }
}
