/** Puts operations on the Express application: who may, and what was asked for, is checked here, once. */
import express, { type Express, type NextFunction, type Request, type RequestHandler, type Response } from 'express';
import { TenonError } from '../base/errors.js';
import { beginBody, requirePlain } from './body.js';
import type { Compress } from './compression.js';
import type { Guard } from './guard.js';
import type { Answered, Asked, Operation, Parameter, RequestBody } from './operation.js';
import { readJsonBody } from './json-body.js';
import { sendError, sendProblem } from './problem.js';
import { pathOf } from './router.js';

/** Everything below it needs a token, what is not there too: nobody else is to learn what is. */
const adminPath = '/api/v1';

/**
 * Serve `operations`, in order: of two that match a path the first one is asked. What they do not serve goes on, but for a path of theirs
 * with another method (405).
 */
export function mount(app: Express, guard: Guard, operations: readonly Operation[], compress: Compress): void {
  app.use(adminPath, (_request: Request, response: Response, next: NextFunction) => {
    response.setHeader('cache-control', 'no-store');
    next();
  });
  for (const operation of operations) {
    const reader = readerOf(operation.requestBody);
    app[operation.method](operation.path.replaceAll(/\{(\w+)\}/g, ':$1'), (request: Request, response: Response) =>
      serve({ operation, guard, reader, compress }, request, response),
    );
  }
  const methodsAt = methodsOf(operations);
  app.use(adminPath, (request: Request, response: Response, next: NextFunction) => {
    if (isPermitted(guard, request, response, 'any')) next();
  });
  app.use((request: Request, response: Response, next: NextFunction) => {
    const path = pathOf(request.url);
    const methods = methodsAt(path);
    if (methods.length === 0) next();
    else answerOtherMethod(request, response, path, methods);
  });
}

interface Served {
  readonly operation: Operation;
  readonly guard: Guard;
  readonly reader: RequestHandler | undefined;
  readonly compress: Compress;
}

// Any content type: curl says form by itself, and there is only one way to read it.
function readerOf(body: RequestBody | undefined): RequestHandler | undefined {
  if (body === undefined || body.read === 'raw') return undefined;
  const options = { limit: body.limit, type: () => true };
  return body.read === 'json' ? express.raw(options) : express.text(options);
}

function bodyOf({ requestBody }: Operation, body: unknown): unknown {
  if (requestBody?.read !== 'json' || !(body instanceof Uint8Array)) return body;
  return body.byteLength === 0 ? {} : readJsonBody(body);
}

async function serve(
  { operation, guard, reader, compress }: Served,
  request: Request,
  response: Response,
): Promise<void> {
  const { scope } = operation;
  compress(request, response);
  if (scope !== undefined && !isPermitted(guard, request, response, scope)) return;
  const declared = (operation.parameters ?? []).filter((parameter) => parameter.in === 'query');
  const query = scope === undefined ? request.query : readQuery(request.query, declared);
  if (operation.requestBody !== undefined) requirePlain(request);
  if (reader !== undefined) await read(reader, request, response);
  const answered = await operation.handle({
    path: request.params as Record<string, string>,
    query: query as Asked['query'],
    body: bodyOf(operation, request.body as unknown),
    by: guard.who(request),
    request,
    response,
  });
  if (answered !== undefined) send(response, answered);
}

function isPermitted(
  guard: Guard,
  request: Request,
  response: Response,
  scope: NonNullable<Operation['scope']> | 'any',
): boolean {
  const denial = guard.deny(request, scope);
  if (denial !== undefined) sendError(request, response, denial.error, denial.headers);
  return denial === undefined;
}

function read(reader: RequestHandler, request: Request, response: Response): Promise<void> {
  beginBody(request);
  return new Promise((resolve, reject) => {
    void reader(request, response, (error?: Error | string) => {
      if (error === undefined) resolve();
      else reject(error instanceof Error ? error : new Error(error));
    });
  });
}

// Not by Express, which would answer 304 to whoever says so, where there is no tag, too.
function send(response: Response, { status = 200, headers = {}, body, text }: Answered): void {
  response.statusCode = status;
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  if (text === undefined && body === undefined) {
    response.end();
    return;
  }
  if (text === undefined) response.setHeader('content-type', 'application/json; charset=utf-8');
  const bytes = Buffer.from(text ?? JSON.stringify(body));
  response.setHeader('content-length', bytes.byteLength);
  response.end(bytes);
}

/** Which methods serve a path, for `Allow`; none, when it is no path of `operations`. */
function methodsOf(operations: readonly Operation[]): (path: string) => string[] {
  const known = operations.map(({ method, path }) => ({
    method: method.toUpperCase(),
    // As Express matches: without regard to case, and to a slash at the end.
    pattern: new RegExp(`^${path.replaceAll('.', '\\.').replaceAll(/\{\w+\}/g, '[^/]+')}/?$`, 'i'),
  }));
  return (path) => {
    const methods = known.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method);
    return methods.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method]));
  };
}

function answerOtherMethod(request: Request, response: Response, path: string, methods: string[]): void {
  const allow = [...methods, 'OPTIONS'].join(', ');
  if (request.method === 'OPTIONS') {
    response.setHeader('allow', allow);
    response.status(204).end();
    return;
  }
  sendProblem(request, response, {
    code: 'MethodNotAllowed',
    message: `${request.method} is not served at ${path}`,
    details: { allow: methods },
    headers: { allow },
  });
}

type Value = string | number | boolean | readonly string[] | undefined;

/** Throws `BadRequest` for what is not declared, and for what is not as it is declared. */
function readQuery(query: Request['query'], declared: readonly Parameter[]): Record<string, Value> {
  const names = declared.map(({ name }) => name);
  const [unknown] = Object.keys(query).filter((name) => !names.includes(name));
  if (unknown !== undefined)
    throw new TenonError(
      'BadRequest',
      `there is no parameter ${JSON.stringify(unknown)} here${names.length === 0 ? '' : `, only ${names.join(', ')}`}`,
    );
  return Object.fromEntries(declared.map((parameter) => [parameter.name, readValue(parameter, query[parameter.name])]));
}

function readValue({ name, schema, required }: Parameter, given: unknown): Value {
  const refuse = (expected: string): TenonError =>
    new TenonError('BadRequest', `${name}: ${JSON.stringify(given)} is not ${expected}`);
  if (given === undefined) {
    if (required === true) throw new TenonError('BadRequest', `the parameter ${name} is missing`);
    return undefined;
  }
  if (schema['type'] === 'array') {
    const all = [given].flat() as unknown[];
    if (!all.every((each) => typeof each === 'string' && each !== '')) throw refuse('a list of texts');
    return all as string[];
  }
  if (typeof given !== 'string' || given === '') throw refuse('one value');
  if (schema['type'] === 'boolean') {
    if (given !== 'true' && given !== 'false') throw refuse('true or false');
    return given === 'true';
  }
  if (schema['type'] === 'integer') {
    const least = (schema['minimum'] ?? 0) as number;
    const most = (schema['maximum'] ?? Number.MAX_SAFE_INTEGER) as number;
    const number = /^-?\d{1,16}$/.test(given) ? Number(given) : Number.NaN;
    if (number >= least && number <= most) return number;
    const upTo = most === Number.MAX_SAFE_INTEGER ? 'upwards' : `to ${most}`;
    throw refuse(`a whole number from ${least} ${upTo}`);
  }
  const listed = schema['enum'] as readonly string[] | undefined;
  if (listed !== undefined && !listed.includes(given)) throw refuse(`one of ${listed.join(', ')}`);
  const pattern = schema['pattern'] as string | undefined;
  if (pattern !== undefined && !new RegExp(pattern, 'u').test(given)) throw refuse(`of the form ${pattern}`);
  return given;
}
