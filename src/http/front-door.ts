/** Where requests come in: the public port, a listener of its own for the admin API, and what a server of an embedder calls. */
import path from 'node:path';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { listOf, type Settings } from '../base/config.js';
import type { Log } from '../base/log.js';
import { lookForTracing, type TraceContext } from '../base/tracing.js';
import type { Front } from '../binding/core.js';
import type { ServedRoute } from '../host/live.js';
import { type AdminDescriptors, AdminListener } from './admin-listener.js';
import { Calls, type Otherwise, type Passage } from './calls.js';
import type { Certificate } from './certificate.js';
import { namesOrigin } from './cors.js';
import { inject, type InjectedAnswer, type InjectedRequest } from './inject.js';
import type { Metrics } from './metrics.js';
import { RequestLog, type RequestLogOptions } from './request-log.js';
import { HttpServer, type ListenerCounts } from './server.js';
import { RequestSpans } from './tracing-requests.js';
import { UnderWay } from './under-way.js';
import { Upgrades, type UpgradeOptions } from './upgrade.js';

/** What the door leads to. */
export interface FrontDoorOptions {
  front: Front;
  log: Log;
  settings: Settings;
  certificate: Certificate | undefined;
  metrics: Metrics;
  /** First segments of paths that no route serves. */
  reserved: readonly string[];
  /** Makes what answers all that no plugin serves; without the API, when that is served elsewhere. */
  application: (isElsewhere: boolean) => Otherwise;
  /** The WebSocket of a route of a table. */
  socketOf: (route: ServedRoute | undefined) => ReturnType<UpgradeOptions['find']>;
}

/** Where the host listens. */
export interface Listening {
  url: string;
  /** Of the admin API, where that has a listener of its own. */
  api?: string | undefined;
}

/** How the door closes. */
export interface DoorEnd {
  /** Whether another process accepts on the same sockets afterwards. */
  continues: boolean;
  /** Ends the answers that have no end of their own; called again and again. */
  endStreams: () => void;
}

/** One for a host. */
export class FrontDoor {
  readonly #calls: Calls;
  readonly #upgrades: Upgrades;
  readonly #server: HttpServer;
  readonly #admin: AdminListener | undefined;
  readonly #drainMs: number;
  readonly #spans: RequestSpans;
  readonly #underWay: UnderWay;
  #adminUrl: string | undefined;
  /** What node:http, Express or any other server of the user's calls with a request. */
  readonly handle: RequestListener;
  /** The same as a middleware: what nothing is served at is left to `next`. */
  readonly take: Otherwise;

  constructor(options: FrontDoorOptions) {
    const { front, log, settings, certificate, metrics, reserved, application, socketOf } = options;
    const edge = { limits: settings, log, certificate };
    lookForTracing();
    const spans = new RequestSpans({ find: (method, at) => calls.find(method, at), reserved });
    this.#spans = spans;
    const { adminPort, adminAddress, adminSocket, logRequests } = settings;
    const notedAt = (
      listener: 'public' | 'admin',
      find: RequestLogOptions['find'],
    ): ((handle: Otherwise) => Otherwise) => {
      const requests = new RequestLog({ log, find, listener });
      return (handle) => spans.wrap(logRequests ? requests.wrap(handle) : handle);
    };
    const metered =
      (handle: Otherwise): Otherwise =>
      (request, response, next) => {
        const began = performance.now();
        handle(request, response, next);
        metrics.requests.note(request, response, undefined, began);
      };
    if (adminPort !== '' || adminSocket !== '')
      this.#admin = new AdminListener({
        ...edge,
        application: notedAt('admin', () => undefined)(metered(application(false))),
        at: adminPort === '' ? undefined : { host: adminAddress, port: Number(adminPort) },
        socket: adminSocket === '' ? undefined : path.resolve(adminSocket),
      });
    const calls = new Calls({
      front,
      log,
      reserved,
      otherwise: application(this.#admin !== undefined),
      meters: metrics.requests,
      names: logRequests,
      numbered: spans.name,
    });
    this.#calls = calls;
    const noted = notedAt('public', (method, at) => calls.find(method, at));
    this.take = noted(calls.take);
    this.handle = (request, response) => this.take(request, response);
    this.#upgrades = new Upgrades({
      find: (at) => socketOf(calls.find('GET', at)),
      handle: calls.handle,
      opened: (at, socket) => metrics.sockets.note(calls.find('GET', at)?.plugin ?? '', socket),
      allows: (at, origin) => {
        const rules = calls.find('GET', at)?.cors;
        return rules !== undefined && namesOrigin(rules, origin);
      },
      origins: listOf(settings.tablesOrigins),
      ...(settings.tablesHosts === '' ? {} : { hosts: listOf(settings.tablesHosts.toLowerCase()) }),
    });
    this.#drainMs = settings.drainMs;
    this.#underWay = new UnderWay(metrics.requests, log);
    this.#server = new HttpServer({
      handle: this.handle,
      handleExpecting: noted(calls.handleExpecting),
      handleUpgrade: this.handleUpgrade,
      ...edge,
      host: settings.host,
      port: settings.port,
    });
  }

  /** Serve these routes and no other from the next request on. Throws `RouteInvalid`, and then nothing changes. */
  serve(routes: readonly ServedRoute[]): void {
    this.#calls.serve(routes);
  }

  /** Take what the core has finished. */
  readonly pump = (): void => this.#calls.pump();

  /** What the request that the core has numbered so is, as a part of a trace; undefined when it is none. */
  readonly traceOf = (number: number): TraceContext | undefined => this.#spans.of(number);

  /** Bring a request through the extensions of a plugin, see `Calls.pass`. */
  readonly pass = (request: IncomingMessage, response: ServerResponse, passage: Passage): void =>
    this.#calls.pass(request, response, passage);

  /** What a server of the user's calls with an `upgrade`. */
  readonly handleUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void =>
    this.#upgrades.handle(request, socket, head);

  /** Give a request to `handle` without a socket. */
  inject(request: string | InjectedRequest): Promise<InjectedAnswer> {
    return inject(this.handle, request);
  }

  /**
   * Begin to listen, first with the admin API. Rejects with `AddressInUse` and TypeError.
   * @param descriptor a bound socket for the public port, `held` those of the admin API; without them they are bound here
   */
  async listen(descriptor?: number, held?: AdminDescriptors): Promise<Listening> {
    lookForTracing();
    const api = await this.#admin?.listen(held);
    this.#adminUrl = api;
    const { url } = await this.#server.listen(descriptor);
    return { url, api };
  }

  /** What has become of the connections of each listener that listens. */
  get connections(): ListenerCounts[] {
    const own = this.#server.listening ? [{ listener: 'public', counts: this.#server.counts } as const] : [];
    return [...own, ...(this.#admin?.connections ?? [])];
  }

  /** Whether clients can connect. */
  get listening(): boolean {
    return this.#server.listening;
  }

  /** Where the admin API has a listener of its own, once it listens. */
  get adminUrl(): string | undefined {
    return this.#adminUrl;
  }

  /** Serve everybody until the requests that are under way now are over, `limits.drainMs` have passed, or `hurry` was called. */
  underWayOver(): Promise<void> {
    return this.#underWay.over(this.#drainMs);
  }

  /** End without that. */
  hurry(): void {
    this.#underWay.hurry();
  }

  /** Stop accepting, and let answers under way end. Twice is fine. */
  async close(end: DoorEnd): Promise<void> {
    this.#calls.lastAnswers();
    this.#upgrades.close();
    const whole = { ...end, deadlineMs: this.#drainMs };
    await this.#underWay.last(Promise.all([this.#server.close(whole), this.#admin?.close(whole)]));
  }
}
