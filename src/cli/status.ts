/** `tenon status`: how a running host does. */
import type { HotReloadStatus, Images, RegistryStatus } from '../index.js';
import { type AskFlags, Client, Refusal } from './client.js';
import { hotReloadRows } from './hot-reload.js';
import { printTable } from './table.js';

/** What the host answers. */
export interface HostStatus {
  /** Release of Tenon that it runs; absent of one that does not say it. */
  version?: string;
  /** ISO 8601, of its process. */
  startedAt?: string;
  /** Whether it has looked at all applications; `tenon status` prints whether it says that it is ready for requests. */
  ready: boolean;
  images: Images;
  hotReload: HotReloadStatus;
  registry: RegistryStatus;
}

/** What `/readyz?verbose` says. */
export interface Readiness {
  ready: boolean;
  started: boolean;
  degraded?: boolean;
  plugins: { id: string; state: string; healthy?: boolean; health?: string; error?: string; heldBack?: boolean }[];
  tables?: { code: string; message?: string };
  /** While no plugin is loaded. */
  safeMode?: { since: string; reason?: string; crash?: string };
}

export async function status(flags: AskFlags): Promise<void> {
  const client = Client.find(flags);
  const [answer, readiness] = await Promise.all([client.get<HostStatus>('/api/v1/status'), readinessOf(client)]);
  const ready = readiness?.ready ?? answer.ready;
  if (flags.json === true) {
    process.stdout.write(
      `${JSON.stringify({ ...answer, ready, ...(readiness === undefined ? {} : { readiness }) })}\n`,
    );
    return;
  }
  const images = Object.entries(answer.images).map(([name, { count, bytes }]) => [
    `images ${name}`,
    `${count}, ${bytes} bytes`,
  ]);
  printTable([
    ['host', client.url],
    ...(answer.version === undefined ? [] : [['release', answer.version]]),
    ...(answer.startedAt === undefined ? [] : [['since', answer.startedAt]]),
    ['ready', ready ? (readiness?.degraded === true ? 'yes, degraded' : 'yes') : 'no'],
    ...(readiness === undefined ? [] : troubleRows(readiness)),
    ...images,
    ...hotReloadRows(answer.hotReload),
    ['registry', registryLine(answer.registry)],
  ]);
}

/** What is asked by whoever shares out requests. Undefined where it is not served. */
async function readinessOf(client: Client): Promise<Readiness | undefined> {
  try {
    return await client.get<Readiness>('/readyz?verbose');
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const { problem } = error;
    return 'ready' in problem ? (problem as Readiness) : undefined;
  }
}

/** Why it is not ready, and what does not run. */
function troubleRows({ started, plugins, tables, safeMode }: Readiness): string[][] {
  const ill = plugins.filter(({ healthy }) => healthy === false);
  const held = plugins.filter(({ state }) => state === 'quarantined');
  const older = plugins.filter(({ heldBack }) => heldBack === true);
  const down = plugins.filter(({ state, healthy }) => state === 'failed' && healthy === undefined);
  return [
    ...(safeMode === undefined ? [] : safeModeRows(safeMode)),
    ...(started ? [] : [['', 'it has not looked at all applications yet']]),
    ...ill.map(({ id, health }) => ['not healthy', `${id}${health === undefined ? '' : `: ${health}`}`]),
    ...held.map(({ id, error }) => ['quarantined', error ?? id]),
    ...older.map(({ id, error }) => ['held back', `${error ?? `a build of ${id}`}; another one serves`]),
    ...down.map(({ id, error }) => ['not running', named(id, error)]),
    ...(tables === undefined ? [] : [['tables', tables.message ?? tables.code]]),
  ];
}

/** Most messages begin with the plugin. */
function named(id: string, error = ''): string {
  return error === '' || error.startsWith(`${id}:`) ? error || id : `${id}: ${error}`;
}

function safeModeRows({ since, reason, crash }: NonNullable<Readiness['safeMode']>): string[][] {
  return [
    ['safe mode', `since ${since}${reason === undefined ? '' : `: ${reason}`}`],
    ['', `\`tenon crashes${crash === undefined ? '' : ` ${crash}`}\` says more, \`tenon release\` ends it`],
  ];
}

function registryLine({ kind, place, connected, since, error }: RegistryStatus): string {
  if (kind === 'none') return 'none';
  if (connected) return `${kind}, ${place}, connected since ${since}`;
  return `${kind}, ${place}, away since ${since}${error === undefined ? '' : `: ${error}`}`;
}
