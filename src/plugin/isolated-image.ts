/** The library of a generation that runs in processes of its own: never opened in this one. */
import { type Core, type GenerationOptions, runnerPath } from '../binding/core.js';
import type { Isolation } from '../binding/isolation.js';
import type { Admitted } from './admit.js';
import type { IsolationPlan } from './isolation.js';
import type { GenerationLibrary, PluginImage } from './open-image.js';
import type { TemporaryFolder } from './stage.js';

export interface IsolatedImageInput {
  core: Core;
  id: string;
  generation: number;
  admitted: Admitted;
  plan: IsolationPlan;
  lifecycleMs: number;
}

export class IsolatedImage implements PluginImage {
  readonly library: GenerationLibrary;
  readonly index = -1;
  readonly isolation: Isolation;
  readonly #folder: TemporaryFolder;

  /** Hold what was admitted, for processes that begin later. Nothing of it has been run, and its note has been checked. */
  constructor({ core, id, generation, admitted, plan, lifecycleMs }: IsolatedImageInput) {
    const { staged, facts } = admitted;
    this.#folder = staged.makeFolder();
    this.isolation = new core.Isolation({
      runner: runnerPath(),
      library: staged.path,
      id,
      generation,
      processes: plan.processes,
      lifecycleMs,
      graceMs: plan.graceMs,
      memoryBytes: plan.memoryBytes,
      processorPercent: plan.processorPercent,
      descriptors: plan.descriptors,
      childProcesses: plan.childProcesses,
      sandbox: plan.sandbox,
      requireConfinement: plan.requireConfinement,
      writable: plan.writable,
      temporary: this.#folder.path,
      hidden: staged.hidden(),
    });
    this.library = {
      path: staged.path,
      descriptor: { version: facts.note.version, trialOpenOnly: facts.note.trial === 1 },
      isolation: this.isolation,
    };
  }

  get source(): Pick<GenerationOptions, 'isolation'> {
    return { isolation: this.isolation };
  }

  /** It is no image of this process, which the black box would know of. */
  enter(): void {}

  /** Its processes have ended with `destroy`. */
  close(): void {
    void this.#folder.remove();
  }
}
