/** Which plugin serves which path: one claim for each, none of the host's own. */
import { TenonError } from '../base/errors.js';
import type { ServedRoute } from './live.js';
import { shapeOf } from './table-world.js';

function sameRoutes(left: readonly ServedRoute[], right: readonly ServedRoute[]): boolean {
  const endpoints = left.every(({ endpoint }, at) => endpoint === right[at]?.endpoint);
  return endpoints && JSON.stringify(left) === JSON.stringify(right);
}

/** The routes of all plugins. */
export class RouteBook {
  readonly #byPlugin = new Map<string, readonly ServedRoute[]>();
  readonly #reserved: ReadonlySet<string>;
  readonly #changed: (routes: readonly ServedRoute[]) => void;

  /**
   * @param reserved first segments of paths that are the host's, e.g. `api`
   * @param changed is given all routes when they changed; may throw to refuse them
   */
  constructor(reserved: readonly string[], changed: (routes: readonly ServedRoute[]) => void) {
    this.#reserved = new Set(reserved);
    this.#changed = changed;
  }

  all(): ServedRoute[] {
    return [...this.#byPlugin.values()].flat();
  }

  of(plugin: string): readonly ServedRoute[] {
    return this.#byPlugin.get(plugin) ?? [];
  }

  /** Throws `RouteConflict` when `plugin` may not have one of `routes`. */
  check(plugin: string, routes: readonly Pick<ServedRoute, 'method' | 'path'>[]): void {
    const taken = new Map<string, ServedRoute>();
    for (const route of this.all()) if (route.plugin !== plugin) taken.set(shapeOf(route), route);
    for (const route of routes) {
      const [, first = ''] = route.path.split('/');
      const owner = this.#reserved.has(first) ? 'the host' : taken.get(shapeOf(route))?.plugin;
      if (owner === undefined) continue;
      throw new TenonError('RouteConflict', `${plugin}: ${route.method} ${route.path} belongs to ${owner}`, {
        next: 'give one of them another path or route_prefix',
        details: { plugin, method: route.method, path: route.path, owner },
      });
    }
  }

  /** Serve `routes` for `plugin` from now on, instead of what it had. Throws like `check`. The result takes it back. */
  publish(plugin: string, routes: readonly ServedRoute[]): () => void {
    this.check(plugin, routes);
    const before = this.of(plugin);
    this.#put(plugin, routes, before);
    return () => this.#put(plugin, before, routes);
  }

  #put(plugin: string, routes: readonly ServedRoute[], before: readonly ServedRoute[]): void {
    if (sameRoutes(routes, before)) return;
    this.#set(plugin, routes);
    try {
      this.#changed(this.all());
    } catch (error) {
      this.#set(plugin, before);
      throw error;
    }
  }

  #set(plugin: string, routes: readonly ServedRoute[]): void {
    if (routes.length > 0) this.#byPlugin.set(plugin, routes);
    else this.#byPlugin.delete(plugin);
  }
}
