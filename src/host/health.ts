/** Whether plugins can serve, by their own account. */
import { asTenonError } from '../base/errors.js';
import type { Plugin } from './plugin.js';

/** Ask each of `plugins` that runs; the message of each that cannot serve, by id. */
export async function askHealth(plugins: Iterable<Plugin>): Promise<Map<string, string>> {
  const sick = new Map<string, string>();
  await Promise.all(
    [...plugins].map(async (plugin) => {
      const generation = plugin.running;
      // While it hands over, its control thread is busy, and a question would wait past its deadline.
      if (generation === undefined || plugin.live?.current !== generation) return;
      try {
        await generation.health();
      } catch (error) {
        if (plugin.running === generation) sick.set(plugin.id, asTenonError(error).message);
      }
    }),
  );
  return sick;
}
