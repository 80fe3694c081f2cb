/** `tenon reloads`: what was reloaded, and what it came to. */
import type { ReloadRecord } from '../index.js';
import { type AskFlags, Client } from './client.js';
import { barParts, phaseTimes, reloadLine } from './phases.js';

export interface ReloadsFlags extends AskFlags {
  limit?: string;
}

const barWidth = 60;

/** Those of the plugin `id`, or of all, newest first. */
export async function reloads(id: string | undefined, flags: ReloadsFlags): Promise<void> {
  const query = new URLSearchParams({
    ...(id === undefined ? {} : { plugin: id }),
    ...(flags.limit === undefined ? {} : { limit: flags.limit }),
  });
  const client = Client.find(flags);
  // An unknown one would have had no reloads.
  if (id !== undefined) await client.get(`/api/v1/plugins/${encodeURIComponent(id)}`);
  const answer = await client.get<{ reloads: ReloadRecord[] }>(`/api/v1/reloads?${query.toString()}`);
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify(answer)}\n`);
    return;
  }
  for (const record of answer.reloads) {
    const lines = [`${record.startedAt}  ${reloadLine(record)}`];
    if (record.error !== undefined) lines.push(`  ${record.error.message}`);
    lines.push(
      `  ${barParts(record.phases, barWidth)
        .map(({ bar }) => bar)
        .join('')}`,
      `  ${phaseTimes(record.phases)}`,
    );
    process.stdout.write(`${lines.join('\n')}\n`);
  }
}
