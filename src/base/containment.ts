/** What crashes have led to: what the parent process has decided, and every host that begins is told. */
import type { IsolationMode } from './isolation.js';

/** Isolation of a plugin that can run in processes of its own. */
export type ApartMode = Exclude<IsolationMode, 'inline'>;

/** A build that is not loaded because hosts with it crashed. */
export interface HeldBuild {
  /** Id of the plugin. */
  readonly plugin: string;
  /** SHA-256 of the library, hexadecimal; empty when it is not known: then no build of the plugin is loaded. */
  readonly sha256: string;
  /** One sentence for people: what happened, and where. */
  readonly reason: string;
  /** Id of the crash report that has decided it; absent, and empty in files of earlier releases, when it was no crash. */
  readonly crash?: string | undefined;
  /** ISO 8601. */
  readonly since: string;
  /** Where it ran: `process`, in processes of its own; `auto`, in the host's, of that isolation; absent: in the host's, `inline`. */
  readonly isolation?: ApartMode | undefined;
}

/** What a host must keep to. It is kept in a file of the data directory, over every end of every process. */
export interface Containment {
  /**
   * Plugins that crashed the host too often: none of their routes is served (503 with the reason). One leaves when its content has another
   * hash, when it serves in processes of its own, which it did not before, or when somebody releases it.
   */
  readonly quarantined: readonly HeldBuild[];
  /** Builds that crashed in their probation: the kept build before them is loaded in their place until the content changes. */
  readonly bad: readonly HeldBuild[];
  /** Plugins of isolation `auto` that have certainly ended a host: they run in processes of their own until somebody releases them. */
  readonly demoted?: readonly HeldBuild[] | undefined;
  /** Set when hosts crashed and nobody knows why: no plugin is loaded, the admin API is up. Ends by hand. */
  readonly safeMode?: { readonly reason: string; readonly crash: string; readonly since: string } | undefined;
}

/** By id of a plugin, the highest number of a generation that was begun in a host that crashed: no other one gets it. */
export type BegunGenerations = Readonly<Record<string, number>>;

/** What is kept, and a host begins with. */
export interface KeptContainment extends Containment {
  readonly generations?: BegunGenerations | undefined;
}

export const nothingContained: Containment = { quarantined: [], bad: [] };

/** The crash that has decided it, as a member of its own, when it was one. */
export function crashOf({ crash = '' }: Pick<HeldBuild, 'crash'>): { crash?: string } {
  return crash === '' ? {} : { crash };
}

/** Builds of `plugin` that are held back for what they did in the host's process, from which `mode` has moved it into processes of its own. */
export function leftBehind({ quarantined, bad }: Containment, plugin: string, mode: ApartMode): HeldBuild[] {
  const isBehind = ({ isolation }: HeldBuild): boolean =>
    mode === 'process' ? isolation !== 'process' : isolation === undefined;
  return [...quarantined, ...bad].filter((build) => build.plugin === plugin && isBehind(build));
}

/** `containment` without those; of `auto`, what the first of them did is why `plugin` stays in processes of its own. */
export function movedOut(containment: Containment, plugin: string, mode: ApartMode): Containment {
  const behind = leftBehind(containment, plugin, mode);
  const [first] = behind;
  if (first === undefined) return containment;
  const others = (builds: readonly HeldBuild[]): HeldBuild[] => builds.filter((build) => !behind.includes(build));
  const { quarantined, bad, demoted = [] } = containment;
  const isToStay = mode === 'auto' && !demoted.some((build) => build.plugin === plugin);
  return {
    ...containment,
    quarantined: others(quarantined),
    bad: others(bad),
    ...(isToStay ? { demoted: [...demoted, first] } : {}),
  };
}
