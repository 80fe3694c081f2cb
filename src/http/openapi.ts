/** The API as a document: OpenAPI 3.1, from the operations that are served. */
import { createHash } from 'node:crypto';
import { type ErrorCode, errorCodes } from '../base/errors.js';
import { version } from '../base/version.js';
import { includesTag, readEntityTags, tagValues } from './entity-tags.js';
import type { DescribedAnswer, Operation, Parameter, RequestBody, Schema } from './operation.js';
import { errorsPage } from './problem.js';
import { anything, objectOf, oneOf, ref, text, whole } from './shapes.js';
import { crashShapes } from './shapes-crash.js';
import { eventShapes, hostShapes } from './shapes-host.js';
import { pluginShapes } from './shapes-plugin.js';

/** What others add to the document. */
export interface OpenApiPart {
  /** Path items, by path; none of those of the host. */
  readonly paths: Readonly<Record<string, object>>;
  /** Components, by name; none of those of the host. */
  readonly schemas: Readonly<Record<string, Schema>>;
  /** How callers make themselves known, by name. */
  readonly securitySchemes?: Readonly<Record<string, object>>;
  readonly tags: readonly { readonly name: string; readonly description: string }[];
}

type Json = Readonly<Record<string, unknown>>;

/** Of a token, in `securitySchemes`. */
const tokenScheme = 'token';

const tags = [
  { name: 'health', description: 'Whether the host serves, and what it counts; for everybody' },
  { name: 'plugins', description: 'What runs, and what is done to it' },
  { name: 'config', description: 'Configs of plugins' },
  { name: 'permissions', description: 'What plugins are granted' },
  { name: 'bundles', description: 'Installing and removing plugins' },
  { name: 'trust', description: 'Who may sign what, what may not be loaded, and what was done' },
  { name: 'hot reload', description: 'What takes changes up by itself' },
  { name: 'registry', description: 'The wish list that hosts share' },
  { name: 'tables', description: 'Tables of the host' },
  { name: 'access', description: 'Tokens: who may use the API' },
  { name: 'logs', description: 'The log of the host and its plugins, and from which level on it is kept' },
  { name: 'settings', description: 'Settings, and reading them again' },
  { name: 'crashes', description: 'What ended hosts, and what is held back for it' },
  { name: 'host', description: 'The host itself' },
] as const;

const problem = objectOf(
  {
    type: text(`Address of what explains the code: ${errorsPage} and the code in lower case`, {
      format: 'uri-reference',
    }),
    title: text('That all errors of the code share'),
    status: whole(undefined, { minimum: 400, maximum: 599 }),
    detail: text('What went wrong, and what to do next'),
    error: ref('ErrorCode'),
    message: text('The same as `detail`'),
    details: anything('Facts for programs'),
    requestId: text('Stands in the log, too'),
  },
  'Every answer that is an error (RFC 9457)',
);

const sharedSchemas: Readonly<Record<string, Schema>> = {
  ErrorCode: oneOf(Object.keys(errorCodes), `What they mean is at ${errorsPage}`),
  Problem: problem,
  ...pluginShapes,
  ...hostShapes,
  ...crashShapes,
  ...eventShapes,
};

/** Codes that an operation may be refused with, all of them. */
function refusalsOf({ method, scope, errors, requestBody }: Operation): ErrorCode[] {
  const everybody: ErrorCode[] = ['BadRequest', 'Internal'];
  const fromPages: ErrorCode[] = method === 'get' ? [] : ['OriginNotAllowed'];
  const withToken: ErrorCode[] = ['Unauthorized', 'ScopeMissing', 'HostNotAllowed', 'TooManyAttempts', ...fromPages];
  const withBody: ErrorCode[] = requestBody === undefined ? [] : ['BodyTooLarge', 'ContentTypeUnsupported'];
  return [...new Set([...everybody, ...(scope === undefined ? [] : withToken), ...withBody, ...errors])];
}

/** The document of `operations`, and of what others add. */
function openApiDocument(operations: readonly Operation[], others?: OpenApiPart): Json {
  const paths: Record<string, Record<string, Json>> = {};
  for (const operation of operations)
    paths[operation.path] = { ...paths[operation.path], [operation.method]: operationObject(operation) };
  return {
    openapi: '3.1.1',
    info: {
      title: 'Tenon',
      summary: 'A host for native plugins',
      description:
        'Operations below `/api` need `Authorization: Bearer TOKEN` with a token of the scope that each of them names. A path that is known answers other methods with 405 and `Allow`; HEAD is served where GET is. Parameters that an operation with a scope does not have are refused.',
      version,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/', description: 'The host that serves this document' }],
    tags: [...tags, ...(others?.tags ?? [])],
    paths: { ...paths, ...others?.paths },
    components: {
      securitySchemes: {
        [tokenScheme]: {
          type: 'http',
          scheme: 'bearer',
          description: 'The admin token of the data directory, or one that was made with some of the scopes.',
        },
        ...others?.securitySchemes,
      },
      responses: sharedResponses(operations),
      schemas: { ...sharedSchemas, ...others?.schemas },
    },
  };
}

function operationObject(operation: Operation): Json {
  const { id, tag, summary, description, scope, parameters = [], requestBody } = operation;
  return {
    operationId: id,
    tags: [tag],
    summary,
    ...(description === undefined ? {} : { description }),
    security: scope === undefined ? [] : [{ [tokenScheme]: [scope] }],
    ...(parameters.length === 0 ? {} : { parameters: parameters.map(parameterObject) }),
    ...(requestBody === undefined ? {} : { requestBody: requestBodyObject(requestBody) }),
    responses: responsesOf(operation),
  };
}

function parameterObject({ name, in: place, description, schema, required, allowEmptyValue }: Parameter): Json {
  return {
    name,
    in: place,
    description,
    required: place === 'path' || required === true,
    ...(allowEmptyValue === true ? { allowEmptyValue } : {}),
    schema,
  };
}

function requestBodyObject({ description, required, content, limit }: RequestBody): Json {
  return { description, required, content: contentObject(content), 'x-maxBytes': limit };
}

function contentObject(content: Readonly<Record<string, Schema>>): Json {
  return Object.fromEntries(Object.entries(content).map(([type, schema]) => [type, { schema }]));
}

/** Those that are no errors, and those that are, by status; where both have one they are one. */
function responsesOf(operation: Operation): Json {
  const answers = Object.entries(operation.answers).map(([status, answer]) => [status, answerObject(answer)] as const);
  const plain = new Map<string, Json>(answers);
  const refusals = [...refusalsByStatus(operation)].map(([status, codes]) => {
    const answer = plain.get(status);
    const [only] = codes;
    if (answer === undefined && codes.length === 1)
      return [status, { $ref: `#/components/responses/${only}` }] as const;
    const refusal = refusalObject(status, codes);
    if (answer === undefined) return [status, refusal] as const;
    const content = { ...(answer['content'] as Json | undefined), ...(refusal['content'] as Json) };
    return [status, { ...answer, content }] as const;
  });
  return Object.fromEntries([...answers, ...refusals]);
}

function refusalsByStatus(operation: Operation): Map<string, ErrorCode[]> {
  const byStatus = new Map<string, ErrorCode[]>();
  for (const code of refusalsOf(operation)) {
    const status = String(errorCodes[code].status);
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return byStatus;
}

/** Refusals that are alone with their status somewhere, by code. */
function sharedResponses(operations: readonly Operation[]): Json {
  const shared = new Map<ErrorCode, Json>();
  for (const operation of operations)
    for (const [status, codes] of refusalsByStatus(operation)) {
      const [code] = codes;
      if (code !== undefined && codes.length === 1) shared.set(code, refusalObject(status, codes));
    }
  return Object.fromEntries(shared);
}

function answerObject({ description, content, headers }: DescribedAnswer): Json {
  return {
    description,
    ...(headers === undefined ? {} : { headers }),
    ...(content === undefined ? {} : { content: contentObject(content) }),
  };
}

function refusalObject(status: string, codes: readonly ErrorCode[]): Json {
  const said = codes.map((code) => `\`${code}\`: ${errorCodes[code].title}`).join('; ');
  const members = { status: { const: Number(status) }, error: { enum: codes } };
  const schema = { allOf: [ref('Problem'), { type: 'object', properties: members }] };
  const headers = headersOf(status);
  return {
    description: said,
    ...(headers === undefined ? {} : { headers }),
    content: { 'application/problem+json': { schema } },
  };
}

function headersOf(status: string): Json | undefined {
  if (status === '429' || status === '503')
    return { 'retry-after': { description: 'Seconds', schema: { type: 'string' } } };
  if (status === '401')
    return { 'www-authenticate': { description: 'How to say who asks', schema: { type: 'string' } } };
  return undefined;
}

/** The operation that serves the document, itself among `operations`; `others` gives back the same object as long as it would say the same. */
export function openApiOperation(operations: () => readonly Operation[], others: () => OpenApiPart): Operation {
  let made: { readonly part: OpenApiPart; readonly text: string; readonly tag: string } | undefined;
  const current = (): { text: string; tag: string } => {
    const part = others();
    if (made?.part === part) return made;
    const written = JSON.stringify(openApiDocument(operations(), part));
    const hash = createHash('sha256').update(written).digest('hex').slice(0, 32);
    made = { part, text: written, tag: hash };
    return made;
  };
  const headers = { etag: { description: 'Changes with the document', schema: text() } };
  return {
    id: 'readOpenApi',
    tag: 'health',
    method: 'get',
    path: '/openapi.json',
    summary: 'This document',
    parameters: [
      { name: 'If-None-Match', in: 'header', description: 'Tags of documents that are known', schema: text() },
    ],
    answers: {
      200: { description: 'OpenAPI 3.1', headers, content: { 'application/json': anything() } },
      304: { description: 'It is known', headers },
    },
    errors: [],
    handle: ({ request }) => {
      const { text: written, tag } = current();
      const sent = { 'cache-control': 'no-cache', etag: `"${tag}"` };
      const known = request.headers['if-none-match'];
      if (known !== undefined && includesTag(tagValues(readEntityTags('If-None-Match', known), false), tag))
        return { status: 304, headers: sent };
      return { headers: { ...sent, 'content-type': 'application/json; charset=utf-8' }, text: written };
    },
  };
}
