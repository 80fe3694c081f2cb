/** The static plugins of a host, by id: the one place that starts and stops them. */
import { asTenonError, TenonError } from '../base/errors.js';
import type { CheckedStatic } from './checked-static.js';
import { disabledBy } from './desired.js';
import type { PluginState, PluginSummary, PluginView } from './plugin.js';
import { StaticLife, type StaticWorld } from './static-life.js';

/** Requests of one plugin. */
export interface StaticCounts {
  readonly plugin: string;
  readonly calls: number;
  readonly faults: number;
}

export class StaticPlugins {
  readonly #world: StaticWorld;
  readonly #lives = new Map<string, StaticLife>();
  #closing: Promise<void> | undefined;

  /** @param definitions in the order in which they start */
  constructor(definitions: readonly CheckedStatic[], world: StaticWorld) {
    this.#world = world;
    for (const definition of definitions) this.#lives.set(definition.id, new StaticLife(definition, world));
  }

  has(id: string): boolean {
    return this.#lives.has(id);
  }

  /** Those that may be absent where they would serve. */
  all(): Iterable<StaticLife> {
    return this.#lives.values();
  }

  definitionOf(id: string): CheckedStatic | undefined {
    return this.#lives.get(id)?.definition;
  }

  /** Bring each to what it should be, one after the other. What is wrong with one is logged, and stops no other. */
  async start(): Promise<void> {
    for (const life of this.#lives.values()) {
      life.forgotten = false;
      await this.converge(life.id).catch(() => {});
    }
  }

  /** Bring one to what it should be: it runs or it does not, with the config that it is to have. */
  converge(id: string): Promise<void> {
    const life = this.#known(id);
    return life.turns.take('converge', () => this.#converge(life));
  }

  /** Start one that does not run. Rejects with why it cannot. */
  async load(id: string): Promise<void> {
    const life = this.#known(id);
    life.wanted = true;
    life.forgotten = false;
    await this.converge(id);
  }

  /** Stop it, until it is loaded. Its routes are gone at once, and requests in its handlers end first. */
  async unload(id: string): Promise<void> {
    const life = this.#known(id);
    life.wanted = false;
    await life.turns.take('stop', () => life.stop('stopped'));
  }

  /** Stop it, until it is registered again, loaded, or started with all others. */
  async forget(id: string): Promise<void> {
    const life = this.#known(id);
    life.forgotten = true;
    await life.turns.take('forget', () => life.stop('stopped'));
  }

  summaries(): PluginSummary[] {
    return [...this.#lives.values()].map((life) => life.summary());
  }

  /** @param stateOf of an extension */
  show(id: string, stateOf: (id: string) => PluginState | 'missing'): PluginView {
    const life = this.#known(id);
    const { description, extensions: listed } = life.definition;
    const { error, calls: waiting } = life;
    const extensions = listed.map((one) => ({ id: one, required: true, state: stateOf(one), settings: [] }));
    return {
      ...life.summary(),
      ...(description === undefined ? {} : { description }),
      folder: '',
      generations: [],
      tables: [],
      waiting,
      findings: [],
      warnings: extensions
        .filter(({ state }) => state === 'missing')
        .map((one) => `${id} lists the extension ${one.id}, which is not there`),
      extension: false,
      extensions,
      consumers: [],
      requiredBy: [],
      auth: this.#world.chains.authOf(id),
      ...(error === undefined ? {} : { error: { code: error.code, message: error.message, details: error.details } }),
      ...this.#world.desires.viewOf(id),
    };
  }

  /** Who lists the extension `id`. */
  consumersOf(id: string): string[] {
    return [...this.#lives.values()]
      .filter(({ definition }) => definition.extensions.includes(id))
      .map(({ definition }) => definition.id);
  }

  /** Ask each that runs; the message of each that cannot serve, by id. */
  async health(): Promise<Map<string, string>> {
    const sick = new Map<string, string>();
    await Promise.all(
      [...this.#lives.values()].map((life) =>
        life.health().catch((error: unknown) => void sick.set(life.id, asTenonError(error).message)),
      ),
    );
    return sick;
  }

  counts(): StaticCounts[] {
    return [...this.#lives.values()].map(({ id, counters }) => ({
      plugin: id,
      calls: counters.ended,
      faults: counters.faults,
    }));
  }

  /** Event streams end, which nothing else would end. */
  endStreams(): void {
    for (const life of this.#lives.values()) life.endStreams();
  }

  /** `PluginStatic`, for what is done to libraries alone. */
  refuse(id: string): never {
    throw new TenonError('PluginStatic', `${id} is part of the program that embeds the host`, {
      next: 'change the program, and start it again',
      details: { plugin: id },
    });
  }

  /** Take all down, the last one first. None starts from here on. Twice is fine. */
  close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  async #closeAll(): Promise<void> {
    for (const life of [...this.#lives.values()].toReversed())
      await life.turns.take('close', () => life.stop('stopped'));
  }

  async #converge(life: StaticLife): Promise<void> {
    const { desires, log } = this.#world;
    const { id } = life;
    if (this.#closing !== undefined)
      throw new TenonError('HostClosing', 'the host is shutting down', { next: 'ask the next host' });
    const desired = desires.heed(id);
    desires.takeReload(id);
    try {
      const disabled = disabledBy(id, desired);
      if (disabled !== undefined) {
        if (life.state !== 'disabled') log.info({ plugin: id }, 'plugin is disabled');
        await life.stop('disabled');
        life.error = disabled;
        return;
      }
      if (desired !== undefined) life.forgotten = false;
      if (!life.wanted || life.forgotten) return;
      if (desired?.pinned === true) this.#checkPin(life, desired.version);
      if (life.running === undefined) await life.start();
      else await life.reconfigure();
      life.error = undefined;
    } catch (cause) {
      const error = asTenonError(cause);
      life.error = error;
      life.rest = 'failed';
      const now = life.running === undefined ? 'nothing is served for it' : 'it goes on as it is';
      log.error({ plugin: id, code: error.code, err: error.cause }, `${error.message}; ${now}`);
      throw error;
    }
  }

  #checkPin({ id, definition }: StaticLife, pin: string | null): void {
    if (pin === null || pin === definition.version) return;
    throw new TenonError(
      'VersionUnavailable',
      `${id}: the registry pins version ${pin}, and the program has ${definition.version}`,
      { next: 'start a program that has it, or set `pinned` to false', details: { plugin: id, pin } },
    );
  }

  #known(id: string): StaticLife {
    const life = this.#lives.get(id);
    if (life === undefined) throw new TenonError('PluginNotFound', `there is no static plugin ${id}`);
    return life;
  }
}
