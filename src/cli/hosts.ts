/** `tenon hosts`: the hosts that share a registry, as a running one knows them. */
import type { HostRow } from '../index.js';
import { type AskFlags, Client } from './client.js';
import { printable } from './printable.js';
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
    printable(runs(plugins)),
  ]);
  printTable([['HOST', 'PROCESS', 'URL', 'VERSION', '', 'PLUGINS'], ...rows]);
}

/** How many plugins are in which state, and which of them have failed, with why. */
function runs(plugins: HostRow['plugins']): string {
  const counts = new Map<string, number>();
  const failed: string[] = [];
  for (const [id, report] of Object.entries(plugins)) {
    const { state, error } = (report ?? {}) as { state?: unknown; error?: { code?: unknown } };
    const word = typeof state === 'string' ? state : 'unknown';
    counts.set(word, (counts.get(word) ?? 0) + 1);
    if (error !== undefined) failed.push(typeof error.code === 'string' ? `${id} (${error.code})` : id);
  }
  const states = [...counts].map(([state, count]) => `${count} ${state}`).join(', ');
  return failed.length === 0 ? states : `${states}; not as it should be: ${failed.join(', ')}`;
}
