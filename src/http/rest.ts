/**
 * Tables over REST: records as resources, lists by queries. Bytes of records pass through as they are; what is in
 * them is the core's to check.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Log } from '../base/log.js';
import type { Store } from '../binding/store.js';
import type { ServedTable } from '../tables/served.js';
import { storeError } from '../tables/store-error.js';
import type { Access } from './access.js';
import { clientError } from './client-error.js';
import { sendError, sendProblem } from './problem.js';
import { deleteRecord, patchRecord, postRecords, putRecord } from './rest-change.js';
import type { RestExchange } from './rest-exchange.js';
import { answerList } from './rest-list.js';
import { answerRecord } from './rest-record.js';
import { pathOf } from './router.js';

export interface RestTablesOptions {
  store: Store;
  log: Log;
  /** Bytes of body that are read at most. */
  bodyLimit: number;
}

/** Serves `{prefix}/{Table}` and `{prefix}/{Table}/{key}`. */
export class RestTables {
  readonly #store: Store;
  readonly #log: Log;
  readonly #bodyLimit: number;

  constructor(options: RestTablesOptions) {
    this.#store = options.store;
    this.#log = options.log;
    this.#bodyLimit = options.bodyLimit;
  }

  /**
   * Answer the request, now or later.
   * @param key last segment of the path, percent-decoded; undefined: the table itself
   */
  handle(
    request: IncomingMessage,
    response: ServerResponse,
    table: ServedTable,
    key: string | undefined,
    access: Access,
  ): void {
    const exchange = { request, response, store: this.#store, table, bodyLimit: this.#bodyLimit, access };
    try {
      const later = key === undefined ? answerTable(exchange) : answerOne(exchange, key);
      later?.catch((error: unknown) => this.#fail(exchange, error));
    } catch (error) {
      this.#fail(exchange, error);
    }
  }

  #fail({ request, response, table, access }: RestExchange, error: unknown): void {
    const known = storeError(error, { table: table.definition.name });
    if (known.status >= 500)
      this.#log.warn({ application: table.application, table: table.definition.name, err: known }, known.message);
    access.explain(response, known);
    sendError(request, response, clientError(known));
  }
}

function answerTable(exchange: RestExchange): Promise<void> | undefined {
  switch (exchange.request.method ?? 'GET') {
    case 'GET':
    case 'HEAD':
      exchange.access.demand(exchange.table, 'read');
      return answerList(exchange);
    case 'POST':
      return postRecords(exchange);
    default:
      return refuseMethod(exchange, ['GET', 'HEAD', 'POST']);
  }
}

function answerOne(exchange: RestExchange, key: string): Promise<void> | undefined {
  switch (exchange.request.method ?? 'GET') {
    case 'GET':
    case 'HEAD':
      exchange.access.demand(exchange.table, 'read');
      return answerRecord(exchange, key);
    case 'PUT':
      return putRecord(exchange, key);
    case 'PATCH':
      return patchRecord(exchange, key);
    case 'DELETE':
      return deleteRecord(exchange, key);
    default:
      return refuseMethod(exchange, ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE']);
  }
}

function refuseMethod({ request, response }: RestExchange, served: readonly string[]): undefined {
  const allow = [...served, 'OPTIONS'].join(', ');
  if (request.method === 'OPTIONS') {
    response.statusCode = 204;
    response.setHeader('allow', allow);
    response.end();
    return undefined;
  }
  sendProblem(request, response, {
    code: 'MethodNotAllowed',
    message: `${request.method ?? ''} is not served at ${pathOf(request.url ?? '/')}`,
    details: { allow: [...served, 'OPTIONS'] },
    headers: { allow },
  });
  return undefined;
}
