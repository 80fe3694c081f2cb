/** Where the code of an application runs: as it says, and as the host's settings have it. */
import type { Settings } from '../base/config.js';
import { TenonError } from '../base/errors.js';
import type { IsolationMode, IsolationWish } from '../base/isolation.js';
import { type IsolationPlan, planOf, usual } from '../plugin/isolation.js';
import { realPlace } from './writable.js';

/** What an application says, as it is kept beside its builds: what it comes to is for the setting of each host to say. */
export interface SaidIsolation {
  readonly wish: IsolationWish;
  /** Whether somebody else may have said it. */
  readonly isBundle: boolean;
}

/** What the operator of the host has the say of. */
export interface IsolationSettings {
  /** For those that do not say. */
  readonly isolation: IsolationMode;
  /** Whether each that runs in a process of its own requires to be confined, whatever it says. */
  readonly requireConfinement: boolean;
}

export function isolationSettings({
  isolation,
  requireConfinement,
}: Pick<Settings, keyof IsolationSettings>): IsolationSettings {
  return { isolation: isolation as IsolationMode, requireConfinement };
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
 * more than that, and not for less. Throws `ConfigInvalid` for one that would run unconfined where the settings require that none does.
 */
export function isolationOf(
  { id, folder }: { id: string; folder: string },
  said: SaidIsolation | undefined,
  settings: IsolationSettings,
): ApplicationIsolation {
  const { isolation: setting, requireConfinement } = settings;
  const own = said?.wish ?? { mode: setting };
  const kept = said === undefined ? {} : { said };
  const of = (mode: IsolationMode, granted: Partial<IsolationWish>, warnings: string[]): ApplicationIsolation => {
    const wanted = planOf(requireConfinement ? { ...granted, requireConfinement } : granted, folder);
    if (requireConfinement && !wanted.sandbox && mode !== 'inline') throw unconfined(id);
    return { ...kept, mode, plan: settled(wanted), warnings };
  };
  if (said?.isBundle !== true || setting === 'inline') return of(own.mode, own, []);
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
  return of(isLess ? setting : own.mode, granted, warnings);
}

function unconfined(id: string): TenonError {
  return new TenonError(
    'ConfigInvalid',
    `${id}: \`isolation\` says \`sandbox: false\`, and \`requireConfinement\` of the host's settings lets no plugin run unconfined`,
    {
      next: "take `sandbox` out of its `isolation`, or set `requireConfinement` of the host's settings to false",
      details: { plugin: id },
    },
  );
}

/** Links are followed here, and once. */
function settled(plan: IsolationPlan): IsolationPlan {
  return { ...plan, writable: plan.writable.map(realPlace) };
}
