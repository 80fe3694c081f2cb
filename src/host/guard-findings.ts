/** What guards have found out about plugins, for whoever looks at them. */
import type { GuardNote, PluginGauges } from '../binding/black-box.js';

/** Of one generation, or of all of a plugin. */
export type Gauges = Omit<PluginGauges, 'plugin' | 'generation'>;

/** Warnings of one plugin that are kept. */
const mostWarnings = 8;

export class GuardFindings {
  readonly #warnings = new Map<string, string[]>();
  #gauges: readonly PluginGauges[] = [];

  /** What they have at this moment. */
  set gauges(gauges: readonly PluginGauges[]) {
    this.#gauges = gauges;
  }

  note({ plugin, generation, guard, detail, restored, certain }: GuardNote): void {
    const who = certain ? '' : ', or another plugin at the same time';
    this.warn(plugin, `generation ${generation}${who}: ${detail} (${guard}${restored ? ', put right' : ''})`);
  }

  warn(plugin: string, sentence: string): void {
    const kept = this.#warnings.get(plugin) ?? [];
    this.#warnings.set(plugin, [...kept.filter((each) => each !== sentence), sentence].slice(-mostWarnings));
  }

  /** The last 8, the oldest first. */
  warningsOf(plugin: string): readonly string[] {
    return this.#warnings.get(plugin) ?? [];
  }

  /** Undefined where nothing is counted. */
  ofGeneration(plugin: string, generation: number): Gauges | undefined {
    const found = this.#gauges.find((one) => one.plugin === plugin && one.generation === generation);
    return found && gaugesOf([found]);
  }

  /** All generations of it together. */
  ofPlugin(plugin: string): Gauges {
    return gaugesOf(this.#gauges.filter((one) => one.plugin === plugin));
  }

  /** Nothing is known of it any more. */
  forget(plugin: string): void {
    this.#warnings.delete(plugin);
  }
}

function gaugesOf(all: readonly PluginGauges[]): Gauges {
  const sum = (of: (one: PluginGauges) => number): number => all.reduce((total, one) => total + of(one), 0);
  return {
    threads: sum(({ threads }) => threads),
    descriptors: sum(({ descriptors }) => descriptors),
    memory: sum(({ memory }) => memory),
  };
}
