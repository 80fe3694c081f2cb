/** Results of GraphQL as answers over HTTP: media types, status codes, and results as events. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ExecutionResult } from 'graphql';
import { TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import { preferred } from './accept.js';
import { formatErrors, type RequestRefused } from './graphql-errors.js';
import { isLate } from './graphql-operations.js';

const plainJson = 'application/json';
const responseJson = 'application/graphql-response+json';
const html = 'text/html';

/** What a client takes. */
export interface Accepted {
  /** The type of JSON; undefined when it takes none. */
  readonly json: string | undefined;
  /** Whether it names event streams. */
  readonly stream: boolean;
  /** Whether it wants a page above all. */
  readonly page: boolean;
}

const jsonOnly: Accepted = { json: plainJson, stream: false, page: false };
const responseOnly: Accepted = { json: responseJson, stream: false, page: false };

/** What the `Accept` header of a request says. Whoever takes anything gets `application/json`. */
export function accepted({ headers: { accept } }: IncomingMessage): Accepted {
  if (accept === undefined || accept === '*/*' || accept === plainJson) return jsonOnly;
  if (accept === responseJson) return responseOnly;
  const named = accept.toLowerCase();
  const types = named.includes(responseJson) ? [responseJson, plainJson] : [plainJson, responseJson];
  return {
    json: preferred(accept, types),
    stream: named.includes('text/event-stream') && preferred(accept, ['text/event-stream']) !== undefined,
    page: named.includes(html) && preferred(accept, [plainJson, html]) === html,
  };
}

interface Result {
  data?: ExecutionResult['data'] | undefined;
  errors?: ExecutionResult['errors'] | undefined;
}

/** The result without the inside of its errors. */
export function plainResult({ data, errors }: Result, log: Log): object {
  if (errors === undefined) return { data };
  const formatted = formatErrors(errors, log);
  return data === undefined ? { errors: formatted } : { errors: formatted, data };
}

/** Why nothing of an operation was done, when that is for want of knowing who asks. */
export function unauthenticatedIn({ data, errors = [] }: Result): TenonError | undefined {
  if (errors.length === 0 || Object.values(data ?? {}).some((value) => value !== null)) return undefined;
  const causes = errors.map(({ originalError }) => originalError);
  const [first] = causes;
  const isUnknown = causes.every((cause) => cause instanceof TenonError && cause.code === 'Unauthenticated');
  return isUnknown && first instanceof TenonError ? first : undefined;
}

/** Status of a result that is sent as `type`: `application/json` has 200 for whatever was understood. */
export function statusOf(result: ExecutionResult, type: string): number {
  if (unauthenticatedIn(result) !== undefined) return 401;
  if (result.data !== undefined) return 200;
  if (isLate(result)) return 504;
  return type === plainJson ? 200 : 400;
}

export function sendJson(response: ServerResponse, status: number, type: string, value: object): void {
  if (response.headersSent || response.destroyed) return;
  response.statusCode = status;
  response.setHeader('content-type', `${type}; charset=utf-8`);
  response.setHeader('cache-control', 'no-store');
  response.end(JSON.stringify(value));
}

/** Answer that nothing ran. */
export function sendRefusal(response: ServerResponse, type: string, refused: RequestRefused, log: Log): void {
  const status = refused.isHard || type !== plainJson ? 400 : 200;
  sendJson(response, status, type, { errors: formatErrors(refused.errors, log) });
}
