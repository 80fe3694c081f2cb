/** A client of a WebSocket that speaks JSON. */
import { once } from 'node:events';
import { type ClientOptions, WebSocket } from 'ws';
import { until } from '../load/world.js';

export interface Heard {
  type: string;
  id?: string | number;
  key?: string;
  record?: Record<string, unknown>;
  resume?: string;
  error?: string;
  message?: string;
  outcome?: string;
  revision?: string;
  resumed?: boolean;
}

export class SocketClient {
  readonly heard: Heard[] = [];
  readonly socket: WebSocket;
  /** Of the close frame, once there is one. */
  code: number | undefined;
  #next = 0;

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on('error', () => {}); // the close code says it
    socket.on('message', (data: Buffer) => this.heard.push(JSON.parse(data.toString()) as Heard));
    socket.on('close', (code) => {
      this.code = code;
    });
  }

  static async open(url: string, options: ClientOptions = {}): Promise<SocketClient> {
    const client = new SocketClient(new WebSocket(url, { perMessageDeflate: true, ...options }));
    await once(client.socket, 'open');
    return client;
  }

  /** `put 1`, `ready`, `error BadRequest`: what was heard, in short. */
  get told(): string[] {
    return this.heard.map(({ type, key, error }) => [type, error ?? key ?? []].flat().join(' '));
  }

  say(message: object): void {
    this.socket.send(JSON.stringify(message));
  }

  /** Say it under an id of its own, and wait for the answer. */
  async ask(message: object): Promise<Heard> {
    this.#next += 1;
    const id = `ask ${this.#next}`;
    this.say({ id, ...message });
    let answer: Heard | undefined;
    await until(`an answer to ${JSON.stringify(message)}`, () => {
      answer = this.heard.find((one) => one.id === id);
      return answer !== undefined || this.code !== undefined;
    });
    return answer as Heard;
  }

  /** The code with which it is closed. */
  async closed(): Promise<number> {
    await until('the socket is closed', () => this.code !== undefined);
    return this.code as number;
  }

  leave(): void {
    this.socket.terminate();
  }
}
