/** How a host is at this moment: its plugins, images, tables and registry. */
import type { Images } from '../host/images.js';
import type { PluginFigures } from '../host/plugin-meters.js';
import type { PluginState } from '../host/plugin.js';
import type { RegistryFigures, RegistryStatus } from '../registry/door.js';
import { connectionFamilies } from './metrics-connections.js';
import { type ContainmentFigures, crashFamilies } from './metrics-crashes.js';
import { type Family, gauge, type Labels, type Sample } from './metrics-text.js';
import type { ListenerCounts } from './server.js';

export interface HostFigures {
  readonly build: { readonly version: string; readonly abi: string; readonly node: string };
  readonly ready: boolean;
  readonly plugins: readonly PluginFigures[];
  readonly images: Images;
  readonly registry: RegistryStatus & Readonly<RegistryFigures>;
  /** Of each listener that listens. */
  readonly connections: readonly ListenerCounts[];
  /** Absent where none are kept. */
  readonly crashes?: ContainmentFigures | undefined;
  /** Of the store; absent while there is none. */
  readonly store?: Readonly<Record<string, number>> | undefined;
}

const states: readonly PluginState[] = ['loading', 'running', 'stopped', 'disabled', 'failed', 'quarantined'];

export function hostFamilies(figures: HostFigures): Family[] {
  const { build, ready, images, registry, connections, crashes, store = {} } = figures;
  return [
    gauge('tenon_build_info', 'Versions of the host, of the ABI it speaks, and of Node.js.', [
      { labels: build, value: 1 },
    ]),
    gauge('tenon_ready', 'Whether the host serves all that it is to serve.', [{ value: ready ? 1 : 0 }]),
    ...pluginFamilies(figures.plugins),
    gauge(
      'tenon_images',
      'Images of plugins that are mapped.',
      eachState(images, ({ count }) => count),
    ),
    gauge(
      'tenon_image_bytes',
      'Sizes of the images of plugins that are mapped.',
      eachState(images, ({ bytes }) => bytes),
    ),
    ...(connections.length === 0 ? [] : connectionFamilies(connections)),
    ...(crashes === undefined ? [] : crashFamilies(crashes)),
    ...(registry.kind === 'none' ? [] : registryFamilies(registry)),
    ...storeFamilies(store),
  ];
}

function pluginFamilies(all: readonly PluginFigures[]): Family[] {
  // What was stopped by hand is kept in mind only.
  const plugins = all.filter(({ state }) => state !== 'stopped');
  const dynamic = plugins.filter(({ type }) => type === 'dynamic');
  const isolated = dynamic.filter(({ processes }) => processes !== undefined);
  const each = (of: readonly PluginFigures[], value: (plugin: PluginFigures) => number): Sample[] =>
    of.map((plugin) => ({ labels: { plugin: plugin.id }, value: value(plugin) }));
  const isRunning = ({ state }: PluginFigures): boolean => state === 'running';
  return [
    gauge(
      'tenon_plugins',
      'Plugins by state.',
      states.map((state) => ({ labels: { state }, value: all.filter((plugin) => plugin.state === state).length })),
    ),
    gauge(
      'tenon_plugin_up',
      'Whether a plugin serves.',
      each(plugins, (plugin) => (isRunning(plugin) ? 1 : 0)),
    ),
    gauge(
      'tenon_plugin_info',
      'Version of a plugin that serves.',
      plugins
        .filter(isRunning)
        .map(({ id, version = '', type }) => ({ labels: { plugin: id, version, type }, value: 1 })),
    ),
    gauge(
      'tenon_plugin_generation',
      'Number of the generation that serves.',
      plugins.flatMap(({ id, generation }) =>
        generation === undefined ? [] : [{ labels: { plugin: id }, value: generation }],
      ),
    ),
    gauge(
      'tenon_plugin_generations',
      'Generations whose image is still there.',
      all.flatMap(({ id, generations }) =>
        [...generations].map(([state, value]) => ({ labels: { plugin: id, state }, value })),
      ),
    ),
    gauge(
      'tenon_plugin_leases',
      'Calls in all generations of a plugin.',
      each(dynamic, ({ leases }) => leases),
    ),
    gauge(
      'tenon_plugin_threads',
      'Threads of all generations of a plugin.',
      each(dynamic, ({ threads }) => threads.alive),
    ),
    gauge(
      'tenon_plugin_lost_threads',
      'Those that were written off because a call hangs in them.',
      each(dynamic, ({ threads }) => threads.lost),
    ),
    gauge(
      'tenon_plugin_own_threads',
      'Threads that the code of a plugin has started and that have not ended.',
      each(dynamic, ({ gauges }) => gauges.threads),
    ),
    gauge(
      'tenon_plugin_descriptors',
      'Descriptors that the code of a plugin has opened and not closed.',
      each(dynamic, ({ gauges }) => gauges.descriptors),
    ),
    gauge(
      'tenon_plugin_memory_bytes',
      'Estimate of what the code of a plugin has allocated and not freed.',
      each(dynamic, ({ gauges }) => gauges.memory),
    ),
    gauge(
      'tenon_plugin_processes',
      'Processes of its own that run of an isolated plugin.',
      each(isolated, ({ processes }) => processes?.running ?? 0),
    ),
    gauge(
      'tenon_plugin_process_resident_bytes',
      'Memory that they have.',
      each(isolated, ({ processes }) => processes?.residentBytes ?? 0),
    ),
  ];
}

function registryFamilies(registry: HostFigures['registry']): Family[] {
  const { kind, connected, since, connections, notifications, reads, readSeconds, readAt } = registry;
  const labels: Labels = { kind };
  const counter = (name: string, help: string, value: number): Family => ({
    name,
    type: 'counter',
    help,
    samples: [{ labels, value }],
  });
  return [
    gauge('tenon_registry_connected', 'Whether the registry is connected and was read.', [
      { labels, value: connected ? 1 : 0 },
    ]),
    gauge('tenon_registry_since_timestamp_seconds', 'Since when it is so.', [
      { labels, value: Date.parse(since) / 1000 },
    ]),
    counter('tenon_registry_connections_total', 'Connections to the registry that were made.', connections),
    counter('tenon_registry_notifications_total', 'Notifications of the registry that came.', notifications),
    counter('tenon_registry_reads_total', 'Reads of all that the registry says.', reads),
    counter('tenon_registry_read_seconds_total', 'Time that they took.', readSeconds),
    gauge(
      'tenon_registry_last_read_timestamp_seconds',
      'When the last of them ended.',
      readAt === undefined ? [] : [{ labels, value: readAt }],
    ),
  ];
}

/** Numbers of the store: their names there, here, and what they are. */
const storeNumbers: Readonly<Record<string, readonly [name: string, help: string]>> = {
  families: ['tenon_store_column_families', 'Tables and indexes of the store.'],
  sstBytes: ['tenon_store_files_bytes', 'Size of the sorted files.'],
  liveBytes: ['tenon_store_live_bytes', 'Estimate of what of them is not outdated.'],
  memtableBytes: ['tenon_store_memtable_bytes', 'Memory of what is not in files yet.'],
  readerBytes: ['tenon_store_reader_bytes', 'Estimate of the memory of open files.'],
  compactionBytesPending: ['tenon_store_compaction_pending_bytes', 'Estimate of what has to be compacted.'],
  immutableMemtables: ['tenon_store_immutable_memtables', 'Tables in memory that wait to be written to files.'],
  cacheBytes: ['tenon_store_cache_bytes', 'Size of the block cache.'],
  cacheCapacity: ['tenon_store_cache_limit_bytes', 'Size it may have.'],
  pinnedBytes: ['tenon_store_cache_pinned_bytes', 'What of it is in use.'],
  compactionsRunning: ['tenon_store_compactions', 'Compactions under way.'],
  flushesRunning: ['tenon_store_flushes', 'Flushes under way.'],
  delayedWriteBytesPerSecond: [
    'tenon_store_delayed_write_rate_bytes',
    'Bytes a second that writes are slowed down to; 0: not.',
  ],
  writesStopped: ['tenon_store_writes_stopped', 'Whether writes wait for compactions.'],
  backgroundErrors: ['tenon_store_background_errors_total', 'Errors of flushes and compactions.'],
  snapshots: ['tenon_store_snapshots', 'Snapshots that are held.'],
  sequence: ['tenon_store_sequence', 'Number of the last change.'],
  commits: ['tenon_store_commits_total', 'Batches of writes that were committed.'],
  damagedRecords: ['tenon_store_damaged_records_total', 'Records that were met and cannot be read.'],
  feedBytes: ['tenon_store_feed_bytes', 'Size of the log of changes.'],
  feeds: ['tenon_store_feeds', 'Readers of the log of changes.'],
};

function storeFamilies(store: Readonly<Record<string, number>>): Family[] {
  return Object.entries(storeNumbers).flatMap(([key, [name, help]]) => {
    const value = store[key];
    if (value === undefined) return [];
    return [{ name, help, type: name.endsWith('_total') ? 'counter' : 'gauge', samples: [{ value }] } as const];
  });
}

function eachState(images: Images, value: (gauge: Images['alive']) => number): Sample[] {
  return Object.entries(images).map(([state, one]) => ({ labels: { state }, value: value(one as Images['alive']) }));
}
