/** Hot reload as a whole: what changes in the applications directory is taken up, at a measure, and again when it failed. */
import path from 'node:path';
import type { Settings } from '../base/config.js';
import { asTenonError, TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { Plugins } from '../host/plugins.js';
import type { HostEvent } from '../host/journal.js';
import { mayPass } from '../host/passing.js';
import type { Quiet } from '../host/quiet.js';
import type { Attempt, ReloadRecord } from '../host/record.js';
import { configurationOf, type HotReloadConfig, readChanges } from './configuration.js';
import { Pace, type PaceLimits } from './pace.js';
import { retryDelay } from './retry.js';
import { RuleBook } from './rules.js';
import { Watch } from './watch.js';

/** What hot reload does and has done. */
export interface HotReloadStatus {
  enabled: boolean;
  /** Application folders that are watched now. */
  watchingDirectories: number;
  /** When the last reload ended, whoever asked for it, ISO 8601; null before the first. First loads do not count. */
  lastReload: string | null;
  /** Reloads that succeeded since the host was made; what was unchanged does not count. */
  reloadCount: number;
  failedReloads: number;
  /** Reloads and loads under way. */
  activeSessions: number;
  /** Quiet time after a change of a library, ms. */
  debounceDelayMs: number;
  /** Quiet time after a change of a source, ms. */
  sourceDebounceMs: number;
  watchPatterns: readonly string[];
  excludePatterns: readonly string[];
  /** Reloads that failed and will be tried again. */
  retrying: { folder: string; plugin: string; attempts: number; nextAt: string }[];
  /** Applications that changed too often, and are loaded when they have come to rest. */
  paused: { folder: string; plugin: string }[];
  /** All that can be configured, with its value. */
  config: HotReloadConfig;
}

export interface HotReloadOptions {
  host: Pick<Plugins, 'refresh' | 'reload' | 'list'>;
  /** Told of an archive that was put into the applications directory, by its name. */
  dropped?: (name: string) => void;
  log: Log;
  /** Those of the host; `configure` changes them. */
  settings: Settings;
  /** 5 reloads of one application within 10 s by default. */
  pace?: PaceLimits;
}

/**
 * Schemas alone may change so many times as often as anything else: they are written by hand, and no build takes time between two
 * of their reloads.
 */
const schemaTimes = 4;

function isSchema(file: string): boolean {
  return file.endsWith('.graphql');
}

interface Retry {
  readonly timer: NodeJS.Timeout;
  readonly attempts: number;
  readonly nextAt: string;
}

interface Pause {
  timer: NodeJS.Timeout;
  /** When it ends at the latest, as `performance.now()`. */
  readonly latest: number;
}

/** Reloads what changed, from `enable` to `disable`. Made with the host it reloads, and closed before it. */
export class HotReloadManager {
  readonly #options: HotReloadOptions;
  readonly #rules: RuleBook;
  readonly #watch: Watch;
  readonly #limits: PaceLimits;
  readonly #pace: Pace;
  readonly #attempts = new Map<string, Attempt>();
  readonly #retries = new Map<string, Retry>();
  readonly #pauses = new Map<string, Pause>();
  /** When the last pause of an application ended, as `performance.now()`. */
  readonly #pausedUntil = new Map<string, number>();
  readonly #active = new Map<string, number>();
  #reloads = 0;
  #failed = 0;
  #last: string | null = null;
  #closed = false;

  constructor(options: HotReloadOptions) {
    const { log, settings } = options;
    this.#options = options;
    this.#limits = options.pace ?? { most: 5, windowMs: 10_000 };
    this.#pace = new Pace(this.#limits);
    this.#rules = new RuleBook(settings);
    this.#watch = new Watch({
      directory: settings.applications,
      ignore: [settings.data],
      rules: this.#rules,
      intervalMs: () => settings.watchIntervalMs,
      changed: (folder, files) => this.#changed(folder, files),
      dropped: (name) => (settings.autoDiscovery ? options.dropped?.(name) : undefined),
      failed: (error) => log.warn({ err: error }, 'the applications directory is not watched completely'),
    });
  }

  /**
   * Take up changes from now on; what is there now counts as known. Resolves when everything is watched. Rejects with
   * `HostClosing` after `close`.
   */
  async enable(): Promise<void> {
    if (this.#closed) throw new TenonError('HostClosing', 'the host is shutting down', { next: 'ask the next host' });
    this.#options.settings.hotReload = true;
    await this.#watch.enable();
  }

  /** Take up no change and try nothing again; reloads under way go on. */
  async disable(): Promise<void> {
    this.#options.settings.hotReload = false;
    await this.#rest();
  }

  /** Reload the plugin `id` as it is now, watched or not. Rejects as `Plugins.reload` does. */
  trigger(id: string): Promise<ReloadRecord> {
    return this.#options.host.reload(id, 'api');
  }

  /** Change what is given, all of it or, with a TypeError that names the first that is wrong, nothing. */
  async configure(changes: Partial<HotReloadConfig>): Promise<HotReloadStatus> {
    const { settings } = this.#options;
    const { hotReload, ...others } = readChanges(changes);
    const change = (): void => {
      Object.assign(settings, others);
      this.#rules.renew();
    };
    await this.#watch.renew(change, 'excludePatterns' in others);
    if (hotReload === true) await this.enable();
    if (hotReload === false) await this.disable();
    return this.status();
  }

  /** For whoever changes an application's folder and has it loaded: see `Watch`. */
  readonly quiet: Quiet = {
    hold: (folder) => {
      this.#cancel(folder);
      this.#watch.hold(folder);
    },
    acknowledge: (folder) => this.#watch.acknowledge(folder),
    release: (folder) => this.#watch.release(folder),
  };

  status(): HotReloadStatus {
    const { settings } = this.#options;
    const plugins = new Map(this.#options.host.list().map(({ id, folder }) => [folder, id]));
    const place = (folder: string): { folder: string; plugin: string } => ({
      folder,
      plugin: plugins.get(folder) ?? path.basename(folder),
    });
    return {
      enabled: this.#watch.enabled,
      watchingDirectories: this.#watch.watching,
      lastReload: this.#last,
      reloadCount: this.#reloads,
      failedReloads: this.#failed,
      activeSessions: [...this.#active.values()].reduce((sum, count) => sum + count, 0),
      debounceDelayMs: settings.libraryDebounceMs,
      sourceDebounceMs: settings.sourceDebounceMs,
      watchPatterns: settings.watchPatterns,
      excludePatterns: settings.excludePatterns,
      retrying: [...this.#retries].map(([folder, { attempts, nextAt }]) => ({ ...place(folder), attempts, nextAt })),
      paused: [...this.#pauses.keys()].map(place),
      config: configurationOf(settings),
    };
  }

  /** Which try of the application in `folder` a reload that the watch asked for is. */
  attempt(folder: string): Attempt | undefined {
    return this.#attempts.get(folder);
  }

  /** What the host tells. */
  observe(event: HostEvent): void {
    if (event.type === 'host.full') return;
    const { plugin } = event;
    if (event.type === 'reload.started') this.#count(plugin, 1);
    else if (event.type === 'plugin.stopped') this.#giveUp(plugin);
    else if (event.type === 'reload.rolledBack') this.#failed += 1;
    else if ('record' in event) {
      const { record } = event;
      this.#count(plugin, -1);
      if (record.trigger !== 'start' && record.unchanged !== true) {
        this.#last = new Date().toISOString();
        if (record.outcome === 'succeeded') this.#reloads += 1;
        else this.#failed += 1;
      }
      if (record.outcome === 'succeeded') this.#giveUp(plugin);
    }
  }

  /** Stop for good. Closing twice is fine. */
  close(): Promise<void> {
    this.#closed = true;
    return this.#rest();
  }

  async #rest(): Promise<void> {
    for (const { timer } of [...this.#retries.values(), ...this.#pauses.values()]) clearTimeout(timer);
    this.#retries.clear();
    this.#pauses.clear();
    this.#attempts.clear();
    await this.#watch.disable();
  }

  #count(plugin: string, by: number): void {
    const count = (this.#active.get(plugin) ?? 0) + by;
    if (count > 0) this.#active.set(plugin, count);
    else this.#active.delete(plugin);
  }

  #changed(folder: string, files: readonly string[]): void {
    this.#cancel(folder);
    const { host, log, settings } = this.#options;
    const known = host.list().find((plugin) => plugin.folder === folder);
    if (known?.state === 'running' && !this.#rules.of(folder).enabled) return;
    if (known === undefined && !settings.autoDiscovery) {
      log.info({ folder }, 'a new folder: it is loaded by POST /api/v1/plugins/discover');
      return;
    }
    const times = files.every(isSchema) ? schemaTimes : 1;
    if (this.#pauses.has(folder) || !this.#pace.admits(folder, performance.now(), times)) this.#pause(folder, files);
    else void this.#reload(folder, 1);
  }

  /** Load what is there when it has been quiet for a while, or at last when a whole window has passed. */
  #pause(folder: string, files: readonly string[]): void {
    const { most, windowMs } = this.#limits;
    const now = performance.now();
    const before = this.#pauses.get(folder);
    if (before === undefined) this.#warnOnce(folder, files, now);
    clearTimeout(before?.timer);
    const latest = before?.latest ?? now + windowMs;
    const end = (): void => {
      this.#pauses.delete(folder);
      this.#pausedUntil.set(folder, performance.now());
      void this.#reload(folder, 1);
    };
    const timer = setTimeout(end, Math.max(0, Math.min(windowMs / most, latest - now)));
    this.#pauses.set(folder, { timer, latest });
  }

  /** Pauses that follow each other within a window are one. */
  #warnOnce(folder: string, files: readonly string[], now: number): void {
    const { most, windowMs } = this.#limits;
    if (now - (this.#pausedUntil.get(folder) ?? Number.NEGATIVE_INFINITY) < windowMs) return;
    const shown = files.slice(0, 3).join(', ') + (files.length > 3 ? ` and ${files.length - 3} more` : '');
    this.#options.log.warn(
      { folder, files: files.slice(0, 20) },
      `${path.basename(folder)} changed more than ${most} times within ${windowMs / 1000} s (now: ${shown}); from now on it is loaded when it has come to rest. ` +
        'A build that writes into the folder does this, or a plugin that writes its own files: keep them elsewhere, or name them in hotReload.excludePatterns',
    );
  }

  async #reload(folder: string, number: number): Promise<void> {
    const { host, settings } = this.#options;
    const { maxRetries, retryDelayMs } = this.#rules.of(folder);
    const attempt: Attempt = { number, triesAgain: (code) => number <= maxRetries && mayPass(code) };
    this.#attempts.set(folder, attempt);
    if (number === 1) this.#pace.begin(folder, performance.now());
    try {
      await host.refresh(folder, 'watch');
    } catch (error) {
      // It is logged and recorded where it happened; the old build serves on.
      if (this.#attempts.get(folder) !== attempt || !attempt.triesAgain(asTenonError(error).code)) return;
      const delay = retryDelay(number, retryDelayMs, settings.maxRetryDelayMs);
      const again = (): void => {
        this.#retries.delete(folder);
        // Nobody has it registered any more: it comes back when it changes.
        if (host.list().some((plugin) => plugin.folder === folder)) void this.#reload(folder, number + 1);
        else this.#attempts.delete(folder);
      };
      const nextAt = new Date(Date.now() + delay).toISOString();
      this.#retries.set(folder, { timer: setTimeout(again, delay), attempts: number, nextAt });
    } finally {
      if (this.#attempts.get(folder) === attempt && !this.#retries.has(folder)) this.#attempts.delete(folder);
    }
  }

  /** Somebody has loaded or stopped it: there is nothing left to try. */
  #giveUp(plugin: string): void {
    if (this.#retries.size === 0) return;
    const folder = this.#options.host.list().find(({ id }) => id === plugin)?.folder;
    if (folder !== undefined) this.#cancel(folder);
  }

  #cancel(folder: string): void {
    clearTimeout(this.#retries.get(folder)?.timer);
    this.#retries.delete(folder);
    this.#attempts.delete(folder);
  }
}
