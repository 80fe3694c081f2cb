/** `tenon status`: how a running host does. */
import type { HotReloadStatus, Images, RegistryStatus } from '../index.js';
import { type AskFlags, Client } from './client.js';
import { hotReloadRows } from './hot-reload.js';
import { printTable } from './table.js';

/** What the host answers. */
export interface HostStatus {
  ready: boolean;
  images: Images;
  hotReload: HotReloadStatus;
  registry: RegistryStatus;
}

export async function status(flags: AskFlags): Promise<void> {
  const client = Client.find(flags);
  const answer = await client.get<HostStatus>('/api/v1/status');
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify(answer)}\n`);
    return;
  }
  const images = Object.entries(answer.images).map(([name, { count, bytes }]) => [
    `images ${name}`,
    `${count}, ${bytes} bytes`,
  ]);
  printTable([
    ['host', client.url],
    ['ready', answer.ready ? 'yes' : 'no'],
    ...images,
    ...hotReloadRows(answer.hotReload),
    ['registry', registryLine(answer.registry)],
  ]);
}

function registryLine({ kind, place, connected, since, error }: RegistryStatus): string {
  if (kind === 'none') return 'none';
  if (connected) return `${kind}, ${place}, connected since ${since}`;
  return `${kind}, ${place}, away since ${since}${error === undefined ? '' : `: ${error}`}`;
}
