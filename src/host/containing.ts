/** What crashes have led to, as this host keeps to it: plugins and builds that are not loaded, or that none is. */
import {
  type ApartMode,
  type BegunGenerations,
  type Containment,
  crashOf,
  type HeldBuild,
  type KeptContainment,
  leftBehind,
  movedOut,
} from '../base/containment.js';
import type { CrashReport } from '../base/crash-report.js';
import { TenonError } from '../base/errors.js';
import { apartAs, type Isolated } from './isolation-view.js';

/** Told by a host of what its parent process is to keep, and give to the hosts after it. */
export interface ContainmentListener {
  /** The plugin, or with none the safe mode, is not held back any more. `moved`: for what it did in the host's process, which it has left. */
  released?: ((plugin: string | undefined, isByHand: boolean, moved?: ApartMode) => void) | undefined;
  /** Which plugins are of isolation `auto`, after each change. */
  automatic?: ((plugins: readonly string[]) => void) | undefined;
  /** A process of a plugin has ended. */
  processEnded?: ((report: CrashReport) => void) | undefined;
  /** The host itself has put it into quarantine. */
  quarantined?: ((build: HeldBuild) => void) | undefined;
}

export class Containing {
  #quarantined: Map<string, HeldBuild>;
  #bad: readonly HeldBuild[];
  #demoted: readonly HeldBuild[];
  readonly #automatic = new Set<string>();
  #safeMode: Containment['safeMode'];
  readonly #generations: BegunGenerations;
  readonly #listener: ContainmentListener;

  constructor(
    { quarantined, bad, demoted, safeMode, generations }: KeptContainment,
    listener: ContainmentListener = {},
  ) {
    this.#quarantined = new Map(quarantined.map((build) => [build.plugin, build]));
    this.#bad = bad;
    this.#demoted = demoted ?? [];
    this.#safeMode = safeMode;
    this.#generations = generations ?? {};
    this.#listener = listener;
  }

  /** What is held back now. */
  get held(): Containment {
    const safeMode = this.#safeMode === undefined ? {} : { safeMode: this.#safeMode };
    const demoted = this.#demoted.length === 0 ? {} : { demoted: this.#demoted };
    return { quarantined: [...this.#quarantined.values()], bad: this.#bad, ...demoted, ...safeMode };
  }

  /** The highest number of a generation of `id` that was begun in a host that crashed; 0: there was none. */
  lastGeneration(id: string): number {
    return this.#generations[id] ?? 0;
  }

  /** Why no plugin is loaded, if so. */
  get whyNone(): TenonError | undefined {
    if (this.#safeMode === undefined) return undefined;
    const { reason, crash, since } = this.#safeMode;
    return new TenonError('SafeMode', `the host runs without plugins: ${reason}`, {
      next: 'see `tenon crashes`; `tenon release` ends it',
      details: { reason, crash, since },
    });
  }

  /** What a plugin of isolation `auto` has done to be in a process of its own, or did before it was of that and is held back for. */
  demotionOf(id: string): HeldBuild | undefined {
    return this.#demotionOf(id) ?? leftBehind(this.held, id, 'auto')[0];
  }

  #demotionOf(id: string): HeldBuild | undefined {
    return this.#demoted.find(({ plugin }) => plugin === id);
  }

  /** Whoever decides after a crash is to know which plugins may be demoted. `next`: of a generation that is about to be tried, too. */
  tellAutomatic({ id, isolated }: { id: string; isolated: Isolated | undefined }, next?: Isolated): void {
    const is = isolated?.mode === 'auto' || next?.mode === 'auto';
    if (is === this.#automatic.has(id)) return;
    if (is) this.#automatic.add(id);
    else this.#automatic.delete(id);
    this.#listener.automatic?.([...this.#automatic]);
  }

  /** The build that a plugin is in quarantine for. */
  quarantineOf(id: string): HeldBuild | undefined {
    return this.#quarantined.get(id);
  }

  /** The build that one goes back from: that which runs, or, when none does, that which is in quarantine. */
  leftBuild({ id, running }: { id: string; running: { sha256: string } | undefined }): string | undefined {
    return running?.sha256 ?? this.#quarantined.get(id)?.sha256;
  }

  /** Why a plugin, or its build with this hash, is in quarantine, if so. `isolated`: where it is to run; as before, when that is not said. */
  whyQuarantined(id: string, sha256?: string, isolated?: Isolated): TenonError | undefined {
    const held = this.#quarantined.get(id);
    if (held === undefined || (sha256 !== undefined && !matches(held, sha256)) || this.#isBehind(held, isolated))
      return undefined;
    const { reason } = held;
    return new TenonError('PluginQuarantined', `${id} is in quarantine: ${reason}`, {
      next: `give it another build, move it out of the host with \`isolation: process\`, or let it go with \`tenon release ${id}\``,
      details: detailsOf(held),
    });
  }

  /** Why the build of `id` with this hash is not loaded for having crashed a host before it had shown that it is well, if so. `isolated`: as above. */
  whyBad(id: string, sha256: string, isolated?: Isolated): TenonError | undefined {
    const held = this.#bad.find((build) => build.plugin === id && matches(build, sha256));
    if (held === undefined || this.#isBehind(held, isolated)) return undefined;
    const which = `${id}: the build ${sha256.slice(0, 12)} crashed the host: ${held.reason}`;
    return new TenonError('BuildCrashed', which, {
      next: `correct it; or move it out of the host with \`isolation: process\`, or let it go with \`tenon release ${id}\``,
      details: detailsOf(held),
    });
  }

  /** Throws `PluginQuarantined` or `BuildCrashed` for a build that is not to be loaded where `isolated` says. */
  refuse(id: string, sha256: string, isolated: Isolated | undefined): void {
    const why = this.whyQuarantined(id, sha256, isolated) ?? this.whyBad(id, sha256, isolated);
    if (why !== undefined) throw why;
  }

  /** Whether `held` is for what was done in the host's process, and `isolated` is out of that. */
  #isBehind(held: HeldBuild, isolated: Isolated | undefined): boolean {
    const mode = apartAs(isolated);
    return mode !== undefined && leftBehind(this.held, held.plugin, mode).includes(held);
  }

  /** Throws `SafeMode` when no plugin is to be loaded. */
  refuseAll(): void {
    const why = this.whyNone;
    if (why !== undefined) throw why;
  }

  /** It is in quarantine from now on. */
  quarantine(build: HeldBuild): void {
    this.#quarantined.set(build.plugin, build);
    this.#listener.quarantined?.(build);
  }

  /**
   * A build of `id` has shown that it is well. What is new of the application ends all, unless it is what is in quarantine; of a kept
   * build, that was there before, nothing follows for those that are held back. Whether anything was.
   */
  proved(id: string, sha256: string, isNew: boolean): boolean {
    return isNew && this.whyQuarantined(id, sha256) === undefined && this.#letGo(id, false);
  }

  /** It serves where `isolated` says. Whether that ends anything: what it is held back for was done in the host's process, and it has left that. */
  serves(id: string, isolated: Isolated | undefined): boolean {
    const mode = apartAs(isolated);
    if (mode === undefined || leftBehind(this.held, id, mode).length === 0) return false;
    const { quarantined, bad, demoted = [] } = movedOut(this.held, id, mode);
    this.#quarantined = new Map(quarantined.map((build) => [build.plugin, build]));
    this.#bad = bad;
    this.#demoted = demoted;
    this.#listener.released?.(id, false, mode);
    return true;
  }

  /** Nothing of it is held back any more. Whether anything was. */
  release(id: string): boolean {
    return this.#letGo(id, true);
  }

  /** @param isByHand also takes it back from its process */
  #letGo(id: string, isByHand: boolean): boolean {
    const demotion = isByHand ? this.#demotionOf(id) : undefined;
    if (demotion !== undefined) this.#demoted = this.#demoted.filter((build) => build !== demotion);
    const kept = this.#bad.filter(({ plugin }) => plugin !== id);
    const was = this.#quarantined.delete(id) || kept.length < this.#bad.length || demotion !== undefined;
    this.#bad = kept;
    if (was) this.#listener.released?.(id, isByHand);
    return was;
  }

  /** Plugins may be loaded again. Whether they might not. */
  endSafeMode(): boolean {
    const was = this.#safeMode !== undefined;
    this.#safeMode = undefined;
    if (was) this.#listener.released?.(undefined, true);
    return was;
  }
}

/** One whose hash is not known is any. */
function matches(held: HeldBuild, sha256: string): boolean {
  return held.sha256 === '' || held.sha256 === sha256;
}

function detailsOf(held: HeldBuild): Record<string, unknown> {
  const { plugin, sha256, reason, since } = held;
  return { plugin, sha256, reason, ...crashOf(held), since };
}
