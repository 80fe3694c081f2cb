/** `tenon versions`: the builds of a plugin that can be gone back to. */
import type { Version } from '../index.js';
import { type AskFlags, Client } from './client.js';
import { printTable } from './table.js';

export async function versions(id: string, flags: AskFlags): Promise<void> {
  const target = `/api/v1/plugins/${encodeURIComponent(id)}/versions`;
  const answer = await Client.find(flags).get<{ versions: (Version & { running: boolean })[] }>(target);
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify(answer)}\n`);
    return;
  }
  const rows = answer.versions.map(({ sha256, version, generation, size, servedAt, running, condemned }) => [
    sha256.slice(0, 12),
    version,
    String(generation),
    String(size),
    servedAt,
    running ? 'running' : condemned === undefined ? '' : `taken back: ${condemned}`,
  ]);
  printTable([['HASH', 'VERSION', 'GENERATION', 'BYTES', 'SERVED', ''], ...rows]);
}
