/** What a request of an application goes through before its handler: the extensions that it lists, in its order. */
import { TenonError } from '../base/errors.js';
import type { ExtensionUse } from '../compiler/config.js';
import { nobodyToAllow } from '../tables/permissions.js';
import type { Live, ServedRoute } from './live.js';

/** What an application says of those who come between its clients and its handlers. */
export interface Gatekeeping {
  readonly uses: readonly ExtensionUse[];
  /** For routes that do not say; undefined: `identity` where an extension knows anybody, else `open`. */
  readonly auth: 'open' | 'identity' | undefined;
  /** Whether it knows people itself: then its own routes are behind its own providers and hooks, too. */
  readonly self: boolean;
}

/** What stands before the tables of an application. */
export interface TableGate {
  /** For tables that do not say. */
  readonly auth: 'open' | 'identity';
  /** Of the core, for a call that asks the extensions. */
  slot(method: string, path: string): number;
  /** How clients could make known who they are, as `WWW-Authenticate` has it; undefined where nobody can be known. */
  challenges(): string[] | undefined;
}

interface Chain extends Gatekeeping {
  readonly live: Live;
  inForce: 'open' | 'identity';
}

/**
 * The pointers and chains of all plugins of one host. A chain leads to pointers, not to generations: a reload of an
 * extension changes none. The pointer of one that is listed stays when nothing runs behind it, so that who lists it is
 * told that, and finds it again.
 */
export class Chains {
  readonly #make: (id: string) => Live;
  readonly #chains = new Map<string, Chain>();
  /** Pointers that plugins have. */
  readonly #taken = new Map<string, Live>();
  /** Of extensions that are listed and do not run. */
  readonly #idle = new Map<string, Live>();
  /** The challenges of an extension's providers, as they were when it served last. */
  readonly #providers = new Map<string, readonly string[]>();

  /** @param make makes a pointer for a plugin that has none */
  constructor(make: (id: string) => Live) {
    this.#make = make;
  }

  /** The pointer of a plugin that is to run. */
  take(id: string): Live {
    const live = this.#liveOf(id);
    this.#idle.delete(id);
    this.#taken.set(id, live);
    return live;
  }

  /** The plugin does not run any more: nothing may be live. */
  release(id: string, live: Live): void {
    this.#chains.delete(id);
    this.#taken.delete(id);
    live.setChain([], 'open');
    this.#idle.set(id, live);
    this.#dismiss();
  }

  /** Throws `RouteInvalid`, and `SchemaInvalid` for an `@allow`, when `id` wants to know who asks, and nobody whom it lists can know anybody. */
  check(id: string, { uses, auth, self }: Gatekeeping, routes: readonly ServedRoute[]): void {
    if (self || this.#knows(uses)) return;
    const ids = uses.map((use) => use.id);
    const listed = uses.length === 0 ? 'lists no extension' : `lists ${ids.join(', ')} only`;
    const table = routes.find(({ need }) => need !== undefined);
    if (table?.need !== undefined) throw nobodyToAllow(id, table.need, listed, ids);
    const route = routes.find((one) => one.auth === 'identity' || one.auth === 'roles');
    if (route === undefined && auth !== 'identity') return;
    const who = route === undefined ? 'its config.yaml' : `${route.method} ${route.path}`;
    throw new TenonError(
      'RouteInvalid',
      `${id}: ${who} asks for somebody who is known, and the application ${listed}: nobody can be known there`,
      {
        next: 'list an extension with providers under `extensions`, such as tenon-auth',
        details: {
          plugin: id,
          listed: ids,
          ...(route === undefined ? {} : { method: route.method, path: route.path }),
        },
      },
    );
  }

  /** From the next request on `id` has this chain. The result takes it back. */
  set(id: string, live: Live, { uses, auth, self }: Gatekeeping): () => void {
    const before = this.#chains.get(id);
    const chain: Chain = { uses, auth, self, live, inForce: this.#authOf(uses, auth) };
    if (before === undefined && uses.length === 0 && !self && chain.inForce === 'open') return () => {};
    this.#chains.set(id, chain);
    this.#apply(chain);
    return () => {
      this.#chains.delete(id);
      if (before?.live === live) {
        this.#chains.set(id, before);
        this.#apply(before);
      } else live.setChain([], 'open');
      this.#dismiss();
    };
  }

  /**
   * A generation of the extension `id` is about to serve, with the `challenges` of its providers, which may be empty. Who was
   * open for want of providers is not any more.
   */
  serves(id: string, challenges: readonly string[]): void {
    this.#providers.set(id, challenges);
    for (const chain of this.#chains.values()) {
      // Never the other way round: a build that has lost its providers by mistake opens nothing.
      if (chain.inForce === 'identity' || this.#authOf(chain.uses, chain.auth) === 'open') continue;
      chain.inForce = 'identity';
      this.#apply(chain);
    }
  }

  /** What stands before the tables of `id` now; undefined: nothing. */
  gateOf(id: string): TableGate | undefined {
    const chain = this.#chains.get(id);
    if (chain === undefined || (chain.uses.length === 0 && !chain.self && chain.inForce === 'open')) return undefined;
    const { live, inForce } = chain;
    return {
      auth: inForce,
      slot: (method, path) => live.gate(method, path),
      challenges: () => this.#challengesOf(id, chain),
    };
  }

  /** Whom routes and tables of `id` that do not say are for now. */
  authOf(id: string): 'open' | 'identity' {
    return this.#chains.get(id)?.inForce ?? 'open';
  }

  #challengesOf(id: string, { uses, self }: Chain): string[] | undefined {
    if (!self && !this.#knows(uses)) return undefined;
    const asked = [...(self ? [id] : []), ...uses.map((use) => use.id)];
    // One that is away may be there when the client comes again.
    return asked.flatMap((one) => this.#providers.get(one) ?? []).filter((challenge) => challenge !== '');
  }

  /** Whether anybody can be known to one of them; of one that never served nothing is known. */
  #knows(uses: readonly ExtensionUse[]): boolean {
    return uses.some((use) => this.#providers.get(use.id)?.length !== 0);
  }

  #authOf(uses: readonly ExtensionUse[], auth: 'open' | 'identity' | undefined): 'open' | 'identity' {
    if (auth !== undefined) return auth;
    return uses.some((use) => (this.#providers.get(use.id)?.length ?? 0) > 0) ? 'identity' : 'open';
  }

  #apply({ live, uses, inForce, self }: Chain): void {
    const listed = uses.map(({ id, required }) => ({ live: this.#liveOf(id), required }));
    live.setChain(self ? [{ live, required: true }, ...listed] : listed, inForce);
  }

  #liveOf(id: string): Live {
    const known = this.#taken.get(id) ?? this.#idle.get(id);
    if (known !== undefined) return known;
    const live = this.#make(id);
    this.#idle.set(id, live);
    return live;
  }

  /** Close the pointers that no chain leads to any more. */
  #dismiss(): void {
    const listed = new Set([...this.#chains.values()].flatMap(({ uses }) => uses.map((use) => use.id)));
    for (const [id, live] of this.#idle) {
      if (listed.has(id)) continue;
      this.#idle.delete(id);
      live.close();
    }
  }
}
