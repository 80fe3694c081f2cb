/** The log of the host over HTTP: what is kept of it, what comes, and from which level on. */
import { TenonError } from '../base/errors.js';
import { type Log, type LogRecord, logLevels, levelNumber } from '../base/log.js';
import type { LogLevels, LogLevelsView } from '../host/log-levels.js';
import { Feed, type Told } from './feed.js';
import type { Asked, Operation, Parameter, Schema } from './operation.js';

interface Tags {
  readonly plugin: unknown;
  /** pino's number. */
  readonly level: number;
}

const keptRecords = 2000;
const keptBytes = 4 * 1024 * 1024;

/** The last 2,000 records of the log, at most 4 MiB of them, and those that come. */
export class LogFeed {
  readonly #feed: Feed<Tags>;

  /** @param log asked when there is something to say: the log may tell this feed what is said in it */
  constructor(log: () => Log) {
    this.#feed = new Feed({ name: 'log', kept: { count: keptRecords, bytes: keptBytes }, log });
  }

  tell({ level, message, fields }: LogRecord): void {
    const { loggedAt, ...others } = fields;
    // What a plugin logs comes a little later than it was said.
    const at = typeof loggedAt === 'number' ? new Date(loggedAt).toISOString() : undefined;
    this.#feed.tell('log', { ...others, level, message }, { plugin: fields['plugin'], level: logLevels[level] }, at);
  }

  /** The records that are asked for, the oldest first, as a list or as a stream that goes on. */
  answer({ query, request, response }: Asked): { body: object } | undefined {
    const { plugin, level = 'trace', since, limit = 200, follow } = query;
    const lowest = levelNumber(String(level));
    const from = typeof since === 'string' ? new Date(since).toISOString() : '';
    const chooses = ({ tags }: Told<Tags>): boolean =>
      tags.level >= lowest && (plugin === undefined || tags.plugin === plugin);
    const asked = this.#feed.kept
      .filter((told) => told.at >= from && chooses(told))
      .toSorted((one, other) => (one.at < other.at ? -1 : Number(one.at > other.at)));
    // A stream begins with what came before only when that is asked for.
    const count = follow === true && since === undefined && query['limit'] === undefined ? 0 : Number(limit);
    const last = count === 0 ? [] : asked.slice(-count);
    if (follow === true) {
      this.#feed.serve(request, response, { chooses, first: last });
      return undefined;
    }
    return { body: { logs: last.map(({ text }) => JSON.parse(text) as object) } };
  }

  /** End every stream; no other begins. */
  close(): void {
    this.#feed.close();
  }
}

const levelNames = Object.keys(logLevels);
const settable = [...levelNames, 'silent'];

const recordSchema: Schema = {
  type: 'object',
  required: ['at', 'level', 'message'],
  properties: {
    at: { type: 'string', format: 'date-time' },
    level: { enum: levelNames },
    message: { type: 'string' },
    plugin: { type: 'string' },
    generation: { type: 'integer' },
    requestId: { type: 'string', description: 'Of the request that was handled meanwhile' },
    trace_id: { type: 'string', description: 'Of the trace that it was written in' },
    span_id: { type: 'string', description: 'Of the span that it was written in' },
    during: { type: 'string', description: 'What else the plugin ran for: a step of its life, `task 12`, `on_event`' },
    fields: {
      type: 'object',
      description: 'Fields that the plugin has given',
      additionalProperties: { type: 'string' },
    },
    source: { enum: ['stdout', 'stderr'], description: 'Of a line that was written there' },
    cut: { type: 'boolean', description: 'Whether long fields were cut' },
  },
  // What else the host has to say of it.
  additionalProperties: true,
};

const levelsSchema: Schema = {
  type: 'object',
  required: ['level', 'setting', 'plugins'],
  properties: {
    level: { enum: settable },
    setting: { enum: settable },
    plugins: { type: 'object', additionalProperties: { enum: settable } },
  },
};

const levelsAnswer = {
  200: { description: 'All levels as they are now', content: { 'application/json': levelsSchema } },
} as const;

const levelBody = {
  description: 'The lowest level that is kept; null takes back what was set',
  required: true,
  content: {
    'application/json': {
      type: 'object',
      required: ['level'],
      properties: { level: { enum: [...settable, null] } },
      additionalProperties: false,
    },
  },
  read: 'json',
  limit: 4096,
} as const;

const filters: readonly Parameter[] = [
  { name: 'plugin', in: 'query', description: 'Records of this plugin alone', schema: { type: 'string' } },
  { name: 'level', in: 'query', description: 'From this level on', schema: { type: 'string', enum: levelNames } },
  {
    name: 'since',
    in: 'query',
    description: 'From this time on',
    schema: {
      type: 'string',
      format: 'date-time',
      pattern:
        '^\\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\\d|3[01])T([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,9})?(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d)$',
    },
  },
  {
    name: 'limit',
    in: 'query',
    description: 'At most so many, the last of them; 200 by default',
    schema: { type: 'integer', minimum: 1, maximum: keptRecords },
  },
  {
    name: 'follow',
    in: 'query',
    description:
      'As server-sent events that go on with what comes; what is kept comes first when `since` or `limit` asks for it, or `Last-Event-ID` says what was seen',
    schema: { type: 'boolean' },
  },
];

/** What a body that sets a level says. Throws `BadRequest`. */
function levelOf(body: unknown): string | undefined {
  const given = typeof body === 'object' && body !== null && !Array.isArray(body) ? body : undefined;
  const [name, ...others] = given === undefined ? [] : Object.keys(given);
  const level = name === 'level' && others.length === 0 ? (given as { level: unknown }).level : undefined;
  if (level === null) return undefined;
  if (typeof level === 'string' && settable.includes(level)) return level;
  throw new TenonError(
    'BadRequest',
    `the body must be {"level": LEVEL}, and LEVEL one of ${settable.join(', ')}, or null to take back what was set`,
  );
}

export interface LogAdminOptions {
  logs: LogFeed;
  levels: LogLevels;
  /** Throws `PluginNotFound`. */
  show: (plugin: string) => unknown;
}

/** The operations on the log. */
export function logOperations({ logs, levels, show }: LogAdminOptions): Operation[] {
  const view = (): { body: LogLevelsView } => ({ body: levels.view() });
  return [
    {
      id: 'readLogs',
      tag: 'logs',
      method: 'get',
      path: '/api/v1/logs',
      scope: 'read',
      summary: 'What is kept of the log of the host and its plugins, or what comes',
      parameters: filters,
      answers: {
        200: {
          description: 'The records, the oldest first; with `follow` each as an event `log`',
          content: {
            'application/json': {
              type: 'object',
              required: ['logs'],
              properties: { logs: { type: 'array', items: recordSchema } },
            },
            'text/event-stream': { type: 'string' },
          },
        },
      },
      errors: ['HostClosing'],
      handle: (asked) => logs.answer(asked),
    },
    {
      id: 'listLogLevels',
      tag: 'logs',
      method: 'get',
      path: '/api/v1/log-levels',
      scope: 'read',
      summary: 'From which level on records are kept',
      answers: levelsAnswer,
      errors: [],
      handle: view,
    },
    {
      id: 'setLogLevel',
      tag: 'logs',
      method: 'put',
      path: '/api/v1/log-level',
      scope: 'config',
      summary: 'Set the level of the host, and of plugins that have none of their own, until the host ends',
      requestBody: levelBody,
      answers: levelsAnswer,
      errors: [],
      handle: ({ body }) => {
        levels.set(levelOf(body));
        return view();
      },
    },
    {
      id: 'setPluginLogLevel',
      tag: 'logs',
      method: 'put',
      path: '/api/v1/plugins/{id}/log-level',
      scope: 'config',
      summary: 'Set the level of one plugin, until the host ends',
      parameters: [{ name: 'id', in: 'path', description: 'Id of the plugin', schema: { type: 'string' } }],
      requestBody: levelBody,
      answers: levelsAnswer,
      errors: ['PluginNotFound'],
      handle: ({ path: { id = '' }, body }) => {
        show(id);
        levels.setPlugin(id, levelOf(body));
        return view();
      },
    },
  ];
}
