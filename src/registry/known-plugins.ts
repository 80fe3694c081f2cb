/** What the registry was last known to say, in memory. */
import type { DesiredPlugin } from './rows.js';

/** How what is known has changed. */
export interface Difference {
  readonly changed: readonly string[];
  readonly gone: readonly string[];
}

/** Rows as they were read: `invalid` names those that are there and cannot be read. */
export interface ReadPlugins {
  readonly plugins: readonly DesiredPlugin[];
  readonly invalid: readonly string[];
  /** False: there are more than were read. */
  readonly complete: boolean;
}

export class KnownPlugins {
  #plugins: ReadonlyMap<string, DesiredPlugin> = new Map();

  get(name: string): DesiredPlugin | undefined {
    return this.#plugins.get(name);
  }

  /** As it is now; later changes do not reach what was given. */
  all(): ReadonlyMap<string, DesiredPlugin> {
    return this.#plugins;
  }

  /** All that there is: of what is invalid, or was not read, the last that was known holds. */
  replace({ plugins, invalid, complete }: ReadPlugins): Difference {
    const read = new Set(plugins.map(({ name }) => name));
    const held = (complete ? invalid : [...this.#plugins.keys()])
      .filter((name) => !read.has(name))
      .map((name) => this.#plugins.get(name))
      .filter((plugin) => plugin !== undefined);
    const next = [...plugins, ...held].sort((one, other) => (one.name < other.name ? -1 : 1));
    return this.#become(new Map(next.map((plugin) => [plugin.name, plugin])));
  }

  /** What there is of `names`: one of them that is not among the rows is gone. Nothing older replaces what is known. */
  update(names: readonly string[], { plugins, invalid }: Omit<ReadPlugins, 'complete'>): Difference {
    const next = new Map(this.#plugins);
    const present = new Set([...plugins.map(({ name }) => name), ...invalid]);
    for (const name of names) if (!present.has(name)) next.delete(name);
    for (const plugin of plugins)
      if (plugin.revision >= (next.get(plugin.name)?.revision ?? 0)) next.set(plugin.name, plugin);
    return this.#become(next);
  }

  #become(next: ReadonlyMap<string, DesiredPlugin>): Difference {
    const before = this.#plugins;
    this.#plugins = next;
    return {
      changed: [...next.values()].filter((plugin) => differs(before.get(plugin.name), plugin)).map(({ name }) => name),
      gone: [...before.keys()].filter((name) => !next.has(name)),
    };
  }
}

/** The reason of a status is for people, and has no revision. */
function differs(before: DesiredPlugin | undefined, after: DesiredPlugin): boolean {
  if (before === after) return false;
  if (before === undefined || before.revision !== after.revision) return true;
  return asText(before) !== asText(after);
}

function asText(plugin: DesiredPlugin): string {
  return JSON.stringify({ ...plugin, statusReason: null });
}
