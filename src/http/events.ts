/** What happens in the host, as server-sent events. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createEventBuffer } from 'better-sse';
import { TenonError } from '../base/errors.js';
import type { Log, LogRecord } from '../base/log.js';
import type { HostEvent } from '../host/journal.js';
import { sendError } from './problem.js';

interface Kept {
  readonly number: number;
  readonly type: string;
  /** ISO 8601. */
  readonly at: string;
  readonly data: object;
}

const keptEvents = 1000;
/** Of what a client that comes back is sent at once, bytes: it must leave room before `unsentLimit`. */
const resumeLimit = 512 * 1024;
const unsentLimit = 1024 * 1024;
const heartbeatMs = 15_000;
const retryMs = 2_000;
/** For the end of a stream to reach its client. */
const lastWordsMs = 1_000;

/**
 * Tells every event to every client that listens. A client that comes back with `Last-Event-ID` gets what it missed of
 * the last 1,000 events; when that is not all, an event `gap` comes first. One that does not read is cut off once 1 MiB waits.
 */
export class EventFeed {
  readonly #log: () => Log;
  readonly #clients = new Set<ServerResponse>();
  readonly #kept: Kept[] = [];
  /** Ids of another life of the host are none of this one. */
  readonly #life = Date.now().toString(36);
  #last = 0;
  #heartbeat: NodeJS.Timeout | undefined;
  #closed = false;

  /** @param log asked when there is something to say: the log may tell this feed what is said in it */
  constructor(log: () => Log) {
    this.#log = log;
  }

  tellEvent(event: HostEvent): void {
    this.#tell(event.type, event);
  }

  tellLog(record: LogRecord): void {
    const { level, message, fields } = record;
    this.#tell('log', { ...fields, level, message });
  }

  /** Answer a request with the stream. It ends when the client goes, does not read, or the feed is closed. */
  serve(request: IncomingMessage, response: ServerResponse): void {
    if (this.#closed) {
      const next = 'ask the next host';
      sendError(request, response, new TenonError('HostClosing', 'the host is shutting down', { next }));
      return;
    }
    response.setHeader('content-type', 'text/event-stream');
    response.setHeader('cache-control', 'no-store, no-transform');
    response.setHeader('x-accel-buffering', 'no');
    if (request.method === 'HEAD') {
      response.end();
      return;
    }
    response.write(
      createEventBuffer().retry(retryMs).dispatch().read() + this.#missed(request.headers['last-event-id']),
    );
    this.#clients.add(response);
    response.once('close', () => this.#leave(response));
    this.#heartbeat ??= setInterval(
      () => this.#send(createEventBuffer().comment().dispatch().read()),
      heartbeatMs,
    ).unref();
  }

  /** End every stream; no other begins. */
  close(): void {
    this.#closed = true;
    for (const response of this.#clients) {
      this.#leave(response);
      response.end();
      // Whoever does not read does not hold the server open.
      const cut = setTimeout(() => response.destroy(), lastWordsMs);
      response.once('close', () => clearTimeout(cut));
    }
  }

  #tell(type: string, data: object): void {
    const kept = { number: ++this.#last, type, at: new Date().toISOString(), data };
    this.#kept.push(kept);
    if (this.#kept.length > keptEvents) this.#kept.shift();
    if (this.#clients.size > 0) this.#send(this.#frame(kept));
  }

  #send(text: string): void {
    let slow = 0;
    for (const response of this.#clients) {
      if (response.writableLength <= unsentLimit) response.write(text);
      else {
        slow += 1;
        this.#leave(response);
        response.destroy();
      }
    }
    // Said after the round, for it is told to the clients as well.
    if (slow > 0)
      this.#log().warn({ clients: slow, limit: unsentLimit }, 'a client of the events did not read: cut off');
  }

  #leave(response: ServerResponse): void {
    this.#clients.delete(response);
    if (this.#clients.size > 0) return;
    clearInterval(this.#heartbeat);
    this.#heartbeat = undefined;
  }

  /** What came after the event `id`, as far as it is kept; nothing for whoever comes for the first time. */
  #missed(id: string | string[] | undefined): string {
    if (id === undefined || id === '') return '';
    const [, life, digits] = /^(\w+)-(\d{1,15})$/.exec(String(id)) ?? [];
    const known = life === this.#life && Number(digits) <= this.#last;
    const seen = known ? Number(digits) : 0;
    const frames: string[] = [];
    let first = this.#last + 1;
    let size = 0;
    for (const kept of this.#kept.toReversed()) {
      if (kept.number <= seen) break;
      const frame = this.#frame(kept);
      size += Buffer.byteLength(frame);
      if (size > resumeLimit) break;
      frames.unshift(frame);
      first = kept.number;
    }
    const missed = known ? first - seen - 1 : null;
    if (missed === 0) return frames.join('');
    const gap = { number: first - 1, type: 'gap', at: new Date().toISOString(), data: { missed } };
    return [this.#frame(gap), ...frames].join('');
  }

  #frame({ number, type, at, data }: Kept): string {
    return createEventBuffer({ serializer: safeJson })
      .event(type)
      .id(`${this.#life}-${number}`)
      .data({ ...data, type, at })
      .dispatch()
      .read();
  }
}

/** What a record holds may be anything. */
function safeJson(data: unknown): string {
  try {
    return JSON.stringify(data, (_name, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
  } catch (error) {
    return JSON.stringify({ unreadable: error instanceof Error ? error.message : String(error) });
  }
}
