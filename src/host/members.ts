/** Which plugins a host knows, by id, and how one comes to be known. */
import type { Applications } from './applications.js';
import { noSuchPlugin } from './absence.js';
import { Plugin } from './plugin.js';
import type { RefusedFolders } from './taken.js';

export interface MembersOptions {
  applications: Pick<Applications, 'exists'>;
  /** Whether an id is that of a plugin which is part of the program. */
  isStatic: (id: string) => boolean;
  refused: RefusedFolders;
  /** Stop it for good: it is unknown when this resolves. */
  forget: (plugin: Plugin) => Promise<void>;
  /** Throws `HostClosing` once the host is. */
  refuseWhenClosing: () => void;
}

export class Members extends Map<string, Plugin> {
  readonly #options: MembersOptions;

  constructor(options: MembersOptions) {
    super();
    this.#options = options;
  }

  /** Throws `PluginNotFound`. */
  known(id: string): Plugin {
    const plugin = this.get(id);
    if (plugin === undefined) throw noSuchPlugin(id, [...this.keys()]);
    return plugin;
  }

  of(folder: string): Plugin[] {
    return [...this.values()].filter((plugin) => plugin.folder === folder);
  }

  /**
   * The plugin `id` of `folder`, made when there is none: after the one of a folder that is gone has left. Undefined when
   * the folder has gone meanwhile.
   */
  async enter(id: string, folder: string): Promise<Plugin | undefined> {
    const { applications, forget, isStatic, refused, refuseWhenClosing } = this.#options;
    if (isStatic(id)) refused.refuse(id, folder, 'a plugin of the program');
    for (;;) {
      const known = this.get(id);
      if (known === undefined) {
        const there = await applications.exists(folder);
        if (this.has(id)) continue;
        if (!there) return undefined;
        break;
      }
      if (known.folder === folder && known.leave === undefined) return known;
      const taken = await applications.exists(known.folder);
      if (taken && known.leave === undefined) refused.refuse(id, folder, known.folder);
      await forget(known);
    }
    refuseWhenClosing();
    const plugin = new Plugin(id, folder);
    this.set(id, plugin);
    return plugin;
  }
}
