/** The way of a request for a table through the extensions of its application, before anything of it is read. */
import { type IncomingMessage, ServerResponse } from 'node:http';
import type { TableGate } from '../host/chains.js';
import type { ServedRoute } from '../host/live.js';
import { Access, openAccess, readCaller } from './access.js';
import type { Passage } from './calls.js';

/** The way to extensions. */
export interface Gateway {
  /** What stands before what an application serves without its library; undefined: nothing. */
  gateOf: (application: string) => TableGate | undefined;
  /** Asks the extensions; as `Calls.pass`. */
  pass: (request: IncomingMessage, response: ServerResponse, passage: Passage) => void;
}

export class TableGates {
  readonly #options: Gateway;

  constructor(options: Gateway) {
    this.#options = options;
  }

  /**
   * Go on with what the request may do, at once where nothing stands before the tables; never, when it is answered instead or its client
   * goes. What extensions have put into headers is on the response by then.
   * @param answering called just before the request is answered instead
   */
  enter(
    request: IncomingMessage,
    response: ServerResponse,
    route: Pick<ServedRoute, 'plugin' | 'method' | 'path'>,
    go: (access: Access) => void,
    answering: () => void = () => {},
  ): void {
    const gate = this.#options.gateOf(route.plugin);
    if (gate === undefined) {
      go(openAccess);
      return;
    }
    this.#pass(request, response, route, gate, go, answering);
  }

  /**
   * As `enter`, for a socket: its messages are not asked about one by one, so that extensions are asked about each of `methods`, by which
   * they write, before it opens. What they put into headers then is lost.
   */
  enterSocket(
    request: IncomingMessage,
    response: ServerResponse,
    route: Pick<ServedRoute, 'plugin' | 'path'>,
    methods: readonly string[],
    go: (access: Access) => void,
    answering: () => void,
  ): void {
    const reading = (access: Access): void =>
      this.#ask(request, route, methods, (refused) => go(access.without(refused, refused.length === methods.length)));
    this.enter(request, response, { ...route, method: 'GET' }, reading, answering);
  }

  /** One after another: who is slow to answer holds one thread. */
  #ask(
    request: IncomingMessage,
    route: Pick<ServedRoute, 'plugin' | 'path'>,
    methods: readonly string[],
    tell: (refused: readonly string[]) => void,
    refused: readonly string[] = [],
  ): void {
    const gate = this.#options.gateOf(route.plugin);
    const [method, ...others] = methods;
    if (method === undefined || gate === undefined) {
      tell(refused);
      return;
    }
    const aside = new ServerResponse(request);
    const isRefused = (): void =>
      queueMicrotask(() => {
        // Nobody reads the refusal: whoever still writes it is to stop.
        aside.emit('close');
        this.#ask(request, route, others, tell, [...refused, method]);
      });
    const mayGo = (): void => this.#ask(request, route, others, tell, refused);
    this.#pass(request, aside, { ...route, method }, gate, mayGo, isRefused);
  }

  #pass(
    request: IncomingMessage,
    response: ServerResponse,
    route: Pick<ServedRoute, 'plugin' | 'method' | 'path'>,
    gate: TableGate,
    go: (access: Access) => void,
    answering: () => void,
  ): void {
    const { plugin, method, path } = route;
    this.#options.pass(request, response, {
      plugin,
      method,
      path,
      slot: gate.slot(method, path),
      answering,
      go: (identity) => {
        // As it is by now: an extension may have begun to ask who comes.
        const otherwise = this.#options.gateOf(plugin)?.auth ?? gate.auth;
        go(new Access({ caller: readCaller(identity), otherwise, challenges: () => gate.challenges() }));
      },
    });
  }
}
