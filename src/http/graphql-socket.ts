/** GraphQL over WebSockets: the protocol graphql-transport-ws. */
import { OperationTypeNode } from 'graphql';
import { type Context, GRAPHQL_TRANSPORT_WS_PROTOCOL, makeServer, type Server } from 'graphql-ws';
import type { WebSocket } from 'ws';
import type { Log } from '../base/log.js';
import type { Access } from './access.js';
import { plainResult } from './graphql-answer.js';
import { formatErrors, RequestRefused } from './graphql-errors.js';
import { tooComplex } from './graphql-limits.js';
import type { Operations, Prepared } from './graphql-operations.js';
import { readParameters } from './graphql-parameters.js';
import { RunningOperations } from './graphql-running.js';

/** The subprotocol that a socket must have been opened with. */
export const graphqlProtocol = GRAPHQL_TRANSPORT_WS_PROTOCOL;

/** What a socket may do. */
export interface SocketLimits {
  /** Operations at one time. */
  operations: number;
  /** Messages within one second. */
  messages: number;
  /** Bytes that may wait for a client that does not read. */
  unsentBytes: number;
  /** Between two pings, milliseconds; a client that has not answered one when the next is due is cut off. */
  pingMs: number;
}

const defaultSocketLimits: SocketLimits = {
  operations: 30,
  messages: 100,
  unsentBytes: 4 * 1024 * 1024,
  pingMs: 30_000,
};

const policyViolation = 1008;
const serviceRestart = 1012;
const tryAgainLater = 1013;
const internalError = 4500;
/** For a socket to answer that it closes. */
const closingMs = 1_000;
/** For what runs to be answered before a socket is closed. */
const answeringMs = 10_000;

/** A socket that is served. */
class Client {
  readonly socket: WebSocket;
  readonly access: Access;
  readonly running = new RunningOperations();
  /** Once it was let in. */
  context: SocketContext | undefined;
  #leaving: Promise<void> | undefined;

  constructor(socket: WebSocket, access: Access) {
    this.socket = socket;
    this.access = access;
  }

  get isLeaving(): boolean {
    return this.#leaving !== undefined;
  }

  /** Answer what runs, then close with 1012. Settles once it is closed. */
  leave(): Promise<void> {
    this.#leaving ??= this.#leave();
    return this.#leaving;
  }

  /** Abandon what the client has said `complete` to. */
  dropUnawaited(): void {
    const { subscriptions = {} } = this.context ?? {};
    this.running.keep((id) => id in subscriptions);
  }

  async #leave(): Promise<void> {
    if (this.running.size > 0) {
      this.#endSubscriptions();
      await this.running.none(answeringMs);
    }
    await closeSocket(this.socket);
  }

  /** Without `complete`: their client comes again. */
  #endSubscriptions(): void {
    const { subscriptions = {} } = this.context ?? {};
    for (const [id, events] of Object.entries(subscriptions)) {
      if (events === null) continue;
      delete subscriptions[id];
      if ('return' in events) events.return(undefined).catch(() => {}); // nobody is told of them any more
    }
  }
}

type SocketContext = Context<Record<string, unknown>, Client>;

/** The sockets of one endpoint. */
export class GraphqlSockets {
  readonly #operations: Operations;
  readonly #log: Log;
  readonly #limits: SocketLimits;
  readonly #server: Server<Client>;
  readonly #open = new Set<Client>();

  constructor(operations: Operations, log: Log, limits: SocketLimits = defaultSocketLimits) {
    this.#operations = operations;
    this.#log = log;
    this.#limits = limits;
    this.#server = this.#makeServer();
  }

  get size(): number {
    return this.#open.size;
  }

  /** Serve a socket that was just opened, until it closes; all of its operations may do what `access` says. */
  serve(socket: WebSocket, access: Access): void {
    const client = new Client(socket, access);
    this.#open.add(client);
    const stopPings = this.#ping(socket);
    const isWithinRate = rateOf(this.#limits.messages);
    const closed = this.#server.opened(
      {
        protocol: socket.protocol,
        send: (text) => this.#send(socket, text),
        // Reasons have words of the client in them, and room for 123 bytes.
        close: (code, reason = '') => socket.close(code, Buffer.byteLength(reason) > 123 ? '' : reason),
        onMessage: (take) =>
          void socket.on('message', (data, isBinary) => {
            if (client.isLeaving) return;
            if (isBinary) socket.close(1003, 'messages are text');
            else if (!isWithinRate()) socket.close(policyViolation, 'too many messages');
            else {
              take((data as Buffer).toString()).catch((error: unknown) => this.#fail(socket, error));
              client.dropUnawaited();
            }
          }),
      },
      client,
    );
    socket.on('error', (error) => this.#log.debug({ err: error }, 'a GraphQL socket failed'));
    socket.once('close', (code, reason) => {
      stopPings();
      this.#open.delete(client);
      client.running.keep(() => false);
      closed(code, String(reason)).catch((error: unknown) =>
        this.#log.error({ err: error }, 'a GraphQL socket did not end'),
      );
    });
  }

  /** Close every socket with 1012, once its queries and mutations are answered: clients come again. Settles when all are closed. */
  async close(): Promise<void> {
    await Promise.all([...this.#open].map((client) => client.leave()));
  }

  #makeServer(): Server<Client> {
    const prepared = new WeakMap<object, Prepared>();
    const taken = (args: object): Prepared => prepared.get(args) as Prepared;
    return makeServer<Record<string, unknown>, Client>({
      onConnect: (context) => {
        context.extra.context = context;
      },
      onSubscribe: (context, id, payload) => {
        try {
          this.#checkCount(context);
          const one = this.#operations.prepare(readParameters(payload), context.extra.access);
          prepared.set(one.args, one);
          if (one.kind !== OperationTypeNode.SUBSCRIPTION) context.extra.running.begin(payload, id, one);
          return one.args;
        } catch (error) {
          if (error instanceof RequestRefused) return error.errors;
          throw error;
        }
      },
      execute: (args) => this.#operations.run(taken(args)),
      subscribe: (args) => this.#operations.subscribe(taken(args)),
      onNext: (_context, _id, _payload, _args, result) => plainResult(result, this.#log),
      onError: (_context, _id, _payload, errors) => formatErrors(errors, this.#log),
      onComplete: ({ extra }, _id, payload) => extra.running.end(payload),
    });
  }

  #checkCount({ subscriptions }: SocketContext): void {
    const count = Object.keys(subscriptions).length;
    const { operations: limit } = this.#limits;
    if (count <= limit) return;
    const message = `${count} operations at one time on a socket are over the limit of ${limit}`;
    throw new RequestRefused([tooComplex(message, { limit })], true);
  }

  /** Settles once the text has left, so that a subscription is read no faster than its client. */
  #send(socket: WebSocket, text: string): Promise<void> {
    if (socket.readyState !== socket.OPEN) return Promise.resolve();
    if (socket.bufferedAmount > this.#limits.unsentBytes) {
      this.#log.warn({ limit: this.#limits.unsentBytes }, 'a client of GraphQL did not read: cut off');
      socket.close(tryAgainLater, 'too much is unread');
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      // A socket that closes meanwhile is told of by its close.
      socket.send(text, () => resolve());
    });
  }

  #fail(socket: WebSocket, error: unknown): void {
    this.#log.error({ err: error }, 'a message of a GraphQL socket failed');
    socket.close(internalError, 'an error of the host');
  }

  #ping(socket: WebSocket): () => void {
    let answered = true;
    socket.on('pong', () => {
      answered = true;
    });
    const timer = setInterval(() => {
      if (!answered) socket.terminate();
      answered = false;
      if (socket.readyState === socket.OPEN) socket.ping();
    }, this.#limits.pingMs).unref();
    return () => clearInterval(timer);
  }
}

/** Counts messages by the second: false when there were too many. */
function rateOf(limit: number): () => boolean {
  let began = performance.now();
  let count = 0;
  return () => {
    const now = performance.now();
    if (now - began >= 1_000) {
      began = now;
      count = 0;
    }
    count += 1;
    return count <= limit;
  };
}

function closeSocket(socket: WebSocket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.readyState === socket.CLOSED) {
      resolve();
      return;
    }
    const cut = setTimeout(() => socket.terminate(), closingMs);
    socket.once('close', () => {
      clearTimeout(cut);
      resolve();
    });
    socket.close(serviceRestart, 'the application is served anew');
  });
}
