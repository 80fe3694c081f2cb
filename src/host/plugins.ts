/** All plugins of a host: libraries, which the living set has, and those that are part of the program. */
import type { Containment } from '../base/containment.js';
import { asTenonError, type TenonError } from '../base/errors.js';
import { absenceAt } from './absence.js';
import type { CheckedStatic } from './checked-static.js';
import type { Host } from './host.js';
import type { Images } from './images.js';
import { type PluginFigures, staticFigures } from './plugin-meters.js';
import type { PluginState, PluginSummary, PluginView } from './plugin.js';
import type { ReloadRecord, Trigger } from './record.js';
import type { Rehearsed, TriedLibrary } from './rehearsal.js';
import type { Begun } from './reload-request.js';
import type { StaticPlugins } from './static-plugins.js';
import type { Version } from './versions.js';
import type { Wish } from './wishes.js';

export class Plugins {
  readonly #host: Host;
  readonly #statics: StaticPlugins;
  #leaves = false;

  constructor(host: Host, statics: StaticPlugins) {
    this.#host = host;
    this.#statics = statics;
  }

  /** As {@link Host.ready}, until the host is about to leave. */
  get ready(): boolean {
    return this.#host.ready && !this.#leaves;
  }

  /** Whether the host is to be sent requests: {@link Host.isWhole}, until it is about to leave. */
  get serves(): boolean {
    return this.#host.isWhole && !this.#host.isClosing && !this.#leaves;
  }

  /** What is not loaded for what crashes have led to. */
  get held(): Containment {
    return this.#host.held;
  }

  /** As {@link Host.release}; rejects with `PluginStatic`, too. */
  async release(id: string | undefined): Promise<PluginView | undefined> {
    if (id !== undefined && this.#statics.has(id)) return this.#statics.refuse(id);
    await this.#host.release(id);
    return id === undefined || !this.#host.has(id) ? undefined : this.show(id);
  }

  /** From now on they are not ready, though they serve. */
  leave(): void {
    this.#leaves = true;
  }

  /** As {@link Host.wishes}. */
  wishes(): Wish[] {
    return this.#host.wishes();
  }

  /** The same, and whether it is of all that there is. */
  left(): { plugins: Wish[]; isWhole: boolean } {
    return { plugins: this.wishes(), isWhole: this.#host.isWhole };
  }

  /** What everybody may see, by id. */
  summaries(): PluginSummary[] {
    return [...this.#host.summaries(), ...this.#statics.summaries()].toSorted(byId);
  }

  /** What of each goes up and down. */
  figures(): PluginFigures[] {
    return [...this.#host.figures(), ...this.#statics.summaries().map(staticFigures)].toSorted(byId);
  }

  list(): PluginView[] {
    const statics = this.#statics.summaries().map(({ id }) => this.show(id));
    return [...this.#host.list().map((view) => this.#withConsumers(view)), ...statics].toSorted(byId);
  }

  /** Throws `PluginNotFound`. */
  show(id: string): PluginView {
    if (this.#statics.has(id)) return this.#statics.show(id, (one) => this.#stateOf(one));
    return this.#withConsumers(this.#host.show(id));
  }

  /** What the program says of a plugin of its own; undefined for any other. */
  staticOf(id: string): CheckedStatic | undefined {
    return this.#statics.definitionOf(id);
  }

  async load(id: string): Promise<PluginView> {
    if (!this.#statics.has(id)) await this.#host.load(id);
    else await this.#statics.load(id);
    return this.show(id);
  }

  async unload(id: string): Promise<PluginView> {
    if (!this.#statics.has(id)) await this.#host.unload(id);
    else await this.#statics.unload(id);
    return this.show(id);
  }

  /** As {@link Host.reload}; rejects with `PluginStatic`, too. */
  async reload(id: string, trigger: Trigger = 'api'): Promise<ReloadRecord> {
    return this.#statics.has(id) ? this.#statics.refuse(id) : this.#host.reload(id, trigger);
  }

  /** As {@link Host.rollback}; rejects with `PluginStatic`, too. */
  async rollback(id: string, to?: string): Promise<ReloadRecord> {
    return this.#statics.has(id) ? this.#statics.refuse(id) : this.#host.rollback(id, to);
  }

  /** What it would come to; rejects with `PluginStatic`, too. */
  async rehearse(what: 'load' | 'reload' | 'rollback', id: string, to?: string): Promise<Rehearsed> {
    if (this.#statics.has(id)) return this.#statics.refuse(id);
    const { rehearsals } = this.#host;
    return what === 'rollback' ? rehearsals.rollback(id, to) : rehearsals[what](id);
  }

  /** As {@link Rehearsals.library}. */
  rehearseLibrary(bytes: Uint8Array): Promise<TriedLibrary> {
    return this.#host.rehearsals.library(bytes);
  }

  async versions(id: string): Promise<readonly Version[]> {
    return this.#statics.has(id) ? [] : this.#host.versions(id);
  }

  /** Bring the plugin of an application's folder to what the folder says now. */
  refresh(folder: string, trigger: Trigger): Promise<ReloadRecord | undefined> {
    return this.#host.refresh(folder, trigger);
  }

  /** As {@link Host.bring}. */
  bring(folder: string, trigger: Trigger): Promise<Begun | undefined> {
    return this.#host.bring(folder, trigger);
  }

  /** Bring a static plugin to what it should be now. */
  converge(id: string): Promise<void> {
    return this.#statics.converge(id);
  }

  /** Nobody has registered it any more: it stops, and is unknown, unless it is part of the program. */
  forget(id: string): Promise<unknown> {
    return this.#statics.has(id) ? this.#statics.forget(id) : this.#host.forget(id);
  }

  /** Why nothing is served at `path` although a plugin has it: it does not run, and not by its own config. */
  absence(path: string): TenonError | undefined {
    return absenceAt(path, this.#statics.all()) ?? this.#host.absence(path);
  }

  reloads(filter: { plugin?: string | undefined; limit?: number | undefined } = {}): ReloadRecord[] {
    return this.#host.reloads(filter);
  }

  images(): Images {
    return this.#host.images();
  }

  /** Ask every running plugin whether it can serve; the message of each that cannot, by id. */
  async health(): Promise<Map<string, string>> {
    const [dynamic, statics] = await Promise.all([this.#host.health(), this.#statics.health()]);
    return new Map([...dynamic, ...statics]);
  }

  /** End every event stream as a complete answer: nothing else would end it. */
  endStreams(): void {
    this.#host.endStreams();
    this.#statics.endStreams();
  }

  #withConsumers(view: PluginView): PluginView {
    const others = this.#statics.consumersOf(view.id);
    if (others.length === 0) return view;
    const withOthers = (ids: string[]): string[] => [...ids, ...others].toSorted();
    return { ...view, consumers: withOthers(view.consumers), requiredBy: withOthers(view.requiredBy) };
  }

  #stateOf(id: string): PluginState | 'missing' {
    try {
      return this.show(id).state;
    } catch (error) {
      if (asTenonError(error).code === 'PluginNotFound') return 'missing';
      throw error;
    }
  }
}

function byId(one: { id: string }, other: { id: string }): number {
  return one.id < other.id ? -1 : 1;
}
