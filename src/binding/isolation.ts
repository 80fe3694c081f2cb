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
  /** 100: one processor; 0: as much as there is. */
  processorPercent: number;
  descriptors: number;
  childProcesses: number;
  sandbox: boolean;
  /** Whether none is begun where the kernel lacks seccomp or landlock. */
  requireConfinement: boolean;
  /** Absolute paths, beside `temporary`. */
  writable: readonly string[];
  /** Absolute path of a folder of its own, which it finds as `TMPDIR`. */
  temporary: string;
  /** Absolute paths of which, with all below, nothing may be read. */
  hidden: readonly string[];
}

/** One process of an isolated plugin. */
export interface PluginProcess {
  /** 0: none runs now. */
  pid: number;
  restarts: number;
  /** This and what follows, up to `descriptors`, as of the last second. */
  residentBytes: number;
  processorMs: number;
  threads?: number;
  /** Files and sockets that are open in it. */
  descriptors?: number;
  /** How the one before ended, such as `was ended by SIGSEGV`; empty for the first. */
  lastEnd: string;
  /** When that was, ms since 1970. */
  lastEndAt?: number;
  /** What the kernel sees to; absent until it has said so. */
  confinement?: {
    noNewPrivileges: boolean;
    /** Whether it refuses calls of the system that no plugin needs. */
    seccomp: boolean;
    /** Version of landlock, which refuses writing elsewhere; 0: there is none. */
    landlock: number;
  };
}

/** The end of a process that nobody has asked for. */
export interface ProcessEnd {
  pid: number;
  /** Ms since 1970. */
  at: number;
  uptimeMs: number;
  /** `was ended by SIGSEGV`, `exited with 3`, or why the host has killed it. */
  how: string;
  /** Whether the host has. */
  killed: boolean;
  /** Whether another one takes its place. */
  replaced: boolean;
  /** Name of what has ended it. */
  signal?: string;
  status?: number;
  /** The signal's cause, as its number. */
  code?: number;
  /** Of the fault, hexadecimal with 0x. */
  address?: string;
  /** Whether the thread of the fault is known to have used up its stack. */
  overflow?: boolean;
  /** What it was in: `handle`, `initialize` ... */
  step?: string;
  /** Number of the request. */
  request?: number;
  /** The fault first; `offset` from the beginning of `file`, hexadecimal with 0x; `plugin`: its own library. */
  frames?: readonly { address: string; file?: string; offset?: string }[];
  /** Last lines of what it printed. */
  output?: readonly string[];
}

/** A plugin in processes of its own: begun by `create` of the generation that is given it, ended by `destroy`. */
export interface Isolation {
  readonly processes: PluginProcess[];
  /** Kill its processes for `reason`, whatever is in them, and begin none any more. */
  abandon(reason: string): void;
  /** Ends since the last call; the last 64 of them. */
  takeEnds(): ProcessEnd[];
}
