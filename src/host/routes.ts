/** Which plugin serves which path: one claim for each, none of the host's own. */
import { TenonError } from '../base/errors.js';
import type { CorsRules } from '../compiler/config.js';
import type { ServedRoute } from './live.js';
import type { ServedFiles } from './served-files.js';
import { shapeOf } from './table-world.js';

/** What an application says of all its answers, and of files beside its routes. */
export interface Web {
  readonly cors?: CorsRules | undefined;
  readonly files?: ServedFiles | undefined;
}

/** What answers for the files of a plugin. */
export type FileRoutes = (plugin: string, files: ServedFiles) => readonly ServedRoute[];

/** One plugin's. */
interface Entry extends Web {
  /** Its own, and those of its tables. */
  readonly own: readonly ServedRoute[];
  /** Those that are served. */
  readonly all: readonly ServedRoute[];
  readonly fileRoutes: readonly ServedRoute[];
}

const nothing: Entry = { own: [], all: [], fileRoutes: [] };

function sameRoutes(left: readonly ServedRoute[], right: readonly ServedRoute[]): boolean {
  const endpoints = left.every(({ endpoint }, at) => endpoint === right[at]?.endpoint);
  return endpoints && JSON.stringify(left) === JSON.stringify(right);
}

/** The routes of all plugins. */
export class RouteBook {
  readonly #byPlugin = new Map<string, Entry>();
  readonly #reserved: ReadonlySet<string>;
  readonly #changed: (routes: readonly ServedRoute[]) => void;
  readonly #fileRoutes: FileRoutes;

  /**
   * @param reserved first segments of paths that are the host's, e.g. `api`
   * @param changed is given all routes when they changed; may throw to refuse them
   */
  constructor(reserved: readonly string[], fileRoutes: FileRoutes, changed: (routes: readonly ServedRoute[]) => void) {
    this.#reserved = new Set(reserved);
    this.#changed = changed;
    this.#fileRoutes = fileRoutes;
  }

  all(): ServedRoute[] {
    return [...this.#byPlugin.values()].flatMap(({ all }) => all);
  }

  /** Whether `path` is the host's own. */
  isReserved(path: string): boolean {
    const [, first = ''] = path.split('/');
    return this.#reserved.has(first);
  }

  of(plugin: string): readonly ServedRoute[] {
    return this.#of(plugin).all;
  }

  /** Throws `RouteConflict` when `plugin` may not have one of `routes`, or of its files. */
  check(plugin: string, routes: readonly Pick<ServedRoute, 'method' | 'path'>[], { files }: Web = {}): void {
    const taken = new Map<string, ServedRoute>();
    for (const route of this.all()) if (route.plugin !== plugin) taken.set(shapeOf(route), route);
    for (const route of [...routes, ...this.#routesOf(plugin, files)]) {
      const [, first = ''] = route.path.split('/');
      const owner = this.#reserved.has(first) ? 'the host' : taken.get(shapeOf(route))?.plugin;
      if (owner === undefined) continue;
      throw new TenonError('RouteConflict', `${plugin}: ${route.method} ${route.path} belongs to ${owner}`, {
        next: 'give one of them another path or route_prefix',
        details: { plugin, method: route.method, path: route.path, owner },
      });
    }
  }

  /** The same for what it serves now, with other files. */
  checkWeb(plugin: string, web: Web): void {
    this.check(plugin, this.#of(plugin).own, web);
  }

  /** Serve `routes` for `plugin` from now on, instead of what it had. Throws like `check`. The result takes it back. */
  publish(plugin: string, routes: readonly ServedRoute[], web: Web = {}): () => void {
    this.check(plugin, routes, web);
    const before = this.#of(plugin);
    const { cors, files } = web;
    const fileRoutes = this.#routesOf(plugin, files);
    const taken = new Set(routes.map(shapeOf));
    const served = [...routes, ...fileRoutes.filter((route) => !taken.has(shapeOf(route)))];
    const all = cors === undefined ? served : served.map((route) => ({ ...route, cors }));
    const next = { own: routes, all, fileRoutes, cors, files };
    this.#put(plugin, next, before);
    return () => this.#put(plugin, before, next);
  }

  /** What it serves now, as `web` says from now on. Throws like `check`. */
  dress(plugin: string, web: Web): void {
    this.publish(plugin, this.#of(plugin).own, web);
  }

  #of(plugin: string): Entry {
    return this.#byPlugin.get(plugin) ?? nothing;
  }

  /** The very same for the same files. */
  #routesOf(plugin: string, files: ServedFiles | undefined): readonly ServedRoute[] {
    if (files === undefined) return [];
    const { files: before, fileRoutes } = this.#of(plugin);
    return JSON.stringify(before) === JSON.stringify(files) ? fileRoutes : this.#fileRoutes(plugin, files);
  }

  #put(plugin: string, next: Entry, before: Entry): void {
    this.#set(plugin, next);
    if (sameRoutes(next.all, before.all)) return;
    try {
      this.#changed(this.all());
    } catch (error) {
      this.#set(plugin, before);
      throw error;
    }
  }

  #set(plugin: string, entry: Entry): void {
    if (entry.all.length > 0) this.#byPlugin.set(plugin, entry);
    else this.#byPlugin.delete(plugin);
  }
}
