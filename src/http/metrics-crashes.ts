/** Crashes as metrics. */
import type { Containment } from '../base/containment.js';
import type { CrashFigures } from '../host/crash-counts.js';
import { counter, type Family, gauge } from './metrics-text.js';

/** What there is to count of crashes. */
export type ContainmentFigures = CrashFigures & { readonly held: Containment };

export function crashFamilies({ crashes, restarts, held }: ContainmentFigures): Family[] {
  return [
    counter(
      'tenon_crashes_total',
      'Ends of hosts that nobody meant, by the plugin they are put down to.',
      crashes.map(({ plugin, kind, count }) => ({ labels: { plugin, kind }, value: count })),
    ),
    counter('tenon_host_restarts_total', 'Hosts that were begun anew after one that crashed.', [{ value: restarts }]),
    gauge(
      'tenon_plugin_quarantined',
      'Plugins that are in quarantine.',
      held.quarantined.map(({ plugin }) => ({ labels: { plugin }, value: 1 })),
    ),
    gauge(
      'tenon_plugin_held_builds',
      'Builds that are not loaded because they crashed a host.',
      [...new Set(held.bad.map(({ plugin }) => plugin))].map((plugin) => ({
        labels: { plugin },
        value: held.bad.filter((build) => build.plugin === plugin).length,
      })),
    ),
    gauge('tenon_safe_mode', 'Whether the host runs without plugins.', [
      { value: held.safeMode === undefined ? 0 : 1 },
    ]),
  ];
}
