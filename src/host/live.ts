/** The live pointer of one plugin: which generation its calls enter. The only user of the core's PluginPointer. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Core, Front, GenerationHandle, GenerationOptions, PluginPointer, RouteFacts } from '../binding/core.js';
import type { CorsRules } from '../compiler/config.js';
import type { Generation } from '../plugin/generation.js';
import type { DefaultAccess, NeedOfSomebody } from '../tables/permissions.js';
import { readWords, type RouteWords } from './route-words.js';

/** One route as the host serves it. */
export interface ServedRoute {
  readonly plugin: string;
  readonly method: string;
  /** With the prefix: what a client asks for. */
  readonly path: string;
  /** What the core knows it by. */
  readonly slot: number;
  readonly bodyLimit: number;
  readonly execution: RouteFacts['execution'] | 'table' | 'static' | 'file';
  readonly deadlineMs: number;
  /** Who may call it; absent for a route of a table. */
  readonly auth?: RouteFacts['auth'];
  readonly roles?: readonly string[];
  /** Of a table's: what of the application's `@allow` only somebody who is known meets. */
  readonly need?: NeedOfSomebody;
  /** Of a table's: who may do what the method is for; `otherwise` is for tables that do not say. */
  readonly needs?: (otherwise: DefaultAccess) => readonly string[];
  /** What it says of itself. */
  readonly words?: RouteWords;
  /** Pages of which other origins may read its answers; absent: what these say themselves. */
  readonly cors?: CorsRules;
  /** Answers in place of a library: a route of a table, of files or of a static plugin, which has no slot. */
  readonly endpoint?: Endpoint;
}

/** Answers one request, always. */
export type Endpoint = (request: IncomingMessage, response: ServerResponse) => void;

/**
 * The live pointer of one plugin with the routes' slots. One for each id at a time; made for the first generation and
 * closed when none is left.
 */
export class Live {
  readonly id: string;
  readonly #core: Core;
  readonly #pointer: PluginPointer;
  #current: Generation | undefined;
  #swaps = 0;
  readonly #gates = new Map<string, number>();

  constructor(core: Core, front: Front, options: { id: string; queueLimit: number }) {
    this.id = options.id;
    this.#core = core;
    this.#pointer = new core.PluginPointer(front, options);
  }

  /** The generation that calls enter now. */
  get current(): Generation | undefined {
    return this.#current;
  }

  /** How often it was given another generation, or none. */
  get swaps(): number {
    return this.#swaps;
  }

  /** Calls that wait at the closed gate. */
  get waiting(): number {
    return this.#pointer.waiting;
  }

  makeHandle(options: GenerationOptions): GenerationHandle {
    return new this.#core.GenerationHandle(this.#pointer, options);
  }

  /** Give each route of `generation` its slot; before it is swapped in. */
  bind(generation: Generation): ServedRoute[] {
    const { prefix } = generation;
    return generation.routes.map((route) => {
      const path = route.pattern === '/' ? prefix || '/' : `${prefix}${route.pattern}`;
      const slot = this.#pointer.slot(route.method, path);
      generation.handle.bind(slot, route.index);
      const { method, bodyLimit, execution, deadlineMs, auth, roles } = route;
      const { words } = readWords(route);
      const said = words === undefined ? {} : { words };
      return { plugin: this.id, method, path, slot, bodyLimit, execution, deadlineMs, auth, roles, ...said };
    });
  }

  /** From the next call on these extensions come before its handlers; `auth` is for routes that do not say. */
  setChain(links: readonly { live: Live; required: boolean }[], auth: 'open' | 'identity'): void {
    this.#pointer.setChain(
      links.map(({ live, required }) => ({ plugin: live.#pointer, required })),
      { auth },
    );
  }

  /** What a call that only asks the extensions goes by, for requests of this method and pattern. */
  gate(method: string, path: string): number {
    const name = `${method} ${path}`;
    const known = this.#gates.get(name);
    if (known !== undefined) return known;
    const made = this.#pointer.gate(method, path);
    this.#gates.set(name, made);
    return made;
  }

  /** Close the gate: calls wait. */
  hold(): void {
    this.#pointer.hold();
  }

  /** Open it: waiting calls enter the live generation, in order. */
  release(): void {
    this.#pointer.release();
  }

  /** One pointer: from here new calls land in `generation`, or are refused without one. */
  swap(generation: Generation | undefined): void {
    this.#pointer.swap(generation?.handle ?? null);
    // Its tables may be others.
    this.#pointer.ungate();
    this.#gates.clear();
    this.#current = generation;
    this.#swaps += 1;
  }

  /** As `swap`, of a plugin without a library: its gates lead through `handle`. */
  enter(handle: GenerationHandle | undefined): void {
    this.#pointer.swap(handle ?? null);
    this.#pointer.ungate();
    this.#gates.clear();
    this.#swaps += 1;
  }

  /** The plugin's key-value state as one block for `importValues`. */
  exportValues(): Uint8Array {
    return this.#pointer.exportValues();
  }

  /** Replace its key-value state. Throws an Error that says what is wrong with the block; nothing has changed then. */
  importValues(block: Uint8Array): void {
    this.#pointer.importValues(block);
  }

  /**
   * From here on each change of its key-value state is in `file`, absolute, before the plugin is told that it was made; null:
   * they are in memory alone. With `recover` the values are those of the file where it is newer than what was imported;
   * without it those that are known. What is wrong with the file, as a clause about it. One that is `damaged` stays as it
   * is, and its values up to there are taken; without `recover` it is replaced. After `unreadable` nothing is kept.
   */
  keepValues(file: string | null, recover: boolean): ReturnType<PluginPointer['keepValues']> {
    return this.#pointer.keepValues(file, recover);
  }

  /** Nothing may be live. Closing twice is fine. */
  close(): void {
    this.#pointer.close();
  }
}
