/** One client of changes on its WebSocket: what it asks, what it is told. */
import type { RawData, WebSocket } from 'ws';
import { asTenonError, describeError, TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { TableWrite, TableWritten } from '../binding/store.js';
import type { ServedTable } from '../tables/served.js';
import type { Access } from './access.js';
import { clientError } from './client-error.js';
import { type ClientMessage, type MessageId, readMessage } from './change-message.js';
import { refuseGone, withoutGone } from './gone-members.js';
import { forbiddenBy, permitted, requireKind } from './permitted-write.js';
import { type ChangeSource, type ChangeWish, type Told, tellChanges } from './told-changes.js';

export interface ConversationOptions extends ChangeSource {
  socket: WebSocket;
  served: ServedTable;
  /** The one record it is about. */
  key: string | undefined;
  access: Access;
  log: Log;
  messagesPerSecond: number;
}

type Subscribe = Extract<ClientMessage, { type: 'subscribe' }>;

const closeCodes = { notText: 1003, policy: 1008, tooSlow: 1013 } as const;
const subscriptionLimit = 32;
/** Writes that wait before no more is read of the socket. */
const writeLimit = 16;
/** Unsent bytes up to which changes are sent without waiting. */
const pacedBytes = 64 * 1024;
/** Unsent bytes at which a client that asks on and does not read is closed. */
const unsentLimit = 1024 * 1024;
/** For the last words to reach the client. */
const lastWordsMs = 1_000;

/** By which REST does what a message does. */
export const writeMethods: readonly string[] = ['POST', 'PUT', 'PATCH', 'DELETE'];

/** Speaks JSON, one object in a message. Writes of one client are done one after another. */
export class ChangeConversation {
  readonly #options: ConversationOptions;
  readonly #socket: WebSocket;
  readonly #subscriptions = new Map<MessageId, AbortController>();
  readonly #positions = new Map<MessageId, () => string>();
  readonly #allowance: Allowance;
  #writing: Promise<void> = Promise.resolve();
  #writes = 0;
  #answered = true;
  #leaving: Promise<void> | undefined;

  constructor(options: ConversationOptions) {
    this.#options = options;
    this.#socket = options.socket;
    this.#allowance = new Allowance(options.messagesPerSecond);
    const { socket } = options;
    socket.on('message', (data, binary) => this.#hear(data, binary));
    socket.on('ping', () => this.#allowed());
    socket.on('pong', () => {
      this.#answered = this.#allowed();
    });
    socket.on('error', (error) => options.log.debug({ err: error }, 'a socket of changes has failed')); // its end follows
    socket.once('close', () => {
      for (const stop of this.#subscriptions.values()) stop.abort();
    });
  }

  get served(): ServedTable {
    return this.#options.served;
  }

  /** Ask whether the client is there; end it when the last question was not answered. */
  ping(): void {
    if (!this.#answered) {
      this.#socket.terminate();
      return;
    }
    this.#answered = false;
    this.#socket.ping();
    // What a client would come back with does not grow old while nothing is told.
    for (const [id, position] of this.#positions) this.#say({ type: 'position', id, resume: position() });
  }

  /** Answer the writes under way, then close. Settles once the socket is closed. */
  leave(code: number, reason: string): Promise<void> {
    this.#leaving ??= this.#leave(code, reason);
    return this.#leaving;
  }

  async #leave(code: number, reason: string): Promise<void> {
    const { readyState, CLOSED } = this.#socket;
    if (readyState === CLOSED) return;
    const closed = new Promise<void>((resolve) => void this.#socket.once('close', () => resolve()));
    for (const stop of this.#subscriptions.values()) stop.abort();
    await this.#writing;
    this.#socket.resume();
    this.#socket.close(code, reason);
    const cut = setTimeout(() => this.#socket.terminate(), lastWordsMs);
    await closed;
    clearTimeout(cut);
  }

  /** Whether one more message is within what a client may send; if not, it is closed. */
  #allowed(): boolean {
    if (this.#allowance.take()) return true;
    void this.leave(closeCodes.policy, 'too many messages');
    return false;
  }

  #hear(data: RawData, binary: boolean): void {
    if (this.#leaving !== undefined || !this.#allowed()) return;
    if (binary) {
      void this.leave(closeCodes.notText, 'messages are text');
      return;
    }
    const message = readMessage((data as Buffer).toString());
    switch (message.type) {
      case 'ping':
        this.#say({ type: 'pong', ...withId(message.id) });
        break;
      case 'invalid':
        this.#refuse(message.id, message.problem);
        break;
      case 'subscribe':
        this.#subscribe(message);
        break;
      case 'unsubscribe':
        this.#subscriptions.get(message.id)?.abort();
        this.#forget(message.id);
        this.#say({ type: 'unsubscribed', id: message.id });
        break;
      case 'write':
        this.#queue(message.id, message.write);
        break;
    }
  }

  #subscribe({ id, from, key, filter, snapshot }: Subscribe): void {
    try {
      this.#options.access.demand(this.#options.served, 'read');
      if (this.#subscriptions.has(id)) throw badRequest(`the subscription ${JSON.stringify(id)} is there already`);
      if (this.#subscriptions.size >= subscriptionLimit)
        throw badRequest(`there are ${subscriptionLimit} subscriptions on this socket already`);
      const one = this.#keyOf(key);
      const wish: ChangeWish = {
        snapshot,
        ...(from === undefined ? {} : { from }),
        ...(filter === undefined ? {} : { filter }),
        ...(one === undefined ? {} : { key: one }),
      };
      void this.#tell(id, wish);
    } catch (error) {
      this.#refuse(id, error);
    }
  }

  async #tell(id: MessageId, wish: ChangeWish): Promise<void> {
    const stop = new AbortController();
    const { signal } = stop;
    this.#subscriptions.set(id, stop);
    const begun = (position: () => string): void => {
      if (!signal.aborted) this.#positions.set(id, position);
    };
    const tooSlow = (): void => void this.leave(closeCodes.tooSlow, 'the client does not read');
    try {
      for await (const told of tellChanges(this.#options, this.#options.served, wish, { signal, tooSlow, begun })) {
        if (signal.aborted) break;
        await this.#sendPaced(worded(id, told));
      }
    } catch (error) {
      if (!signal.aborted) this.#refuse(id, error);
    } finally {
      if (this.#subscriptions.get(id) === stop) this.#forget(id);
    }
  }

  #forget(id: MessageId): void {
    this.#subscriptions.delete(id);
    this.#positions.delete(id);
  }

  #queue(id: MessageId, write: Omit<TableWrite, 'table'>): void {
    this.#writes += 1;
    if (this.#writes >= writeLimit) this.#socket.pause();
    this.#writing = this.#writing.then(async () => {
      await this.#write(id, write);
      this.#writes -= 1;
      if (this.#writes < writeLimit) this.#socket.resume();
    });
  }

  async #write(id: MessageId, write: Omit<TableWrite, 'table'>): Promise<void> {
    const { store, served } = this.#options;
    try {
      const key = this.#keyOf(write.key);
      const access = this.#options.access.by(methodOf(write.kind, key));
      requireKind(access, served, write.kind);
      if (write.json !== undefined) refuseGone(write.json, served.definition, served.gone);
      const whole = { ...write, table: served.number, ...(key === undefined ? {} : { key }) };
      const allowed = permitted(access, served, whole);
      const [written] = (await store.write([allowed.write])) as [TableWritten];
      const refusal = forbiddenBy(access, served, allowed, written);
      if (refusal !== undefined) throw refusal;
      this.#send(answerOf(id, access.may(served, 'read') ? written : withoutRecord(written), served));
    } catch (error) {
      this.#refuse(id, error);
    }
  }

  /** A socket of one record is about no other. */
  #keyOf(given: string | undefined): string | undefined {
    const { key } = this.#options;
    if (key !== undefined && given !== undefined && given !== key)
      throw badRequest(`this socket is about ${JSON.stringify(key)}, not about ${JSON.stringify(given)}`);
    return key ?? given;
  }

  #refuse(id: MessageId | undefined, error: unknown): void {
    const known = asTenonError(error);
    const told = clientError(known);
    const { code, details } = told;
    if (code === 'Internal' || told !== known)
      this.#options.log.error({ code, err: error }, 'a message to a table could not be answered');
    this.#say({ type: 'error', ...withId(id), error: code, message: describeError(told), details });
  }

  #say(answer: object): void {
    this.#send(JSON.stringify(answer));
  }

  #send(text: string): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    this.#socket.send(text);
    if (this.#socket.bufferedAmount > unsentLimit) void this.leave(closeCodes.tooSlow, 'the client does not read');
  }

  /** Changes wait in the queue of their subscription rather than here. */
  async #sendPaced(text: string): Promise<void> {
    const socket = this.#socket;
    if (socket.readyState !== socket.OPEN) return;
    if (socket.bufferedAmount <= pacedBytes) socket.send(text);
    else await new Promise<void>((resolve) => socket.send(text, () => resolve()));
  }
}

/** So many messages a second, twice as many at once. */
class Allowance {
  readonly #perSecond: number;
  #left: number;
  #at = performance.now();

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
    this.#left = perSecond * 2;
  }

  take(): boolean {
    const now = performance.now();
    this.#left = Math.min(this.#perSecond * 2, this.#left + ((now - this.#at) / 1000) * this.#perSecond);
    this.#at = now;
    this.#left -= 1;
    return this.#left >= 0;
  }
}

/** Which of {@link writeMethods} a message stands for. */
function methodOf(kind: TableWrite['kind'], key: string | undefined): string {
  if (kind === 'patch') return 'PATCH';
  if (kind === 'remove') return 'DELETE';
  return key === undefined ? 'POST' : 'PUT';
}

function withId(id: MessageId | undefined): { id?: MessageId } {
  return id === undefined ? {} : { id };
}

function badRequest(message: string): TenonError {
  return new TenonError('BadRequest', message);
}

function worded(id: MessageId, told: Told): string {
  switch (told.kind) {
    case 'ready':
      return JSON.stringify({ type: 'ready', id, resume: told.resume, resumed: told.resumed });
    case 'reset':
      return JSON.stringify({ type: 'reset', id, reason: told.reason });
    case 'record':
      return withRecord({ type: 'put', id, key: told.key }, told.json);
    case 'change': {
      const { change, resume } = told;
      const { key, record } = change;
      if (change.removed || record === undefined) return JSON.stringify({ type: 'delete', id, resume, key });
      return withRecord({ type: 'put', id, resume, key, revision: record.revision }, record.json);
    }
  }
}

/** The record's own text stands in the message as it is. */
function withRecord(head: object, json: Buffer): string {
  return `${JSON.stringify(head).slice(0, -1)},"record":${json.toString()}}`;
}

/** For a client that may not read what it has written. */
function withoutRecord({ outcome, key, field, message }: TableWritten): TableWritten {
  return {
    outcome,
    key,
    ...(field === undefined ? {} : { field }),
    ...(message === undefined ? {} : { message }),
  };
}

function answerOf(id: MessageId, written: TableWritten, { definition, gone }: ServedTable): string {
  const { outcome, key, record } = written;
  const named = `${definition.name} ${JSON.stringify(key)}`;
  switch (outcome) {
    case 'created':
    case 'updated':
      return record === undefined
        ? JSON.stringify({ type: 'written', id, outcome, key })
        : withRecord({ type: 'written', id, outcome, key, revision: record.revision }, withoutGone(record.json, gone));
    case 'removed':
      return JSON.stringify({ type: 'written', id, outcome, key });
    case 'missing':
      throw new TenonError('RecordNotFound', `there is no ${named}`, { details: { key } });
    case 'exists':
      throw new TenonError('RecordExists', `there is a ${named} already`, { details: { key } });
    case 'precondition':
      throw new TenonError('PreconditionFailed', `${named} is not in the state the message asks for`, {
        details: { key },
      });
    case 'invalid': {
      const { field = '', message = 'the record is wrong' } = written;
      throw new TenonError('RecordInvalid', message, { details: { field } });
    }
    case 'undone':
      throw new TenonError('Internal', `${named} was not written`);
  }
}
