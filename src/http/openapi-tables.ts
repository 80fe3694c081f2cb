/** The operations that tables are served by, as OpenAPI has them; see docs/tables-rest.md for what they do. */
import type { ErrorCode } from '../base/errors.js';
import type { FieldType } from '../binding/store.js';
import type { Exports, SchemaField, TableSchema } from '../tables/application-schema.js';
import type { ServedTable, ServedTables } from '../tables/served.js';
import { type OperationObject, problems, referTo, together } from './openapi-part.js';
import type { Schema } from './operation.js';
import { json, mergePatch, ndjson } from './rest-exchange.js';
import { pageLimits } from './rest-query.js';

/** What a route of an application's tables is for. */
export interface TablePlace {
  readonly served: ServedTables;
  /** Absent: GraphQL, which is all of them. */
  readonly table?: ServedTable;
  /** `list`, or one record. */
  readonly of?: 'list' | 'record';
}

const eventStream = 'text/event-stream';

const always: readonly ErrorCode[] = [
  'BadRequest',
  'NotAcceptable',
  'PluginStopped',
  'StoreFailed',
  'StoreClosed',
  'Internal',
];
const writing: readonly ErrorCode[] = [
  'QueryInvalid',
  'RecordInvalid',
  'BodyTooLarge',
  'ContentTypeUnsupported',
  'StoreFull',
  'PreconditionFailed',
];
const following: readonly ErrorCode[] = ['TooManySubscribers', 'ChangesGone'];

/**
 * What the route at `place` does; undefined when it serves no such method.
 * @param before codes of what stands before it
 */
export function tableOperation(
  { served, table, of }: TablePlace,
  method: string,
  before: readonly ErrorCode[],
): OperationObject | undefined {
  const common = [...always, ...before];
  if (table === undefined) return graphqlOperation(method, common);
  const about = new AboutTable(table.schema, (name) => referTo(`${served.application}.${name}`), common);
  const { schema } = table;
  if (method === 'GET') return of === 'list' ? about.list() : about.record();
  if (!schema.exports.rest) return undefined;
  if (method === 'POST') return about.create();
  if (method === 'PUT') return about.put();
  if (method === 'PATCH') return about.patch();
  return method === 'DELETE' ? about.remove() : undefined;
}

/** One table, whose schemas `refer` finds. */
class AboutTable {
  readonly #schema: TableSchema;
  readonly #name: string;
  readonly #refer: (name: string) => string;
  readonly #common: readonly ErrorCode[];

  constructor(schema: TableSchema, refer: (name: string) => string, common: readonly ErrorCode[]) {
    this.#schema = schema;
    this.#name = schema.definition.name;
    this.#refer = refer;
    this.#common = common;
  }

  get #exports(): Exports {
    return this.#schema.exports;
  }

  get #record(): Schema {
    return { $ref: this.#refer(this.#name) };
  }

  /** Whole, or what `select` asks for. */
  get #shown(): Schema {
    return { anyOf: [this.#record, { $ref: this.#refer(`${this.#name}.Part`) }] };
  }

  list(): OperationObject {
    const { rest, sse } = this.#exports;
    if (!rest && !sse) return onlySocket(this.#name, this.#common);
    const filters = this.#schema.fields.flatMap((field) => this.#filterOf(field));
    return {
      summary: rest ? `List records of ${this.#name}` : `Follow the changes of ${this.#name}`,
      ...this.#said(sse),
      parameters: [
        ...(rest ? pageParameters(this.#schema) : []),
        query('filter', 'An expression, `state==open;priority=gt=2`; see the filters of tables over REST', {
          type: 'string',
        }),
        ...filters,
        ...(sse ? streamParameters() : []),
      ],
      responses: together(
        {
          200: {
            description: 'The records, or their changes',
            headers: rest
              ? {
                  Link: header('The pages after this one and before it (RFC 8288)'),
                  'X-Total-Count': header('How many records match, with `count=true`', { type: 'integer' }),
                }
              : {},
            content: {
              ...(rest
                ? { [json]: { schema: { type: 'array', items: this.#shown } }, [ndjson]: { schema: lines() } }
                : {}),
              ...(sse ? { [eventStream]: { schema: { type: 'string' } } } : {}),
            },
          },
        },
        problems([...this.#common, 'QueryInvalid', 'CursorInvalid', 'SortTooLarge', ...(sse ? following : [])]),
      ),
    };
  }

  record(): OperationObject {
    const { rest, sse } = this.#exports;
    if (!rest && !sse) return onlySocket(this.#name, this.#common);
    const select = query('select', 'Fields to show, in this order, with commas between them', { type: 'string' });
    return {
      summary: rest ? `Read a record of ${this.#name}` : `Follow the changes of a record of ${this.#name}`,
      ...this.#said(sse),
      parameters: [
        ...(rest ? [select, conditions.ifMatch, conditions.ifNoneMatch] : []),
        ...(sse ? streamParameters() : []),
      ],
      responses: together(
        {
          200: {
            description: 'The record, or its changes',
            headers: rest ? { ETag: etag } : {},
            content: {
              ...(rest ? { [json]: { schema: this.#shown } } : {}),
              ...(sse ? { [eventStream]: { schema: { type: 'string' } } } : {}),
            },
          },
          ...(rest ? { 304: { description: 'It is what the client has', headers: { ETag: etag } } } : {}),
        },
        problems([
          ...this.#common,
          'QueryInvalid',
          ...(rest ? notFound : []),
          'PreconditionFailed',
          ...(sse ? following : []),
        ]),
      ),
    };
  }

  create(): OperationObject {
    const { definition } = this.#schema;
    const input: Schema = { $ref: this.#refer(`${this.#name}.Input`) };
    const key = this.#schema.fields.find(({ name }) => name === definition.primaryKey);
    // Only an ID is made where none is given.
    const one: Schema = key?.type.kind === 'ID' ? input : { allOf: [input, { required: [definition.primaryKey] }] };
    const many: Schema = { type: 'array', items: one, maxItems: 10_000 };
    const answer = {
      [json]: { schema: { anyOf: [this.#record, { type: 'array', items: this.#record }] } },
      [ndjson]: { schema: lines() },
    };
    return {
      summary: `Create a record of ${this.#name}, or many`,
      parameters: [
        query('mode', 'Whether records that are there are replaced, or refused', {
          type: 'string',
          enum: ['create', 'upsert'],
          default: 'create',
        }),
        prefer,
      ],
      requestBody: {
        required: true,
        description: 'One record, or up to 10,000 of which all are written or none',
        content: { [json]: { schema: { anyOf: [one, many] } }, [ndjson]: { schema: lines() } },
      },
      responses: together(
        {
          200: { description: 'All were there, and are replaced', headers: written, content: answer },
          201: { description: 'Created', headers: { ...written, Location: location }, content: answer },
          204: { description: 'All were there, and are replaced; nothing is to be shown', headers: written },
        },
        problems([...this.#common, ...writing, 'RecordExists']),
      ),
    };
  }

  put(): OperationObject {
    return {
      summary: `Create or replace a record of ${this.#name}`,
      parameters: [conditions.ifMatch, conditions.ifNoneMatch, prefer],
      requestBody: {
        required: true,
        description: 'The whole record',
        content: { [json]: { schema: { $ref: this.#refer(`${this.#name}.Input`) } } },
      },
      responses: together(
        {
          ...this.#changed('Replaced'),
          201: {
            description: 'Created',
            headers: { ...written, Location: location },
            content: { [json]: { schema: this.#record } },
          },
        },
        problems([...this.#common, ...writing]),
      ),
    };
  }

  patch(): OperationObject {
    const schema = { $ref: this.#refer(`${this.#name}.Patch`) };
    return {
      summary: `Change some fields of a record of ${this.#name}`,
      parameters: [conditions.ifMatch, conditions.ifNoneMatch, prefer],
      requestBody: {
        required: true,
        description: 'What is laid over the record; `null` is stored as null',
        content: { [mergePatch]: { schema }, [json]: { schema } },
      },
      responses: together(this.#changed('Changed'), problems([...this.#common, ...writing, ...notFound])),
    };
  }

  remove(): OperationObject {
    return {
      summary: `Delete a record of ${this.#name}`,
      parameters: [conditions.ifMatch, conditions.ifNoneMatch],
      responses: together(
        { 204: { description: 'Deleted' } },
        problems([...this.#common, 'QueryInvalid', ...notFound, 'PreconditionFailed', 'StoreFull']),
      ),
    };
  }

  #changed(description: string): Record<string, Record<string, unknown>> {
    return {
      200: { description, headers: written, content: { [json]: { schema: this.#record } } },
      204: { description: `${description}; nothing is to be shown`, headers: written },
    };
  }

  #said(sse: boolean): { description?: string } {
    const { ws } = this.#exports;
    const ways = [
      ...(sse && this.#exports.rest ? [`Whoever prefers \`${eventStream}\` is told the changes.`] : []),
      ...(ws ? ['A WebSocket may be opened here.'] : []),
    ];
    const description = [this.#schema.description ?? [], ways.length > 0 ? ways.join(' ') : []].flat().join('\n\n');
    return description === '' ? {} : { description };
  }

  #filterOf({ name, type, written: as }: SchemaField): object[] {
    const schema = this.#compared(type, as.replaceAll(/[[\]!\s]/g, ''));
    if (schema === undefined || parameterNames.includes(name)) return [];
    return [query(name, `Only records whose ${name} is this`, schema)];
  }

  #compared({ kind }: FieldType, name: string): Schema | undefined {
    if (kind === 'Enum') return { $ref: this.#refer(name) };
    if (kind === 'Int') return { type: 'integer' };
    if (kind === 'Float') return { type: 'number' };
    if (kind === 'Boolean') return { type: 'boolean' };
    return kind === 'ID' || kind === 'String' || kind === 'Date' ? { type: 'string' } : undefined;
  }
}

const notFound: readonly ErrorCode[] = ['RecordNotFound'];

/** Words of the query that are no fields. */
const parameterNames = ['filter', 'sort', 'select', 'limit', 'offset', 'cursor', 'count', 'from', 'snapshot'];

function pageParameters({ fields }: TableSchema): object[] {
  const some = fields
    .slice(0, 2)
    .map(({ name }) => name)
    .join(',');
  return [
    query('sort', 'Fields with commas between them, `-` in front of one: descending; 8 at most', {
      type: 'string',
      examples: [`-${some}`],
    }),
    query('select', 'Fields to show, in this order, with commas between them', { type: 'string', examples: [some] }),
    query('limit', 'Records in the page; without an upper bound for NDJSON', {
      type: 'integer',
      minimum: 1,
      maximum: pageLimits.most,
      default: pageLimits.usual,
    }),
    query('offset', 'Records to skip', { type: 'integer', minimum: 0, default: 0 }),
    query('cursor', 'Where to go on, from a Link header', { type: 'string' }),
    query('count', 'Whether to say in X-Total-Count how many match', { type: 'boolean', default: false }),
  ];
}

function streamParameters(): object[] {
  return [
    query('from', 'Of a stream of changes: go on after the change with this id', { type: 'string' }),
    query('snapshot', 'Of a stream of changes: the records first', { type: 'boolean', default: false }),
    {
      name: 'Last-Event-ID',
      in: 'header',
      description: 'Goes before `from`; browsers send it when they come again',
      schema: { type: 'string' },
    },
  ];
}

function query(name: string, description: string, schema: Schema): object {
  return { name, in: 'query', description, schema };
}

function header(description: string, schema: Schema = { type: 'string' }): object {
  return { description, schema };
}

function lines(): Schema {
  return { type: 'string', description: 'One record of JSON in each line' };
}

const etag = header('Made of the content: the same content has the same tag');
const location = header('Path of the record, when it is one');
const written = {
  ETag: header('Of the record, when it is one'),
  'Preference-Applied': header('`return=minimal`, if that was asked for'),
};
const conditions = {
  ifMatch: {
    name: 'If-Match',
    in: 'header',
    description: 'Only if the record has one of these tags; `*`: if there is one',
    schema: { type: 'string' },
  },
  ifNoneMatch: {
    name: 'If-None-Match',
    in: 'header',
    description: 'Only if the record has none of these tags; `*`: if there is none',
    schema: { type: 'string' },
  },
};
const prefer = {
  name: 'Prefer',
  in: 'header',
  description: '`return=minimal`: the answer does without the record',
  schema: { type: 'string' },
};

function onlySocket(name: string, common: readonly ErrorCode[]): OperationObject {
  return {
    summary: `Open a WebSocket to ${name}`,
    responses: together({ 101: { description: 'The socket is open' } }, problems([...common, 'UpgradeRequired'])),
  };
}

const graphqlRequest: Schema = {
  type: 'object',
  required: ['query'],
  properties: {
    query: { type: 'string' },
    operationName: { type: ['string', 'null'] },
    variables: { type: ['object', 'null'] },
    extensions: { type: ['object', 'null'] },
  },
};

const graphqlResult: Schema = {
  type: 'object',
  properties: {
    data: { type: ['object', 'null'] },
    errors: {
      type: 'array',
      items: { type: 'object', required: ['message'], properties: { message: { type: 'string' } } },
    },
    extensions: { type: 'object' },
  },
};

function graphqlOperation(method: string, common: readonly ErrorCode[]): OperationObject | undefined {
  if (method !== 'GET' && method !== 'POST') return undefined;
  const posts = method === 'POST';
  const result = {
    schema: posts ? { anyOf: [graphqlResult, { type: 'array', items: graphqlResult }] } : graphqlResult,
  };
  const results = { 'application/json': result, 'application/graphql-response+json': result };
  const text = { schema: { type: 'string' } };
  const refused = { description: 'The request, or the document in it, is not valid', content: results };
  return {
    summary: posts ? 'Run a document of GraphQL, or several' : 'Run a query of GraphQL',
    description:
      'What there is to ask for, the schema tells by introspection. Subscriptions are answered by an event stream.',
    ...(posts
      ? {
          requestBody: {
            required: true,
            content: { [json]: { schema: { anyOf: [graphqlRequest, { type: 'array', items: graphqlRequest }] } } },
          },
        }
      : {
          parameters: [
            query('query', 'The document; absent where a browser asks for the page', { type: 'string' }),
            query('operationName', 'Which of its operations to run', { type: 'string' }),
            query('variables', 'JSON', { type: 'string' }),
            query('extensions', 'JSON', { type: 'string' }),
          ],
        }),
    responses: together(
      {
        200: {
          description: 'What came of it; errors of fields are in `errors`',
          content: { ...results, [eventStream]: text, ...(posts ? {} : { 'text/html': text }) },
        },
        400: refused,
        401: { ...refused, description: 'Nothing of it may be done by somebody who is not known' },
      },
      problems([...common, 'MethodNotAllowed', 'BodyTooLarge', 'ContentTypeUnsupported', 'TooManySubscribers']),
    ),
  };
}
