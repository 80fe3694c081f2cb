/** `tenon load`, `unload`, `reload`, `rollback`, `enable`, `disable`, `forget`: one plugin of a running host. They end when it is done. */
import type { ReloadRecord } from '../index.js';
import type { Rehearsed } from '../host/rehearsal.js';
import { type AskFlags, Client, Refusal } from './client.js';
import { reloadLine } from './phases.js';
import { printable } from './printable.js';

/** The answer of the host. */
interface Done {
  status: string;
  plugin: { id: string; state: string; version?: string; generation?: number };
  reload?: ReloadRecord;
}

/** `what` the API calls it, with its query; the plugin's line goes to standard output, the reload's to standard error. */
export async function act(what: string, id: string, flags: AskFlags, query = ''): Promise<void> {
  const client = Client.find(flags);
  const done = client.post<Done>(`/api/v1/plugins/${encodeURIComponent(id)}/${what}${query}`);
  tell(await done.catch((error: unknown) => failWithKnown(error, id, client)), flags);
}

/** The registry says that there is no such plugin, and not which there are. */
async function failWithKnown(error: unknown, id: string, client: Client): Promise<never> {
  if (!(error instanceof Refusal) || error.problem.error !== 'PluginNotFound') throw error;
  const { status, problem } = error;
  if (problem.details?.['known'] !== undefined) throw error;
  const { plugins } = await client.get<{ plugins: { id: string }[] }>('/api/v1/plugins');
  const details = { ...problem.details, plugin: id, known: plugins.map((plugin) => plugin.id) };
  throw new Refusal(status, { ...problem, details });
}

/** `what` would come to, as the API says; nothing is done. */
export async function rehearse(what: string, id: string, flags: AskFlags, query = ''): Promise<void> {
  const target = `/api/v1/plugins/${encodeURIComponent(id)}/${what}?dryRun=true${query}`;
  const rehearsed = await Client.find(flags).post<Rehearsed>(target);
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify(rehearsed)}\n`);
    return;
  }
  const { would, plugin, from, to, tables = [], warnings } = rehearsed;
  const after = to === undefined ? '' : ` ${printable(to.version)} (${to.sha256.slice(0, 12)})`;
  const before = from === undefined ? '' : `, in place of generation ${from.generation} (${from.sha256.slice(0, 12)})`;
  process.stdout.write(`${plugin.id}: ${outcomes[would]}${after}${would === 'replace' ? before : ''}\n`);
  for (const route of to?.routes ?? []) process.stdout.write(`  ${printable(route)}\n`);
  if (to?.moreRoutes !== undefined) process.stdout.write(`  and ${to.moreRoutes} more routes\n`);
  if (tables.length > 0) process.stdout.write(`  tables ${tables.map(printable).join(', ')}\n`);
  for (const { detail, pins } of to?.findings ?? [])
    process.stderr.write(`${plugin.id}: ${printable(detail)}${pins ? '; it could not be unmapped' : ''}\n`);
  for (const warning of warnings) process.stderr.write(`${plugin.id}: ${printable(warning)}\n`);
}

const outcomes = {
  load: 'would be loaded:',
  replace: 'would be replaced:',
  unchanged: 'would stay as it is',
  disabled: 'is disabled, and would not be loaded',
} as const;

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
