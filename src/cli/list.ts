/** `tenon list`: the plugins of a running host. */
import type { PluginView } from '../index.js';
import { type AskFlags, Client } from './client.js';
import { isolationWord } from './isolation-rows.js';
import { printTable } from './table.js';

/** What runs in it, one row each. */
export function pluginRows(plugins: readonly PluginView[]): string[][] {
  return plugins.map(({ id, state, version, generation, generations, error, health }) => {
    const leases = generations.reduce((sum, one) => sum + one.leases, 0);
    return [id, state, version ?? '-', String(generation ?? '-'), String(leases), error?.code ?? health ?? ''];
  });
}

/** The same with where they run, and what the registry says, before the error, where there is something to say. */
function listRows(plugins: readonly PluginView[]): string[][] {
  let rows = [pluginHead, ...pluginRows(plugins)];
  const add = (words: readonly string[]): void => {
    rows = rows.map((row, at) => [...row.slice(0, -1), words[at] ?? '', ...row.slice(-1)]);
  };
  if (plugins.some(({ isolation }) => (isolation?.mode ?? 'inline') !== 'inline'))
    add(['ISOLATION', ...plugins.map(({ isolation }) => isolationWord(isolation))]);
  if (plugins.some(({ registry }) => registry !== undefined))
    add(['REGISTRY', ...plugins.map(({ registry }) => registryWords(registry))]);
  return rows;
}

/** What the registry says of a plugin, in a word or two. */
function registryWords(registry: PluginView['registry']): string {
  if (registry === undefined) return '-';
  const { status, pinned, version } = registry;
  return pinned ? `${status}, pinned to ${version ?? '-'}` : status;
}

export const pluginHead = ['PLUGIN', 'STATE', 'VERSION', 'GENERATION', 'LEASES', 'ERROR'];

export async function list(flags: AskFlags): Promise<void> {
  const answer = await Client.find(flags).get<{ plugins: PluginView[] }>('/api/v1/plugins');
  if (flags.json === true) process.stdout.write(`${JSON.stringify(answer)}\n`);
  else printTable(listRows(answer.plugins));
}
