/** What is done to one plugin when its turn has come: put a new build in place of what runs, or take it down. */
import { asTenonError, TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import { atItsSource } from '../compiler/source.js';
import type { Generation } from '../plugin/generation.js';
import type { GenerationLimits } from '../plugin/limits.js';
import type { State } from '../plugin/state.js';
import type { Applications } from './applications.js';
import { type AppliedConfigs, gatekeeping } from './applied-configs.js';
import type { Chains } from './chains.js';
import type { Containing } from './containing.js';
import type { Departures } from './departures.js';
import { type Desires, disabledBy } from './desired.js';
import type { Extensions } from './extensions.js';
import { Fallback, type FallbackOptions } from './fallback.js';
import type { Grants } from './grants.js';
import { Holds } from './holds.js';
import type { Journal } from './journal.js';
import type { Live } from './live.js';
import { Pins } from './pinned.js';
import type { Plugin } from './plugin.js';
import { buildFacts, type Recorder, type ReloadRecord } from './record.js';
import type { Begun, LateFailure, ReloadRequest } from './reload-request.js';
import { Proving } from './proving.js';
import type { Quarantining } from './quarantining.js';
import type { Remembering } from './remembering.js';
import { PluginTables } from './plugin-tables.js';
import { type Admission, type Replaced, type Replacement, replace } from './replace.js';
import { Probation, type ProbationLimits } from './probation.js';
import { Rehearsal } from './rehearsal.js';
import type { RouteBook } from './routes.js';
import type { TableDoor } from './table-world.js';
import type { SecretPlaces } from './secrets.js';
import { type Rest, TakingDown, type Warn } from './taking-down.js';
import { Targets } from './target.js';
import type { Versions } from './versions.js';

export type { Begun, LateFailure, ReloadRequest } from './reload-request.js';

export interface ReloadingOptions {
  log: Log;
  admission: Admission;
  applications: Applications;
  limits: GenerationLimits;
  routes: RouteBook;
  journal: Journal;
  departures: Departures;
  versions: Versions;
  probation: ProbationLimits;
  remembering: Remembering;
  tables: TableDoor;
  extensions: Extensions;
  chains: Chains;
  configs: AppliedConfigs;
  desires: Desires;
  grants: Pick<Grants, 'linesFor'>;
  secretPlaces: SecretPlaces;
  /** Whether a plugin's state goes from generation to generation, and from host to host; asked at each reload. */
  preserveState: () => boolean;
  containing: Containing;
  quarantining: Quarantining;
  /** Throws `HostClosing` once the host is. */
  refuseWhenClosing: () => void;
  /** Rejects with `BundleKilled` when the library or manifest with this hash may not be loaded. */
  refuseKilled: (id: string, sha256: string) => Promise<void>;
}

/** Generations of one plugin that may be on their way down at once; a further reload waits. */
const leavingLimit = 4;

/** The work of one host on its plugins. Every call has the plugin to itself: the caller gives turns. */
export class Reloading {
  readonly #options: ReloadingOptions;
  readonly #numbers = new Map<string, number>();
  readonly #tables: PluginTables;
  readonly #targets: Targets;
  readonly #pins: Pins;
  readonly #fallback: Fallback;
  readonly #proving: Proving;
  readonly #holds: Holds;
  readonly #takingDown: TakingDown;
  /** What a reload would come to. */
  readonly rehearsal: Rehearsal;

  constructor(options: ReloadingOptions) {
    this.#options = options;
    this.#tables = new PluginTables(options.tables, options.versions, options.log);
    this.#takingDown = new TakingDown({ ...options, tables: this.#tables });
    this.#holds = new Holds(options);
    this.#targets = new Targets({ ...options, tables: this.#tables });
    this.#pins = new Pins(options);
    this.#proving = new Proving(options.quarantining, options.versions);
    const replacing: FallbackOptions['replace'] = (...work) => this.#replace(...work);
    this.#fallback = new Fallback({ ...options, pins: this.#pins, replace: replacing });
    this.rehearsal = new Rehearsal({ ...options, tables: this.#tables, pins: this.#pins });
  }

  /**
   * One reload. Resolves when the new build serves; `finished` when the old one is gone. Rejects when the new build does
   * not serve: what ran goes on, and the record says why.
   */
  async reload(plugin: Plugin, request: ReloadRequest): Promise<Begun> {
    if (!plugin.wanted)
      throw new TenonError('PluginStopped', `${plugin.id} was unloaded while this reload waited`, {
        next: `load ${plugin.id}`,
        details: { plugin: plugin.id },
      });
    const { containing, journal } = this.#options;
    const none = containing.whyNone;
    if (none !== undefined) {
      plugin.rest = 'stopped';
      plugin.error = none;
      throw none;
    }
    const { trigger } = request;
    const recorder = journal.begin(plugin, trigger);
    try {
      this.#options.refuseWhenClosing();
      journal.tell({ type: 'reload.started', plugin: plugin.id, trigger });
      return await recorder.inside(() =>
        this.#replaceWished(plugin, recorder, request).catch((cause: unknown) =>
          this.#fallback.after(plugin, recorder, request, asTenonError(cause)),
        ),
      );
    } catch (cause) {
      recorder.fail(cause);
      const restored = this.#tables.stay(plugin);
      const error = asTenonError(cause);
      // Of what runs nothing is wrong: whoever has asked for another generation is told.
      if (request.anew !== true || plugin.running === undefined) plugin.error = error;
      plugin.outlasted = plugin.running;
      if (plugin.running === undefined) {
        const quarantined = containing.whyQuarantined(plugin.id, undefined, plugin.isolated) !== undefined;
        plugin.rest = error.code === 'PluginDisabled' ? 'disabled' : quarantined ? 'quarantined' : 'failed';
        if (plugin.rest === 'quarantined') this.#options.quarantining.tell(plugin);
        this.#takingDown.closeLive(plugin);
      }
      await this.#options.configs.takeBack(plugin);
      journal.write(plugin, recorder);
      if (plugin.tables !== undefined) await restored;
      throw error;
    }
  }

  /** As {@link TakingDown.takeDown}. */
  takeDown(plugin: Plugin, rest: Rest, warn?: Warn): Promise<void> {
    return this.#takingDown.takeDown(plugin, rest, warn);
  }

  /** What the registry says of it is tried from here on. */
  #replaceWished(plugin: Plugin, recorder: Recorder, request: ReloadRequest): Promise<Begun> {
    const { anew = false, version } = request;
    if (version !== undefined || anew) return this.#replace(plugin, recorder, request);
    this.#options.desires.heed(plugin.id);
    return this.#pins.load(plugin, request.trigger, (kept) => {
      delete recorder.record.to;
      return this.#replace(plugin, recorder, kept === undefined ? request : { ...request, version: kept });
    });
  }

  async #replace(plugin: Plugin, recorder: Recorder, request: ReloadRequest): Promise<Begun> {
    const { admission, chains, configs, departures, extensions, grants, journal, remembering, routes, versions } =
      this.#options;
    const { record } = recorder;
    const old = plugin.running;
    if (old !== undefined) record.from = buildFacts(old);
    const { anew = false, version: wanted } = request;
    const isAgain = anew && old !== undefined;
    const target = isAgain ? await this.#targets.again(plugin, old) : await this.#targets.of(plugin, recorder, wanted);
    // The turn ends with the generation: its pointer is closed after it, and must not be the next one's.
    if (target === undefined) return { finished: Promise.resolve(await this.#disable(plugin, recorder)) };
    const { library, prefix, limits, expected, preserveState, applied, bundle } = target;
    const { containing, quarantining, refuseKilled } = this.#options;
    if (bundle !== undefined) await refuseKilled(plugin.id, bundle.sha256);
    plugin.asks = applied.asked;
    if (old === undefined) plugin.isolated = target.isolated;
    await configs.tell(plugin, applied);
    const live = this.#liveOf(plugin);
    if (!this.#numbers.has(plugin.id)) this.#numbers.set(plugin.id, await versions.lastGeneration(plugin.id));
    if (old === undefined) plugin.prefix = prefix;
    let told: ReturnType<Extensions['consumersOf']> = [];
    const accept = (version: string): void => {
      if (wanted === undefined && !anew) this.#pins.check(plugin.id, version);
    };
    let unasked = new Set<string>();
    const held = { id: plugin.id, isolated: target.isolated, bundle, recorder };
    const work: Replacement = {
      admission,
      id: plugin.id,
      library,
      expected,
      passed: wanted !== undefined && old === undefined && (await versions.wasTried(wanted.sha256)),
      isProven: (sha256) => versions.isProven(sha256),
      permitted: (sha256) => this.#holds.permit(held, sha256),
      root: plugin.folder,
      prefix,
      limits,
      live,
      old,
      tables: target.tables.prepare,
      present: plugin.tables,
      preserveState,
      keptState: undefined,
      passedOver: false,
      number: () => this.#nextNumber(plugin.id),
      accept,
      mayStay: async () => {
        if (old !== undefined) accept(old.version);
        return !anew && request.fresh !== true && configs.mayStay(plugin, target);
      },
      config: target.config.given,
      lent: () => extensions.lentTo(applied.uses),
      permissions: () => grants.linesFor(plugin.id, applied.asked),
      consumers: () => (told = extensions.consumersOf(plugin.id)),
      confirm: async (next) => {
        unasked = await configs.confirm(plugin, next, told, request.passOver !== undefined);
        // Before a request comes in: what it does from then on is not put down to its being new.
        if (old === undefined) await this.#proving.askFirst(next);
      },
      refused: async (sha256) => (request.byHand || anew ? undefined : this.#holds.whyTakenBack(held, sha256)),
      check: (served, next) => {
        routes.check(plugin.id, served, applied);
        chains.check(plugin.id, gatekeeping(applied, next), served);
      },
      publish: (served, next) => configs.publish(plugin, live, { applied, recorder }, served, next),
      handedOver: async (state) => old && remembering.handedOver(plugin, live, buildFacts(old), state),
      pinned: (generation) => departures.keep(plugin, generation),
      recorder,
    };
    // Before any of its code runs.
    containing.tellAutomatic(plugin, target.isolated);
    const result = await this.#replaceAsked(plugin, work, request).catch(async (error: unknown) => {
      containing.tellAutomatic(plugin);
      if (target.application === undefined) throw error;
      throw await atItsSource(asTenonError(error), target.application.source);
    });
    if (result.did !== 'refused') plugin.isolated = target.isolated ?? plugin.isolated;
    containing.tellAutomatic(plugin);
    if (result.did === 'refused') {
      if (old !== undefined && plugin.tables?.key !== target.tables.key)
        recorder.warn(
          'its schema, seed data or permissions on tables are not applied either: they come with the next build',
        );
      const isSet = target.config.source === 'registry' || plugin.config?.source === 'registry';
      if (old !== undefined && isSet && !(await configs.takeOwn(plugin, target, recorder))) {
        const version = await versions.find(plugin.id, old.sha256, undefined);
        return this.#replace(plugin, recorder, { ...request, version, fresh: true });
      }
      return this.#fallback.insteadOf(plugin, recorder, request, result.reason);
    }
    if (result.did === 'nothing' && plugin.error !== undefined) this.#saysTheSame(plugin);
    // What was saved and failed is not in what runs.
    if (!anew) plugin.error = request.insteadOf;
    if (result.did === 'nothing') {
      record.unchanged = true;
      configs.apply(plugin, live, target, recorder);
      plugin.bundle = bundle;
      return { finished: Promise.resolve(journal.write(plugin, recorder)) };
    }
    const { generation, bytes, handedOver } = result;
    plugin.probation?.end();
    plugin.running = generation;
    plugin.bundle = bundle;
    if (wanted !== undefined) record.kept = true;
    const letGo = this.#tables.take(plugin, result.tables);
    // Also without any: the host before this one may have had some.
    this.#tables.keep(plugin);
    if (result.tables !== work.present)
      for (const error of result.tables?.served.seedErrors ?? []) recorder.warn(error.message);
    plugin.prefix = prefix;
    plugin.told = new Map(told.map(({ application, settings }) => [application, settings]));
    plugin.unasked = unasked;
    quarantining.serves(plugin);
    configs.serves(plugin, extensions.consumersOf(plugin.id));
    configs.nowApplies(plugin, target);
    plugin.preservesState = preserveState;
    remembering.began(plugin);
    if (old !== undefined) departures.begin(plugin, old);
    const { number, sha256, version, size } = generation;
    if (request.insteadOf !== undefined)
      recorder.warn(
        `${request.insteadOf.message}; the build that served last (${version}, ${sha256.slice(0, 12)}) serves in its place`,
      );
    journal.tell({
      type: 'plugin.serving',
      plugin: plugin.id,
      generation: number,
      sha256,
      ...(old === undefined ? {} : { from: old.number }),
    });
    versions.serves(
      plugin.id,
      { generation: number, sha256, version, size, ...(bundle && { bundle }) },
      bytes,
      anew || wanted !== undefined,
    );
    const finished = result.retire(versions.settled(plugin.id)).then(async () => {
      await letGo;
      if (old !== undefined) departures.keep(plugin, old);
      return journal.write(plugin, recorder);
    });
    this.#watchOver(plugin, live, request, { old, record, given: handedOver, finished });
    departures.untilClosed(finished);
    const draining = [...plugin.leaving].filter(({ state }) => state === 'draining').length;
    if (draining >= leavingLimit) await finished;
    return { finished: this.#fallback.serves(plugin, request, finished) };
  }

  #saysTheSame({ id, running }: Plugin): void {
    const sentence = `${id}: what serves (generation ${running?.number}) is what the sources say again`;
    this.#options.log.info({ plugin: id, generation: running?.number }, sentence);
  }

  #watchOver(
    plugin: Plugin,
    live: Live,
    request: ReloadRequest,
    { old, ...facts }: Pick<LateFailure, 'record' | 'given' | 'finished'> & { old: Generation | undefined },
  ): void {
    const generation = plugin.running;
    const { probation: limits } = this.#options;
    if (generation === undefined) return;
    const { sha256 } = generation;
    // Who is gone back to has passed it before, or was replaced too soon; the same build with other settings has nothing to show.
    const back = request.version !== undefined;
    const isNew = !back && request.anew !== true;
    const isProven = back ? !plugin.unproven.has(sha256) : sha256 === old?.sha256;
    if (old === undefined || limits.ms === 0 || isProven) {
      void this.#proving.begin(plugin, generation, isNew);
      return;
    }
    const none = { calls: 0, faults: 0, samples: 0 };
    plugin.unproven.add(sha256);
    plugin.probation = new Probation(live, generation, back ? none : old.counters, limits, {
      failed: (error) => request.failedLater({ generation, error, ...facts }),
      passed: () => {
        plugin.unproven.delete(sha256);
        void this.#proving.begin(plugin, generation, isNew);
      },
    });
    plugin.probation.begin();
  }

  async #disable(plugin: Plugin, recorder: Recorder): Promise<ReloadRecord> {
    plugin.error = disabledBy(plugin.id, this.#options.desires.of(plugin.id));
    await this.takeDown(plugin, 'disabled', (sentence) => recorder.warn(sentence));
    await this.#options.configs.forget(plugin);
    return this.#options.journal.write(plugin, recorder);
  }

  /**
   * Whoever is gone back from is asked for what it knows. If it does not give that, or if the build before it cannot read
   * it, that one begins with what it knew itself.
   */
  async #replaceAsked(plugin: Plugin, work: Replacement, { version, passOver }: ReloadRequest): Promise<Replaced> {
    try {
      return await this.#replaceRemembering(plugin, work);
    } catch (cause) {
      const { code, details, message } = asTenonError(cause);
      const refused = code === 'StateRefused' && details['step'] !== undefined;
      if (version === undefined || (passOver === undefined && !refused)) throw cause;
      const { live, expected, recorder } = work;
      const { remembering } = this.#options;
      const own = await remembering.earlier(plugin, expected?.sha256, cause);
      const recall = async (): Promise<State | undefined> => own ?? remembering.recall(plugin, live, recorder);
      const keptState = passOver === undefined ? await recall() : passOver.given;
      if (passOver === undefined && keptState === undefined) throw cause;
      const replaced = await replace({ ...work, keptState, passedOver: true });
      if (own !== undefined) await remembering.beganEarlier(plugin, cause, recorder);
      else recorder.warn(`${message}; ${plugin.id} went back to what was known before`);
      return replaced;
    }
  }

  /** A generation that has nobody to ask gets what was kept for it. */
  async #replaceRemembering(plugin: Plugin, work: Replacement): Promise<Replaced> {
    const { remembering } = this.#options;
    const { live, old, preserveState, recorder } = work;
    if (!preserveState || old?.handle.hasState === true) return replace(work);
    const keptState = await remembering.recall(plugin, live, recorder);
    try {
      return await replace({ ...work, keptState });
    } catch (cause) {
      if (keptState === undefined) throw cause;
      const earlier = await remembering.earlier(plugin, work.expected?.sha256, cause);
      if (earlier === undefined && !remembering.mayBeginEmpty(cause)) throw cause;
      const replaced = await replace({ ...work, keptState: earlier });
      await remembering[earlier === undefined ? 'beganEmpty' : 'beganEarlier'](plugin, cause, recorder);
      return replaced;
    }
  }

  #liveOf(plugin: Plugin): Live {
    plugin.live ??= this.#options.chains.take(plugin.id);
    return plugin.live;
  }

  #nextNumber(id: string): number {
    const number = Math.max(this.#numbers.get(id) ?? 0, this.#options.containing.lastGeneration(id)) + 1;
    this.#numbers.set(id, number);
    return number;
  }
}
