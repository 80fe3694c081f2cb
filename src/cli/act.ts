/** `tenon load`, `unload`, `reload`, `rollback`, `enable`, `disable`, `forget`: one plugin of a running host. They end when it is done. */
import type { ReloadRecord } from '../index.js';
import { type AskFlags, Client } from './client.js';
import { reloadLine } from './phases.js';

/** The answer of the host. */
interface Done {
  status: string;
  plugin: { id: string; state: string; version?: string; generation?: number };
  reload?: ReloadRecord;
}

/** `what` the API calls it, with its query; the plugin's line goes to standard output, the reload's to standard error. */
export async function act(what: string, id: string, flags: AskFlags, query = ''): Promise<void> {
  await post(`/api/v1/plugins/${encodeURIComponent(id)}/${what}${query}`, flags);
}

/** Do what stands at `target`, and say what came of it. */
export async function post(target: string, flags: AskFlags): Promise<void> {
  tell(await Client.find(flags).post<Done>(target), flags);
}

function tell(done: Done, flags: AskFlags): void {
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify(done)}\n`);
    return;
  }
  const { status, plugin, reload } = done;
  const running = plugin.generation === undefined ? '' : ` ${plugin.version ?? ''}, generation ${plugin.generation}`;
  process.stdout.write(`${plugin.id}: ${status}${running}\n`);
  if (reload === undefined) return;
  for (const warning of reload.warnings) process.stderr.write(`${plugin.id}: ${warning}\n`);
  process.stderr.write(`${reloadLine(reload)}\n`);
}
