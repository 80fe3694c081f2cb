/** `tenon list`: the plugins of a running host. */
import type { PluginView } from '../index.js';
import { type AskFlags, Client } from './client.js';
import { printTable } from './table.js';

/** What runs in it, one row each. */
export function pluginRows(plugins: readonly PluginView[]): string[][] {
  return plugins.map(({ id, state, version, generation, generations, error }) => {
    const leases = generations.reduce((sum, one) => sum + one.leases, 0);
    return [id, state, version ?? '-', String(generation ?? '-'), String(leases), error?.code ?? ''];
  });
}

export const pluginHead = ['PLUGIN', 'STATE', 'VERSION', 'GENERATION', 'LEASES', 'ERROR'];

export async function list(flags: AskFlags): Promise<void> {
  const answer = await Client.find(flags).get<{ plugins: PluginView[] }>('/api/v1/plugins');
  if (flags.json === true) process.stdout.write(`${JSON.stringify(answer)}\n`);
  else printTable([pluginHead, ...pluginRows(answer.plugins)]);
}
