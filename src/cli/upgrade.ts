/** `tenon upgrade`: a running host goes on as another release. */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { TenonError } from '../base/errors.js';
import { version as here } from '../base/version.js';
import { type AskFlags, Client } from './client.js';
import type { HostStatus } from './status.js';

export interface UpgradeFlags extends AskFlags {
  to?: string;
}

/** For the next host to serve: the one before lets requests under way end, ms. */
const servesMs = 120_000;
const pollMs = 200;

/**
 * Ends when a host of that release serves, or after two minutes with a word about that; with --url the folder has to be an absolute one, of that machine.
 * Rejects with `UpgradeFailed` when one of another release does.
 */
export async function upgrade({ to, ...flags }: UpgradeFlags): Promise<void> {
  if (to === '') throw new TypeError('option to: must not be empty');
  if (to !== undefined && flags.url !== undefined && !path.isAbsolute(to))
    throw new TypeError(`option to: ${JSON.stringify(to)} must be an absolute path, on the machine of the host`);
  const body = to === undefined ? {} : { folder: path.resolve(to) };
  const client = Client.find(flags);
  const before = await statusOf(client);
  const answer = await client.post<{ status: string; version: string }>('/api/v1/upgrade', body);
  if (flags.json !== true) process.stdout.write(`Tenon ${answer.version} takes over\n`);
  const next = await nextStatus(before, flags);
  if (next?.version !== undefined && next.version !== answer.version)
    throw new TenonError('UpgradeFailed', `Tenon ${answer.version} did not come to serve: ${next.version} serves`, {
      next: 'see the log of the host for why',
      details: { wanted: answer.version, serves: next.version },
    });
  const serves = next !== undefined;
  if (flags.json === true) process.stdout.write(`${JSON.stringify({ ...answer, serves })}\n`);
  else if (serves) process.stdout.write('it serves\n');
  if (!serves)
    process.stderr.write('it does not serve yet, and is not waited for any longer: see the log of the host\n');
  if (flags.json === true) return;
  if (answer.version !== here && to === undefined) process.stderr.write(`this command is of Tenon ${here}\n`);
}

type Told = Pick<HostStatus, 'version' | 'startedAt'>;

function statusOf(client: Client, signal?: AbortSignal): Promise<Told> {
  return client.get<Told>('/api/v1/status', signal);
}

/** What another process says than the one of `before`; undefined when none has answered in time. */
async function nextStatus(before: Told, flags: AskFlags): Promise<Told | undefined> {
  const enough = AbortSignal.timeout(servesMs);
  while (!enough.aborted) {
    // Between the two nobody answers, or what says that it ends.
    const now = await Promise.resolve()
      .then(() => statusOf(Client.find(flags), enough))
      .catch(() => before);
    if (now.startedAt !== before.startedAt) return now;
    await sleep(pollMs);
  }
  return undefined;
}
