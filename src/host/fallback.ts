/** What is served when what an application is now is not: the build that serves already, or a kept one. */
import { asTenonError, type TenonError } from '../base/errors.js';
import type { Departures } from './departures.js';
import type { Journal } from './journal.js';
import type { Pins } from './pinned.js';
import type { Plugin } from './plugin.js';
import type { Recorder, ReloadRecord } from './record.js';
import type { Begun, ReloadRequest } from './reload-request.js';
import type { Versions } from './versions.js';

export interface FallbackOptions {
  journal: Journal;
  departures: Departures;
  versions: Versions;
  pins: Pins;
  /** Load what `request` says. */
  replace: (plugin: Plugin, recorder: Recorder, request: ReloadRequest) => Promise<Begun>;
}

export class Fallback {
  readonly #options: FallbackOptions;
  /** Builds (plugin and hash) of which it was told that they are not loaded for having crashed a host. */
  readonly #crashed = new Set<string>();

  constructor(options: FallbackOptions) {
    this.#options = options;
  }

  /**
   * At a start an application that does not build, or whose library is refused, is served by the build that served last; one whose
   * library has crashed a host is so whenever nobody asks for it. Rejects with `error` when there is none, or when that one does not
   * serve either.
   */
  async after(plugin: Plugin, recorder: Recorder, request: ReloadRequest, error: TenonError): Promise<Begun> {
    const { journal, pins, versions } = this.#options;
    const { record } = recorder;
    const { trigger, version, byHand } = request;
    const crashed = error.code === 'BuildCrashed';
    if (crashed)
      versions.condemn(plugin.id, String(error.details['sha256']), { reason: error.message, isApart: false });
    if (crashed && !byHand && version === undefined && plugin.running !== undefined) {
      recorder.warn(error.message);
      record.unchanged = true;
      plugin.error = error;
      return { finished: this.#toldOf(plugin, error, Promise.resolve(journal.write(plugin, recorder))) };
    }
    // What was read of the application is right, and nothing of it has been opened.
    const others = ['HostClosing', 'VersionUnavailable', 'PluginQuarantined'].includes(error.code);
    const concerns = record.phases.build !== undefined && record.to === undefined && !others;
    const may = trigger === 'start' || (crashed && !byHand);
    if (!may || version !== undefined || plugin.running !== undefined || !concerns) throw error;
    const kept = (await pins.kept(plugin)) ?? (await this.#last(plugin).catch(() => undefined));
    if (kept === undefined) throw error;
    try {
      return await this.#options.replace(plugin, recorder, { ...request, version: kept, insteadOf: error });
    } catch (second) {
      recorder.warn(`the build that served last does not serve either: ${asTenonError(second).message}`);
      throw error;
    }
  }

  /** The build was taken back before, for `reason`, and nobody asks for it: what ran goes on, or the one before it is loaded. */
  async insteadOf(plugin: Plugin, recorder: Recorder, request: ReloadRequest, reason: string): Promise<Begun> {
    recorder.warn(`this build was taken back, and is not loaded again until it changes or is asked for: ${reason}`);
    if (plugin.running !== undefined) {
      recorder.record.unchanged = true;
      return { finished: Promise.resolve(this.#options.journal.write(plugin, recorder)) };
    }
    const version = await this.#last(plugin);
    return this.#options.replace(plugin, recorder, { ...request, version });
  }

  /** A kept build serves in place of the one that `request` says: what crashed a host is told to have been taken back. */
  serves(plugin: Plugin, { insteadOf }: ReloadRequest, finished: Promise<ReloadRecord>): Promise<ReloadRecord> {
    return insteadOf?.code === 'BuildCrashed' ? this.#toldOf(plugin, insteadOf, finished) : finished;
  }

  #last({ id }: Plugin): ReturnType<Versions['find']> {
    return this.#options.versions.find(id, undefined, undefined);
  }

  async #toldOf(plugin: Plugin, error: TenonError, finished: Promise<ReloadRecord>): Promise<ReloadRecord> {
    const { departures, journal } = this.#options;
    const name = `${plugin.id} ${String(error.details['sha256'])}`;
    const isNew = !this.#crashed.has(name);
    this.#crashed.add(name);
    const told = finished.then((record) => {
      if (isNew) journal.takenBack(plugin, record, error);
      return record;
    });
    departures.untilClosed(told);
    return told;
  }
}
