/** `tenon upgrade`: a running host goes on as another release. */
import path from 'node:path';
import { version as here } from '../base/version.js';
import { type AskFlags, Client } from './client.js';

export interface UpgradeFlags extends AskFlags {
  to?: string;
}

/** Ends when a host of that release stands by and takes over; with --url the folder has to be an absolute one, of that machine. */
export async function upgrade({ to, ...flags }: UpgradeFlags): Promise<void> {
  if (to === '') throw new TypeError('option to: must not be empty');
  if (to !== undefined && flags.url !== undefined && !path.isAbsolute(to))
    throw new TypeError(`option to: ${JSON.stringify(to)} must be an absolute path, on the machine of the host`);
  const body = to === undefined ? {} : { folder: path.resolve(to) };
  const answer = await Client.find(flags).post<{ status: string; version: string }>('/api/v1/upgrade', body);
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify(answer)}\n`);
    return;
  }
  process.stdout.write(`Tenon ${answer.version} takes over\n`);
  if (answer.version !== here && to === undefined) process.stderr.write(`this command is of Tenon ${here}\n`);
}
