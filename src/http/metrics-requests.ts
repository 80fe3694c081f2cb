/** Every request that comes to the door: by plugin, method and route, with its status and its time. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ServedRoute } from '../host/live.js';
import { onDisconnect } from './disconnect.js';
import { boundOf, type Family, headOf, labelsOf, numberOf, type Sample } from './metrics-text.js';
import { codeOf } from './problem.js';

/** Upper bounds of the buckets, seconds. */
export const requestBounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 2.5, 10] as const;

/** Route of the host's own answers to paths that nobody serves. */
const nowhere = 'other';
const countedMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
/** Statuses of one route that are told apart; of further ones their class is. */
const mostStatuses = 16;
/** Meters that are written before somebody else has a turn. */
const atOnce = 50;

const requests = { name: 'tenon_http_requests_total', type: 'counter', help: 'Requests that have ended.' } as const;
const durations = {
  name: 'tenon_http_request_duration_seconds',
  type: 'histogram',
  help: 'From the head of a request to the end of its answer, without event streams.',
} as const;

type Place = Pick<ServedRoute, 'plugin' | 'method' | 'path'>;

/** A request whose answer has not ended. */
interface Waiting {
  readonly request: IncomingMessage;
  /** Undefined: the host itself answers. */
  readonly route: ServedRoute | undefined;
  readonly began: number;
}

/** The same, as it is told of; `plugin`: empty where the host itself answers. */
export interface RequestUnderWay {
  readonly plugin: string;
  readonly method: string;
  /** The pattern of its path. */
  readonly route: string;
  /** Since it came, ms. */
  readonly ms: number;
}

/** Requests of one method of one route. */
class RouteMeter {
  readonly labels: string;
  readonly #statuses = new Map<string | number, number>();
  readonly #buckets = new Float64Array(requestBounds.length + 1);
  #seconds = 0;

  constructor({ plugin, method, path }: Place) {
    this.labels = labelsOf({ plugin, method, route: path });
  }

  count(status: string | number): void {
    const known = this.#statuses.get(status);
    if (known !== undefined) this.#statuses.set(status, known + 1);
    else this.#countNew(status);
  }

  time(seconds: number): void {
    let bucket = 0;
    while (bucket < requestBounds.length && seconds > (requestBounds[bucket] as number)) bucket++;
    (this.#buckets[bucket] as number)++;
    this.#seconds += seconds;
  }

  countsText(): string {
    let text = '';
    for (const [status, count] of this.#statuses)
      text += `${requests.name}{${this.labels},code="${status}"} ${count}\n`;
    return text;
  }

  timesText(bounds: readonly string[]): string {
    let text = '';
    let all = 0;
    for (const [at, bound] of bounds.entries()) {
      all += this.#buckets[at] as number;
      text += `${durations.name}_bucket{${this.labels},le="${bound}"} ${all}\n`;
    }
    const sum = numberOf(this.#seconds);
    return all === 0
      ? ''
      : `${text}${durations.name}_sum{${this.labels}} ${sum}\n${durations.name}_count{${this.labels}} ${all}\n`;
  }

  #countNew(status: string | number): void {
    const key =
      this.#statuses.size < mostStatuses || typeof status === 'string' ? status : `${Math.floor(status / 100)}xx`;
    this.#statuses.set(key, (this.#statuses.get(key) ?? 0) + 1);
  }
}

/** The requests of one host. What is called for every request is plain code; the rest is for whoever reads. */
export class RequestMeters {
  readonly #meters = new Map<string, { readonly place: Place; readonly meter: RouteMeter }>();
  readonly #problems = new Map<string, { readonly plugin: string; readonly code: string; count: number }>();
  readonly #waiting = new Map<ServerResponse, Waiting>();
  #routes: readonly ServedRoute[] = [];
  /** Of requests whose method is their route's. */
  #known = new Map<ServedRoute, RouteMeter>();
  /** Whether there may be meters of routes that are gone. */
  #stale = false;

  /** From now on these routes are served, and no other. */
  serve(routes: readonly ServedRoute[]): void {
    this.#routes = routes;
    this.#known = new Map();
    this.#stale = true;
  }

  /** An answer was begun, at `began` of `performance.now()`, and may have ended. */
  note(request: IncomingMessage, response: ServerResponse, route: ServedRoute | undefined, began: number): void {
    if (response.writableEnded) {
      this.#end(request, response, { request, route, began }, response.statusCode);
      return;
    }
    this.#waiting.set(response, { request, route, began });
    onDisconnect(request, response, () => this.#gone(response));
  }

  /** Text of all that was counted, in pieces. */
  *text(openMetrics: boolean): Generator<string, void, void> {
    this.#forgetGone();
    const meters = [...this.#meters.values()].map(({ meter }) => meter);
    const bounds = [...requestBounds, Number.POSITIVE_INFINITY].map((bound) => boundOf(bound, openMetrics));
    yield headOf(requests, openMetrics);
    for (let at = 0; at < meters.length; at += atOnce)
      yield meters.slice(at, at + atOnce).reduce((text, meter) => text + meter.countsText(), '');
    yield headOf(durations, openMetrics);
    for (let at = 0; at < meters.length; at += atOnce)
      yield meters.slice(at, at + atOnce).reduce((text, meter) => text + meter.timesText(bounds), '');
  }

  /** Requests whose answer has not ended, without event streams. */
  underWay(): Map<ServerResponse, RequestUnderWay> {
    const now = performance.now();
    const found = new Map<ServerResponse, RequestUnderWay>();
    for (const [response, { request, route, began }] of this.#waiting)
      if (!isEventStream(response))
        found.set(response, {
          plugin: route?.plugin ?? '',
          method: request.method ?? '',
          route: route?.path ?? ownRoute(request),
          ms: Math.round(now - began),
        });
    return found;
  }

  /** What there is beside them. */
  families(): Family[] {
    this.#forgetGone();
    const waiting = [...this.#waiting].map(([response, { route }]) => ({ response, plugin: route?.plugin ?? '' }));
    const streams = waiting.filter(({ response }) => isEventStream(response));
    return [
      {
        name: 'tenon_http_requests_in_flight',
        type: 'gauge',
        help: 'Requests whose answer has not ended, event streams among them.',
        samples: countBy(waiting),
      },
      {
        name: 'tenon_http_event_streams',
        type: 'gauge',
        help: 'Event streams that clients listen to.',
        samples: countBy(streams),
      },
      {
        name: 'tenon_http_problems_total',
        type: 'counter',
        help: 'Requests that the host answered with a problem, by its code.',
        samples: [...this.#problems.values()].map(({ count: value, ...labels }) => ({ labels, value })),
      },
    ];
  }

  #gone(response: ServerResponse): void {
    const waiting = this.#waiting.get(response);
    if (waiting === undefined) return;
    this.#waiting.delete(response);
    this.#end(waiting.request, response, waiting, response.writableFinished ? response.statusCode : 'aborted');
  }

  #end(request: IncomingMessage, response: ServerResponse, { route, began }: Waiting, status: number | string): void {
    const meter = this.#meterOf(request, route);
    meter.count(status);
    if (!isEventStream(response)) meter.time((performance.now() - began) / 1000);
    if (response.statusCode >= 400) this.#countProblem(route?.plugin ?? '', codeOf(response));
  }

  #countProblem(plugin: string, code: string | undefined): void {
    if (code === undefined) return;
    const key = `${code} ${plugin}`;
    const known = this.#problems.get(key);
    if (known !== undefined) known.count++;
    else {
      this.#problems.set(key, { plugin, code, count: 1 });
      this.#stale = true;
    }
  }

  #meterOf(request: IncomingMessage, route: ServedRoute | undefined): RouteMeter {
    const known = route === undefined ? undefined : this.#known.get(route);
    if (known !== undefined && request.method === route?.method) return known;
    const method = countedMethods.has(request.method ?? '') ? (request.method as string) : nowhere;
    const place = { plugin: route?.plugin ?? '', method, path: route?.path ?? ownRoute(request) };
    const key = keyOf(place);
    let found = this.#meters.get(key);
    if (found === undefined) {
      found = { place, meter: new RouteMeter(place) };
      this.#meters.set(key, found);
      this.#stale = true;
    }
    if (route !== undefined && method === route.method) this.#known.set(route, found.meter);
    return found.meter;
  }

  #forgetGone(): void {
    if (!this.#stale) return;
    this.#stale = false;
    const served = new Set(this.#routes.map(keyOf));
    const plugins = new Set(this.#routes.map(({ plugin }) => plugin));
    for (const [key, { place }] of this.#meters) {
      const method = place.method === 'HEAD' ? 'GET' : place.method;
      if (place.plugin !== '' && !served.has(keyOf({ ...place, method }))) this.#meters.delete(key);
    }
    for (const [key, { plugin }] of this.#problems)
      if (plugin !== '' && !plugins.has(plugin)) this.#problems.delete(key);
    this.#known = new Map();
  }
}

function keyOf({ plugin, method, path }: Place): string {
  return `${plugin} ${method} ${path}`;
}

/** The pattern of the host's own route that Express has found. */
function ownRoute(request: IncomingMessage & { route?: { path?: unknown } }): string {
  const path = request.route?.path;
  return typeof path === 'string' ? path : nowhere;
}

function isEventStream(response: ServerResponse): boolean {
  const type = response.getHeader('content-type');
  return typeof type === 'string' && type.startsWith('text/event-stream');
}

function countBy(all: readonly { readonly plugin: string }[]): Sample[] {
  const counts = new Map<string, number>();
  for (const { plugin } of all) counts.set(plugin, (counts.get(plugin) ?? 0) + 1);
  return [...counts].map(([plugin, value]) => ({ labels: { plugin }, value }));
}
