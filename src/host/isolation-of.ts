/** Where the code of an application runs: as it says, and as the host's settings have it. */
import type { IsolationMode, IsolationWish } from '../base/isolation.js';
import { type IsolationPlan, planOf, usual } from '../plugin/isolation.js';
import { realPlace } from './writable.js';

/** What an application says, as it is kept beside its builds: what it comes to is for the setting of each host to say. */
export interface SaidIsolation {
  readonly wish: IsolationWish;
  /** Whether somebody else may have said it. */
  readonly isBundle: boolean;
}

export interface ApplicationIsolation {
  /** Absent for one that says nothing. */
  readonly said?: SaidIsolation;
  readonly mode: IsolationMode;
  /** How it is kept apart, when it is. */
  readonly plan: IsolationPlan;
  /** What it asks for and does not get. */
  readonly warnings: readonly string[];
}

/** By how far the host is out of its reach. */
const rank: Readonly<Record<IsolationMode, number>> = { inline: 0, auto: 1, process: 2 };

/** What takes down a wall. */
const widening = ['sandbox', 'writable', 'childProcesses'] as const;

/** What is more of the host than a bundle may take of its own accord. */
const most = { processes: usual.processes, graceMs: usual.graceMs, descriptors: usual.descriptors } as const;
type Capped = keyof typeof most;

/**
 * A folder of the host's own has the last word over the host's `setting`. A bundle, which somebody else may have made, may ask for
 * more than that, and not for less.
 */
export function isolationOf(
  { id, folder }: { id: string; folder: string },
  said: SaidIsolation | undefined,
  setting: IsolationMode,
): ApplicationIsolation {
  const own = said?.wish ?? { mode: setting };
  const kept = said === undefined ? {} : { said };
  if (said?.isBundle !== true || setting === 'inline')
    return { ...kept, mode: own.mode, plan: settled(planOf(own, folder)), warnings: [] };
  const granted: Record<string, unknown> = { ...own };
  const dropped = widening.filter((key) => key in own);
  for (const key of dropped) delete granted[key];
  const warnings = dropped.map(
    (key) => `${id}: \`isolation.${key}\` of a bundle does not count where the host's setting is ${setting}`,
  );
  for (const key of Object.keys(most) as Capped[]) {
    if ((own[key] ?? 0) <= most[key]) continue;
    granted[key] = most[key];
    warnings.push(
      `${id}: \`isolation.${key}\` of a bundle is at most ${most[key]} where the host's setting is ${setting}`,
    );
  }
  const isLess = rank[own.mode] < rank[setting];
  if (isLess) warnings.push(`${id}: the bundle asks for isolation ${own.mode}, and the host's setting is ${setting}`);
  return { ...kept, mode: isLess ? setting : own.mode, plan: settled(planOf(granted, folder)), warnings };
}

/** Links are followed here, and once. */
function settled(plan: IsolationPlan): IsolationPlan {
  return { ...plan, writable: plan.writable.map(realPlace) };
}
