/** `tenon hosts`: the hosts that share a registry, as a running one knows them. */
import type { HostRow } from '../index.js';
import { type AskFlags, Client } from './client.js';
import { printTable } from './table.js';

export async function hosts(flags: AskFlags): Promise<void> {
  const answer = await Client.find(flags).get<{ hosts: HostRow[] }>('/api/v1/hosts');
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify(answer)}\n`);
    return;
  }
  const rows = answer.hosts.map(({ name, pid, url, version, seenAt, stoppedAt, plugins }) => [
    name,
    String(pid),
    url ?? '-',
    version,
    stoppedAt === null ? `seen ${seenAt}` : `stopped ${stoppedAt}`,
    runs(plugins),
  ]);
  printTable([['HOST', 'PROCESS', 'URL', 'VERSION', '', 'PLUGINS'], ...rows]);
}

/** How many plugins are in which state. */
function runs(plugins: HostRow['plugins']): string {
  const counts = new Map<string, number>();
  for (const report of Object.values(plugins)) {
    const { state } = (report ?? {}) as { state?: unknown };
    const word = typeof state === 'string' ? state : 'unknown';
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return [...counts].map(([state, count]) => `${count} ${state}`).join(', ');
}
