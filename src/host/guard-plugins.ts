/** Has the running plugins of a host looked after. */
import type { Core } from '../binding/core.js';
import { Guarding, type GuardingOptions } from './guarding.js';
import type { Host } from './host.js';
import type { HostEvent } from './journal.js';

export interface GuardPluginsOptions extends Pick<GuardingOptions, 'log' | 'findings' | 'tell'> {
  core: Core;
  host: Host;
  /** Whether a parent process begins another host when this one is full. */
  hasParent: boolean;
  /** Descriptor of the black box of this process, where it is known. */
  box: number | undefined;
}

const everyMs = 1000;
/** Between two looks for what the host has opened meanwhile, ms. */
const descriptorsMs = 10_000;

/** Looks every second, and after what `observe` is told of. `end` ends it. */
export function guardPlugins({ core, host, hasParent, box, ...options }: GuardPluginsOptions): {
  observe: (event: HostEvent) => void;
  end: () => void;
} {
  const guarding = new Guarding({
    ...options,
    door: core,
    plugins: () => host.members,
    quarantine: hasParent ? (plugin, reason) => host.quarantine(plugin, reason) : undefined,
    hangsIn: (plugin) => (box === undefined ? [] : routesIn(core, box, plugin)),
    now: () => performance.now(),
  });
  const timer = setInterval(() => guarding.look(), everyMs).unref();
  const descriptors = setInterval(() => core.guardDescriptors(), descriptorsMs).unref();
  return {
    // Calls of its life have ended by then, and what they left was looked for.
    observe: (event) => {
      if (!('record' in event)) return;
      guarding.look();
      core.guardDescriptors();
    },
    end: () => {
      clearInterval(timer);
      clearInterval(descriptors);
    },
  };
}

/** Routes that threads of the process are in, in code of `plugin`; none where the box cannot be read. */
function routesIn(core: Core, box: number, plugin: string): string[] {
  try {
    const { images, threads } = core.readBlackBox(box);
    const own = new Set(images.filter((image) => image.plugin === plugin).map(({ index }) => index));
    return threads.flatMap(({ inside }) => (inside !== undefined && own.has(inside.image) ? [inside.route] : []));
  } catch {
    return []; // the quarantine is what matters
  }
}
