/** Results as server-sent events: the "distinct connections" mode of graphql-sse. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ExecutionResult } from 'graphql';
import type { Log } from '../base/log.js';
import { plainResult } from './graphql-answer.js';
import { formatErrors, formatFailure, type RequestRefused } from './graphql-errors.js';

const defaultHeartbeatMs = 12_000;
/** For the end of a stream to reach its client. */
const lastWordsMs = 1_000;
/** Heartbeats for which a client may leave everything unread: while events come, and once nothing follows. */
const stalledHeartbeats = { following: 2, ended: 5 } as const;

/**
 * One answer that is a stream of events `next`, then `complete`. It reads its events no faster than its client, and cuts a client
 * off that does not read.
 */
export class ResultStream {
  readonly #response: ServerResponse;
  readonly #log: Log;
  readonly #heartbeat: NodeJS.Timeout;
  #events: AsyncIterator<ExecutionResult, void> | undefined;
  #ended = false;
  #stalled = 0;

  /** @param atEnd called once, when the stream is over, whoever ended it */
  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    log: Log,
    atEnd: (stream: ResultStream) => void,
    heartbeatMs = defaultHeartbeatMs,
  ) {
    this.#response = response;
    this.#log = log;
    response.statusCode = 200;
    response.setHeader('content-type', 'text/event-stream; charset=utf-8');
    response.setHeader('cache-control', 'no-cache, no-transform');
    response.setHeader('x-accel-buffering', 'no');
    response.flushHeaders();
    this.#heartbeat = setInterval(() => this.#beat(), heartbeatMs).unref();
    response.on('error', (error) => log.debug({ err: error }, 'a stream of GraphQL failed'));
    response.once('close', () => {
      clearInterval(this.#heartbeat);
      this.#stop();
      atEnd(this);
    });
    if (request.method === 'HEAD') this.end();
  }

  /** Send one result and end. */
  tell(result: ExecutionResult): void {
    void this.#next(plainResult(result, this.#log));
    this.#complete();
  }

  /** Say why nothing ran, and end. */
  refuse(refused: RequestRefused): void {
    void this.#next({ errors: formatErrors(refused.errors, this.#log) });
    this.#complete();
  }

  /** Send events until they end or the client goes. Never rejects. */
  async follow(events: AsyncIterator<ExecutionResult, void>): Promise<void> {
    this.#events = events;
    try {
      for (;;) {
        // The client may have gone before there was anything to end.
        if (this.#ended) return void (await events.return?.());
        const event = await events.next();
        if (event.done === true) break;
        await this.#next(plainResult(event.value, this.#log));
      }
    } catch (error) {
      await this.#next({ errors: formatFailure(error, this.#log) });
    }
    this.#complete();
  }

  /** End without `complete`: the client comes again. */
  end(): void {
    if (!this.#ended) this.#response.end();
    this.#stop();
    const cut = setTimeout(() => this.#response.destroy(), lastWordsMs);
    this.#response.once('close', () => clearTimeout(cut));
  }

  #beat(): void {
    const response = this.#response;
    if (this.#ended ? response.writableFinished : !response.writableNeedDrain) {
      this.#stalled = 0;
      if (!this.#ended) response.write(':\n\n');
      return;
    }
    this.#stalled += 1;
    if (this.#stalled < (this.#ended ? stalledHeartbeats.ended : stalledHeartbeats.following)) return;
    this.#log.warn('a client of GraphQL did not read: cut off');
    response.destroy();
  }

  async #next(result: object): Promise<void> {
    if (this.#ended) return;
    if (this.#response.write(`event: next\ndata: ${JSON.stringify(result)}\n\n`)) return;
    await new Promise<void>((resolve) => {
      const go = (): void => {
        this.#response.off('drain', go);
        this.#response.off('close', go);
        resolve();
      };
      this.#response.on('drain', go);
      this.#response.on('close', go);
    });
  }

  #complete(): void {
    if (!this.#ended) this.#response.end('event: complete\ndata:\n\n');
    this.#stop();
  }

  /** Nothing is written from now on. */
  #stop(): void {
    this.#ended = true;
    this.#events
      ?.return?.()
      .catch((error: unknown) => this.#log.error({ err: error }, 'a stream of GraphQL did not end'));
  }
}
