/** What happens now and then, counted: reloads with their phases, builds, log records that were dropped. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { BuildOutcome } from '../host/applications.js';
import type { HostEvent } from '../host/journal.js';
import type { ReloadRecord } from '../host/record.js';
import type { Family, Sample } from './metrics-text.js';

const phaseBounds = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30];
const buildBounds = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

/** Outcome of a reload as a label; one that was taken back has been counted as succeeded before. */
type Ending = 'succeeded' | 'unchanged' | 'failed' | 'rolled_back';

/** The numbers of one host. */
export class EventMeters {
  readonly registry = new Registry();
  readonly #reloads = new Counter({
    name: 'tenon_reloads_total',
    help: 'Reloads and first loads that have ended, and those that were taken back afterwards.',
    labelNames: ['plugin', 'trigger', 'outcome'],
    registers: [this.registry],
  });
  readonly #phases = new Histogram({
    name: 'tenon_reload_phase_seconds',
    help: 'Time of each phase of the reloads that have ended.',
    labelNames: ['phase'],
    buckets: phaseBounds,
    registers: [this.registry],
  });
  readonly #times = new Histogram({
    name: 'tenon_reload_seconds',
    help: 'From the request of a reload to the end of its last phase.',
    labelNames: ['outcome'],
    buckets: buildBounds,
    registers: [this.registry],
  });
  readonly #last = new Gauge({
    name: 'tenon_plugin_last_reload_timestamp_seconds',
    help: 'When the last reload of a plugin began.',
    labelNames: ['plugin'],
    registers: [this.registry],
  });
  readonly #success = new Gauge({
    name: 'tenon_plugin_last_reload_successful',
    help: 'Whether what the last reload of a plugin brought was taken, and stayed.',
    labelNames: ['plugin'],
    registers: [this.registry],
  });
  readonly #builds = new Histogram({
    name: 'tenon_build_seconds',
    help: 'Time of each build of sources; cached: it was built before, and nothing had changed.',
    labelNames: ['outcome'],
    buckets: buildBounds,
    registers: [this.registry],
  });
  readonly #dropped = new Counter({
    name: 'tenon_log_records_dropped_total',
    help: 'Log records of plugins that came faster than they were written.',
    registers: [this.registry],
  });
  readonly #guards = new Counter({
    name: 'tenon_plugin_guard_total',
    help: 'What guards have caught plugins at.',
    labelNames: ['plugin', 'guard'],
    registers: [this.registry],
  });
  readonly #restarts = new Counter({
    name: 'tenon_plugin_process_restarts_total',
    help: 'Processes of isolated plugins that ended unasked, for another one to take their place.',
    labelNames: ['plugin'],
    registers: [this.registry],
  });
  readonly #guarded = new Map<string, Set<string>>();
  /** What each plugin has in `#reloads`. */
  readonly #counted = new Map<string, Map<string, { plugin: string; trigger: string; outcome: string }>>();

  /** What the host tells. */
  observe(event: HostEvent): void {
    if (event.type === 'plugin.guarded') {
      const { plugin, guard } = event;
      this.#guarded.set(plugin, (this.#guarded.get(plugin) ?? new Set()).add(guard));
      this.#guards.inc({ plugin, guard });
    }
    if (event.type === 'plugin.processEnded' && event.replaced) this.#restarts.inc({ plugin: event.plugin });
    if ('record' in event) this.#ended(event.record, event.type !== 'reload.rolledBack');
  }

  /** A build of sources has ended. */
  built(outcome: BuildOutcome, ms: number): void {
    this.#builds.observe({ outcome }, ms / 1000);
  }

  logDropped(count: number): void {
    if (count > 0) this.#dropped.inc(count);
  }

  /** No numbers stay but of `plugins`. */
  keep(plugins: ReadonlySet<string>): void {
    for (const [plugin, guards] of this.#guarded) {
      if (plugins.has(plugin)) continue;
      for (const guard of guards) this.#guards.remove({ plugin, guard });
      this.#guarded.delete(plugin);
    }
    for (const [plugin, counted] of this.#counted) {
      if (plugins.has(plugin)) continue;
      this.#restarts.remove({ plugin });
      for (const labels of counted.values()) this.#reloads.remove(labels);
      this.#last.remove({ plugin });
      this.#success.remove({ plugin });
      this.#counted.delete(plugin);
    }
  }

  #ended(record: ReloadRecord, first: boolean): void {
    const { plugin, trigger, phases, totalMs, startedAt } = record;
    const outcome = endingOf(record);
    const labels = { plugin, trigger, outcome };
    const counted = this.#counted.get(plugin) ?? new Map<string, typeof labels>();
    this.#counted.set(plugin, counted.set(`${trigger} ${outcome}`, labels));
    this.#reloads.inc(labels);
    if (first) {
      this.#times.observe({ outcome }, totalMs / 1000);
      for (const [phase, ms] of Object.entries(phases)) this.#phases.observe({ phase }, ms / 1000);
    }
    this.#last.set({ plugin }, Date.parse(startedAt) / 1000);
    this.#success.set({ plugin }, record.outcome === 'succeeded' ? 1 : 0);
  }
}

function endingOf({ outcome, unchanged }: ReloadRecord): Ending {
  if (outcome === 'rolledBack') return 'rolled_back';
  return outcome === 'succeeded' && unchanged === true ? 'unchanged' : outcome;
}

/** All of a registry of prom-client. */
export async function familiesOf(registry: Registry): Promise<Family[]> {
  const all = await registry.getMetricsAsJSON();
  return all.map(({ name, help, type, values }) => ({
    name,
    help,
    type: type as unknown as Family['type'],
    samples: (values as readonly Value[]).map((value) => sampleOf(name, value)),
  }));
}

interface Value {
  readonly value: number;
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string | number>>;
}

function sampleOf(name: string, { value, metricName = name, labels }: Value): Sample {
  const texts = Object.entries(labels).map(([key, label]) => [key, label === Infinity ? '+Inf' : String(label)]);
  return { suffix: metricName.slice(name.length), labels: Object.fromEntries(texts) as Record<string, string>, value };
}
