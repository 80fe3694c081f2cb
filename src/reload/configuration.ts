/** What of hot reload can be changed while the host runs. */
import { closest } from '../base/closest.js';
import { readSetting, type SettingName, type Settings } from '../base/config.js';

/** The keys of `hotReload` in `tenon.yaml`. */
export interface HotReloadConfig {
  enabled: boolean;
  debounceMs: number;
  sourceDebounceMs: number;
  watchPatterns: readonly string[];
  excludePatterns: readonly string[];
  preserveState: boolean;
  maxRetries: number;
  retryDelayMs: number;
  maxRetryDelayMs: number;
  watchIntervalMs: number;
  autoDiscovery: boolean;
}

const settingOf: Record<keyof HotReloadConfig, SettingName> = {
  enabled: 'hotReload',
  debounceMs: 'libraryDebounceMs',
  sourceDebounceMs: 'sourceDebounceMs',
  watchPatterns: 'watchPatterns',
  excludePatterns: 'excludePatterns',
  preserveState: 'preserveState',
  maxRetries: 'maxRetries',
  retryDelayMs: 'retryDelayMs',
  maxRetryDelayMs: 'maxRetryDelayMs',
  watchIntervalMs: 'watchIntervalMs',
  autoDiscovery: 'autoDiscovery',
};

/** The settings that can be changed. */
export const changeable: readonly SettingName[] = Object.values(settingOf);

/** `changes` as settings. Throws TypeError, naming what is not known or not right. */
export function readChanges(changes: unknown): Partial<Settings> {
  if (typeof changes !== 'object' || changes === null || Array.isArray(changes))
    throw new TypeError('the configuration of hot reload is an object of keys and values');
  const settings: Record<string, unknown> = {};
  for (const [key, raw] of Object.entries(changes)) {
    if (raw === undefined) continue;
    if (!Object.hasOwn(settingOf, key)) {
      const meant = closest(key, Object.keys(settingOf));
      throw new TypeError(
        `hot reload has no key ${JSON.stringify(key)}; ${meant === undefined ? `there are ${Object.keys(settingOf).join(', ')}` : `did you mean ${meant}?`}`,
      );
    }
    const name = settingOf[key as keyof HotReloadConfig];
    settings[name] = readSetting(name, raw, key);
  }
  return settings;
}

/** Those of `changed` that are of hot reload. */
export function changesOf(changed: Partial<Settings>): Partial<HotReloadConfig> {
  const entries = Object.entries(settingOf).filter(([, name]) => name in changed);
  return Object.fromEntries(entries.map(([key, name]) => [key, changed[name]]));
}

/** What is in force. */
export function configurationOf(settings: Settings): HotReloadConfig {
  return Object.fromEntries(
    Object.entries(settingOf).map(([key, name]) => [key, settings[name]]),
  ) as unknown as HotReloadConfig;
}
