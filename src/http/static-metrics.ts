/** Requests of static plugins, among those that the core counts. */
import type { StaticCounts } from '../host/static-plugins.js';

/** `text`, in a text format of the core, with the numbers of static plugins in the families of all plugins. */
export function withStatics(text: string, counts: readonly StaticCounts[]): string {
  if (counts.length === 0) return text;
  const families = {
    tenon_plugin_calls: counts.map(({ plugin, calls }) => [plugin, calls] as const),
    tenon_plugin_faults: counts.map(({ plugin, faults }) => [plugin, faults] as const),
  };
  let whole = text;
  for (const [name, values] of Object.entries(families)) {
    const own = values.map(([plugin, value]) => [`${name}_total{plugin="${plugin}"} `, value] as const);
    // What only asks extensions has a pointer there, too, and no calls.
    const others = whole.split('\n').filter((line) => !own.some(([label]) => line.startsWith(label)));
    const head = others.findIndex(
      (line) => line === `# TYPE ${name}_total counter` || line === `# TYPE ${name} counter`,
    );
    if (head >= 0) others.splice(head + 1, 0, ...own.map(([label, value]) => `${label}${value}`));
    whole = others.join('\n');
  }
  return whole;
}
