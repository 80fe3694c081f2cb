/** One writer among several, with keys of its own: it knows what was acknowledged, and what it waits for. */
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import type { Random } from './random.js';

export type Row = Record<string, unknown>;

/** `record` is undefined when it goes. */
export interface Change {
  table: 'Task' | 'Entry';
  key: string;
  record: Row | undefined;
}

export const states = ['open', 'done', 'late'];

export const placeOf = ({ table, key }: Pick<Change, 'table' | 'key'>): string => `${table}/${key}`;

/** What is at each place, `Task/1`, as JSON. */
export type Contents = ReadonlyMap<string, string>;

interface Request {
  method: string;
  target: string;
  body?: string;
  type?: string;
  good: (status: number, answer: string) => boolean;
}

const keyCount = 24;

export abstract class Lane {
  readonly name: string;
  protected readonly random: Random;
  readonly #records = new Map<string, Row>();
  #pending: readonly Change[] = [];
  #stamp = 0;
  /** Changes that became true since they were taken, in their order. */
  #changes: Change[] = [];
  acknowledged = 0;

  constructor(name: string, random: Random) {
    this.name = name;
    this.random = random;
  }

  /** Write one after the other until the host does not answer any more. */
  async run(url: string): Promise<void> {
    for (;;) {
      const [changes, request] = this.next();
      this.#pending = changes;
      const reply = await send(url, request);
      if (reply === undefined) return;
      assert.ok(request.good(reply.status, reply.text), `${request.method} ${request.target}: ${reply.text}`);
      this.#confirm();
      this.acknowledged += 1;
    }
  }

  /** Compare with what is stored: all that was acknowledged, and the write that was not as a whole or not at all. */
  settle(stored: Contents): void {
    const mine = new Map([...stored].filter(([place]) => this.#owns(place)));
    const after = new Map(this.#records);
    apply(after, this.#pending);
    if (isDeepStrictEqual(mine, written(after))) this.#confirm();
    else assert.deepEqual(mine, written(this.#records));
    this.#pending = [];
  }

  takeChanges(): Change[] {
    const changes = this.#changes;
    this.#changes = [];
    return changes;
  }

  protected abstract next(): [Change[], Request];

  protected record(table: Change['table'], key: string): Row | undefined {
    return this.#records.get(placeOf({ table, key }));
  }

  protected key(): string {
    return `${this.name}-${this.random.below(keyCount)}`;
  }

  protected keys(count: number): string[] {
    const first = this.random.below(keyCount);
    return Array.from({ length: count }, (_, index) => `${this.name}-${(first + index) % keyCount}`);
  }

  /** A record that no other write has made. */
  protected row(id: string): Row {
    const row = { id, title: this.title(), state: this.random.one([...states, null]), rank: this.random.below(9) };
    return this.random.below(8) > 0 ? row : { ...row, padding: 'x'.repeat(this.random.below(5000)) };
  }

  protected title(): string {
    return `${this.name} ${(this.#stamp += 1)}`;
  }

  #owns(place: string): boolean {
    return place.split('/')[1]?.startsWith(`${this.name}-`) === true;
  }

  #confirm(): void {
    apply(this.#records, this.#pending);
    this.#changes.push(...this.#pending);
    this.#pending = [];
  }
}

/** Writes over REST, one record or several at once. */
export class RestLane extends Lane {
  protected next(): [Change[], Request] {
    const table = this.random.one(['Task', 'Entry'] as const);
    const list = `/tables/${table}`;
    const what = this.random.below(10);
    if (what === 0) {
      const rows = this.keys(1 + this.random.below(9)).map((key) => this.row(key));
      const request = { method: 'POST', target: `${list}?mode=upsert`, type: 'application/x-ndjson' };
      const body = rows.map((row) => JSON.stringify(row)).join('\n');
      return [rows.map((record) => ({ table, key: String(record['id']), record })), { ...request, body, good: isOk }];
    }
    const key = this.key();
    const target = `${list}/${key}`;
    const before = this.record(table, key);
    if (before !== undefined && what < 3)
      return [[{ table, key, record: undefined }], { method: 'DELETE', target, good: isOk }];
    if (before !== undefined && what < 6) {
      const patch = { title: this.title(), state: this.random.one(states) };
      const record = { ...before, ...patch };
      return [[{ table, key, record }], { method: 'PATCH', target, body: JSON.stringify(patch), good: isOk }];
    }
    const record = this.row(key);
    return [[{ table, key, record }], { method: 'PUT', target, body: JSON.stringify(record), good: isOk }];
  }
}

/** Writes in the code of a plugin: the same records of two tables, together. */
export class PluginLane extends Lane {
  protected next(): [Change[], Request] {
    const lines: string[] = [];
    const changes: Change[] = [];
    for (const key of this.keys(1 + this.random.below(5))) {
      const there = this.record('Task', key);
      const what = this.random.below(4);
      const patch = { title: this.title() };
      const record = there === undefined || what > 1 ? this.row(key) : what === 0 ? undefined : { ...there, ...patch };
      for (const table of ['Task', 'Entry'] as const) {
        if (record === undefined) lines.push(`remove ${table} ${key}`);
        else if (there !== undefined && what === 1) lines.push(`patch ${table} ${key} ${JSON.stringify(patch)}`);
        else lines.push(`put ${table} ${JSON.stringify(record)}`);
        changes.push({ table, key, record });
      }
    }
    const target = '/tables/pool?op=batch&table=Task';
    const good = (status: number, answer: string): boolean => status === 200 && answer === 'OK';
    return [changes, { method: 'POST', target, body: lines.join('\n'), type: 'text/plain', good }];
  }
}

const isOk = (status: number): boolean => status >= 200 && status < 300;

function apply(records: Map<string, Row>, changes: readonly Change[]): void {
  for (const change of changes)
    if (change.record === undefined) records.delete(placeOf(change));
    else records.set(placeOf(change), change.record);
}

function written(records: ReadonlyMap<string, Row>): Contents {
  return new Map([...records].map(([place, record]) => [place, JSON.stringify(record)]));
}

/** Undefined when the host went away before it had answered. */
async function send(url: string, request: Request): Promise<{ status: number; text: string } | undefined> {
  const { method, target, body, type = 'application/json' } = request;
  const init = body === undefined ? { method } : { method, body, headers: { 'content-type': type } };
  try {
    const reply = await fetch(url + target, init);
    return { status: reply.status, text: await reply.text() };
  } catch {
    return undefined;
  }
}
