/** Tables of a test in a store of their own, served over REST. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { silentLog } from '../../src/base/log.js';
import type { Store, TableDefinition } from '../../src/binding/store.js';
import { openAccess } from '../../src/http/access.js';
import { RestTables } from '../../src/http/rest.js';
import { pathOf } from '../../src/http/router.js';
import type { ServedTable } from '../../src/tables/served.js';
import { type TemporaryStore, temporaryStore } from './temporary-store.js';

export interface Reply {
  status: number;
  headers: Headers;
  text: string;
  /** Of an answer in JSON. */
  json: unknown;
}

/** Bytes of body that the tables of a test take. */
export const bodyLimit = 4 * 1024 * 1024;

export class RestWorld {
  readonly server: Server;
  readonly #kept: TemporaryStore;
  readonly #tables: ReadonlyMap<string, ServedTable>;
  #url = '';

  private constructor(kept: TemporaryStore, tables: ReadonlyMap<string, ServedTable>) {
    this.#kept = kept;
    this.#tables = tables;
    const rest = new RestTables({ store: kept.store, log: silentLog(), bodyLimit });
    this.server = createServer((request, response) => {
      const [, prefix, name = '', key] = pathOf(request.url ?? '').split('/');
      const table = tables.get(name);
      if (prefix !== 'todo' || table === undefined) response.writeHead(404).end();
      else rest.handle(request, response, table, key === undefined ? undefined : decodeURIComponent(key), openAccess);
    });
  }

  static async open(definitions: readonly TableDefinition[]): Promise<RestWorld> {
    const kept = await temporaryStore();
    const tables = new Map<string, ServedTable>();
    for (const definition of definitions) {
      const number = await kept.store.define(definition);
      const exports = { rest: true, graphql: false, sse: false, ws: false };
      tables.set(definition.name, {
        application: 'todo',
        number,
        schema: { definition, exports, fields: [], relationships: [] },
        definition: kept.store.definition(number),
      });
    }
    const world = new RestWorld(kept, tables);
    world.server.listen(0, '127.0.0.1');
    await once(world.server, 'listening');
    world.#url = `http://127.0.0.1:${(world.server.address() as AddressInfo).port}/todo`;
    return world;
  }

  get store(): Store {
    return this.#kept.store;
  }

  /** Where the tables are: `/Task` goes behind it. */
  get url(): string {
    return this.#url;
  }

  /** A request; a body that is no text is sent as JSON, and as `application/json` unless the headers say otherwise. */
  async ask(method: string, target: string, body?: unknown, headers: Record<string, string> = {}): Promise<Reply> {
    const init =
      body === undefined
        ? { headers }
        : {
            body: typeof body === 'string' ? body : JSON.stringify(body),
            headers: { 'content-type': 'application/json', ...headers },
          };
    const reply = await fetch(this.#url + target, { method, ...init });
    const text = await reply.text();
    const isJson = ['application/json', 'application/problem+json'].includes(reply.headers.get('content-type') ?? '');
    return {
      status: reply.status,
      headers: reply.headers,
      text,
      json: isJson && text !== '' ? JSON.parse(text) : undefined,
    };
  }

  /** Take all records out of all tables. */
  async clear(): Promise<void> {
    for (const { number, definition } of this.#tables.values()) {
      for (let more = true; more; ) {
        const page = await this.store.query(number, { limit: 10_000, fields: [definition.primaryKey] });
        const records = JSON.parse(page.json.toString()) as Record<string, unknown>[];
        const keys = records.map((record) => String(record[definition.primaryKey]));
        await this.store.write(keys.map((key) => ({ table: number, kind: 'remove', key })));
        more = page.more;
      }
    }
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await this.#kept.remove();
  }
}
