/** Where the code of a plugin runs, as it is shown. */
import type { ApartMode, HeldBuild } from '../base/containment.js';
import type { IsolationMode } from '../base/isolation.js';
import type { PluginProcess } from '../binding/isolation.js';
import type { Generation } from '../plugin/generation.js';
import type { IsolationPlan } from '../plugin/isolation.js';

export type ShownProcess = Omit<PluginProcess, 'confinement'>;

export interface IsolationView {
  /** As its config, its bundle or the host's setting has it. */
  mode: IsolationMode;
  /** Its own; none while it runs in the host's. */
  processes: ShownProcess[];
  /** What holds for each of them. */
  limits?: IsolationPlan;
  /** What the kernel sees to. */
  confinement?: NonNullable<PluginProcess['confinement']>;
  /** Why one of `auto` runs in processes of its own. */
  demoted?: HeldBuild;
}

/** What was decided of a plugin when it was loaded. */
export interface Isolated {
  readonly mode: IsolationMode;
  readonly demoted?: HeldBuild | undefined;
}

/** The mode by which it is in processes of its own; undefined: it is in the host's. */
export function apartAs(isolated: Isolated | undefined): ApartMode | undefined {
  if (isolated?.mode === 'process') return 'process';
  return isolated?.mode === 'auto' && isolated.demoted !== undefined ? 'auto' : undefined;
}

export function viewIsolation({ mode, demoted }: Isolated, running: Generation | undefined): IsolationView {
  const plan = running?.limits.isolation;
  const processes = running?.library.isolation?.processes ?? [];
  const confinement = processes.find((one) => one.confinement !== undefined)?.confinement;
  return {
    mode,
    processes: processes.map(shownOf),
    ...(plan === undefined ? {} : { limits: plan }),
    ...(confinement === undefined ? {} : { confinement }),
    ...(demoted === undefined ? {} : { demoted }),
  };
}

/** Why one in processes of its own serves nobody now, although it runs: none of them does. */
export function whyWithoutProcess(running: Generation | undefined): string | undefined {
  const processes = running?.library.isolation?.processes ?? [];
  if (processes.length === 0 || processes.some(({ pid }) => pid !== 0)) return undefined;
  const [last] = processes.toSorted((one, other) => (other.lastEndAt ?? 0) - (one.lastEndAt ?? 0));
  const how = last === undefined || last.lastEnd === '' ? '' : `: the one before ${last.lastEnd}`;
  return `none of its processes runs now${how}`;
}

function shownOf(process: PluginProcess): ShownProcess {
  const { confinement: _confinement, ...shown } = process;
  return shown;
}
