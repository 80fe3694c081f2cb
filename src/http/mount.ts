/** Puts operations on the Express application: who may, and what was asked for, is checked here, once. */
import express, { type Express, type Request, type RequestHandler, type Response } from 'express';
import { TenonError } from '../base/errors.js';
import type { Guard } from './guard.js';
import type { Answered, Operation, Parameter, RequestBody } from './operation.js';
import { sendError } from './problem.js';

/** Serve `operations`, in order: of two that match a path the first one is asked. */
export function mount(app: Express, guard: Guard, operations: readonly Operation[]): void {
  for (const operation of operations) {
    const { method, path, scope, requestBody } = operation;
    const place = path.replaceAll(/\{(\w+)\}/g, ':$1');
    const permit: RequestHandler = (request, response, next) => {
      const denial = scope === undefined ? undefined : guard.deny(request, scope);
      if (denial === undefined) next();
      else sendError(request, response, denial.error, denial.headers);
    };
    app[method](place, permit, ...readerOf(requestBody), (request: Request, response: Response) =>
      serve(operation, guard, request, response),
    );
  }
}

// Any content type: curl says form by itself, and there is only one way to read it.
function readerOf(body: RequestBody | undefined): RequestHandler[] {
  if (body === undefined || body.read === 'raw') return [];
  const options = { limit: body.limit, type: () => true };
  return [body.read === 'json' ? express.json(options) : express.text(options)];
}

async function serve(operation: Operation, guard: Guard, request: Request, response: Response): Promise<void> {
  const declared = (operation.parameters ?? []).filter((parameter) => parameter.in === 'query');
  const answered = await operation.handle({
    path: request.params as Record<string, string>,
    query: readQuery(request.query, declared),
    body: request.body as unknown,
    by: guard.who(request),
    request,
    response,
  });
  if (answered !== undefined) send(response, answered);
}

function send(response: Response, { status = 200, headers = {}, body }: Answered): void {
  response.status(status);
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  if (body === undefined) response.end();
  else response.json(body);
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
