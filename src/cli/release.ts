/** `tenon release`: what crashes have had held back runs again. */
import type { Containment } from '../base/containment.js';
import { post } from './act.js';
import { type AskFlags, Client } from './client.js';

export interface ReleaseFlags extends AskFlags {
  safeMode?: true;
}

/** The plugin `id`, or without one the whole host. Rejects with TypeError for both. */
export async function release(id: string | undefined, flags: ReleaseFlags): Promise<void> {
  if (id !== undefined && flags.safeMode === true)
    throw new TypeError('name a plugin or --safe-mode, not both: the safe mode is of the whole host');
  if (id !== undefined) await post(`/api/v1/plugins/${encodeURIComponent(id)}/release`, flags);
  else await endSafeMode(flags);
}

async function endSafeMode(flags: ReleaseFlags): Promise<void> {
  const client = Client.find(flags);
  const answer = await client.post<{ status: 'released' | 'unchanged' }>('/api/v1/release');
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify(answer)}\n`);
    return;
  }
  if (answer.status === 'released') {
    process.stdout.write('the safe mode is over\n');
    return;
  }
  const { quarantined } = await client.get<Containment>('/api/v1/containment');
  const ids = quarantined.map(({ plugin }) => plugin);
  process.stdout.write('the host is not in safe mode\n');
  if (ids.length > 0)
    process.stderr.write(`in quarantine: ${ids.join(', ')}; \`tenon release ${ids[0] ?? ''}\` lets one out\n`);
}
