import type { Phase } from '../../src/index.js';

/** Phases of a reload in the order in which they run. */
export const phases: readonly Phase[] = [
  'detect',
  'build',
  'admit',
  'stage',
  'open',
  'initialize',
  'migrate',
  'swap',
  'drain',
  'unload',
  'verify',
];

/** Spans that the bench makes of a reload: sums of phases, and what passed on the clock. */
export const spans = ['stage to swap', 'admit to swap', 'until it serves', 'total'] as const;

export type Span = (typeof spans)[number];
export type Quantity = Phase | Span;

/** Of a set of times in ms, by nearest rank. */
export interface Spread {
  count: number;
  p50: number;
  p95: number;
  p99: number;
  most: number;
}

/** The reloads of one plugin under one condition. */
export interface Reloads {
  name: string;
  condition: 'idle' | 'load';
  bytes: number;
  /** A phase that did not run is absent. */
  times: Partial<Record<Quantity, Spread>>;
  /** Stage to swap beside the loop in C: median of the ratios of each round. */
  toLoop: number;
}

/** What clients saw of the reloads of one plugin. */
export interface Pauses {
  name: string;
  state: boolean;
  answered: number;
  failed: number;
  /** Of the calls that no reload overlaps, ms. */
  usualMs: number;
  pause: Spread;
  /** The same in windows of the same lengths without a reload. */
  control: Spread;
  /** Every pause in ms, and every control. */
  each: { pauses: number[]; controls: number[] };
}

/** One peer. */
export interface Peer {
  name: string;
  time: Spread;
  /** What `ratio` is to. */
  to: string | undefined;
  ratio: number | undefined;
}

/** What is aimed at. */
export interface Aim {
  name: string;
  value: number;
  below: number;
  unit: 'ms' | 'times' | 'requests';
  met: boolean;
}

/** All that one run has found. */
export interface Result {
  bench: 'reload';
  rounds: number;
  /** In each slice. */
  reloads: number;
  connections: number;
  node: string;
  processors: number;
  model: string;
  /** Where libraries are staged, by the host and by the loops. */
  staging: string;
  tenon: Reloads[];
  pauses: Pauses[];
  detection: { name: string; time: Spread }[];
  peers: Peer[];
  aims: Aim[];
}

/** The p-th percentile of `values` by nearest rank; NaN of none. */
function percentile(values: readonly number[], p: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((p / 100) * sorted.length) - 1)] ?? Number.NaN;
}

/** Microseconds are the last digits that say something. */
export function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

export function spread(values: readonly number[]): Spread {
  const at = (p: number): number => rounded(percentile(values, p));
  return { count: values.length, p50: at(50), p95: at(95), p99: at(99), most: at(100) };
}

const noSpread = spread([]);

/** What was aimed at, with what this run has found. */
export function aimsOf({ tenon, pauses, detection }: Pick<Result, 'tenon' | 'pauses' | 'detection'>): Aim[] {
  const idle = tenon.filter(({ condition }) => condition === 'idle');
  const small = (condition: 'idle' | 'load'): number =>
    tenon.find((one) => one.condition === condition)?.times['admit to swap']?.p50 ?? Number.NaN;
  const sources = detection.find(({ name }) => name === 'source')?.time ?? noSpread;
  const failed = pauses.reduce((sum, one) => sum + one.failed, 0);
  const aims: Omit<Aim, 'met'>[] = [
    ...idle.map(({ name, toLoop }) => ({
      name: `stage to swap beside the loop in C, ${name}`,
      value: toLoop,
      below: 3,
      unit: 'times' as const,
    })),
    { name: 'admit to swap, C, 20 KB, idle, p50', value: small('idle'), below: 1, unit: 'ms' },
    { name: 'admit to swap, C, 20 KB, load, p50', value: small('load'), below: 5, unit: 'ms' },
    ...pauses
      .filter(({ state }) => !state)
      .map(({ name, pause }) => ({ name: `pause, ${name}, p99`, value: pause.p99, below: 5, unit: 'ms' as const })),
    { name: 'source saved to reload begun, p99', value: sources.p99, below: 70, unit: 'ms' },
    { name: 'failed requests', value: failed, below: 1, unit: 'requests' },
  ];
  return aims.map((aim) => ({ ...aim, value: rounded(aim.value), met: aim.value < aim.below }));
}
