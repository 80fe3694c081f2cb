/** Where the library of a generation is opened: here, or in processes of its own. */
import type { Core } from '../binding/core.js';
import type { Admitted } from './admit.js';
import { IsolatedImage } from './isolated-image.js';
import { requireSystem } from './isolation.js';
import type { GenerationLimits } from './limits.js';
import { OpenImage, type PluginImage } from './open-image.js';

export interface WantedImage {
  core: Core;
  /** The plugin it must be. */
  id: string;
  /** Of its generation. */
  number: number;
  admitted: Admitted;
  isProven: boolean;
  limits: GenerationLimits;
}

/** Throws as `OpenImage.open` and `requireSystem` do. */
export function imageOf({ core, id, number, admitted, isProven, limits }: WantedImage): PluginImage {
  const { isolation: plan, lifecycleMs } = limits;
  if (plan === undefined) return OpenImage.open(core, id, number, admitted, isProven);
  requireSystem(id, process.platform);
  return new IsolatedImage({ core, id, generation: number, admitted, plan, lifecycleMs });
}
