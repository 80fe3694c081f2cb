/** The report of one crash of a host, as it is kept in `crashes/ID.json` of the data directory and shown. */

/** What a thread did, or does. */
export interface ThreadWork {
  readonly plugin: string;
  readonly generation: number;
  /** `handle`, `create`, `initialize`, `shutdown`, `task`, `on_event` and so on. */
  readonly work: string;
  /** Method and pattern of the route, for a request. */
  readonly route?: string;
  /** Id of the request, as its answer and the log have it. */
  readonly request?: string;
  /** How long it has taken by then, ms. */
  readonly ms?: number;
}

export interface ReportedThread {
  readonly tid: number;
  /** `main`, `pool`, `control`, `task`, `event`, `store`, `own` (started by a plugin) or `other`. */
  readonly kind: string;
  /** What it was in; absent when it ran no plugin's code. */
  readonly inside?: ThreadWork;
  /** What it was in before, the last first; at most 4. */
  readonly before: readonly ThreadWork[];
}

/** An address in the process, hexadecimal with 0x, and whose it is. */
export interface Frame {
  readonly address: string;
  /** `pc` of the fault, `unwound` by frame, or `scanned`: a word of the stack that points into code. */
  readonly found: 'pc' | 'unwound' | 'scanned';
  /** Id of the plugin whose image it lies in; absent for code of the host and of libraries. */
  readonly plugin?: string;
  readonly generation?: number;
  /** Of the plugin's library, hexadecimal. */
  readonly sha256?: string;
  /** True when that image is no longer there: a call into an unloaded generation. */
  readonly unloaded?: boolean;
  /** From the beginning of the image, hexadecimal with 0x. */
  readonly offset?: string;
  /** File of the library, where it is not a plugin's. */
  readonly file?: string;
  /** Added when it is shown. */
  readonly symbol?: string;
  /** `file:line`, added when it is shown and the build has debug information. */
  readonly source?: string;
}

/** A plugin that a crash is put down to. */
export interface Party {
  readonly plugin: string;
  readonly generation: number;
  readonly sha256: string;
  /** Whether that generation was closed by then. */
  readonly unloaded: boolean;
  /** What it was doing, where that is known. */
  readonly inside?: ThreadWork;
}

/** Who has done it: `culprit` when there is no doubt, else `suspects`, the likeliest first; neither: the host itself, or unknown. */
export interface Verdict {
  readonly culprit?: Party;
  readonly suspects: readonly Party[];
  /** What it rests on, one clause each: `the fault is in its code (todo+0x12f7)`. */
  readonly because: readonly string[];
  /** One sentence for people. */
  readonly sentence: string;
}

/**
 * How the host has ended. `signal`: a fault that the crash handler has reported. `exit`: by itself, without having meant to, whatever came
 * to it on its way out. `killed`: by a signal that cannot be reported (SIGKILL, out of memory). `hang`: its event loop stood, and the
 * parent ended it.
 */
export type CrashKind = 'signal' | 'exit' | 'killed' | 'hang';

/**
 * What was done about it. `ended`: nothing, it was on its way down, or its plugin did not serve yet. `demoted`: the plugin goes on in a
 * process of its own; `processRestarted`: it was in one, and another one takes its place.
 */
export type CrashAction =
  | 'restarted'
  | 'demoted'
  | 'processRestarted'
  | 'quarantined'
  | 'wentBack'
  | 'safeMode'
  | 'gaveUp'
  | 'ended';

/** The end of what a crash has led to: of a quarantine, or of the holding back of a build. */
export interface CrashRelease {
  /** ISO 8601. */
  readonly at: string;
  /** `hand`: somebody has ended it; `build`: another build that is well; `process`: the plugin runs in processes of its own now. */
  readonly by: 'hand' | 'build' | 'process';
}

export interface CrashReport {
  /** Sorts by time. */
  readonly id: string;
  /** ISO 8601. */
  readonly at: string;
  readonly kind: CrashKind;
  /** Name of the signal, as SIGSEGV. */
  readonly signal?: string;
  /** Exit status, where it ended by itself. */
  readonly status?: number;
  /** What the signal says of its cause, as SEGV_MAPERR. */
  readonly code?: string;
  /** Address of the fault, hexadecimal with 0x. */
  readonly address?: string;
  /** True when the thread of the fault had used up its stack; absent where that is not known. */
  readonly stackOverflow?: boolean;
  /** What was said last, as `malloc(): corrupted top size`. */
  readonly message?: string;
  readonly verdict: Verdict;
  readonly action: CrashAction;
  readonly released?: CrashRelease;
  /** What has ended, when it was a process of the plugin's own and not the host. */
  readonly process?: { readonly pid: number; readonly uptimeMs: number };
  readonly host: {
    readonly pid: number;
    readonly version: string;
    readonly node: string;
    readonly uptimeMs: number;
    /** Folder of its applications, absolute; absent in reports of hosts before this was told. */
    readonly applications?: string;
  };
  /** Thread of the fault; absent without a report of the handler. */
  readonly thread?: ReportedThread;
  /** By name, hexadecimal with 0x. */
  readonly registers: Readonly<Record<string, string>>;
  /** The fault first. */
  readonly frames: readonly Frame[];
  readonly threads: readonly ReportedThread[];
  /** Last lines of standard output and standard error that were not logged. */
  readonly output: readonly string[];
  /** What is missing in it, and why: `the handler itself crashed while it unwound the stack`. */
  readonly gaps: readonly string[];
}
