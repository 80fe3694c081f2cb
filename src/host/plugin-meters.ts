/** What of a plugin goes up and down, for whoever watches many of them. */
import type { Generation, GenerationState } from '../plugin/generation.js';
import type { Gauges } from './guard-findings.js';
import type { Plugin, PluginState, PluginSummary } from './plugin.js';

export interface PluginFigures {
  readonly id: string;
  readonly type: PluginSummary['type'];
  readonly state: PluginState;
  readonly version?: string | undefined;
  readonly generation?: number | undefined;
  /** How many are in each state. */
  readonly generations: ReadonlyMap<GenerationState, number>;
  /** Calls in all of them. */
  readonly leases: number;
  readonly threads: { readonly alive: number; readonly lost: number };
  /** What its code has of the process. */
  readonly gauges: Gauges;
  /** Its own processes; undefined while it runs in that of the host. */
  readonly processes?: { readonly running: number; readonly residentBytes: number } | undefined;
}

export function figuresOf({ id, state, running, leaving }: Plugin, gauges: Gauges): PluginFigures {
  const all: Generation[] = running === undefined ? [...leaving] : [running, ...leaving];
  const generations = new Map<GenerationState, number>();
  const threads = { alive: 0, lost: 0 };
  let leases = 0;
  for (const generation of all) {
    generations.set(generation.state, (generations.get(generation.state) ?? 0) + 1);
    leases += generation.handle.leases;
    const { alive, lost } = generation.handle.threads;
    threads.alive += alive;
    threads.lost += lost;
  }
  return {
    id,
    type: 'dynamic',
    state,
    version: running?.version,
    generation: running?.number,
    generations,
    leases,
    threads,
    gauges,
    processes: processesOf(all),
  };
}

function processesOf(generations: readonly Generation[]): PluginFigures['processes'] {
  const isolated = generations.flatMap(({ library }) => library.isolation ?? []);
  if (isolated.length === 0) return undefined;
  const running = isolated.flatMap(({ processes }) => processes).filter(({ pid }) => pid !== 0);
  return { running: running.length, residentBytes: running.reduce((sum, one) => sum + one.residentBytes, 0) };
}

/** A plugin that is a part of the program has no library. */
export function staticFigures({ id, type, state, version, generation }: PluginSummary): PluginFigures {
  const none = { alive: 0, lost: 0 };
  const gauges = { threads: 0, descriptors: 0, memory: 0 };
  return { id, type, state, version, generation, generations: new Map(), leases: 0, threads: none, gauges };
}
