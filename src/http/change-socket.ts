/** Changes of a table, or of one record, over a WebSocket, and writes on the same way. */
import type { WebSocket } from 'ws';
import type { Log } from '../base/log.js';
import type { ServedTable } from '../tables/served.js';
import type { Access } from './access.js';
import { ChangeConversation } from './change-conversation.js';
import { type ChangeSource, clientLimit } from './told-changes.js';

export interface ChangeSocketOptions extends ChangeSource {
  log: Log;
  /** Between two pings; a client that has not answered the one before is cut off. 30,000 by default. */
  pingMs?: number;
  /** Messages of a client, pings included, that are taken in the long run; twice as many at once. 100 by default. */
  messagesPerSecond?: number;
  /** Sockets at one time; 1,000 by default. One more is closed with 1013. */
  clients?: number;
}

const defaultPingMs = 30_000;
const defaultMessagesPerSecond = 100;
/** 1012: the service restarts. */
const restart = 1012;
/** 1013: come again later. */
const tryAgainLater = 1013;

/** Sockets of all tables of a host. */
export class ChangeSockets {
  readonly #options: ChangeSocketOptions;
  readonly #conversations = new Set<ChangeConversation>();
  #pinging: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: ChangeSocketOptions) {
    this.#options = options;
  }

  /** Sockets that are open. */
  get size(): number {
    return this.#conversations.size;
  }

  /**
   * Take over an open socket about the table, or about the record with this key (percent-decoded). It is closed with 1008 when the client
   * sends too many messages, 1003 for one that is not text, 1013 when it does not read or
   * is one too many, 1012 by `end` and `close`.
   * @param access holds for the socket, whatever becomes of it
   */
  serve(socket: WebSocket, served: ServedTable, key: string | undefined, access: Access): void {
    const { store, changes, log, messagesPerSecond = defaultMessagesPerSecond, clients = clientLimit } = this.#options;
    const isFull = this.#conversations.size >= clients;
    const conversation = new ChangeConversation({
      socket,
      served,
      key,
      access,
      store,
      changes,
      log,
      messagesPerSecond,
    });
    this.#conversations.add(conversation);
    socket.once('close', () => this.#leave(conversation));
    if (this.#closed) {
      void conversation.leave(restart, 'the host is shutting down');
      return;
    }
    if (isFull) {
      void conversation.leave(tryAgainLater, 'too many clients');
      return;
    }
    this.#pinging ??= setInterval(() => {
      for (const one of this.#conversations) one.ping();
    }, this.#options.pingMs ?? defaultPingMs).unref();
  }

  /** Close the sockets that were opened with one of these very tables, once the writes they have asked for are answered. */
  async end(tables: readonly ServedTable[]): Promise<void> {
    const those = [...this.#conversations].filter((one) => tables.includes(one.served));
    await Promise.all(those.map((one) => one.leave(restart, 'the application is replaced')));
  }

  /** Close all of them likewise; whoever comes later is closed at once. Twice is fine. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#conversations].map((one) => one.leave(restart, 'the host is shutting down')));
  }

  #leave(conversation: ChangeConversation): void {
    this.#conversations.delete(conversation);
    if (this.#conversations.size > 0) return;
    clearInterval(this.#pinging);
    this.#pinging = undefined;
  }
}
