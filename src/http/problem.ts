/** The one place that turns an error into an answer: application/problem+json (RFC 9457). */
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import { asTenonError, errorCodes, type ErrorCode, type TenonError } from '../base/errors.js';
import { carryRequestId, freshRequestId, requestIdOf } from './request-id.js';

/** Body of every answer that is an error. */
export interface Problem {
  /** Address of what explains the code, on the host that answered: {@link errorsPage} and the code in lower case. */
  type: string;
  title: string;
  status: number;
  detail: string;
  /** The code. */
  error: ErrorCode;
  message: string;
  details: Record<string, unknown>;
  requestId: string;
}

/** Path at which a host serves the page of all codes. */
export const errorsPage = '/docs/errors.md';

function problem(
  code: ErrorCode,
  status: number,
  message: string,
  details: Record<string, unknown>,
  requestId: string,
): Problem {
  const { title } = errorCodes[code];
  return {
    type: `${errorsPage}#${code.toLowerCase()}`,
    title,
    status,
    detail: message,
    error: code,
    message,
    details,
    requestId,
  };
}

/** What a problem says; the rest comes with its code. */
export interface ProblemFacts {
  code: ErrorCode;
  /** Instead of the code's own. */
  status?: number;
  message: string;
  details?: Record<string, unknown>;
  requestId?: string;
  headers?: Record<string, string>;
}

/** Of what waiting does not help with: somebody has to do something. */
const heldBack: ReadonlySet<ErrorCode> = new Set(['PluginQuarantined', 'BuildCrashed', 'SafeMode']);

const codes = new WeakMap<ServerResponse, ErrorCode>();

/** Code of the problem that `response` is; undefined for any other answer. */
export function codeOf(response: ServerResponse): ErrorCode | undefined {
  return codes.get(response);
}

/**
 * Answer with a problem; when the answer has begun, cut the connection instead. Headers that others have set (of the
 * server around an embedded host, `connection`) stay.
 */
export function sendProblem(request: IncomingMessage, response: ServerResponse, facts: ProblemFacts): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const status = facts.status ?? errorCodes[facts.code].status;
  codes.set(response, facts.code);
  const requestId = facts.requestId ?? requestIdOf(request);
  const body = JSON.stringify(problem(facts.code, status, facts.message, facts.details ?? {}, requestId));
  response.statusCode = status;
  response.setHeader('content-type', 'application/problem+json');
  response.setHeader('cache-control', 'no-store');
  carryRequestId(response, requestId);
  if (status === 503 && !heldBack.has(facts.code)) response.setHeader('retry-after', '1');
  for (const [name, value] of Object.entries(facts.headers ?? {})) response.setHeader(name, value);
  // Whoever still sends a body is listened to a little longer, so that the answer arrives.
  if (!request.complete) discard(request);
  response.end(body);
}

/** Answer with any error. */
export function sendError(
  request: IncomingMessage,
  response: ServerResponse,
  error: unknown,
  headers?: Record<string, string>,
): void {
  const known: TenonError = asTenonError(error);
  const message = known.next === undefined ? known.message : `${known.message}; ${known.next}`;
  sendProblem(request, response, {
    code: known.code,
    message,
    details: known.details,
    ...(headers === undefined ? {} : { headers }),
  });
}

/** The bytes of an answer with `error`, for a connection that nothing else is said on afterwards. */
export function lastAnswer(error: TenonError, headers: Record<string, string> = {}): Buffer {
  const { code, status, details, next } = error;
  const message = next === undefined ? error.message : `${error.message}; ${next}`;
  const body = Buffer.from(JSON.stringify(problem(code, status, message, details, freshRequestId())));
  const lines = {
    'Content-Type': 'application/problem+json',
    'Cache-Control': 'no-store',
    'Content-Length': String(body.length),
    Date: new Date().toUTCString(),
    Connection: 'close',
    ...(status === 503 && !heldBack.has(code) ? { 'Retry-After': '1' } : {}),
    ...headers,
  };
  const head = Object.entries(lines).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([Buffer.from(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${head.join('')}\r\n`), body]);
}

const discardLimit = 8 * 1024 * 1024;

function discard(request: IncomingMessage): void {
  let size = 0;
  request.removeAllListeners('data');
  request.removeAllListeners('end');
  request.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > discardLimit) request.destroy();
  });
  // Whoever read it until now may have stopped it.
  request.resume();
}
