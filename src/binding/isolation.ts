/** Plugins in processes of their own, as the addon has them. */

/** How a plugin runs in processes of its own. */
export interface IsolationOptions {
  /** Absolute path of tenon-runner. */
  runner: string;
  /** Absolute path of the checked library; it may be gone once this is made. */
  library: string;
  /** The plugin it must be. */
  id: string;
  generation: number;
  processes: number;
  lifecycleMs: number;
  graceMs: number;
  memoryBytes: number;
  descriptors: number;
  childProcesses: number;
  sandbox: boolean;
  writable: readonly string[];
}

/** One process of an isolated plugin. */
export interface PluginProcess {
  /** 0: none runs now. */
  pid: number;
  restarts: number;
  residentBytes: number;
  processorMs: number;
  /** How the one before ended, such as `was ended by SIGSEGV`; empty for the first. */
  lastEnd: string;
}

/** A plugin in processes of its own: begun by `create` of the generation that is given it, ended by `destroy`. */
export interface Isolation {
  readonly processes: PluginProcess[];
}
