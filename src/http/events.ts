/** What happens in the host, as server-sent events. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Log, LogRecord } from '../base/log.js';
import type { HostEvent } from '../host/journal.js';
import { Feed } from './feed.js';

/** Tells every event to every client that listens, and the last 1,000 of them to one that comes back. */
export class EventFeed {
  readonly #feed: Feed<undefined>;

  /** @param log asked when there is something to say: the log may tell this feed what is said in it */
  constructor(log: () => Log) {
    this.#feed = new Feed({ name: 'events', kept: { count: 1000, bytes: 4 * 1024 * 1024 }, log });
  }

  tellEvent(event: HostEvent): void {
    this.#feed.tell(event.type, event, undefined);
  }

  tellLog({ level, message, fields }: LogRecord): void {
    this.#feed.tell('log', { ...fields, level, message }, undefined);
  }

  /** Answer a request with the stream. It ends when the client goes, does not read, or the feed is closed. */
  serve(request: IncomingMessage, response: ServerResponse): void {
    this.#feed.serve(request, response);
  }

  /** End every stream; no other begins. */
  close(): void {
    this.#feed.close();
  }
}
