/** What happens, as server-sent events: to every client that listens, and for a while to who comes back. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createEventBuffer } from 'better-sse';
import { TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import { sendError } from './problem.js';

/** One of them, as it is told. */
export interface Told<Tags> {
  readonly number: number;
  readonly type: string;
  /** ISO 8601. */
  readonly at: string;
  /** JSON of an object. */
  readonly text: string;
  /** By what clients choose. */
  readonly tags: Tags;
}

export interface FeedOptions {
  /** What clients listen to, for the log. */
  name: string;
  /** How many are kept, and how many bytes of them. */
  kept: { count: number; bytes: number };
  /** Asked when there is something to say: the log may tell this feed what is said in it. */
  log: () => Log;
}

/** What one client wants. */
export interface Wanted<Tags> {
  /** All by default. */
  chooses?: (told: Told<Tags>) => boolean;
  /** Comes first for a client that is no known one, behind an event `gap` when it is too much to be sent at once: the last of it then. */
  first?: readonly Told<Tags>[];
}

/** Of what a client is sent at once when it comes, bytes: it must leave room before `unsentLimit`. */
const resumeLimit = 512 * 1024;
/** Of one, characters; of one that is longer its long fields are cut. */
const oneLimit = 32 * 1024;
const fieldLimit = 1024;
const unsentLimit = 1024 * 1024;
const heartbeatMs = 15_000;
const retryMs = 2_000;
/** For the end of a stream to reach its client. */
const lastWordsMs = 1_000;

/**
 * A client that comes back with `Last-Event-ID` gets what it missed of what is kept; when that is not all, an event `gap` comes first.
 * One that does not read is cut off once 1 MiB waits.
 */
export class Feed<Tags> {
  readonly #options: FeedOptions;
  readonly #clients = new Map<ServerResponse, (told: Told<Tags>) => boolean>();
  readonly #kept: Told<Tags>[] = [];
  /** Ids of another life of the host are none of this one. */
  readonly #life = Date.now().toString(36);
  #bytes = 0;
  #last = 0;
  #heartbeat: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: FeedOptions) {
    this.#options = options;
  }

  /** The oldest first. */
  get kept(): readonly Told<Tags>[] {
    return this.#kept;
  }

  tell(type: string, data: object, tags: Tags, at = new Date().toISOString()): void {
    const whole = safeJson({ ...data, type, at });
    const text = whole.length <= oneLimit ? whole : safeJson({ ...shortened(data), type, at, cut: true });
    const told = { number: ++this.#last, type, at, text, tags };
    const { count, bytes } = this.#options.kept;
    this.#kept.push(told);
    this.#bytes += text.length;
    while (this.#kept.length > count || this.#bytes > bytes) this.#bytes -= this.#kept.shift()?.text.length ?? 0;
    if (this.#clients.size > 0) this.#send(this.#frame(told), told);
  }

  /** Answer a request with the stream. It ends when the client goes, does not read, or the feed is closed. */
  serve(request: IncomingMessage, response: ServerResponse, wanted: Wanted<Tags> = {}): void {
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
    const { chooses = () => true } = wanted;
    const begin = createEventBuffer().retry(retryMs).dispatch().read();
    response.write(begin + this.#missed(request.headers['last-event-id'], { ...wanted, chooses }) + this.#place());
    this.#clients.set(response, chooses);
    response.once('close', () => this.#leave(response));
    this.#heartbeat ??= setInterval(
      () => this.#send(createEventBuffer().comment().dispatch().read()),
      heartbeatMs,
    ).unref();
  }

  /** End every stream; no other begins. */
  close(): void {
    this.#closed = true;
    for (const response of this.#clients.keys()) {
      this.#leave(response);
      response.end();
      // Whoever does not read does not hold the server open.
      const cut = setTimeout(() => response.destroy(), lastWordsMs);
      response.once('close', () => clearTimeout(cut));
    }
  }

  #send(text: string, told?: Told<Tags>): void {
    let slow = 0;
    for (const [response, chooses] of this.#clients) {
      if (told !== undefined && !chooses(told)) continue;
      if (response.writableLength <= unsentLimit) response.write(text);
      else {
        slow += 1;
        this.#leave(response);
        response.destroy();
      }
    }
    // Said after the round, for it is told to the clients as well.
    if (slow > 0)
      this.#options
        .log()
        .warn({ clients: slow, limit: unsentLimit }, `a client of the ${this.#options.name} did not read: cut off`);
  }

  #leave(response: ServerResponse): void {
    this.#clients.delete(response);
    if (this.#clients.size > 0) return;
    clearInterval(this.#heartbeat);
    this.#heartbeat = undefined;
  }

  /** What came after the event `id`, as far as it is kept; `first` for whoever comes for the first time. */
  #missed(
    id: string | string[] | undefined,
    { chooses, first: all = [] }: Required<Pick<Wanted<Tags>, 'chooses'>> & Wanted<Tags>,
  ): string {
    if (id === undefined || id === '') return this.#lastOf(all);
    const [, life, digits] = /^(\w+)-(\d{1,15})$/.exec(String(id)) ?? [];
    const known = life === this.#life && Number(digits) <= this.#last;
    const seen = known ? Number(digits) : 0;
    const frames: string[] = [];
    let first = this.#last + 1;
    let size = 0;
    for (const told of this.#kept.toReversed()) {
      if (told.number <= seen) break;
      if (chooses(told)) {
        const frame = this.#frame(told);
        size += Buffer.byteLength(frame);
        if (size > resumeLimit) break;
        frames.unshift(frame);
      }
      first = told.number;
    }
    const missed = known ? first - seen - 1 : null;
    return missed === 0 ? frames.join('') : this.#gap(first - 1, missed) + frames.join('');
  }

  #lastOf(all: readonly Told<Tags>[]): string {
    const frames: string[] = [];
    let size = 0;
    for (const told of all.toReversed()) {
      const frame = this.#frame(told);
      size += Buffer.byteLength(frame);
      if (size > resumeLimit) break;
      frames.unshift(frame);
    }
    const missed = all.length - frames.length;
    const number = all[missed - 1]?.number;
    return number === undefined ? frames.join('') : this.#gap(number, missed) + frames.join('');
  }

  /** @param missed how many are not sent; null: of another life of the host, nobody knows */
  #gap(number: number, missed: number | null): string {
    const at = new Date().toISOString();
    return this.#frame({ number, type: 'gap', text: JSON.stringify({ missed, type: 'gap', at }) });
  }

  /** Where it stands, and nothing that has happened: whoever comes back before anything does has missed what does meanwhile. */
  #place(): string {
    return createEventBuffer().id(`${this.#life}-${this.#last}`).dispatch().read();
  }

  #frame({ number, type, text }: Pick<Told<Tags>, 'number' | 'type' | 'text'>): string {
    return createEventBuffer({ serializer: String })
      .event(type)
      .id(`${this.#life}-${number}`)
      .data(text)
      .dispatch()
      .read();
  }
}

function shortened(data: object): object {
  const cut = (value: unknown): unknown => {
    const text = typeof value === 'string' ? value : safeJson(value);
    return text === undefined || text.length <= fieldLimit ? value : text.slice(0, fieldLimit);
  };
  const fields = Object.entries(data).slice(0, 16);
  return Object.fromEntries(fields.map(([name, value]: [string, unknown]) => [name, cut(value)]));
}

/** What a record holds may be anything. */
function safeJson(data: unknown): string {
  try {
    return JSON.stringify(data, (_name, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
  } catch (error) {
    return JSON.stringify({ unreadable: error instanceof Error ? error.message : String(error) });
  }
}
