import { type link, mkdir, rename } from 'node:fs/promises';
import path from 'node:path';
import { type Built, markOf } from './libraries.js';

const suffix = process.platform === 'darwin' ? '.dylib' : '.so';

/** Puts the two builds of a plugin into an application's folder in turn, by rename, as a careful publisher does. */
export class Published {
  readonly plugin: Built;
  readonly #folder: string;
  readonly #put: typeof link;
  #build = 1;

  private constructor(plugin: Built, folder: string, put: typeof link) {
    this.plugin = plugin;
    this.#folder = folder;
    this.#put = put;
  }

  /**
   * Make the folder of the application below `applications`, with the first build in it. `put` makes what is renamed:
   * `copyFile` a new file each time, `link` another name of the same one, so that nothing is copied while something is
   * measured.
   */
  static async first(plugin: Built, applications: string, put: typeof link): Promise<Published> {
    const published = new Published(plugin, path.join(applications, plugin.id), put);
    await mkdir(path.join(applications, plugin.id), { recursive: true });
    await published.#publish();
    return published;
  }

  /** Publish the build that is not there; what it answers. */
  async next(): Promise<string> {
    this.#build = this.#build === 1 ? 2 : 1;
    await this.#publish();
    return markOf(this.plugin.id, this.#build);
  }

  async #publish(): Promise<void> {
    const { id, builds } = this.plugin;
    const fresh = path.join(this.#folder, '.fresh');
    await this.#put(builds[this.#build - 1] ?? '', fresh);
    await rename(fresh, path.join(this.#folder, id + suffix));
  }
}
