/** `tenon upgrade`: a running host goes on as another release. */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { version as here } from '../base/version.js';
import { type AskFlags, Client } from './client.js';

export interface UpgradeFlags extends AskFlags {
  to?: string;
}

/** For the next host to serve: the one before lets requests under way end, ms. */
const servesMs = 120_000;
const pollMs = 200;

/** Ends when a host of that release serves, or after two minutes with a word about that; with --url the folder has to be an absolute one, of that machine. */
export async function upgrade({ to, ...flags }: UpgradeFlags): Promise<void> {
  if (to === '') throw new TypeError('option to: must not be empty');
  if (to !== undefined && flags.url !== undefined && !path.isAbsolute(to))
    throw new TypeError(`option to: ${JSON.stringify(to)} must be an absolute path, on the machine of the host`);
  const body = to === undefined ? {} : { folder: path.resolve(to) };
  const client = Client.find(flags);
  const before = await startOf(client);
  const answer = await client.post<{ status: string; version: string }>('/api/v1/upgrade', body);
  if (flags.json !== true) process.stdout.write(`Tenon ${answer.version} takes over\n`);
  const serves = await anotherServes(before, flags);
  if (flags.json === true) process.stdout.write(`${JSON.stringify({ ...answer, serves })}\n`);
  else if (serves) process.stdout.write('it serves\n');
  if (!serves)
    process.stderr.write('it does not serve yet, and is not waited for any longer: see the log of the host\n');
  if (flags.json === true) return;
  if (answer.version !== here && to === undefined) process.stderr.write(`this command is of Tenon ${here}\n`);
}

/** Since when the process that answers is the host; undefined of a release that does not say it. */
async function startOf(client: Client, signal?: AbortSignal): Promise<string | undefined> {
  return (await client.get<{ startedAt?: string }>('/api/v1/status', signal)).startedAt;
}

/** Whether another process answers than the one of `before`, in time. */
async function anotherServes(before: string | undefined, flags: AskFlags): Promise<boolean> {
  const enough = AbortSignal.timeout(servesMs);
  while (!enough.aborted) {
    // Between the two nobody answers, or what says that it ends.
    const now = await Promise.resolve()
      .then(() => startOf(Client.find(flags), enough))
      .catch(() => before);
    if (now !== before) return true;
    await sleep(pollMs);
  }
  return false;
}
