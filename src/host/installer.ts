/** Who may install now, and what is written down of it. */
import { asTenonError, TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { Audit } from '../bundle/audit.js';
import type { Bundle } from '../bundle/bundle.js';
import type { Installation } from './installation.js';
import type { Installed, Installing, InstallOptions, Uninstalled, UninstallOptions } from './installing.js';
import type { Purges } from './purges.js';
import type { Uninstallation } from './uninstallation.js';

export interface InstallerOptions {
  installation: Pick<Installation, 'read' | 'install'>;
  uninstallation: Pick<Uninstallation, 'uninstall' | 'finish'>;
  purges: Pick<Purges, 'ids'>;
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

  uninstall(id: string, options: UninstallOptions): Promise<Uninstalled> {
    return this.#run(async () => {
      const warnings = await this.#alone(id, () => this.#options.uninstallation.uninstall(id, options));
      return { status: 'uninstalled', plugin: { id }, warnings };
    });
  }

  /** Finish removals that were interrupted. It never rejects: what cannot be finished is logged, and left for the next time. */
  async finish(): Promise<void> {
    const { log, purges, uninstallation } = this.#options;
    const failed = (error: unknown): void =>
      log.error({ err: error }, 'a removal that was interrupted could not be finished');
    const ids = await purges.ids().catch(failed);
    // Who is at work on it finishes it first, or is finishing it.
    for (const id of ids ?? [])
      if (!this.#busy.has(id)) await this.#run(() => this.#alone(id, () => uninstallation.finish(id))).catch(failed);
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
    const { installation, uninstallation } = this.#options;
    let bundle: Bundle | undefined;
    try {
      const read = await this.#inTurn(() => installation.read(archive));
      bundle = read;
      const { id } = read.manifest;
      return await this.#alone(id, async () => {
        // What is left of another one with its id is not for it.
        if (options.dryRun !== true) await uninstallation.finish(id);
        return installation.install(read, options);
      });
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
