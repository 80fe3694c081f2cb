/** `tenon routes`: what a running host serves for its plugins. */
import type { PluginView } from '../index.js';
import { type AskFlags, Client } from './client.js';
import { printTable } from './table.js';
import { whoOf } from './who.js';

/** Those of the plugin `id`, or of all. */
export async function routes(id: string | undefined, flags: AskFlags): Promise<void> {
  const client = Client.find(flags);
  const plugins =
    id === undefined
      ? (await client.get<{ plugins: PluginView[] }>('/api/v1/plugins')).plugins
      : [await client.get<PluginView>(`/api/v1/plugins/${encodeURIComponent(id)}`)];
  const all = plugins.flatMap((plugin) => plugin.routes.map((route) => ({ plugin: plugin.id, ...route })));
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify({ routes: all })}\n`);
    return;
  }
  const rows = all.map(({ method, path, plugin, execution, deadlineMs, bodyLimit, needs }) => [
    method,
    path,
    plugin,
    whoOf({ needs }),
    execution,
    execution === 'table' || execution === 'file' ? '-' : String(deadlineMs),
    String(bodyLimit),
  ]);
  printTable([['METHOD', 'PATH', 'PLUGIN', 'WHO', 'EXECUTION', 'DEADLINE MS', 'BODY BYTES'], ...rows]);
}
