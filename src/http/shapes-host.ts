/** How the API describes the host: itself, its registry, hot reload, tables, configs, bundles and events. */
import type { AuditCheck, AuditLine } from '../bundle/audit.js';
import type { Killed, TrustedKey } from '../bundle/trust-list.js';
import { limitedThings } from '../compiler/limits-config.js';
import type { ConfigHistoryEntry, ConfigView } from '../host/plugin-configs.js';
import type { Images } from '../host/images.js';
import type { Installed } from '../host/installing.js';
import type { RegistryStatus } from '../registry/door.js';
import { type HostRow, type PluginReport, statuses } from '../registry/rows.js';
import type { BackupFacts } from '../tables/backup.js';
import type { Schema } from './operation.js';
import { actedOn } from './shapes-plugin.js';
import {
  always,
  anything,
  listOf,
  mapOf,
  moment,
  objectOf,
  oneOf,
  optional,
  orNull,
  quantity,
  ref,
  sha256,
  text,
  truth,
  whole,
} from './shapes.js';
import type { TablesStatus } from './tables-admin.js';

const sources = ['registry', 'config.yaml', 'defaults'];
const publicError = objectOf({ code: text(), message: text() });

const registryStatus = objectOf<RegistryStatus>({
  kind: oneOf(['none', 'embedded', 'server']),
  place: text('Where it is, without password'),
  connected: truth(),
  since: moment('Since when it is, or is not, connected'),
  error: optional(text('Why it is not')),
  connections: whole('That were made so far'),
});

const gauge = objectOf<Images['alive']>({ count: whole(), bytes: whole() });

const settingsOfHotReload = {
  enabled: truth(),
  debounceMs: whole('Quiet time after a change of a library, ms'),
  sourceDebounceMs: whole('Quiet time after a change of a source, ms'),
  watchPatterns: listOf(text()),
  excludePatterns: listOf(text()),
  preserveState: truth('Whether what a plugin knows goes to its next build'),
  maxRetries: whole(),
  retryDelayMs: whole(),
  maxRetryDelayMs: whole(),
  watchIntervalMs: whole('Between two looks where the system tells nothing, ms; 0: it is asked to tell'),
  autoDiscovery: truth('Whether new applications are loaded by themselves'),
};

const hotReloadStatus = objectOf<Record<string, unknown>>({
  enabled: truth(),
  watchingDirectories: whole(),
  lastReload: orNull(moment('When the last reload ended; null before the first')),
  reloadCount: whole('Reloads that succeeded since the host was made'),
  failedReloads: whole(),
  activeSessions: whole('Reloads and loads under way'),
  debounceDelayMs: whole(),
  sourceDebounceMs: whole(),
  watchPatterns: listOf(text()),
  excludePatterns: listOf(text()),
  retrying: listOf(
    objectOf({ folder: text(), plugin: text(), attempts: whole(), nextAt: moment() }),
    'Reloads that failed and will be tried again',
  ),
  paused: listOf(objectOf({ folder: text(), plugin: text() }), 'Applications that change too often'),
  config: ref('HotReloadConfig'),
});

const report = objectOf<PluginReport>({
  state: text(),
  version: optional(text()),
  generation: optional(whole()),
  sha256: optional(text()),
  revision: whole('Of its row, as far as the host has come'),
  error: optional(publicError),
});

const hostRow = objectOf<HostRow>({
  id: text(undefined, { format: 'uuid' }),
  name: text(),
  pid: whole(),
  url: orNull(text()),
  version: text(),
  os: text(),
  arch: text(),
  startedAt: moment(),
  seenAt: moment(),
  stoppedAt: orNull(moment()),
  plugins: mapOf(report, 'What it runs, by id; empty when that is too large to tell'),
});

const tables = objectOf<TablesStatus>({
  engine: optional(objectOf({ version: text(), library: text() })),
  trouble: optional(publicError),
  tables: listOf(
    objectOf({
      database: text(),
      name: text(),
      estimate: whole('Records, about'),
      bytes: whole(),
      building: listOf(text(), 'Fields whose index is still being built'),
    }),
  ),
  metrics: mapOf({ type: 'number' }),
});

const backup = objectOf<BackupFacts>({
  format: always(1),
  madeAt: moment(),
  engine: text('Version of RocksDB'),
  sequence: text('Every change up to this one is in it'),
  tables: listOf(objectOf({ database: text(), name: text(), records: whole() })),
});

const configParts = {
  config: anything('As it is written, without defaults; no secret stands in it in clear'),
  source: oneOf(sources, 'Who has said so'),
  revision: whole('Of its config in the registry; 0 when none was ever set'),
};

const installed = objectOf<Installed>({
  status: oneOf(['installed', 'upgraded', 'unchanged', 'valid'], '`valid`: it was only tried'),
  plugin: objectOf<Installed['plugin']>({
    id: text(),
    version: text(),
    generation: optional(whole()),
    loadedAt: optional(moment()),
  }),
  sha256: sha256('Of its manifest'),
  from: optional(text('Version that was there before')),
  library: text('Platform whose library was chosen; `sources`: it was built here'),
  signer: optional(objectOf({ keyId: text(), name: text() })),
  permissions: objectOf({ asked: listOf(text()), granted: listOf(text()), missing: listOf(text()) }),
  warnings: listOf(text()),
});

const audit = objectOf<AuditLine>({
  seq: whole('Counts from 1', { minimum: 1 }),
  at: moment(),
  previous: sha256('Of the line before'),
  damage: optional(text('What was wrong with the log when this line was written')),
  action: text('What was done, one word: `install`, `refuse`, `trust`, `grant` …'),
  plugin: optional(text()),
  version: optional(text()),
  sha256: optional(sha256()),
  keyId: optional(text()),
  code: optional(text()),
  message: optional(text()),
  by: text('Who asked'),
});

/** Lists of permissions. */
export const permissionLines = listOf(text('`what:how:which`', { maxLength: 383 }), undefined, { maxItems: 256 });

export const keyId = text('16 hexadecimal digits, in upper case', { pattern: '^[0-9A-F]{16}$' });

const words = text('For people', { maxLength: 500 });

export const hostShapes: Readonly<Record<string, Schema>> = {
  RegistryStatus: { ...registryStatus, description: 'How the registry is reached' },
  RegistryPluginStatus: oneOf(statuses, 'Only `active` ones are to run'),
  Host: { ...hostRow, description: 'A host of the registry' },
  Images: objectOf<Images>(
    { alive: gauge, draining: gauge, pinned: gauge },
    'Images of plugins that are mapped in the process; those that are pinned cannot be unmapped',
  ),
  HostStatus: objectOf({
    version: text('Release of Tenon'),
    startedAt: moment(),
    ready: truth(),
    images: ref('Images'),
    hotReload: ref('HotReloadStatus'),
    registry: ref('RegistryStatus'),
  }),
  Readiness: objectOf(
    {
      ready: truth(),
      started: truth('Whether all applications were looked for'),
      plugins: listOf(
        objectOf({
          id: text(),
          state: ref('PluginState'),
          generation: optional(whole()),
          healthy: optional(truth()),
          heldBack: optional(truth('A build of it is held back for what it did; another one serves')),
          error: optional(text('For whoever has a token')),
          health: optional(text('For whoever has a token')),
        }),
      ),
      tables: optional(objectOf({ code: text(), message: optional(text('For whoever has a token')) })),
      safeMode: optional(
        objectOf({
          since: moment(),
          reason: optional(text('For whoever has a token')),
          crash: optional(text('Id of the crash report that has decided it; for whoever has a token')),
        }),
      ),
      degraded: optional(truth('It serves, but not all of it')),
      registry: optional(
        objectOf({
          kind: text(),
          connected: truth(),
          since: moment(),
          error: optional(text('For whoever has a token')),
        }),
      ),
    },
    'Why the host is ready, or is not',
  ),
  HotReloadConfig: objectOf(settingsOfHotReload, 'What of hot reload can be changed while the host runs'),
  HotReloadChanges: objectOf(
    Object.fromEntries(Object.entries(settingsOfHotReload).map(([key, schema]) => [key, optional(schema)])),
    'Some of it',
  ),
  HotReloadStatus: { ...hotReloadStatus, description: 'What hot reload does' },
  Tables: { ...tables, description: 'The tables of the host, and what they are kept in' },
  Backup: objectOf({ directory: text('On the host'), backup }),
  ConfigView: objectOf<ConfigView>({
    ...configParts,
    schema: orNull(anything('JSON Schema of it; null for a plugin without')),
  }),
  ConfigChange: objectOf({
    status: oneOf(
      ['taken', 'reloaded', 'unchanged', 'stored', 'valid'],
      'Taken by the generation that runs, or by a new one; `stored` for when it runs; `valid`: it was only tried',
    ),
    ...configParts,
    plugin: actedOn,
  }),
  ConfigHistoryEntry: objectOf<ConfigHistoryEntry>({
    revision: whole(),
    config: orNull(anything('Null: what its application says')),
    changedAt: moment(),
    changedBy: text('Host or database user'),
  }),
  Installed: { ...installed, description: 'What an installation came to' },
  TrustedKey: objectOf<TrustedKey>({
    key: text('The line of a minisign public key'),
    keyId,
    name: words,
    plugins: listOf(
      text('Id of a plugin, or a pattern of ids with `*`', { pattern: '^[a-z0-9*][a-z0-9_*-]{0,62}$' }),
      undefined,
      {
        minItems: 1,
        maxItems: 100,
      },
    ),
  }),
  Killed: objectOf<Killed>({ sha256: sha256('Of a library, or of a manifest'), reason: words }),
  AuditLine: { ...audit, description: 'A line of the audit log' },
  AuditCheck: objectOf<AuditCheck>({
    intact: truth(),
    lines: whole(),
    first: whole(),
    last: whole(),
    sha256: sha256('Of the last line'),
    problems: listOf(objectOf({ file: text(), line: whole(), message: text() })),
  }),
};

const overLimit = {
  plugin: text(),
  gauge: oneOf([...limitedThings]),
  value: quantity('What it has; of `memory` bytes, an estimate'),
  limit: whole(),
};

export const eventShapes: Readonly<Record<string, Schema>> = eventsOf({
  'reload.started': { plugin: text(), trigger: text() },
  'reload.phase': { plugin: text(), reload: text('Id of the record'), phase: text(), ms: quantity() },
  'reload.succeeded': { plugin: text(), record: ref('ReloadRecord') },
  'reload.failed': { plugin: text(), record: ref('ReloadRecord') },
  'reload.rolledBack': { plugin: text(), record: ref('ReloadRecord') },
  'plugin.serving': {
    plugin: text(),
    generation: whole(),
    sha256: optional(sha256('Absent of a static plugin')),
    from: optional(whole('The generation before')),
  },
  'plugin.stopped': {
    plugin: text(),
    generation: whole(),
    shut: optional(listOf(text(), 'Applications that need it and answer 503 until it serves')),
  },
  'generation.unloaded': { plugin: text(), generation: whole() },
  'host.full': { reason: text() },
  'plugin.quarantined': {
    plugin: text(),
    reason: text(),
    sha256: text('Of the build; empty for any'),
    crash: optional(text('Id of the crash report that has decided it')),
  },
  'plugin.released': { plugin: text() },
  'plugin.processEnded': {
    plugin: text(),
    generation: whole(),
    pid: whole(),
    reason: text('How it ended, for people'),
    crash: text('Id of the report'),
    replaced: truth('Whether another takes its place; false before the plugin serves'),
  },
  'plugin.processStarted': { plugin: text(), generation: whole(), restarts: whole('Of all its processes, by then') },
  'plugin.guarded': {
    plugin: text('Empty when nobody knows who it was'),
    generation: whole('0 then'),
    guard: text('`directory`, `umask`, `locale`, `environment`, `signals`, `descriptor`, `fork`, `overrun`, `exit`'),
    detail: text(),
    restored: truth('Whether it was put right'),
    certain: truth('False when it may have been another plugin that ran at the same time'),
  },
  'plugin.overSoftLimit': overLimit,
  'plugin.overHardLimit': overLimit,
  gap: { missed: orNull(whole('Events that are not kept any more; null when the host is another one')) },
});

/** One schema for each type of event, and `HostEvent` for any of them. */
function eventsOf(types: Readonly<Record<string, Parameters<typeof objectOf>[0]>>): Record<string, Schema> {
  const named = Object.entries(types).map(
    ([type, members]) => [nameOf(type), objectOf({ type: always(type), at: moment(), ...members })] as const,
  );
  const log = {
    type: 'object',
    description: 'A record of the log of level warn or above, with whatever fields it has',
    required: ['type', 'at', 'level', 'message'],
    properties: { type: always('log'), at: moment(), level: oneOf(['warn', 'error', 'fatal']), message: text() },
    additionalProperties: true,
  };
  const all = { ...Object.fromEntries(named), LogEvent: log };
  return { ...all, HostEvent: { oneOf: Object.keys(all).map((name) => ref(name)) } };
}

function nameOf(type: string): string {
  const words = type.split('.').map((word) => word.charAt(0).toUpperCase() + word.slice(1));
  return `${words.join('')}Event`;
}
