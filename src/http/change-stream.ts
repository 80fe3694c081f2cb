/** Changes of a table, or of one record, as server-sent events. */
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { asTenonError, describeError, TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { TableChange } from '../binding/store.js';
import type { ServedTable } from '../tables/served.js';
import type { Access } from './access.js';
import { readChangeWish } from './change-wish.js';
import { clientError } from './client-error.js';
import { sendError } from './problem.js';
import { type ChangeSource, type ChangeWish, clientLimit, type Told, tellChanges } from './told-changes.js';

export interface ChangeStreamOptions extends ChangeSource {
  log: Log;
  /** Between two comments that keep a silent connection open; 15,000 by default. A client that has not read for two of them is cut off. */
  heartbeatMs?: number;
  /** Streams at one time; 1,000 by default. One more is answered `TooManySubscribers`. */
  clients?: number;
}

interface Stream {
  readonly response: ServerResponse;
  readonly served: ServedTable;
  readonly stop: AbortController;
  /** Id of where the client stands, when all that was written has reached it. */
  position: (() => string) | undefined;
  /** Heartbeats since the client stopped reading. */
  stalled: number;
}

const defaultHeartbeatMs = 15_000;
const retryMs = 2_000;
/** For the end of a stream to reach its client. */
const lastWordsMs = 1_000;
const stalledHeartbeats = 2;

/** Streams of all tables of a host. */
export class ChangeStreams {
  readonly #options: ChangeStreamOptions;
  readonly #streams = new Set<Stream>();
  /** Changes as they are sent: the same bytes to everybody. */
  readonly #frames = new WeakMap<TableChange, Buffer>();
  #heartbeat: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: ChangeStreamOptions) {
    this.#options = options;
  }

  /** Streams under way. */
  get size(): number {
    return this.#streams.size;
  }

  /**
   * Answer a GET or HEAD with the changes of the table, or of the record with this key (percent-decoded). The stream ends when the
   * client goes or does not read, or by `end` and `close`.
   */
  handle(
    request: IncomingMessage,
    response: ServerResponse,
    served: ServedTable,
    key: string | undefined,
    access: Access,
  ): void {
    if (this.#closed) {
      endStream(response);
      return;
    }
    const { clients = clientLimit } = this.#options;
    let wish: ChangeWish;
    try {
      access.demand(served, 'read');
      if (this.#streams.size >= clients)
        throw new TenonError('TooManySubscribers', `${clients} clients follow changes already`, {
          next: 'try again later',
        });
      wish = readChangeWish(request, served, key);
    } catch (error) {
      access.explain(response, error);
      sendError(request, response, error);
      return;
    }
    const stream: Stream = { response, served, stop: new AbortController(), position: undefined, stalled: 0 };
    this.#streams.add(stream);
    this.#heartbeat ??= setInterval(() => this.#beat(), this.#options.heartbeatMs ?? defaultHeartbeatMs).unref();
    response.once('close', () => this.#leave(stream));
    void this.#tell(request, stream, served, wish);
  }

  /** End the streams that were begun with one of these very tables: their clients come again. */
  end(tables: readonly ServedTable[]): void {
    for (const stream of this.#streams) if (tables.includes(stream.served)) finish(stream);
  }

  /** End every stream; no other begins. Twice is fine. */
  close(): void {
    this.#closed = true;
    for (const stream of this.#streams) finish(stream);
  }

  async #tell(request: IncomingMessage, stream: Stream, served: ServedTable, wish: ChangeWish): Promise<void> {
    const { response, stop } = stream;
    const { signal } = stop;
    // Whoever does not read is not told why either.
    const tooSlow = (): void => {
      stop.abort();
      response.destroy();
    };
    const begun = (position: () => string): void => {
      stream.position = position;
    };
    try {
      for await (const told of tellChanges(this.#options, served, wish, { signal, tooSlow, begun })) {
        // What was on its way when the stream ended comes still.
        if (signal.aborted) return;
        if (!response.headersSent) begin(response);
        if (request.method === 'HEAD') break;
        if (!response.write(this.#frameOf(told))) await once(response, 'drain', { signal });
      }
      finish(stream);
    } catch (error) {
      if (signal.aborted) return;
      this.#fail(request, stream, error);
    }
  }

  #frameOf(told: Told): Buffer | string {
    if (told.kind !== 'change') return frame(told);
    const made = this.#frames.get(told.change) ?? Buffer.from(frame(told));
    this.#frames.set(told.change, made);
    return made;
  }

  #fail(request: IncomingMessage, stream: Stream, error: unknown): void {
    const { response } = stream;
    const known = asTenonError(error);
    const told = clientError(known);
    const { code } = told;
    const { application } = stream.served;
    if (response.headersSent || told !== known)
      this.#options.log.error({ code, application, err: error }, 'a stream of changes has failed');
    if (!response.headersSent) {
      sendError(request, response, told);
      return;
    }
    response.write(`event: error\ndata: ${JSON.stringify({ error: code, message: describeError(told) })}\n\n`);
    finish(stream);
  }

  #beat(): void {
    for (const stream of this.#streams) {
      const { response } = stream;
      if (!response.writableNeedDrain) {
        stream.stalled = 0;
        if (response.headersSent && !stream.stop.signal.aborted) response.write(beat(stream));
        continue;
      }
      stream.stalled += 1;
      if (stream.stalled < stalledHeartbeats) continue;
      this.#options.log.warn({ application: stream.served.application }, 'a client of changes did not read: cut off');
      response.destroy();
    }
  }

  #leave(stream: Stream): void {
    this.#streams.delete(stream);
    stream.stop.abort();
    if (this.#streams.size > 0) return;
    clearInterval(this.#heartbeat);
    this.#heartbeat = undefined;
  }
}

/** An id without data tells nothing and is still what the client will come back with: it does not grow old. */
function beat({ position }: Stream): string {
  return position === undefined ? ':\n\n' : `:\nid: ${position()}\n\n`;
}

/** Answer with a stream that is over: a browser that is refused never asks again; one whose stream ends comes to who serves then. */
export function endStream(response: ServerResponse): void {
  begin(response);
  response.end();
}

function begin(response: ServerResponse): void {
  response.setHeader('content-type', 'text/event-stream');
  response.setHeader('cache-control', 'no-cache, no-transform');
  response.setHeader('x-accel-buffering', 'no');
  response.write(`retry: ${retryMs}\n\n`);
}

function finish({ response, stop }: Stream): void {
  stop.abort();
  if (response.destroyed || response.writableEnded) return;
  // Browsers come again after the end of a stream, and never after anything else.
  if (!response.headersSent) begin(response);
  response.end();
  // Whoever does not read does not hold the server open.
  const cut = setTimeout(() => response.destroy(), lastWordsMs);
  response.once('close', () => clearTimeout(cut));
}

/** JSON of a record has no line breaks: they are escaped, and there is no other white space. */
function frame(told: Told): string {
  switch (told.kind) {
    case 'ready':
      return `event: ready\nid: ${told.resume}\ndata: ${JSON.stringify({ resumed: told.resumed })}\n\n`;
    case 'reset':
      return `event: reset\ndata: ${JSON.stringify({ reason: told.reason })}\n\n`;
    case 'record':
      return `event: put\ndata: ${withRecord(told.key, told.json)}\n\n`;
    case 'change': {
      const { change, resume } = told;
      const { key, record } = change;
      return record === undefined || change.removed
        ? `event: delete\nid: ${resume}\ndata: ${JSON.stringify({ key })}\n\n`
        : `event: put\nid: ${resume}\ndata: ${withRecord(key, record.json)}\n\n`;
    }
  }
}

function withRecord(key: string, json: Buffer): string {
  return `{"key":${JSON.stringify(key)},"record":${json.toString()}}`;
}
