/** Requests for static plugins: through their extensions, into a handler, and whatever that does, to an answer. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { asTenonError, TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { TableGate } from '../host/chains.js';
import type { CheckedRoute } from '../host/checked-static.js';
import type { Endpoint } from '../host/live.js';
import type { StaticCall, StaticDoor } from '../host/static-door.js';
import type { StaticCaller } from '../host/static-plugin.js';
import { beginBody } from './body.js';
import { onDisconnect } from './disconnect.js';
import { sendError } from './problem.js';
import { originForm, pathOf } from './router.js';
import type { Gateway } from './table-gate.js';

export interface StaticEndpointsOptions extends Gateway {
  log: Log;
}

type Route = CheckedRoute & { readonly deadlineMs: number };

/** What answers the requests of one route, through as many of them as come. */
export function staticEndpoint(options: StaticEndpointsOptions, route: Route, door: StaticDoor): Endpoint {
  const { method, path, deadlineMs } = route;
  const { plugin } = door;
  return (request, response) => {
    const gate = options.gateOf(plugin);
    const go = (caller: StaticCaller | undefined): void => {
      try {
        // As it is by now: an extension may have begun to ask who comes.
        requireCaller(route, plugin, caller, options.gateOf(plugin) ?? gate, response);
        new Handling(options.log, { route, door, request, response, caller, deadlineMs }).begin();
      } catch (error) {
        sendError(request, response, error);
      }
    };
    if (gate === undefined) {
      go(undefined);
      return;
    }
    options.pass(request, response, {
      plugin,
      method,
      path,
      slot: gate.slot(method, path),
      answering: () => {},
      go: (identity) => go(identity === '' ? undefined : (JSON.parse(identity) as StaticCaller)),
    });
  };
}

/** Throws `Unauthenticated`, with how to make known who asks in the headers of the response, and `Forbidden`. */
function requireCaller(
  { auth, roles, method, path }: Route,
  plugin: string,
  caller: StaticCaller | undefined,
  gate: TableGate | undefined,
  response: ServerResponse,
): void {
  const needed = auth === 'none' ? (gate?.auth ?? 'open') : auth;
  if (needed === 'open') return;
  const details = { plugin, route: `${method} ${path}`, ...(needed === 'roles' ? { roles } : {}) };
  const who = needed === 'roles' ? `the role ${roles.join(' or ')}` : 'somebody who is known';
  if (caller === undefined) {
    const challenges = gate?.challenges() ?? [];
    if (challenges.length > 0) response.setHeader('www-authenticate', challenges);
    throw new TenonError('Unauthenticated', `${method} ${path} needs ${who}, and nobody is known`, { details });
  }
  if (needed === 'roles' && !roles.some((role) => caller.roles.includes(role)))
    throw new TenonError('Forbidden', `${method} ${path} needs ${who}: ${caller.subject} has not got it`, { details });
}

interface Exchange {
  readonly route: Route;
  readonly door: StaticDoor;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly caller: StaticCaller | undefined;
  readonly deadlineMs: number;
}

/** One request in a handler, until its answer has ended or its connection has. */
class Handling implements StaticCall {
  readonly #log: Log;
  readonly #exchange: Exchange;
  readonly #abort = new AbortController();
  /** What stood in the answer before: of the handler nothing stays in one that is not its own. */
  readonly #headers: ReturnType<ServerResponse['getHeaders']>;
  #timer: NodeJS.Timeout | undefined;
  /** Nobody waits for the handler any more. */
  #over = false;
  #failed = false;
  /** The handler has returned, and what it has promised is settled. */
  #returned = false;
  #closed = false;
  #leave: () => void = () => {};

  constructor(log: Log, exchange: Exchange) {
    this.#log = log;
    this.#exchange = exchange;
    this.#headers = { ...exchange.response.getHeaders() };
  }

  get streams(): boolean {
    const { request, response } = this.#exchange;
    return response.headersSent && (request.headers.accept ?? '').includes('text/event-stream');
  }

  /** Throws `PluginStopped`. */
  begin(): void {
    const { door, request, response, deadlineMs } = this.#exchange;
    this.#leave = door.enter(this);
    this.#timer = setTimeout(() => this.#expire(), deadlineMs);
    onDisconnect(request, response, () => this.#end());
    // Written after the end, or to nobody: an error that nobody listens to would end the process.
    response.on('error', (error) => this.#log.debug({ ...this.#facts(), err: error }, 'an answer was written in vain'));
    beginBody(request);
    void this.#run();
  }

  /** The plugin is taken down. */
  cut(reason: TenonError): void {
    const { response } = this.#exchange;
    this.#abort.abort(reason);
    if (this.streams && !response.writableEnded) response.end();
    else this.#answer(reason);
  }

  async #run(): Promise<void> {
    const { route, door, request, response, caller } = this.#exchange;
    try {
      await route.route.handle(request, response, {
        params: paramsOf(route.path, request.url ?? '/'),
        config: door.config,
        plugin: door.plugin,
        caller,
        signal: this.#abort.signal,
      });
    } catch (cause) {
      this.#fail(cause);
    } finally {
      this.#returned = true;
      if (this.#closed) this.#leave();
    }
  }

  #fail(cause: unknown): void {
    const { door, response } = this.#exchange;
    const { message } = asTenonError(cause);
    // Who was told that nobody waits may say so.
    const level = this.#abort.signal.aborted ? 'debug' : 'error';
    this.#log[level](
      { ...this.#facts(), code: 'HandlerFailed', err: cause },
      `${door.plugin}: a handler failed: ${message}`,
    );
    if (response.writableEnded) return;
    const { method, path } = this.#exchange.route;
    this.#answer(
      new TenonError('HandlerFailed', `${door.plugin} failed to answer ${method} ${path}`, {
        details: { plugin: door.plugin, route: `${method} ${path}` },
      }),
    );
  }

  #expire(): void {
    const { door, response, deadlineMs } = this.#exchange;
    // The answer has begun: how long it takes is for the handler to say.
    if (response.headersSent) return;
    const { method, path } = this.#exchange.route;
    const error = new TenonError(
      'DeadlineExceeded',
      `${door.plugin} did not answer ${method} ${path} within ${deadlineMs} ms`,
      { details: { plugin: door.plugin, route: `${method} ${path}` } },
    );
    this.#log.warn({ ...this.#facts(), code: error.code }, error.message);
    this.#answer(error);
  }

  /** In place of the handler, who is told. */
  #answer(error: TenonError): void {
    const { request, response } = this.#exchange;
    if (this.#over) return;
    this.#over = true;
    this.#failed = true;
    this.#abort.abort(error);
    if (response.writableEnded) return;
    if (!response.headersSent) {
      for (const name of response.getHeaderNames()) response.removeHeader(name);
      for (const [name, value] of Object.entries(this.#headers))
        if (value !== undefined) response.setHeader(name, value);
      response.statusMessage = '';
    }
    sendError(request, response, error);
  }

  /** The answer has left, or its client has. */
  #end(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#over = true;
    clearTimeout(this.#timer);
    const { door, response } = this.#exchange;
    if (!response.writableFinished) this.#abort.abort(clientGone(door.plugin));
    door.ended += 1;
    if (this.#failed || (response.writableFinished && response.statusCode >= 500)) door.faults += 1;
    if (this.#returned) this.#leave();
  }

  #facts(): object {
    const { door, route } = this.#exchange;
    return { plugin: door.plugin, path: route.path };
  }
}

function clientGone(plugin: string): TenonError {
  return new TenonError('RouteGone', `nobody waits for ${plugin} any more`, { details: { plugin } });
}

/** Values of what `pattern`, a path with parameters, has in place of the segments of `url`, whose escapes are whole. */
function paramsOf(pattern: string, url: string): Readonly<Record<string, string>> {
  const params = Object.create(null) as Record<string, string>;
  if (!/\/[:*]/.test(pattern)) return params;
  const segments = pathOf(originForm(url)).split('/');
  for (const [at, segment] of pattern.split('/').entries()) {
    if (segment === '*') params['*'] = decodeURIComponent(segments.slice(at).join('/'));
    else if (segment.startsWith(':')) params[segment.slice(1)] = decodeURIComponent(segments[at] ?? '');
  }
  return params;
}
