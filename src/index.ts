/**
 * What embedders import.
 *
 *     const host = await createHost({ applications: '/srv/applications', data: '/var/lib/tenon' });
 *     console.log(await host.listen());
 */
import { Closer } from './base/closer.js';
import { processEnvironment, resolveSettings } from './base/config.js';
import { type Log, logLevels, silentLog } from './base/log.js';
import { checkStatics } from './host/checked-static.js';
import { type Listener, toCallbacks } from './host/listeners.js';
import { reservedSegments } from './http/admin.js';
import type { CreateHostOptions, OwnProcess, TenonHost } from './embedding.js';
import { compose } from './main.js';

export { errorCodes, TenonError, type ErrorCode } from './base/errors.js';
export type { Settings } from './base/config.js';
export type { Log } from './base/log.js';
export type { Gauge, Images } from './host/images.js';
export type { Installed, InstallOptions, Uninstalled, UninstallOptions } from './host/installing.js';
export type { HostEvent } from './host/journal.js';
export type { ReloadCallbacks } from './host/listeners.js';
export type { RegistryView } from './host/desired.js';
export type { ConfigChange, ConfigHistoryEntry, ConfigView } from './host/plugin-configs.js';
export type { GenerationView, PluginState, PluginView, RouteView } from './host/plugin.js';
export type { BuildFacts, Phase, ReloadRecord, Trigger } from './host/record.js';
export type * from './host/static-plugin.js';
export type { EventOf } from './host/subscriptions.js';
export type { ChangedSetting, ReadSettings, SettingsReload } from './http/settings-admin.js';
export type { Version } from './host/versions.js';
export type { Wish } from './host/wishes.js';
export type { InjectedAnswer, InjectedRequest } from './http/inject.js';
export type { RegistryStatus } from './registry/door.js';
export type { HostRow, PluginReport, PluginStatus } from './registry/rows.js';
export type { HotReloadConfig } from './reload/configuration.js';
export type { HotReload } from './reload/hot-reload.js';
export type { HotReloadStatus } from './reload/manager.js';

export type { CreateHostOptions, HostSettings, TenonHost, Wishes } from './embedding.js';

/**
 * Make a host: lock the data directory, load the core, compile and load every application, and watch them unless
 * `hotReload` is false. A bad application is logged and stops nothing. Throws TypeError for a wrong option,
 * `SettingsInvalid` for a directory that is none, `DataDirectoryLocked`, `NativePartMissing`; nothing is left open then.
 */
export async function createHost(options: CreateHostOptions = {}): Promise<TenonHost> {
  const host = await openHost(options);
  try {
    await host.discover();
  } catch (error) {
    await host.close().catch((second: unknown) => options.log?.error({ err: second }, 'not everything closed'));
    throw error;
  }
  return host;
}

/**
 * `createHost` up to the applications: none is compiled or loaded before `discover` is called. For whoever wants to
 * listen, or to be able to close, while they are built.
 */
export function openHost(options: CreateHostOptions = {}): Promise<TenonHost> {
  return openOwnHost(options);
}

/** `openHost` in a process that is the host's own. Not for embedders. */
export async function openOwnHost(options: CreateHostOptions, own: OwnProcess = {}): Promise<TenonHost> {
  const { log = silentLog(), onEvent, environment = processEnvironment(), readSettings, ...others } = options;
  const { onReloadStart, onReloadSuccess, onReloadFailed, plugins = [], ...flags } = others;
  const logLevel = flags.logLevel ?? levelOf(log);
  const { settings } = resolveSettings({ flags: { ...flags, logLevel }, isAlone: true });
  const definitions = await checkStatics(plugins, reservedSegments);
  const closer = new Closer();
  try {
    const callbacks = toCallbacks({ onReloadStart, onReloadSuccess, onReloadFailed });
    const listeners: Listener[] = [(event) => onEvent?.(event), callbacks];
    return await compose(settings, closer, { log, listeners, environment, definitions, own, readSettings });
  } catch (error) {
    await closer.close().catch((second: unknown) => log.error({ err: second }, 'what was set up did not close'));
    throw error;
  }
}

/** What a given log keeps, as a setting; of one that keeps nothing the setting has its default, for the events tell warnings all the same. */
function levelOf({ level }: Log): string | undefined {
  return Object.hasOwn(logLevels, level) ? level : undefined;
}
