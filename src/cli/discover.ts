/** `tenon discover`: have a running host look at its applications now. */
import type { PluginView } from '../index.js';
import { type AskFlags, Client } from './client.js';
import { printTable } from './table.js';

interface Discovered {
  status: string;
  plugins: Pick<PluginView, 'id' | 'state' | 'version'>[];
}

export async function discover(flags: AskFlags): Promise<void> {
  const answer = await Client.find(flags).post<Discovered>('/api/v1/plugins/discover');
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify(answer)}\n`);
    return;
  }
  const rows = answer.plugins.map(({ id, state, version }) => [id, state, version ?? '-']);
  printTable([['PLUGIN', 'STATE', 'VERSION'], ...rows]);
}
