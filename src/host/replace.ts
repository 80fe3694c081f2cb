/** The reload, straight down: admit, stage, open, initialize, migrate, swap, drain, retire, unload, verify. */
import { setTimeout as sleep } from 'node:timers/promises';
import { asTenonError, TenonError } from '../base/errors.js';
import type { Core, PermissionLines } from '../binding/core.js';
import { type Admitted, admit, type Image, readImage } from '../plugin/admit.js';
import { Generation } from '../plugin/generation.js';
import type { GenerationLimits } from '../plugin/limits.js';
import type { Staging } from '../plugin/stage.js';
import type { State } from '../plugin/state.js';
import type { Trial } from '../plugin/trial.js';
import { recordSchemas } from '../tables/record-schemas.js';
import type { Expected } from './built.js';
import type { Consumer } from './extensions.js';
import type { Live, ServedRoute } from './live.js';
import { saveBriefly } from './brief-save.js';
import { buildFacts, type Recorder } from './record.js';
import { wordFlaws } from './route-words.js';
import { makeWritable } from './writable.js';
import { type LentTables, tablesFor, type TableWorld, withTables } from './table-world.js';

/** What admission needs, the same for every plugin. */
export interface Admission {
  core: Core;
  trial: Trial;
  staging: Staging;
  imageLimit: number;
  trialMs: number;
  keepStaged: boolean;
  /** Generations in processes of their own, until what became of these has been told. */
  apart: Set<Generation>;
}

export interface Replacement {
  admission: Admission;
  id: string;
  /** Absolute path of the new library. */
  library: string;
  /** Absolute path of the application's folder. */
  root: string;
  /** Path before every route of the new generation; empty at the root. */
  prefix: string;
  limits: GenerationLimits;
  /** The pointer the plugin's generations serve through. */
  live: Live;
  old: Generation | undefined;
  /** Whether the new generation gets what the old one knows. */
  preserveState: boolean;
  /** What it gets when there is no old generation with a state, or when that one is not asked. */
  keptState: State | undefined;
  /** Nothing is asked of the old generation but to let go, and it need not manage that: it has failed. */
  passedOver: boolean;
  /** Number for the new generation. */
  number: () => number;
  /** What the library must be; any, when absent. */
  expected?: Expected | undefined;
  /** Whether this very library has passed a trial that still holds. */
  passed?: boolean;
  /** Whether the library with this hash has shown before that it is well. */
  isProven: (sha256: string) => Promise<boolean>;
  /** Rejects when the library with this hash may not be loaded at all; asked before it is, and again before it serves. */
  permitted: (sha256: string) => Promise<void>;
  /** Throws for a version that the plugin is not to have; asked when the library is opened, before its `create`. */
  accept: (version: string) => void;
  /** Whether the old generation may stay; asked when the library is the very same. */
  mayStay: () => Promise<boolean>;
  /** Its own config: a JSON object, as text. */
  config: string;
  /** What it may do beyond its own; undefined: nothing binds it. Asked when it is opened. */
  permissions: () => PermissionLines | undefined;
  /** What applications that list it set there; asked when it is opened. */
  consumers: () => readonly Consumer[];
  /** Why the build with this hash is not to be loaded, if so. */
  refused: (sha256: string) => Promise<string | undefined>;
  /** What the application's tables are from now on; absent for one without. */
  tables: (() => Promise<TableWorld | undefined>) | undefined;
  /** Tables of extensions that its code may read; asked when it is opened. */
  lent: () => LentTables | undefined;
  /** What they are now: left as it is by a failure. */
  present: TableWorld | undefined;
  /** Asks the generation, which is ready, for what it has begun with; rejects when it is not to serve. */
  confirm: (next: Generation) => Promise<void>;
  /** Throws `RouteConflict` when another plugin has one of the routes. */
  check: (routes: readonly ServedRoute[], next: Generation) => void;
  /** Serve these routes of the generation from now on; throws like `check`. The result takes it back. */
  publish: (routes: readonly ServedRoute[], next: Generation) => () => void;
  /** Keeps what the old generation saved; resolves when it outlives this process, and never rejects. */
  handedOver: (state: State) => Promise<void>;
  /** Told of a new generation that failed and whose image cannot be unmapped. */
  pinned: (generation: Generation) => void;
  recorder: Recorder;
}

/** What came of it. */
export type Replaced =
  | { did: 'nothing' }
  | { did: 'refused'; reason: string }
  | {
      did: 'replaced';
      generation: Generation;
      bytes: Uint8Array;
      tables: TableWorld | undefined;
      /**
       * Take the old generation down, which may end the process: to be called once, when that the new one serves is known. Its
       * shutdown waits for `kept`. Never rejects.
       */
      retire: (kept: Promise<void>) => Promise<void>;
      /** What the old generation saved. */
      handedOver: State | undefined;
    };

/**
 * Put the library in place of `old`. Rejects when anything before the swap fails; only the new generation is closed
 * then, and the old one goes on as if nothing had been.
 */
export async function replace(work: Replacement): Promise<Replaced> {
  const { recorder, old } = work;
  const image = await readTimed(work);
  await work.permitted(image.sha256);
  if (old?.sha256 === image.sha256 && (await work.mayStay())) return { did: 'nothing' };
  const reason = await work.refused(image.sha256);
  if (reason !== undefined) return { did: 'refused', reason };
  if (work.limits.isolation !== undefined) makeWritable(work.id, work.limits.isolation.writable);
  const admitted = await admitTimed(work, image);
  const { tables } = work;
  const world = tables === undefined ? undefined : await recorder.time('migrate', tables);
  try {
    return await replaceAdmitted(work, { image, admitted, world });
  } catch (error) {
    if (world !== work.present) await world?.close();
    throw error;
  }
}

interface Ready {
  image: Image;
  admitted: Admitted;
  world: TableWorld | undefined;
}

async function replaceAdmitted(work: Replacement, { image, admitted, world }: Ready): Promise<Replaced> {
  const { recorder, live, old } = work;
  const isProven = await work.isProven(image.sha256);
  if (old !== undefined && isSavedBefore(work, old)) await saveBefore(work, old);
  const next = await recorder.time('open', () => {
    const { core, keepStaged, apart } = work.admission;
    const { id, root, prefix, limits, config } = work;
    const permissions = work.permissions();
    const tables = tablesFor(work.id, world, work.lent(), permissions !== undefined);
    const makeHandle = live.makeHandle.bind(live);
    const opened = Generation.open({
      core,
      makeHandle,
      number: work.number(),
      admitted,
      isProven,
      id,
      root,
      prefix,
      limits,
      config,
      consumers: work.consumers(),
      tables,
      permissions,
      keepStaged,
    });
    if (opened.library.isolation !== undefined) apart.add(opened);
    return opened;
  });
  recorder.record.to = buildFacts(next);
  const pause = new Pause(work);
  let handedOver: State | undefined;
  try {
    let routes: readonly ServedRoute[] = [];
    const initialize = async (): Promise<void> => {
      await next.initialize();
      routes = withTables(live.bind(next), world);
      const { served } = world ?? {};
      const schemas = new Set(served === undefined ? [] : recordSchemas(served.schema).keys());
      for (const flaw of wordFlaws(work.id, next.routes, schemas)) recorder.warn(flaw);
      work.check(routes, next);
    };
    work.accept(next.version);
    const ready = async (): Promise<void> => {
      await next.ready();
      await work.confirm(next);
    };
    await recorder.time('open', () => next.create());
    // Whoever takes ports in initialize can only do so once the old generation has let go of them.
    const exclusive = pause.quiesces && next.library.descriptor.trialOpenOnly;
    if (!exclusive) await recorder.time('initialize', initialize);
    if (pause.needed)
      await recorder.time('migrate', async () => {
        await pause.begin();
        if (exclusive) await recorder.time('initialize', initialize);
        handedOver = await handOver(work, next);
        await ready();
      });
    else {
      if (work.keptState !== undefined) await recorder.time('migrate', () => handOver(work, next));
      await recorder.time('initialize', ready);
    }
    // Whoever has killed it meanwhile found the old one running.
    await work.permitted(image.sha256);
    swap(work, next, routes);
  } catch (cause) {
    // Who let go of a port gets it back only when the new generation is gone; anybody else goes on at once.
    const down = async (): Promise<void> => {
      const { outcome } = await next.retire();
      recorder.left(outcome);
      if (outcome.unload === 'pinned') work.pinned(next);
    };
    if (pause.quiesced) await down();
    const error = await pause.undo(cause);
    if (!pause.quiesced) await down();
    throw error;
  }
  pause.end();
  const { bytes } = image;
  return { did: 'replaced', generation: next, bytes, tables: world, retire: (kept) => retire(work, kept), handedOver };
}

/** The library's bytes, read once. A file that somebody is writing is looked at again in a moment. */
async function readTimed({ admission, library, expected, recorder }: Replacement): Promise<Image> {
  for (;;) {
    try {
      const image = await recorder.time('admit', () => readImage(library, admission.imageLimit));
      if (expected === undefined || image.sha256 === expected.sha256) return image;
      throw expected.otherwise(image.sha256);
    } catch (error) {
      if (asTenonError(error).code !== 'ImageChanging' || recorder.record.attempts >= 3) throw error;
      await sleep(100 * recorder.record.attempts++);
    }
  }
}

async function admitTimed(work: Replacement, image: Image): Promise<Admitted> {
  const { admission, id, library, passed, recorder } = work;
  const { core, trial, staging, trialMs } = admission;
  const { isolation } = work.limits;
  const begin = performance.now();
  try {
    const limits = { deadlineMs: trialMs };
    const admitted = await admit(library, { expectedId: id, image, core, trial, staging, limits, passed, isolation });
    recorder.add('admit', admitted.timings.admitMs + admitted.timings.trialMs);
    recorder.add('stage', admitted.timings.stageMs);
    return admitted;
  } catch (error) {
    recorder.add('admit', performance.now() - begin);
    throw error;
  }
}

/** To let go of everything and take it up again for this alone would cost more than it saves. */
function isSavedBefore({ preserveState, passedOver }: Replacement, { handle }: Generation): boolean {
  return preserveState && !passedOver && handle.hasState && !handle.canQuiesce;
}

/** Whatever the new one does to its process when it is opened: what the old one knows by now is there for another host. */
async function saveBefore({ live, handedOver }: Replacement, old: Generation): Promise<void> {
  // Whether it saves is for the hand-over to say.
  const state = await saveBriefly(live, old).catch(() => undefined);
  if (state !== undefined) await handedOver(state);
}

/** Give `next` what the old generation knows, or what was kept for it; what the old one saved. */
async function handOver(work: Replacement, next: Generation): Promise<State | undefined> {
  const { old, preserveState, keptState, passedOver, recorder } = work;
  if (!preserveState) return undefined;
  const takes = next.handle.hasState;
  if (old?.handle.hasState === true && !passedOver) {
    const state = await old.saveState();
    const written = work.handedOver(state);
    if (takes) await next.loadState(state);
    else
      recorder.warn(
        `generation ${next.number} offers no tenon.state: what generation ${old.number} knew is kept for a build that does`,
      );
    // The first call of the next one may be its last.
    await written;
    return state;
  }
  if (keptState !== undefined && takes) await next.loadState(keptState);
  else if (keptState !== undefined && old === undefined)
    recorder.warn(`generation ${next.number} offers no tenon.state: the saved state is kept for a build that does`);
  return undefined;
}

/** From here new calls land in `next`. One turn of the event loop: no request sees half of it. */
function swap({ recorder, live, publish }: Replacement, next: Generation, routes: readonly ServedRoute[]): void {
  const begin = performance.now();
  const takeBack = publish(routes, next);
  try {
    live.swap(next);
  } catch (error) {
    takeBack();
    throw error;
  }
  recorder.add('swap', performance.now() - begin);
}

async function retire({ old, recorder }: Replacement, kept: Promise<void>): Promise<void> {
  if (old === undefined) return;
  const { outcome, drainMs, unloadMs, verifyMs } = await old.retire(kept);
  recorder.add('drain', drainMs);
  recorder.add('unload', unloadMs);
  recorder.add('verify', verifyMs);
  recorder.left(outcome);
}

/** The standstill of the old generation that a plugin with state, or with something to let go of, needs. */
class Pause {
  readonly #live: Live;
  readonly #old: Generation | undefined;
  readonly #asksForState: boolean;
  readonly #tolerant: boolean;
  readonly #recorder: Recorder;
  #held = false;
  #quiesced = false;

  constructor({ live, old, preserveState, passedOver, recorder }: Replacement) {
    this.#live = live;
    this.#old = old;
    this.#asksForState = preserveState && !passedOver;
    this.#tolerant = passedOver;
    this.#recorder = recorder;
  }

  /** Whether the old generation can let go of what its successor needs. */
  get quiesces(): boolean {
    return this.#old?.handle.canQuiesce ?? false;
  }

  /** Whether it was asked to. */
  get quiesced(): boolean {
    return this.#quiesced;
  }

  get needed(): boolean {
    return this.quiesces || this.#handsOver;
  }

  get #handsOver(): boolean {
    return this.#asksForState && (this.#old?.handle.hasState ?? false);
  }

  /** Calls wait at the gate, those in flight end, the old generation lets go. */
  async begin(): Promise<void> {
    const old = this.#old;
    if (old === undefined) return;
    this.#live.hold();
    this.#held = true;
    this.#live.swap(undefined);
    try {
      await this.#standStill(old);
    } catch (error) {
      if (!this.#tolerant) throw error;
      this.#recorder.warn(asTenonError(error).message);
    }
  }

  async #standStill(old: Generation): Promise<void> {
    const { lifecycleMs } = old.limits;
    // An event stream has no end of its own; its client finds the next generation by itself.
    old.handle.endStreams();
    if (!(await old.handle.drain(lifecycleMs)))
      throw new TenonError(
        this.#handsOver ? 'StateRefused' : 'StillInUse',
        `${old.id} generation ${old.number}: ${old.handle.leases} calls did not end within ${lifecycleMs} ms, so it could not ${this.#handsOver ? 'hand over' : 'let go of what its successor needs'}`,
        { next: 'reload when they have ended', details: { plugin: old.id, generation: old.number } },
      );
    if (this.quiesces) {
      this.#quiesced = true;
      await old.quiesce();
    }
  }

  /** Open the gate to the generation that is live now. */
  end(): void {
    if (!this.#held) return;
    this.#held = false;
    this.#live.release();
  }

  /** The old generation goes on. The error to report: `cause`, with what went wrong here added. */
  async undo(cause: unknown): Promise<TenonError> {
    const error = asTenonError(cause);
    const old = this.#old;
    if (!this.#held || old === undefined) return error;
    let trouble = '';
    try {
      if (this.#quiesced) await old.resume();
    } catch (second) {
      trouble = `; and the old generation did not resume: ${asTenonError(second).message}`;
    } finally {
      this.#live.swap(old);
      this.end();
    }
    if (trouble === '') return error;
    const next = 'reload the plugin';
    return new TenonError(error.code, `${error.message}${trouble}`, { next, details: error.details, cause });
  }
}
