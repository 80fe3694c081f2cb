/** Brings the plugin of an application's folder to what the folder says. */
import path from 'node:path';
import { asTenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import { type Application, type Applications, whyNoApplication } from './applications.js';
import type { Extensions } from './extensions.js';
import type { Members } from './members.js';
import type { Plugin } from './plugin.js';
import type { Trigger } from './record.js';
import type { Begun } from './reload-request.js';
import { isTaken, type RefusedFolders } from './taken.js';

export interface BringingOptions {
  log: Log;
  applications: Applications;
  plugins: Members;
  refused: RefusedFolders;
  extensions: Extensions;
  /** Stop it for good: its application is gone. */
  forget: (plugin: Plugin) => Promise<void>;
  /** Load what its application is now, when its turn has come. */
  reload: (plugin: Plugin, trigger: Trigger) => Promise<Begun>;
  /** Throws `HostClosing` once the host is. */
  refuseWhenClosing: () => void;
  /** What it lists, or that others may list it, is another than before. */
  learned: (application: Application) => void;
}

export class Bringing {
  readonly #options: BringingOptions;

  constructor(options: BringingOptions) {
    this.#options = options;
  }

  /** Resolves when what the folder says serves: calls of what served before may go on. Undefined when nothing was to be done. */
  async bring(folder: string, trigger: Trigger): Promise<Begun | undefined> {
    const { applications, extensions, forget, learned, log, plugins, refused, refuseWhenClosing, reload } =
      this.#options;
    refuseWhenClosing();
    refused.forget(folder);
    if (!(await applications.exists(folder))) {
      const why = whyNoApplication(folder);
      if (why !== undefined) log.warn({ folder }, why);
      extensions.forget(folder);
      for (const plugin of plugins.of(folder)) await forget(plugin);
      return undefined;
    }
    const present = plugins.of(folder);
    let application: Application;
    try {
      application = await applications.read(folder);
      if (extensions.learn(application)) learned(application);
    } catch {
      // The reload meets the same error, and reports it.
      const plugin = await plugins.enter(present[0]?.id ?? path.basename(folder), folder);
      return plugin?.wanted === true ? reload(plugin, trigger) : undefined;
    }
    const plugin = await plugins.enter(application.id, folder);
    if (plugin?.wanted !== true || (trigger === 'start' && plugin.chosen !== undefined)) return undefined;
    const others = present.filter((other) => other !== plugin);
    const begun = await reload(plugin, trigger).catch(async (cause: unknown) => {
      const { code, details } = asTenonError(cause);
      const inTheWay = others.find(({ id }) => isTaken(code) && id === details['owner']);
      if (inTheWay === undefined) throw cause;
      // Its paths and tables belong to what the same application was called before.
      await forget(inTheWay);
      return reload(plugin, trigger);
    });
    for (const other of others) await forget(other);
    return begun;
  }
}
