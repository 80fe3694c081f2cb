/** What tables are served by: for each a route to REST and to its changes, for each application one to GraphQL. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { WebSocket } from 'ws';
import { Closer } from '../base/closer.js';
import { TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { Store } from '../binding/store.js';
import type { Endpoint, ServedRoute } from '../host/live.js';
import { Changes } from '../tables/changes.js';
import { type Action, actions, needOfSomebody, rolesForAny } from '../tables/permissions.js';
import type { ServedTable, ServedTables } from '../tables/served.js';
import type { Access } from './access.js';
import { preferred } from './accept.js';
import { writeMethods } from './change-conversation.js';
import { ChangeSockets } from './change-socket.js';
import { ChangeStreams, endStream } from './change-stream.js';
import type { Compress } from './compression.js';
import { GraphiqlPage, GraphqlEndpoint, graphqlProtocol } from './graphql.js';
import type { TablePlace } from './openapi-tables.js';
import { sendError } from './problem.js';
import { json, ndjson } from './rest-exchange.js';
import { RestTables } from './rest.js';
import { originForm, pathOf } from './router.js';
import type { TableGates } from './table-gate.js';
import type { SocketRoute } from './upgrade.js';

export interface TableEndpointsOptions {
  log: Log;
  /** Bytes of body that are read at most. */
  bodyLimit: number;
  /** Whether GraphQL tells its schema. */
  introspection: boolean;
  compress: Compress;
  /** What stands before the tables of an application. */
  gates: TableGates;
}

/** What one application's tables are served by. */
export interface OpenEndpoints {
  readonly routes: readonly ServedRoute[];
  /** Who listens to changes is told to come again; requests under way end. Never rejects. Twice is fine. */
  close(): Promise<void>;
}

/** All of one host, whose applications share the store. */
interface Shared {
  readonly changes: Changes;
  readonly streams: ChangeStreams;
  readonly sockets: ChangeSockets;
  readonly rest: RestTables;
}

export class TableEndpoints {
  readonly #options: TableEndpointsOptions;
  readonly #page = new GraphiqlPage();
  readonly #sockets = new Map<Endpoint, SocketRoute>();
  readonly #places = new WeakMap<Endpoint, TablePlace>();
  readonly #graphqls = new Set<GraphqlEndpoint>();
  #shared: Shared | undefined;

  constructor(options: TableEndpointsOptions) {
    this.#options = options;
  }

  /** Serve these tables, once their routes are published. Throws `SchemaInvalid` when GraphQL has no name for everything. */
  open(served: ServedTables): OpenEndpoints {
    const { bodyLimit } = this.#options;
    const { prefix, application } = served;
    const shared = this.#share(served.store);
    const { streams, sockets } = shared;
    const closer = new Closer();
    let closed = false;
    const isClosed = (): boolean => closed;
    const routes: ServedRoute[] = [];
    const need = needOfSomebody(served.tables.map(({ schema }) => schema));
    const add = (
      place: Omit<TablePlace, 'served'>,
      methods: readonly string[],
      path: string,
      allowed: readonly Allowed[],
      answer: GuardedEndpoint,
      socket?: GuardedSocket,
    ): void => {
      const facts = {
        plugin: application,
        path,
        slot: -1,
        bodyLimit,
        execution: 'table',
        deadlineMs: 0,
        ...(need === undefined ? {} : { need }),
      } as const;
      let opens: Endpoint | undefined;
      for (const method of methods) {
        const endpoint = this.#guard({ plugin: application, method, path }, answer, isClosed);
        this.#places.set(endpoint, { served, ...place });
        if (method === 'GET') opens = endpoint;
        const needs: ServedRoute['needs'] = (otherwise) =>
          rolesForAny(
            allowed.map(({ table, by }) => ({ table: table.schema, actions: by(method) })),
            otherwise,
          );
        routes.push({ ...facts, method, needs, endpoint });
      }
      if (socket === undefined || opens === undefined) return;
      const way = opens;
      this.#sockets.set(way, this.#guardSocket({ plugin: application, path }, socket, isClosed));
      closer.add(`sockets of ${path}`, () => this.#sockets.delete(way));
    };
    if (served.tables.some(({ schema }) => schema.exports.graphql)) {
      const graphql = this.#graphql(served, shared.changes);
      this.#graphqls.add(graphql);
      closer.add('graphql', async () => {
        await graphql.close();
        this.#graphqls.delete(graphql);
      });
      add(
        {},
        ['GET', 'POST'],
        `${prefix}/graphql`,
        served.tables
          .filter(({ schema }) => schema.exports.graphql)
          .map((table) => ({ table, by: (method) => (method === 'GET' ? ['read'] : actions) })),
        (request, response, access) => {
          this.#options.compress(request, response);
          graphql.handle(request, response, access);
        },
        {
          protocol: graphqlProtocol,
          methods: ['POST'],
          check: (access) => graphql.requireSomething(access),
          serve: (socket, _request, access) => graphql.serveSocket(socket, access),
        },
      );
    }
    closer.add('change sockets', () => sockets.end(served.tables));
    closer.add('change streams', () => streams.end(served.tables));
    for (const table of served.tables) {
      const { rest, sse, ws } = table.schema.exports;
      if (!rest && !sse && !ws) continue;
      const path = `${prefix}/${table.definition.name}`;
      // Over a socket everything may be done.
      const reading: readonly Action[] = rest || sse ? ['read'] : actions;
      const door = new TableDoor(table, shared);
      const check = (access: Access): void => access.demandAny(table, actions);
      const about = (serve: GuardedSocket['serve']): GuardedSocket | undefined =>
        ws ? { check, serve, methods: writeMethods } : undefined;
      add(
        { table, of: 'list' },
        rest ? ['GET', 'POST'] : ['GET'],
        path,
        [{ table, by: (method) => (method === 'POST' ? ['create'] : reading) }],
        (request, response, access) => {
          this.#options.compress(request, response);
          door.list(request, response, access);
        },
        about((socket, _request, access) => sockets.serve(socket, table, undefined, access)),
      );
      const one = about((socket, request, access) => sockets.serve(socket, table, keyOf(request), access));
      add(
        { table, of: 'record' },
        rest ? ['GET', 'PUT', 'PATCH', 'DELETE'] : ['GET'],
        `${path}/:key`,
        [{ table, by: (method) => doneToOne[method] ?? reading }],
        door.one,
        one,
      );
    }
    const close = (): Promise<void> => {
      closed = true;
      return closer.close().catch((error: unknown) => {
        this.#options.log.error({ plugin: application, err: error }, 'not everything about its tables has ended');
      });
    };
    return { routes, close };
  }

  /** Who talks over the sockets of a route; undefined for one that stays HTTP. */
  socketOf(route: ServedRoute | undefined): SocketRoute | undefined {
    return route?.endpoint === undefined ? undefined : this.#sockets.get(route.endpoint);
  }

  /** What a route of tables is for. */
  placeOf(route: ServedRoute): TablePlace | undefined {
    return route.endpoint === undefined ? undefined : this.#places.get(route.endpoint);
  }

  /** End all that goes on; the store may be closed then. Twice is fine. */
  async close(): Promise<void> {
    const shared = this.#shared;
    if (shared === undefined) return;
    shared.streams.close();
    await Promise.all([shared.sockets.close(), ...[...this.#graphqls].map((graphql) => graphql.close())]);
    // Last: who still listens by then is told that there are no more changes, and never comes again.
    await shared.changes.close();
  }

  /** @param isClosed asked when the gate has opened: meanwhile the tables may have been replaced */
  #guard(route: TableRoute, answer: GuardedEndpoint, isClosed: () => boolean): Endpoint {
    const { gates } = this.#options;
    return (request, response) =>
      gates.enter(request, response, route, (access) => {
        if (!isClosed()) answer(request, response, access);
        else if (route.method === 'GET' && prefersEvents(request)) endStream(response);
        else sendError(request, response, replaced(route));
      });
  }

  #guardSocket(
    route: Pick<TableRoute, 'plugin' | 'path'>,
    { protocol, methods, check, serve }: GuardedSocket,
    isClosed: () => boolean,
  ): SocketRoute {
    const { gates } = this.#options;
    return {
      ...(protocol === undefined ? {} : { protocol }),
      admit: (request, response, decision) => {
        const go = (access: Access): void => {
          try {
            if (!isClosed()) check(access);
            decision.open((socket) => {
              if (isClosed()) socket.close(1012, 'the application is replaced');
              else serve(socket, request, access);
            });
          } catch (error) {
            decision.refuse();
            access.explain(response, error);
            sendError(request, response, error);
          }
        };
        gates.enterSocket(request, response, route, methods, go, () => decision.refuse());
      },
    };
  }

  #graphql(served: ServedTables, changes: Changes): GraphqlEndpoint {
    const { log, bodyLimit, introspection } = this.#options;
    return new GraphqlEndpoint(served, {
      log,
      changes,
      page: this.#page,
      limits: { bodyBytes: bodyLimit, introspection },
    });
  }

  #share(store: Store): Shared {
    const { log, bodyLimit } = this.#options;
    if (this.#shared !== undefined) return this.#shared;
    const changes = new Changes({ store, log });
    const source = { store, changes, log };
    this.#shared = {
      changes,
      streams: new ChangeStreams(source),
      sockets: new ChangeSockets(source),
      rest: new RestTables({ store, log, bodyLimit }),
    };
    return this.#shared;
  }
}

/** What a method of a route may do with a table. */
interface Allowed {
  readonly table: ServedTable;
  readonly by: (method: string) => readonly Action[];
}

const doneToOne: Readonly<Record<string, readonly Action[]>> = {
  PUT: ['create', 'update'],
  PATCH: ['update'],
  DELETE: ['delete'],
};

type TableRoute = Pick<ServedRoute, 'plugin' | 'method' | 'path'>;

/** Answers one request that may do so much. */
type GuardedEndpoint = (request: IncomingMessage, response: ServerResponse, access: Access) => void;

interface GuardedSocket {
  readonly protocol?: string;
  /** Methods that its messages stand for when they write. */
  readonly methods: readonly string[];
  /** Throws when nothing may be done over it. */
  readonly check: (access: Access) => void;
  readonly serve: (socket: WebSocket, request: IncomingMessage, access: Access) => void;
}

/** One table's two routes. What the client accepts decides between records and their changes. */
class TableDoor {
  readonly #table: ServedTable;
  readonly #rest: RestTables | undefined;
  readonly #streams: ChangeStreams | undefined;

  constructor(table: ServedTable, { rest, streams }: Shared) {
    const { exports } = table.schema;
    this.#table = table;
    this.#rest = exports.rest ? rest : undefined;
    this.#streams = exports.sse ? streams : undefined;
  }

  readonly list: GuardedEndpoint = (request, response, access) => this.#serve(request, response, access, undefined);
  readonly one: GuardedEndpoint = (request, response, access) => this.#serve(request, response, access, keyOf(request));

  #serve(request: IncomingMessage, response: ServerResponse, access: Access, key: string | undefined): void {
    const table = this.#table;
    const reads = request.method === 'GET' || request.method === 'HEAD';
    if (this.#streams !== undefined && reads && this.#listens(request)) {
      response.appendHeader('vary', 'accept');
      this.#streams.handle(request, response, table, key, access);
    } else if (this.#rest !== undefined) this.#rest.handle(request, response, table, key, access);
    else if (this.#streams !== undefined) sendError(request, response, onlyStreams(table), { vary: 'accept' });
    else sendError(request, response, onlySockets(table), { upgrade: 'websocket', 'sec-websocket-version': '13' });
  }

  /** Whether the client wants changes more than records. */
  #listens(request: IncomingMessage): boolean {
    return prefersEvents(request, this.#rest === undefined ? [] : [json, ndjson]);
  }
}

const eventStream = 'text/event-stream';

function prefersEvents({ headers }: IncomingMessage, others: readonly string[] = [json, ndjson]): boolean {
  return preferred(headers.accept, [...others, eventStream]) === eventStream;
}

function replaced({ plugin, path }: TableRoute): TenonError {
  return new TenonError('PluginStopped', `${plugin}: the tables at ${path} were replaced while the request waited`, {
    next: 'send the request again',
    details: { plugin },
  });
}

function onlyStreams(table: ServedTable): TenonError {
  return notExported(
    'NotAcceptable',
    table,
    `ask with \`Accept: ${eventStream}\`, or add \`rest: true\` to its @export`,
  );
}

function onlySockets(table: ServedTable): TenonError {
  return notExported('UpgradeRequired', table, 'open a WebSocket here, or add `rest: true` to its @export');
}

function notExported(code: 'NotAcceptable' | 'UpgradeRequired', table: ServedTable, next: string): TenonError {
  const { application, definition } = table;
  const sentence = `${application}: the table ${definition.name} is not exported to REST`;
  return new TenonError(code, sentence, { next, details: { plugin: application, table: definition.name } });
}

/** Last segment of the path; its escapes are whole, because the router has read them. */
function keyOf(request: IncomingMessage): string {
  const url = request.url ?? '/';
  const path = pathOf(url.charCodeAt(0) === 47 ? url : originForm(url));
  const key = path.slice(path.lastIndexOf('/') + 1);
  return key.includes('%') ? decodeURIComponent(key) : key;
}
