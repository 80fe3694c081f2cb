/** `tenon settings`: what a running host was told, and having it read that again. */
import type { PrintedSetting } from '../base/config.js';
import type { SettingsReload } from '../index.js';
import { type AskFlags, Client } from './client.js';
import { printTable } from './table.js';

export interface SettingsFlags extends AskFlags {
  dryRun?: true;
}

/** Rows with a head: each setting, and where it came from. */
export function settingRows(settings: readonly PrintedSetting[]): string[][] {
  return [
    ['key in tenon.yaml', 'value', 'source', 'environment'],
    ...settings.map(({ key, value, source, environment }) => [key, JSON.stringify(value), source, environment ?? '']),
  ];
}

/** Show them, or with the action `reload` have them read again. Rejects with TypeError for another action. */
export async function settings(action: string | undefined, flags: SettingsFlags): Promise<void> {
  if (action !== undefined && action !== 'reload')
    throw new TypeError(`${JSON.stringify(action)} is nothing to do with settings; did you mean reload?`);
  if (action === undefined) {
    if (flags.dryRun === true) throw new TypeError('--dry-run is for `tenon settings reload`');
    const answer = await Client.find(flags).get<{ settings: PrintedSetting[] }>('/api/v1/settings');
    if (flags.json === true) process.stdout.write(`${JSON.stringify(answer)}\n`);
    else printTable(settingRows(answer.settings));
    return;
  }
  const query = flags.dryRun === true ? '?dryRun=true' : '';
  const answer = await Client.find(flags).post<SettingsReload>(`/api/v1/settings/reload${query}`);
  if (flags.json === true) process.stdout.write(`${JSON.stringify(answer)}\n`);
  else for (const line of reloadLines(answer, flags.dryRun === true)) process.stdout.write(`${line}\n`);
}

function reloadLines({ status, changed }: SettingsReload, dryRun: boolean): string[] {
  const keys = changed.map(({ key, effect }) => (effect === 'live' ? key : `${key} (by a fresh process)`)).join(', ');
  if (status === 'unchanged') return ['nothing has changed'];
  if (dryRun) return [`would change: ${keys}`];
  return [`changed: ${keys}`, ...(status === 'restarting' ? ['a fresh process goes on with them'] : [])];
}
