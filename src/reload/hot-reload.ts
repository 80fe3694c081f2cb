/** Hot reload as an embedder steers it. */
import type { ReloadRecord } from '../host/record.js';
import type { HotReloadConfig } from './configuration.js';
import type { HotReloadManager, HotReloadStatus } from './manager.js';

/** Changes that are taken up by themselves; see docs/hot-reload.md. */
export interface HotReload {
  /** Take changes up from now on; what is there now counts as known. Rejects with `HostClosing` once the host is. */
  enable(): Promise<void>;
  /** Take up no change and try nothing again; reloads under way go on. */
  disable(): Promise<void>;
  /** Reload a plugin at once, watched or not; rejects as `TenonHost.reload` does. */
  trigger(id: string): Promise<ReloadRecord>;
  /** Change what is given until the host ends. Rejects with a TypeError that names what is wrong, and changes nothing then. */
  configure(changes: Partial<HotReloadConfig>): Promise<HotReloadStatus>;
  status(): HotReloadStatus;
}

/** No more of `manager` than an embedder is to have. */
export function hotReloadOf(manager: HotReloadManager): HotReload {
  return {
    enable: () => manager.enable(),
    disable: () => manager.disable(),
    trigger: (id) => manager.trigger(id),
    configure: (changes) => manager.configure(changes),
    status: () => manager.status(),
  };
}
