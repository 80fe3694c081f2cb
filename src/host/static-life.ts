/** One static plugin: started, told of another config, and stopped, in one place. */
import { asTenonError, type TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { Chains } from './chains.js';
import type { CheckedRoute, CheckedStatic } from './checked-static.js';
import type { Desires } from './desired.js';
import { effectiveConfig, type EffectiveConfig, sameJson } from './effective-config.js';
import type { HostEvent } from './journal.js';
import type { Endpoint, ServedRoute } from './live.js';
import { type PluginState, type PluginSummary, viewRoute } from './plugin.js';
import type { RouteBook } from './routes.js';
import type { SecretPlaces } from './secrets.js';
import { StaticDoor } from './static-door.js';
import type { StaticGates } from './static-gate.js';
import type { StaticConfig } from './static-plugin.js';
import { StaticSteps } from './static-steps.js';
import { Turns } from './turns.js';

/** What static plugins share with each other and with native ones. */
export interface StaticWorld {
  readonly log: Log;
  readonly routes: RouteBook;
  readonly chains: Chains;
  readonly gates: StaticGates;
  readonly desires: Desires;
  readonly secretPlaces: SecretPlaces;
  readonly limits: { readonly lifecycleMs: number; readonly drainMs: number; readonly deadlineMs: number };
  /** Answers the requests of a route. */
  readonly endpoint: (route: CheckedRoute & { deadlineMs: number }, door: StaticDoor) => Endpoint;
  readonly tell: (event: HostEvent) => void;
}

/** From the first of its routes to the last. */
interface Service {
  readonly door: StaticDoor;
  readonly since: Date;
  /** Its routes are nobody's. */
  readonly withdraw: () => void;
}

export class StaticLife {
  readonly definition: CheckedStatic;
  readonly turns = new Turns();
  readonly #world: StaticWorld;
  readonly #steps: StaticSteps;
  /** Apart: one that hangs keeps it from nothing else. */
  readonly #healthSteps: StaticSteps;
  #service: Service | undefined;
  /** What is being taken down. */
  #leaving: StaticDoor | undefined;
  #config: EffectiveConfig | undefined;
  #value: StaticConfig = {};
  /** How often it has begun to serve. */
  #generation = 0;
  #counted = { ended: 0, faults: 0 };
  /** State while it does not run. */
  rest: Exclude<PluginState, 'running'> = 'loading';
  /** False from the moment somebody asks to unload it until somebody asks for it again. */
  wanted = true;
  /** Whether its row in the registry was taken away, and nobody has asked for it since. */
  forgotten = false;
  error: TenonError | undefined;

  constructor(definition: CheckedStatic, world: StaticWorld) {
    this.definition = definition;
    this.#world = world;
    const { id, plugin } = definition;
    const options = { id, log: world.log, lifecycleMs: world.limits.lifecycleMs };
    this.#steps = new StaticSteps({
      ...options,
      undo: (context) => plugin.shutdown?.(context),
      changedLate: () => this.#tellAgain(),
    });
    this.#healthSteps = new StaticSteps({ ...options, undo: () => {} });
  }

  get id(): string {
    return this.definition.id;
  }

  get running(): Service | undefined {
    return this.#service;
  }

  get state(): PluginState {
    return this.#service === undefined ? this.rest : 'running';
  }

  /** Requests in its handlers now. */
  get calls(): number {
    return this.#service?.door.waiting ?? this.#leaving?.waiting ?? 0;
  }

  /** Requests so far. */
  get counters(): { ended: number; faults: number } {
    const { ended = 0, faults = 0 } = this.#service?.door ?? this.#leaving ?? {};
    return { ended: this.#counted.ended + ended, faults: this.#counted.faults + faults };
  }

  /** Whether it would serve below `path` if it ran. */
  owns(path: string): boolean {
    const { prefix } = this.definition;
    return prefix !== '' && (path === prefix || path.startsWith(`${prefix}/`));
  }

  summary(): PluginSummary {
    const { id, version } = this.definition;
    const service = this.#service;
    return {
      id,
      type: 'static',
      state: this.state,
      version,
      ...(service === undefined ? {} : { generation: this.#generation, loadedAt: service.since.toISOString() }),
      routes: this.#world.routes.of(id).map((route) => viewRoute(route, this.#world.chains.authOf(id))),
    };
  }

  /** Rejects with what its config, its routes or its steps have against it; nothing of it is left then. */
  async start(): Promise<void> {
    const { routes, gates, tell, log } = this.#world;
    const { id, plugin } = this.definition;
    const door = new StaticDoor(id, () => this.#value);
    const served = this.#served(door);
    routes.check(id, served);
    gates.check(this.definition, served);
    await this.#takeConfig(await this.#effective(), (value) =>
      this.#steps.run('initialize', value, (context) => plugin.initialize?.(context)),
    );
    try {
      await gates.open(this.definition);
      const withdraw = routes.publish(id, served);
      this.#generation += 1;
      this.#service = { door, since: new Date(), withdraw };
      await this.#steps.run('ready', this.#value, (context) => plugin.ready?.(context));
    } catch (error) {
      await this.#end();
      throw error;
    }
    log.info({ plugin: id, generation: this.#generation }, 'plugin serves');
    tell({ type: 'plugin.serving', plugin: id, generation: this.#generation });
  }

  /** Have the config that it is to have now. Rejects when that cannot be, or when the plugin refuses it; what was holds then. */
  async reconfigure(): Promise<void> {
    const { plugin } = this.definition;
    const config = await this.#effective();
    await this.#takeConfig(config, async (value) => {
      if (sameJson(config.given, this.#config?.given)) return;
      await this.#steps.run('changed', value, (context) => plugin.changed?.(value, context));
    });
  }

  /** Take it down. What its `shutdown` throws is logged, and is its `error`. */
  async stop(rest: 'stopped' | 'disabled'): Promise<void> {
    const ran = this.#service !== undefined;
    this.rest = rest;
    this.error = undefined;
    if (!ran) return;
    await this.#end();
    this.#world.tell({ type: 'plugin.stopped', plugin: this.id, generation: this.#generation });
  }

  /** Rejects with why it cannot serve. */
  async health(): Promise<void> {
    const { plugin } = this.definition;
    if (this.#service !== undefined && plugin.health !== undefined)
      await this.#healthSteps.run('health', this.#value, (context) => plugin.health?.(context));
  }

  /** Event streams end, which nothing else would end. */
  endStreams(): void {
    this.#service?.door.endStreams();
  }

  /** Its config in force, when it has taken another one that was given up. */
  async #tellAgain(): Promise<void> {
    const { plugin } = this.definition;
    try {
      await this.turns.take('tell again', async () => {
        if (this.#service !== undefined)
          await this.#steps.run('changed', this.#value, (context) => plugin.changed?.(this.#value, context));
      });
    } catch (cause) {
      this.error = asTenonError(cause);
      this.#world.log.error({ plugin: this.id, code: this.error.code, err: cause }, this.error.message);
    }
  }

  async #end(): Promise<void> {
    const { gates, limits, log } = this.#world;
    const { id, plugin } = this.definition;
    const service = this.#service;
    this.#service = undefined;
    if (service !== undefined) {
      const { door, withdraw } = service;
      withdraw();
      this.#leaving = door;
      await door.close(limits.drainMs);
      this.#leaving = undefined;
      this.#counted = { ended: this.#counted.ended + door.ended, faults: this.#counted.faults + door.faults };
    }
    for (const part of [
      () => this.#steps.run('shutdown', this.#value, (context) => plugin.shutdown?.(context)),
      () => gates.close(id),
    ])
      try {
        await part();
      } catch (cause) {
        this.error = asTenonError(cause);
        log.error({ plugin: id, code: this.error.code, err: cause }, this.error.message);
      }
  }

  async #takeConfig(config: EffectiveConfig, work: (value: StaticConfig) => Promise<void>): Promise<void> {
    const value = frozen(JSON.parse(config.given)) as StaticConfig;
    await work(value);
    this.#config = config;
    this.#value = value;
  }

  #effective(): Promise<EffectiveConfig> {
    const { desires, secretPlaces } = this.#world;
    const { id, custom, schema } = this.definition;
    return effectiveConfig({ plugin: id, custom, schema, desired: desires.of(id), ...secretPlaces });
  }

  #served(door: StaticDoor): ServedRoute[] {
    const { endpoint, limits } = this.#world;
    return this.definition.routes.map((route) => {
      const { method, path, auth, roles, words, deadlineMs = limits.deadlineMs } = route;
      return {
        plugin: this.id,
        method,
        path,
        slot: -1,
        bodyLimit: 0,
        execution: 'static',
        deadlineMs,
        auth,
        roles,
        ...(words === undefined ? {} : { words }),
        endpoint: endpoint({ ...route, deadlineMs }, door),
      };
    });
  }
}

function frozen(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  for (const inner of Object.values(value)) frozen(inner);
  return Object.freeze(value);
}
