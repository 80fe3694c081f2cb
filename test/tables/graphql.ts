/** GraphQL of a schema, served by a node:http server over a store that goes with it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { loadCore } from '../../src/binding/core.js';
import { openStore, type Store } from '../../src/binding/store.js';
import { openAccess } from '../../src/http/access.js';
import { GraphqlEndpoint, type GraphqlLimits, graphqlProtocol } from '../../src/http/graphql.js';
import { Upgrades } from '../../src/http/upgrade.js';
import { Changes } from '../../src/tables/changes.js';
import { readSchema } from '../../src/tables/schema.js';
import type { ServedTable } from '../../src/tables/served.js';

export interface GraphqlOptions {
  limits?: Partial<GraphqlLimits>;
  /** The store as the endpoint sees it. */
  watch?: (store: Store) => Store;
  /** Bytes of changes that may wait for one subscriber. */
  queueBytes?: number;
  heartbeatMs?: number;
}

export interface GraphqlAnswer {
  status: number;
  type: string;
  headers: Headers;
  text: string;
  body: { data?: unknown; errors?: { message: string; path?: unknown[]; extensions: Record<string, unknown> }[] };
}

export interface GraphqlServer {
  readonly url: string;
  readonly store: Store;
  readonly endpoint: GraphqlEndpoint;
  readonly changes: Changes;
  /** All there have been, in the order of their requests. */
  readonly responses: readonly ServerResponse[];
  readonly log: Record<string, unknown>[];
  readonly tables: readonly ServedTable[];
  /** Number of a table in the store. */
  number(table: string): number;
  ask(query: string, variables?: object, headers?: Record<string, string>): Promise<GraphqlAnswer>;
  send(init: RequestInit, search?: string): Promise<GraphqlAnswer>;
  close(): Promise<void>;
}

async function answerOf(response: Response): Promise<GraphqlAnswer> {
  const text = await response.text();
  const type = response.headers.get('content-type') ?? '';
  const body = type.includes('json') && text !== '' ? (JSON.parse(text) as GraphqlAnswer['body']) : {};
  return { status: response.status, type, headers: response.headers, text, body };
}

function listen(server: Server): Promise<string> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`));
  });
}

const root = path.resolve(import.meta.dirname, '..', '..');
const library = `librocksdb.${process.platform === 'darwin' ? 'dylib' : 'so'}`;
const mebibyte = 1024 * 1024;

async function temporaryStore(): Promise<{ store: Store; remove: () => Promise<void> }> {
  const parent = await mkdtemp(path.join(os.tmpdir(), 'tenon-graphql-'));
  const store = await openStore(loadCore(), {
    directory: path.join(parent, 'tables'),
    libraries: [path.join(root, 'prebuilds', `${process.platform}-${process.arch}`, library), library],
    sync: false,
    feedBytes: 16 * mebibyte,
    cacheBytes: 16 * mebibyte,
  });
  const remove = async (): Promise<void> => {
    await store.close();
    await rm(parent, { recursive: true, force: true });
  };
  return { store, remove };
}

export async function serveGraphql(schemaText: string, options: GraphqlOptions = {}): Promise<GraphqlServer> {
  const schema = readSchema([{ file: 'schema.graphql', text: schemaText }], 'todo');
  const { store, remove } = await temporaryStore();
  const lines: Record<string, unknown>[] = [];
  const log = pino(
    { level: 'debug' },
    new Writable({
      write(chunk: Buffer, _encoding, done) {
        lines.push(JSON.parse(chunk.toString()) as Record<string, unknown>);
        done();
      },
    }),
  );
  const tables: ServedTable[] = [];
  for (const table of schema.tables) {
    const number = await store.define(table.definition);
    tables.push({ application: 'todo', number, schema: table, definition: store.definition(number) });
  }
  const responses: ServerResponse[] = [];
  const changes = new Changes({
    store,
    log,
    ...(options.queueBytes === undefined ? {} : { queueBytes: options.queueBytes }),
  });
  const endpoint = new GraphqlEndpoint(
    { application: 'todo', prefix: '', store: options.watch?.(store) ?? store, schema, tables },
    {
      log,
      changes,
      ...(options.limits === undefined ? {} : { limits: options.limits }),
      ...(options.heartbeatMs === undefined ? {} : { heartbeatMs: options.heartbeatMs }),
    },
  );
  const server = createServer((request, response) => {
    responses.push(response);
    endpoint.handle(request, response, openAccess);
  });
  const upgrades = new Upgrades({
    find: () => ({
      protocol: graphqlProtocol,
      admit: (_request, _response, { open }) => open((socket) => endpoint.serveSocket(socket, openAccess)),
    }),
    handle: (_request, response) => void response.end(),
  });
  server.on('upgrade', (request, socket, head) => upgrades.handle(request, socket, head));
  const url = await listen(server);
  return {
    url,
    store,
    endpoint,
    changes,
    responses,
    log: lines,
    tables,
    number: (name) => tables.find(({ schema: { definition } }) => definition.name === name)?.number ?? -1,
    ask: async (query, variables = {}, headers = {}) =>
      answerOf(
        await fetch(url, {
          method: 'POST',
          headers: { 'content-type': 'application/json', ...headers },
          body: JSON.stringify({ query, variables }),
        }),
      ),
    send: async (init, search = '') => answerOf(await fetch(url + search, init)),
    async close() {
      await endpoint.close();
      await changes.close();
      const closed = new Promise((resolve) => void server.close(resolve));
      server.closeAllConnections();
      await closed;
      await remove();
    },
  };
}
