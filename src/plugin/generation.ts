/** One life of a plugin: its library, its instance in the core, and what it did on the way down. */
import { setTimeout as sleep } from 'node:timers/promises';
import { asTenonError, TenonError } from '../base/errors.js';
import type { CallCounters } from '../binding/call-counters.js';
import type { Core, GenerationHandle, GenerationOptions, RouteFacts } from '../binding/core.js';
import type { Admitted } from './admit.js';
import { requireOneState, throwUncreated } from './isolation.js';
import type { GenerationLimits } from './limits.js';
import { heldBy } from './held-by.js';
import { imageOf } from './image-of.js';
import type { GenerationLibrary, PluginImage } from './open-image.js';
import { ownThreads } from './own-threads.js';
import { requireIntact, type State, sealState } from './state.js';

/** How a generation ended: `pinned` means that its image stays mapped, for the named reason. */
export type Outcome = { unload: 'clean' } | { unload: 'pinned'; reason: string };

/** How long each part of the way down took, ms. */
export interface Retirement {
  outcome: Outcome;
  drainMs: number;
  unloadMs: number;
  verifyMs: number;
}

export type GenerationState = 'opening' | 'ready' | 'draining' | 'closed' | 'pinned';

/** For a thread that has missed its deadline to come back after all, ms. */
const lateGraceMs = 100;

/** How often a drain looks whether it waits for hung calls only. */
const drainLookMs = 250;

export interface GenerationInput {
  core: Core;
  /** Makes the core's side; the live pointer it belongs to is not this room's. */
  makeHandle: (options: GenerationOptions) => GenerationHandle;
  number: number;
  admitted: Admitted;
  /** Whether that build has shown before that it is well. */
  isProven: boolean;
  /** The plugin it must be. */
  id: string;
  /** Absolute path of the application's folder, or empty. */
  root: string;
  /** Path before every route; empty at the root. */
  prefix: string;
  limits: GenerationLimits;
  /** Its own config, and what applications that list it set there: JSON objects. */
  config: string;
  consumers: readonly { application: string; settings: string }[];
  /** What it may reach of tables; absent for none. */
  tables: Pick<GenerationOptions, 'store' | 'database' | 'grants'> | undefined;
  /** What it may do beyond its own; undefined: nothing binds it. */
  permissions: GenerationOptions['permissions'];
  /** Leave the staged file where it is, for debuggers. */
  keepStaged: boolean;
}

/**
 * Its steps are called one at a time, by whoever replaces generations. A failure leaves it as it is: `retire` takes
 * it down from wherever it got to.
 */
export class Generation {
  readonly id: string;
  readonly number: number;
  readonly sha256: string;
  readonly size: number;
  readonly version: string;
  /** Path before every route; empty at the root. */
  readonly prefix: string;
  readonly limits: GenerationLimits;
  readonly handle: GenerationHandle;
  readonly library: GenerationLibrary;
  readonly loadedAt = new Date();
  readonly #core: Core;
  readonly #admitted: Admitted;
  readonly #image: PluginImage;
  #state: GenerationState = 'opening';
  #outcome: Outcome | undefined;
  #routes: readonly RouteFacts[] = [];
  #created = false;
  #initialized = false;
  #stopping = false;
  #unloaded = false;
  /** The last step that missed its deadline: its control thread hangs in it, or has come back since. */
  #late: string | undefined;
  /** When its calls have been waited for long enough, once it is taken down. */
  #drainEnd: number | undefined;
  /** For the steps until it serves, ms. */
  #startLeft: number;
  #retiring: Promise<Retirement> | undefined;

  private constructor(input: GenerationInput, image: PluginImage, handle: GenerationHandle) {
    this.id = input.id;
    this.number = input.number;
    this.sha256 = input.admitted.sha256;
    this.size = input.admitted.size;
    this.version = image.library.descriptor.version;
    this.prefix = input.prefix;
    this.limits = input.limits;
    this.#startLeft = input.limits.startupMs;
    this.handle = handle;
    this.#image = image;
    this.library = image.library;
    this.#core = input.core;
    this.#admitted = input.admitted;
  }

  /**
   * Open the staged library and give the core its descriptor. Throws `PluginLoadError`, `AbiUnsupported` or
   * `PluginIdMismatch`; nothing is left open then. The staged file is gone afterwards, unless it is kept.
   */
  static open(input: GenerationInput): Generation {
    let image: PluginImage;
    try {
      image = imageOf(input);
    } finally {
      if (!input.keepStaged) input.admitted.staged.unlink();
    }
    try {
      const { deadlineMs, bodyLimit, concurrency } = input.limits;
      const handle = input.makeHandle({
        number: input.number,
        ...image.source,
        root: input.root,
        prefix: input.prefix,
        deadlineMs,
        bodyLimit,
        concurrency,
        config: input.config,
        consumers: input.consumers,
        permissions: input.permissions,
        image: image.index,
        ...input.tables,
      });
      return new Generation(input, image, handle);
    } catch (error) {
      image.close();
      image.enter('closed');
      throw error;
    }
  }

  get state(): GenerationState {
    return this.#state;
  }

  /** Its calls so far. */
  get counters(): CallCounters {
    return this.handle.counters;
  }

  /** Set once it is retired. */
  get outcome(): Outcome | undefined {
    return this.#outcome;
  }

  /** What it serves; known after `initialize`. */
  get routes(): readonly RouteFacts[] {
    return this.#routes;
  }

  /**
   * Those of `pinned`, generations of one core, that calls or threads held which have come back since: `retire` gets
   * further now than it did. One look at all threads.
   */
  static released(pinned: Iterable<Generation>): Generation[] {
    const free: Generation[] = [];
    const stopped: Generation[] = [];
    for (const generation of pinned) {
      if (generation.#state !== 'pinned' || generation.pinnedForGood || generation.handle.leases > 0) continue;
      const { alive, lost } = generation.handle.threads;
      if (!generation.#stopping && lost === 0) free.push(generation);
      if (generation.#stopping && alive === 0) stopped.push(generation);
    }
    const [first] = stopped;
    if (first === undefined) return free;
    const threads = first.#core.threadsIn(stopped.map(({ library }) => library.path));
    return [...free, ...stopped.filter((_, index) => threads[index]?.length === 0)];
  }

  /** Whether nothing that can still happen would unmap its image. */
  get pinnedForGood(): boolean {
    return this.#state === 'pinned' && (this.#unloaded || this.#late === 'initialize');
  }

  get findings(): Admitted['facts']['findings'] {
    return this.#admitted.facts.findings;
  }

  /** Make the instance. Rejects with `ConfinementMissing`, and with `LifecycleFailed` or `LifecycleTimeout`, as every step does. */
  async create(): Promise<void> {
    this.#created = true; // also when it fails or is late: `destroy` does nothing where there is no instance
    await this.#stepUp('create', (ms) => this.handle.create(ms)).catch((error) => throwUncreated(this.id, error));
    const { isolation, demotion } = this.limits;
    requireOneState(this.id, isolation ?? demotion, this.handle.hasState);
  }

  /** Initialize it and read its routes, which are checked. Rejects with `RouteInvalid` too. */
  async initialize(): Promise<readonly RouteFacts[]> {
    await this.#stepUp('initialize', (ms) => this.handle.initialize(ms));
    this.#initialized = true;
    this.#routes = await this.#stepUp('routes', (ms) => this.handle.routes(ms));
    return this.#routes;
  }

  /** It has shown that it is well: a crash from here on is not put down to its being new. */
  markServing(): void {
    if (this.#state === 'ready') this.#image.enter('serving');
  }

  async ready(): Promise<void> {
    await this.#stepUp('ready', (ms) => this.handle.ready(ms));
    this.#state = 'ready';
  }

  /**
   * Tell it that its own config (`application` empty), or what an application sets there, is `json` from now on; empty: that
   * application is gone. `reload`: only a new generation can take that. Rejects when it refuses: what was holds.
   */
  configure(application: string, json: string): Promise<'taken' | 'reload'> {
    const { handle } = this;
    return this.#step('configure', (ms) => handle.configure(application, json, ms));
  }

  quiesce(): Promise<void> {
    return this.#step('quiesce', (ms) => this.handle.quiesce(ms));
  }

  resume(): Promise<void> {
    return this.#step('resume', (ms) => this.handle.resume(ms));
  }

  /** What it knows, for a successor; no call may be in it until `saved`. Rejects with `StateRefused`, over the limit too. */
  async saveState(saved = (): void => {}): Promise<State> {
    const { version, bytes } = await this.#step('save', (ms) => this.handle.save(ms), 'StateRefused');
    saved();
    const { stateLimit } = this.limits;
    if (bytes.byteLength > stateLimit)
      throw new TenonError(
        'StateRefused',
        `${this.id} generation ${this.number}: its state of ${bytes.byteLength} bytes is over the limit of ${stateLimit}`,
        { next: 'let it save less, or raise the limit', details: { plugin: this.id, generation: this.number } },
      );
    return sealState(version, bytes);
  }

  /** Take a state over, after `initialize` and before `ready`: tried, then loaded. Rejects with `StateRefused`. */
  async loadState(state: State): Promise<void> {
    for (const dryRun of [true, false]) {
      await requireIntact(state);
      await this.#stepUp('load', (ms) => this.handle.load(state.version, state.bytes, dryRun, ms), 'StateRefused');
    }
  }

  /**
   * What it knows at its end: its calls end, it lets go, it saves. It must not be live, and `retire` follows. Rejects with
   * `StateRefused`.
   */
  async lastState(): Promise<State> {
    const held = await this.#drain();
    if (held !== undefined)
      throw new TenonError('StateRefused', `${this.id} generation ${this.number} did not save its state: ${held}`, {
        next: 'find what its calls wait for',
        details: { plugin: this.id, generation: this.number },
      });
    if (this.handle.canQuiesce) await this.#step('quiesce', (ms) => this.handle.quiesce(ms), 'StateRefused');
    return this.saveState();
  }

  /** Ask the plugin whether it can serve; it has one second. */
  health(): Promise<void> {
    return this.#step('health', () => this.handle.health(1000));
  }

  /**
   * Take it down: its calls end, shutdown, destroy, its threads end, the library is closed, and the image must be gone.
   * Nothing is closed under a lease or a thread: the generation is `pinned` then, and a later call tries again, see
   * `released`; a call while one runs joins it. It must not be live; shutdown waits for `before`. Never rejects for what the plugin did.
   */
  retire(before?: Promise<void>): Promise<Retirement> {
    this.#retiring ??= this.#retire(before).finally(() => {
      this.#retiring = undefined;
    });
    return this.#retiring;
  }

  async #retire(before?: Promise<void>): Promise<Retirement> {
    if (this.#outcome !== undefined && this.#state === 'closed')
      return { outcome: this.#outcome, drainMs: 0, unloadMs: 0, verifyMs: 0 };
    this.#state = 'draining';
    this.#image.enter('closing');
    const begin = performance.now();
    const [held] = await Promise.all([this.#unloaded ? undefined : this.#drain(), before]);
    const afterDrain = performance.now();
    const reason = held ?? (await this.#end());
    const afterUnload = performance.now();
    const outcome = reason === undefined ? this.#verify() : pinned(reason);
    this.#outcome = outcome;
    this.#state = outcome.unload === 'clean' ? 'closed' : 'pinned';
    this.#image.enter(this.#state);
    return {
      outcome,
      drainMs: afterDrain - begin,
      unloadMs: afterUnload - afterDrain,
      verifyMs: performance.now() - afterUnload,
    };
  }

  /**
   * Wait for its calls to end, but not for those whose threads were given up; who holds it when they do not. An event
   * stream may have no end: its client is sent to the next generation, once nothing else is waited for or half of the
   * time has passed.
   */
  async #drain(): Promise<string | undefined> {
    const end = (this.#drainEnd ??= performance.now() + this.limits.drainMs);
    this.handle.retire();
    try {
      for (;;) {
        const left = Math.max(1, end - performance.now());
        const { leases, streams, threads } = this.handle;
        if (leases <= streams + threads.lost || left <= this.limits.drainMs / 2) this.handle.endStreams();
        if (await this.handle.drain(Math.min(left, drainLookMs))) return undefined;
        const onlyLost = this.handle.leases <= this.handle.threads.lost;
        if (onlyLost || performance.now() >= end) break;
      }
    } catch (error) {
      return `its calls could not be waited for: ${error instanceof Error ? error.message : String(error)}`;
    }
    const reason = heldBy(this.handle);
    const { isolation } = this.#image;
    if (isolation === undefined) return reason;
    // What is in a process of its own can be ended.
    isolation.abandon(reason);
    return (await this.handle.drain(this.limits.lifecycleMs)) ? undefined : reason;
  }

  /** Shutdown to dlclose; the reason when it cannot be closed. */
  async #end(): Promise<string | undefined> {
    if (this.#unloaded) return undefined;
    const { lifecycleMs } = this.limits;
    try {
      if (!(await this.#threadsBack())) return `thread still running: ${this.#late ?? 'a call'} did not return`;
      // Whether it succeeded is not known, so neither is whether shutdown may follow and end what it began.
      if (this.#late === 'initialize') return 'initialize missed its deadline, and what it began may still run';
      if (this.#initialized) {
        if (!(await this.#idle())) return 'thread still running: health did not return';
        this.#initialized = false;
        await this.#step('shutdown', (ms) => this.handle.shutdown(ms));
      }
      if (this.#created) {
        this.#created = false;
        await this.#destroy();
      }
      this.#stopping = true;
      const left = await this.handle.stop(lifecycleMs);
      if (left > 0) return `thread still running: ${left} of its threads did not end`;
      const own = await ownThreads(this.#core, this.library.path, lateGraceMs);
      if (own !== undefined) return own;
      this.handle.close();
    } catch (error) {
      if (this.handle.threads.lost > 0) return `thread still running: ${this.#late} did not return`;
      return error instanceof Error ? error.message : String(error);
    }
    this.#image.close();
    this.#unloaded = true;
    return undefined;
  }

  /** Whether no thread is given up. One that is late by little is waited for. */
  async #threadsBack(): Promise<boolean> {
    const end = performance.now() + lateGraceMs;
    while (this.handle.threads.lost > 0) {
      if (performance.now() > end) return false;
      await sleep(5);
    }
    return true;
  }

  /** Whether the control thread has nothing left to do: a health check that missed its deadline may still be in it. */
  async #idle(): Promise<boolean> {
    try {
      // Runs nothing of the plugin: with an instance there, the core refuses it when its turn has come.
      await this.handle.create(this.limits.lifecycleMs);
      return true;
    } catch (error) {
      return asTenonError(error).code !== 'LifecycleTimeout';
    }
  }

  async #destroy(): Promise<void> {
    try {
      await this.#step('destroy', (ms) => this.handle.destroy(ms));
    } catch (error) {
      // It returns nothing: only the core can refuse it, where `create` left no instance.
      if (asTenonError(error).code !== 'LifecycleFailed') throw error;
    }
  }

  #verify(): Outcome {
    if (!this.#core.imageMapped(this.library.path)) return { unload: 'clean' };
    const pins = this.findings.filter((finding) => finding.pins).map((finding) => `${finding.rule}: ${finding.detail}`);
    return pinned(pins.length > 0 ? pins.join('; ') : 'the image is still mapped, and nothing in its file says why');
  }

  /** A step before it serves: together they have `startupMs`. */
  async #stepUp<T>(step: string, run: (deadlineMs: number) => Promise<T>, code?: 'StateRefused'): Promise<T> {
    const begin = performance.now();
    const left = Math.max(1, Math.round(this.#startLeft));
    try {
      return await this.#step(step, (ms) => run(Math.min(ms, left)), code);
    } catch (cause) {
      const error = asTenonError(cause);
      const { startupMs, lifecycleMs } = this.limits;
      if (error.details['cause'] !== 'LifecycleTimeout' || left >= lifecycleMs) throw error;
      const message = `${error.message}, which was left of the ${startupMs} ms that its start may take`;
      throw new TenonError(error.code, message, {
        next: 'let it do less before it serves, or raise `limits.startupMs`',
        details: error.details,
        cause,
      });
    } finally {
      this.#startLeft -= performance.now() - begin;
    }
  }

  async #step<T>(step: string, run: (deadlineMs: number) => Promise<T>, code?: 'StateRefused'): Promise<T> {
    try {
      return await run(this.limits.lifecycleMs);
    } catch (cause) {
      const error = asTenonError(cause, 'LifecycleFailed');
      if (error.code === 'LifecycleTimeout') this.#late = step;
      throw new TenonError(code ?? error.code, `generation ${this.number}: ${error.message}`, {
        next: 'see what the plugin logged, correct it and reload',
        details: { ...missingIn(cause, error), plugin: this.id, generation: this.number, step, cause: error.code },
        cause,
      });
    }
  }
}

function pinned(reason: string): Outcome {
  return { unload: 'pinned', reason };
}

function missingIn(cause: unknown, { details }: TenonError): Record<string, unknown> {
  return cause instanceof Error && 'permission' in cause ? { ...details, permission: cause.permission } : details;
}
