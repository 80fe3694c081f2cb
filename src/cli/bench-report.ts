/** What the bench has measured: its figures, and what they mean in words. */
import { phases } from '../host/record.js';
import type { Phase, ReloadRecord } from '../index.js';
import { readableMs } from './phases.js';

/** Milliseconds. Of less than a hundred samples `p99` is the worst. */
export interface Spread {
  p50: number;
  p95: number;
  p99: number;
  max: number;
}

/** Times by phase, and of all of a reload. */
export type PhaseSpreads = { [Name in Phase | 'total']?: Spread };

/** The shape that `--json` prints. */
export interface BenchReport {
  plugin: string;
  measured: {
    kind: 'sources' | 'library';
    /** What a change is. */
    change: string;
    /** Of each kind. */
    rounds: number;
    clients: number;
    /** Between an answer and the next request of a client, ms. */
    thinkMs: number;
    /** What the clients ask for, and what that answers. */
    route: string;
    status: number;
  };
  machine: { name: string; node: string; processors: number; load: number; busy: boolean };
  changed: PhaseSpreads;
  unchanged: PhaseSpreads;
  reloads: { asked: number; failed: number; failures: string[] };
  clients: {
    requests: number;
    failed: number;
    failures: string[];
    answer: Spread;
    /** Longest request that overlaps a reload of a changed build. */
    pause: Spread;
    /** The same in as long a time without a reload. */
    quiet: Spread;
  };
  memory: { beforeBytes: number; afterBytes: number; pinned: string[] };
  verdict: { ok: boolean; sentences: string[] };
}

/** What makes a phase long, and what to do about it. */
const advice: Readonly<Record<Phase, string>> = {
  detect: 'it reads the folder of the application: keep what is no part of it elsewhere',
  build: 'it is the compiler: include less, and split files that are large',
  admit:
    'it grows with the file, and with what the plugin does when it is started once in its trial: strip it, and do less there',
  stage: 'it grows with the file: strip it, and keep data that is not code in files',
  open: 'it is relocations and constructors of the library, while requests wait: have fewer of them',
  initialize: 'it is what the plugin does in `create`, `initialize` and `ready`',
  migrate: 'it is the state, which is handed over while calls wait: keep it small, or in the host',
  swap: 'it grows with the number of routes',
  drain: 'it is the calls that were in flight: the longest of them',
  unload: 'it is what the plugin does in `shutdown` and `destroy`, and the size of the image',
  verify: 'it is the look whether the image is gone',
};

/** By the nearest rank; zeros when there is nothing. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((one, other) => one - other);
  const rank = (share: number): number => {
    const value = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
    return Math.round(value * 1000) / 1000;
  };
  return { p50: rank(0.5), p95: rank(0.95), p99: rank(0.99), max: rank(1) };
}

export function phaseSpreads(records: readonly ReloadRecord[]): PhaseSpreads {
  const spreads: PhaseSpreads = {};
  for (const phase of phases) {
    const times = records.flatMap(({ phases }) => phases[phase] ?? []);
    if (times.length > 0) spreads[phase] = spreadOf(times);
  }
  spreads.total = spreadOf(records.map(({ totalMs }) => totalMs));
  return spreads;
}

type Facts = Omit<BenchReport, 'verdict'>;

/** Whether nothing was lost and nothing stayed behind, and what else the figures say. */
export function verdictOf(facts: Facts): BenchReport['verdict'] {
  const { clients, reloads, memory, measured } = facts;
  const ok = clients.failed === 0 && reloads.failed === 0 && memory.pinned.length === 0;
  return {
    ok,
    sentences: [
      clients.failed === 0
        ? `No request was lost: ${clients.requests} were answered with ${measured.status} while the library was replaced ${measured.rounds} times.`
        : `${clients.failed} of ${clients.requests} requests were lost: ${clients.failures.join(', ')}.`,
      ...(reloads.failed === 0
        ? []
        : [`${reloads.failed} of ${reloads.asked} reloads failed: ${reloads.failures.join('; ')}.`]),
      memory.pinned.length === 0
        ? 'No image stayed behind.'
        : `${memory.pinned.length} images cannot be unmapped: ${[...new Set(memory.pinned)].slice(0, 3).join('; ')}.`,
      ...slowest(facts),
      pauseSentence(facts),
      growth(facts),
      ...(facts.machine.busy
        ? [
            `The machine was busy when it began (load ${facts.machine.load} on ${facts.machine.processors} processors): times are longer than they need be.`,
          ]
        : []),
    ],
  };
}

function slowest({ changed }: Facts): string[] {
  const { total } = changed;
  const [first] = phases
    .flatMap((phase) => {
      const spread = changed[phase];
      return spread === undefined ? [] : [{ phase, p50: spread.p50 }];
    })
    .toSorted((one, other) => other.p50 - one.p50);
  if (first === undefined || total === undefined || total.p50 === 0) return [];
  const share = Math.round((first.p50 / total.p50) * 100);
  return [
    `The longest phase is ${first.phase}, ${readableMs(first.p50)} or ${share} % of a reload: ${advice[first.phase]}.`,
  ];
}

function pauseSentence({ clients: { pause, quiet } }: Facts): string {
  return `The longest request during a reload took ${readableMs(pause.p50)} as a rule and ${readableMs(pause.max)} at worst; without a reload ${readableMs(quiet.p50)} and ${readableMs(quiet.max)}.`;
}

function growth({ memory: { beforeBytes, afterBytes }, measured: { rounds } }: Facts): string {
  const each = Math.round((afterBytes - beforeBytes) / rounds / 1024);
  const whole = ((afterBytes - beforeBytes) / 1024 / 1024).toFixed(1);
  return `The host's memory went from ${mebibytes(beforeBytes)} to ${mebibytes(afterBytes)} MiB (${whole} MiB, ${each} KiB a reload); what keeps growing with more rounds is a leak.`;
}

function mebibytes(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(1);
}

/** The rows of a table for people: phases below each other, both kinds beside each other. */
export function phaseRows({ changed, unchanged }: Pick<BenchReport, 'changed' | 'unchanged'>): string[][] {
  const cells = (spread: Spread | undefined): string[] =>
    spread === undefined
      ? ['-', '-', '-', '-']
      : [spread.p50, spread.p95, spread.p99, spread.max].map((ms) => (ms < 100 ? ms.toFixed(2) : ms.toFixed(0)));
  return [
    ['PHASE, MS', 'p50', 'p95', 'p99', 'max', 'UNCHANGED p50', 'p95', 'p99', 'max'],
    ...[...phases, 'total' as const]
      .filter((phase) => changed[phase] !== undefined || unchanged[phase] !== undefined)
      .map((phase) => [phase, ...cells(changed[phase]), ...cells(unchanged[phase])]),
  ];
}
