/** How a plugin is kept apart from the host: its code runs in processes of its own. */
import path from 'node:path';
import { asTenonError, TenonError } from '../base/errors.js';
import type { IsolationWish } from '../base/isolation.js';

export interface IsolationPlan {
  /** How many processes, 1 to 16. */
  readonly processes: number;
  /** How long after the deadline of a call, or of a step of its life, its process is killed, ms. */
  readonly graceMs: number;
  /** Memory that a process may have for its data, bytes; 0: as much as there is. */
  readonly memoryBytes: number;
  /** Processor time that a process may use, in percent of one processor; 0: as much as there is. */
  readonly processorPercent: number;
  /** Files and sockets that the plugin may have open; 0: as many as the system allows. */
  readonly descriptors: number;
  /** Processes that the plugin may start. */
  readonly childProcesses: number;
  /** Whether the kernel confines what a process may ask of it (seccomp, landlock), where it can. */
  readonly sandbox: boolean;
  /** Whether it is not begun where the kernel lacks seccomp or landlock. */
  readonly requireConfinement: boolean;
  /** Absolute paths that the plugin may write to, with all below, beside its temporary folder. */
  readonly writable: readonly string[];
}

/** Where nobody has said otherwise. */
export const usual = {
  processes: 1,
  graceMs: 1000,
  memory: 0,
  cpu: 0,
  descriptors: 1024,
  childProcesses: 0,
  sandbox: true,
  requireConfinement: false,
};

/** What `wish` comes to for an application in `folder` (absolute). */
export function planOf(wish: Partial<IsolationWish>, folder: string): IsolationPlan {
  const { memory, cpu, writable = [], ...same } = { ...usual, ...wish };
  const { processes, graceMs, descriptors, childProcesses, sandbox, requireConfinement } = same;
  return {
    processes,
    graceMs,
    memoryBytes: memory,
    processorPercent: cpu,
    descriptors,
    childProcesses,
    sandbox,
    requireConfinement,
    writable: writable.map((place) => path.resolve(folder, place)),
  };
}

/** Throws `ConfigInvalid` where processes of a plugin's own are not there. */
export function requireSystem(id: string, platform: NodeJS.Platform): void {
  if (platform === 'linux') return;
  throw new TenonError('ConfigInvalid', `${id} cannot run in a process of its own: isolation is there on Linux only`, {
    next: 'set `isolation` to inline, or run it on Linux',
    details: { plugin: id, platform },
  });
}

/** Of a plugin that requires to be confined where the kernel has not `lacking`: names, apart by " and ". */
export function confinementMissing(id: string, lacking: string, details: Record<string, unknown>): TenonError {
  const message = `plugin "${id}" is not begun: this kernel lacks ${lacking}, which \`requireConfinement\` asks for`;
  return new TenonError('ConfinementMissing', message, {
    next: "run the host on Linux 5.13 or newer, where landlock is among the security modules and nothing around the host takes its calls away, or set `requireConfinement` of its `isolation`, or of the host's settings, to false",
    details: { ...details, lacking: lacking.split(' and ') },
  });
}

/** What its process says that has opened nothing yet. */
const unconfined = /: its process is not confined by ((?:seccomp and )?landlock|seccomp), in opening the library$/;

/** Throws what `id` could not be created for: `ConfinementMissing` when its process was not confined as it requires, else `error`. */
export function throwUncreated(id: string, error: unknown): never {
  const { message, details } = asTenonError(error);
  const lacking = unconfined.exec(message)?.[1];
  throw lacking === undefined ? error : confinementMissing(id, lacking, details);
}

/** Throws `ConfigInvalid` for a plugin with state in more than one process: each would have its own. */
export function requireOneState(id: string, plan: IsolationPlan | undefined, hasState: boolean): void {
  if (!hasState || plan === undefined || plan.processes === 1) return;
  throw new TenonError(
    'ConfigInvalid',
    `${id} hands state over, and each of its ${plan.processes} processes would have its own`,
    {
      next: 'set `isolation.processes` to 1 in its config.yaml',
      details: { plugin: id, processes: plan.processes },
    },
  );
}
