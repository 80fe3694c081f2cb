/** `tenon backup`: a copy of the tables of a running host. */
import path from 'node:path';
import type { BackupFacts } from '../tables/backup.js';
import { type AskFlags, Client } from './client.js';

export async function backup(directory: string | undefined, flags: AskFlags): Promise<void> {
  const query = directory === undefined ? '' : `?${new URLSearchParams({ to: path.resolve(directory) }).toString()}`;
  const answer = await Client.find(flags).post<{ directory: string; backup: BackupFacts }>(`/api/v1/backup${query}`);
  if (flags.json === true) process.stdout.write(`${JSON.stringify(answer)}\n`);
  else process.stdout.write(`${answer.directory}\n`);
}
