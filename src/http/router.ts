/** Path to route: built anew when the routes change, never altered. */
import createRouter from 'find-my-way';
import { TenonError } from '../base/errors.js';
import type { ServedRoute } from '../host/live.js';

const routedMethods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;
type RoutedMethod = (typeof routedMethods)[number];

/** A request target without its query. */
export function pathOf(target: string): string {
  const query = target.indexOf('?');
  return query < 0 ? target : target.slice(0, query);
}

/** A target in absolute form (`http://host/path`) without scheme and authority; any other as it is. */
export function originForm(target: string): string {
  const scheme = /^https?:\/\//i.exec(target);
  if (scheme === null) return target;
  const path = target.slice(scheme[0].length).replace(/^[^/?]*/, '');
  return path.startsWith('/') ? path : `/${path}`;
}

/** Whether the percent escapes of a path are all whole, and make text (UTF-8): no other path can be looked up. */
export function isDecodable(path: string): boolean {
  try {
    decodeURIComponent(path);
    return true;
  } catch {
    return false;
  }
}

function isRouted(method: string): method is RoutedMethod {
  return (routedMethods as readonly string[]).includes(method);
}

/** find-my-way's spelling: a colon inside a segment is doubled. */
function pattern(path: string): string {
  return path.replaceAll(/(?<!\/):/g, '::');
}

function nothing(): void {}

/** The routes of all plugins at one moment. A change of the routes makes another one. */
export class Router {
  readonly #exact = new Map<string, Map<string, ServedRoute>>();
  readonly #tree = createRouter({ maxParamLength: 65_536, caseSensitive: true });
  readonly #reserved: ReadonlySet<string>;
  readonly #get: Map<string, ServedRoute>;
  readonly #patterned: boolean;

  /**
   * Throws `RouteInvalid` for a pattern that cannot be served.
   * @param reserved first segments of paths that stay the host's, whatever pattern would match them
   */
  constructor(routes: readonly ServedRoute[], reserved: readonly string[]) {
    this.#reserved = new Set(reserved);
    let patterned = false;
    for (const method of routedMethods) this.#exact.set(method, new Map());
    for (const route of routes) {
      const { method, path, plugin } = route;
      try {
        if (!isRouted(method)) throw new Error(`${method} is no method of a route`);
        if (/[:*%]/.test(path)) patterned = true;
        else this.#exact.get(method)?.set(path, route);
        this.#tree.on(method, pattern(path), nothing, route);
      } catch (cause) {
        const reason = cause instanceof Error ? cause.message : String(cause);
        throw new TenonError('RouteInvalid', `${plugin}: ${method} ${path}: ${reason}`, {
          next: 'correct the pattern',
          details: { plugin, method, path },
          cause,
        });
      }
    }
    this.#get = this.#exact.get('GET') ?? new Map<string, ServedRoute>();
    this.#patterned = patterned || routes.length > 0;
    if (patterned) this.#tree.compile();
  }

  /** The route that serves `method` on `path`; a HEAD is served by the route of GET. */
  find(method: string, path: string): ServedRoute | undefined {
    const exact = method === 'GET' || method === 'HEAD' ? this.#get : this.#exact.get(method);
    if (exact === undefined) return undefined;
    return exact.get(path) ?? (this.#patterned ? this.#search(method === 'HEAD' ? 'GET' : method, path) : undefined);
  }

  /** Methods that `path` is served with, for `Allow`; empty when it is not served at all. */
  allowed(path: string): string[] {
    const methods: string[] = routedMethods.filter((method) => this.find(method, path) !== undefined);
    return methods.includes('GET') ? [...methods, 'HEAD'] : methods;
  }

  #search(method: string, path: string): ServedRoute | undefined {
    if (!isRouted(method)) return undefined;
    const found = this.#tree.find(method, path);
    // A bad percent-encoding gives a result without a store.
    const route = found?.store as ServedRoute | null | undefined;
    if (route === null || route === undefined) return undefined;
    const end = path.indexOf('/', 1);
    return this.#reserved.has(path.slice(1, end < 0 ? undefined : end)) ? undefined : route;
  }
}
