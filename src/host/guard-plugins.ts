/** Has the running plugins of a host looked after. */
import path from 'node:path';
import type { CrashReport } from '../base/crash-report.js';
import { crashFolder, CrashReports } from '../base/crash-reports.js';
import type { Settings } from '../base/settings.js';
import type { Core, Front } from '../binding/core.js';
import type { ContainmentListener } from './containing.js';
import { Guarding, type GuardingOptions } from './guarding.js';
import type { Generation } from '../plugin/generation.js';
import type { Host } from './host.js';
import type { HostEvent } from './journal.js';
import { ProcessWatch } from './process-watch.js';

export interface GuardPluginsOptions extends Pick<GuardingOptions, 'log' | 'findings' | 'tell'> {
  core: Core;
  host: Host;
  /** Generations in processes of their own; those whose end was told are taken out. */
  apart: Set<Generation>;
  front: Pick<Front, 'name'>;
  settings: Pick<Settings, 'data' | 'applications' | 'crashReports'>;
  /** It begins another host when this one is full, and keeps reports; without one this host does. */
  parent: ContainmentListener | undefined;
  /** Descriptor of the black box of this process, where it is known. */
  box: number | undefined;
}

const everyMs = 1000;
/** Between two looks at processes of plugins, ms. */
const processesMs = 100;
/** Between two looks for what the host has opened meanwhile, ms. */
const descriptorsMs = 10_000;

/** Looks every second, and after what `observe` is told of. `end` ends it. */
export function guardPlugins({ core, host, apart, front, settings, parent, box, ...options }: GuardPluginsOptions): {
  observe: (event: HostEvent) => void;
  end: () => Promise<void>;
} {
  const guarding = new Guarding({
    ...options,
    door: core,
    plugins: () => host.members,
    quarantine: parent !== undefined ? (plugin, reason) => host.quarantine(plugin, reason) : undefined,
    hangsIn: (plugin, generation) => (box === undefined ? [] : routesIn(core, box, plugin, generation)),
    now: () => performance.now(),
  });
  const { data, crashReports: keep } = settings;
  const reports = new CrashReports({ folder: crashFolder(path.resolve(data)), keep });
  let writing = Promise.resolve();
  const keepReport = (report: CrashReport): void => {
    const write = (): Promise<void> => reports.write(report);
    writing = writing.then(write).catch((error: unknown) => {
      options.log.warn({ err: error, crash: report.id }, 'the report of a crash could not be kept');
    });
  };
  const processes = new ProcessWatch({
    ...options,
    generations: apart,
    requests: front.name,
    applications: path.resolve(settings.applications),
    report: parent?.processEnded ?? keepReport,
  });
  const looking = setInterval(() => processes.look(), processesMs).unref();
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
      processes.look();
      clearInterval(looking);
      clearInterval(timer);
      clearInterval(descriptors);
      return writing;
    },
  };
}

/** Routes that threads of the process are in, in code of the generation, the longest first; none where the box cannot be read. */
function routesIn(core: Core, box: number, plugin: string, generation: number): string[] {
  try {
    const { images, threads } = core.readBlackBox(box);
    const own = images.filter((image) => image.plugin === plugin && image.generation === generation);
    const work = threads.flatMap(({ inside }) => inside ?? []);
    const calls = work.filter(({ image, route }) => route !== '' && own.some(({ index }) => index === image));
    return calls.toSorted((left, right) => right.ms - left.ms).map(({ route }) => route);
  } catch {
    return []; // that it hangs is what matters
  }
}
