/** `tenon hot-reload`: what takes changes up, seen and steered. */
import type { HotReloadStatus } from '../index.js';
import { type AskFlags, Client } from './client.js';
import { printTable } from './table.js';

/** Name and value of what there is to know. */
export function hotReloadRows(status: HotReloadStatus): string[][] {
  const { enabled, watchingDirectories, lastReload, reloadCount, failedReloads, activeSessions, retrying, paused } =
    status;
  const named = retrying.map(({ plugin, attempts, nextAt }) => `${plugin} after try ${attempts}, at ${nextAt}`);
  return [
    ['hot reload', enabled ? 'on' : 'off'],
    ['folders watched', String(watchingDirectories)],
    ['reloads', `${reloadCount} done, ${failedReloads} failed, ${activeSessions} under way`],
    ['last reload', lastReload ?? '-'],
    ...(named.length === 0 ? [] : [['tried again', named.join('; ')]]),
    ...(paused.length === 0 ? [] : [['paused', paused.map(({ plugin }) => plugin).join(', ')]]),
  ];
}

function print(status: HotReloadStatus, flags: AskFlags): void {
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify(status)}\n`);
    return;
  }
  const config = Object.entries(status.config).map(([key, value]) => [
    key,
    Array.isArray(value) ? value.join(',') : String(value),
  ]);
  printTable([...hotReloadRows(status), ...config]);
}

export async function hotReloadStatus(flags: AskFlags): Promise<void> {
  print(await Client.find(flags).get<HotReloadStatus>('/api/v1/hot-reload/status'), flags);
}

/** Turn it on or off until the host ends. */
export async function switchHotReload(to: 'enable' | 'disable', flags: AskFlags): Promise<void> {
  print(await Client.find(flags).post<HotReloadStatus>(`/api/v1/hot-reload/${to}`), flags);
}

/** Change what `pairs` (`key=value`) say until the host ends. Rejects with TypeError for what is no pair. */
export async function configureHotReload(pairs: readonly string[], flags: AskFlags): Promise<void> {
  const changes = Object.fromEntries(
    pairs.map((pair) => {
      const [, key, value] = /^([^=]+)=(.*)$/s.exec(pair) ?? [];
      if (key === undefined) throw new TypeError(`${JSON.stringify(pair)} is no key=value`);
      return [key, value];
    }),
  );
  print(await Client.find(flags).put<HotReloadStatus>('/api/v1/hot-reload/config', changes), flags);
}
