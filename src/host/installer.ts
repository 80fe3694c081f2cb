/** Who may install now, and what is written down of it. */
import { asTenonError, TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { Audit } from '../bundle/audit.js';
import type { Bundle } from '../bundle/bundle.js';
import type { Installation } from './installation.js';
import type { Installed, Installing, InstallOptions, UninstallOptions } from './installing.js';
import type { PluginView } from './plugin.js';

export interface InstallerOptions {
  installation: Pick<Installation, 'read' | 'install'>;
  uninstall: (id: string, options: UninstallOptions) => Promise<void>;
  audit: Pick<Audit, 'write'>;
  log: Log;
}

/** Archives that are read at once. */
const mostRead = 2;

/** Has one installation or removal of a plugin at a time, and what is refused written down. */
export class Installer implements Installing {
  readonly #options: InstallerOptions;
  readonly #busy = new Set<string>();
  readonly #running = new Set<Promise<unknown>>();
  readonly #waiting: (() => void)[] = [];
  #reading = 0;
  #closed = false;

  constructor(options: InstallerOptions) {
    this.#options = options;
  }

  install(archive: Uint8Array | AsyncIterable<Uint8Array>, options: InstallOptions): Promise<Installed> {
    return this.#run(() => this.#install(archive, options));
  }

  uninstall(id: string, options: UninstallOptions): Promise<{ status: 'uninstalled'; plugin: Pick<PluginView, 'id'> }> {
    return this.#run(async () => {
      await this.#alone(id, () => this.#options.uninstall(id, options));
      return { status: 'uninstalled', plugin: { id } };
    });
  }

  /** Nothing is begun any more. Resolves when what runs has come to its end; closing twice is fine. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#running);
  }

  async #run<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#closed) throw new TenonError('HostClosing', 'the host is shutting down', { next: 'ask the next host' });
    const running = work();
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
    }
  }

  async #install(archive: Uint8Array | AsyncIterable<Uint8Array>, options: InstallOptions): Promise<Installed> {
    const { installation } = this.#options;
    let bundle: Bundle | undefined;
    try {
      const read = await this.#inTurn(() => installation.read(archive));
      bundle = read;
      return await this.#alone(read.manifest.id, () => installation.install(read, options));
    } catch (error) {
      // A file that is no archive yet, or none at all, is for the log.
      const isBundle = bundle !== undefined || options.origin === 'upload';
      if (options.dryRun !== true && isBundle) await this.#refused(asTenonError(error), bundle, options.by);
      throw error;
    }
  }

  /** What is read is kept in memory: no more than a few archives at once. */
  async #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#reading >= mostRead) await new Promise<void>((resolve) => void this.#waiting.push(resolve));
    else this.#reading += 1;
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#reading -= 1;
      else next();
    }
  }

  async #alone<Result>(id: string, work: () => Promise<Result>): Promise<Result> {
    if (this.#busy.has(id))
      throw new TenonError('InstallRunning', `${id} is being installed or removed`, {
        next: 'try again when that is done',
        details: { plugin: id },
      });
    this.#busy.add(id);
    try {
      return await work();
    } finally {
      this.#busy.delete(id);
    }
  }

  async #refused({ code, message }: TenonError, bundle: Bundle | undefined, by: string): Promise<void> {
    const of =
      bundle === undefined
        ? {}
        : { plugin: bundle.manifest.id, version: bundle.manifest.version, sha256: bundle.sha256 };
    // Who is refused is told that, and not that it could not be written down.
    await this.#options.audit
      .write({ action: 'refuse', ...of, code, message, by })
      .catch((error: unknown) => this.#options.log.error({ ...of, err: error }, 'a refusal is not in the audit log'));
  }
}
