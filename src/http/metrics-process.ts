/** What this process takes: one set of numbers, whatever the number of hosts in it. */
import { collectDefaultMetrics, Registry } from 'prom-client';

/** Gauges that are named like counters; their parts are there by type. */
const misnamed = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total'];

let measured: Registry | undefined;

/** Numbers of prom-client about the process and Node.js; measured from the first time this is called. */
export function processRegistry(): Registry {
  if (measured !== undefined) return measured;
  measured = new Registry();
  collectDefaultMetrics({ register: measured });
  for (const name of misnamed) measured.removeSingleMetric(name);
  return measured;
}
