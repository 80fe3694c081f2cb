/** What is done after a crash: no clock, no file, so that each rule can be seen alone. */
import type { Containment, HeldBuild } from '../base/containment.js';
import type { CrashAction } from '../base/crash-report.js';
import type { Accused } from '../host/crash-finding.js';

export interface CrashRules {
  /** So many crashes of one plugin, or of unknown cause, within the window are too many. */
  readonly limit: number;
  readonly windowMs: number;
}

/** A crash that counts. */
export interface CountedCrash {
  /** Of any clock that only grows, ms. */
  readonly at: number;
  /** Whom it counts against; absent: nobody knows. */
  readonly plugin?: string;
  /** Of one that nobody knows the cause of: who alone was at work. */
  readonly present?: string;
}

/** A crash, and what was before it. */
export interface CrashSituation {
  readonly at: number;
  readonly accused: Accused | undefined;
  /** What is written where something is held back because of it. */
  readonly told: NonNullable<Containment['safeMode']>;
  readonly containment: Containment;
  /** Crashes before it. */
  readonly history: readonly CountedCrash[];
  readonly rules: CrashRules;
  /** Whether the accused is to go on in a process of its own, once. */
  readonly isAutomatic: boolean;
}

export interface Decision {
  readonly action: CrashAction;
  readonly containment: Containment;
  /** Crashes to remember. */
  readonly history: readonly CountedCrash[];
  /** Before the next host begins, ms. */
  readonly delayMs: number;
}

/** Of a cause that is known nothing has to be waited for: it is held back soon. */
const unknownDelaysMs = [0, 100, 500, 2000];

/**
 * A plugin of isolation `auto` that has certainly done it, and is in no process of its own yet, goes on in one. Of all others: a build
 * that has certainly done it, and never before has shown that it is well, is held back at once. Any other is, with the crash that makes
 * too many within the window. A host that somebody has killed counts as of unknown cause, whoever was at work. Too many of unknown cause end all plugins (safe mode), unless always the same one alone was at work: then it is
 * that one which is held back. Too many in safe mode end everything.
 */
export function decide(situation: CrashSituation): Decision {
  const { at, accused, told, containment, rules } = situation;
  const history = situation.history.filter((crash) => at - crash.at < rules.windowMs);
  const suspect = containment.safeMode === undefined ? accused : undefined;
  const isUnknown = suspect === undefined || suspect.by === 'presence';
  const counted: CountedCrash = isUnknown
    ? { at, ...(suspect && { present: suspect.plugin }) }
    : { at, plugin: suspect.plugin };
  const { plugin } = counted;
  const all = [...history, counted];
  const alike = all.filter((crash) => crash.plugin === plugin);
  const delayMs = isUnknown ? (unknownDelaysMs[Math.min(alike.length, unknownDelaysMs.length) - 1] ?? 0) : 0;
  const others = all.filter((crash) => crash.plugin !== plugin);
  const restarted: Decision = { action: 'restarted', containment, history: all, delayMs };
  const isTooMany = alike.length >= rules.limit;
  if (suspect !== undefined) {
    const known: HeldBuild = { plugin: suspect.plugin, sha256: suspect.sha256, ...told };
    const build: HeldBuild = situation.isAutomatic ? { ...known, isolation: 'auto' } : known;
    const isDemoted = containment.demoted?.some((one) => one.plugin === suspect.plugin) ?? false;
    if (situation.isAutomatic && !isDemoted && suspect.by === 'verdict') {
      const demoted = withBuild(containment.demoted ?? [], known);
      return { ...restarted, action: 'demoted', containment: { ...containment, demoted }, history: others };
    }
    if (isNew(suspect)) {
      const bad = withBuild(containment.bad, build);
      return { ...restarted, action: 'wentBack', containment: { ...containment, bad }, history: others };
    }
    if (isTooMany && alike.every(({ present }) => present === counted.present)) {
      const quarantined = withBuild(containment.quarantined, build);
      return { ...restarted, action: 'quarantined', containment: { ...containment, quarantined }, history: others };
    }
  }
  if (!isUnknown || !isTooMany) return restarted;
  if (containment.safeMode !== undefined) return { ...restarted, action: 'gaveUp' };
  return { ...restarted, action: 'safeMode', containment: { ...containment, safeMode: told }, history: others };
}

/** Whether it is put down to its being new. */
function isNew({ by, state, isProven }: Accused): boolean {
  return by === 'verdict' && !isProven && (state === 'loading' || state === 'open');
}

/** Builds that are held, with one more; of the same build only that. */
export function withBuild(builds: readonly HeldBuild[], build: HeldBuild): HeldBuild[] {
  return [...builds.filter((one) => one.plugin !== build.plugin || one.sha256 !== build.sha256), build];
}

/** Nothing of `plugin` is held back any more, and by hand it is in no process of its own; of none: the safe mode is over. */
export function released(containment: Containment, plugin: string | undefined, isByHand: boolean): Containment {
  const { safeMode: _, ...rest } = containment;
  if (plugin === undefined) return rest;
  const others = (builds: readonly HeldBuild[]): HeldBuild[] => builds.filter((build) => build.plugin !== plugin);
  const { quarantined, bad, demoted } = containment;
  const left = isByHand ? others(demoted ?? []) : (demoted ?? []);
  const { demoted: __, ...same } = containment;
  return {
    ...same,
    quarantined: others(quarantined),
    bad: others(bad),
    ...(left.length === 0 ? {} : { demoted: left }),
  };
}
