/** The parent process as its child, the host, sees it: what they tell each other. */
import type { ResolvedSettings } from '../base/config.js';
import type { ApartMode, HeldBuild, KeptContainment } from '../base/containment.js';
import type { CrashReport } from '../base/crash-report.js';
import type { Wishes } from '../embedding.js';
import type { OutputBatch } from './output.js';

/** Exit status of a host that wants to begin anew in a fresh process. */
export const recycleStatus = 75;

/** Number of what parent and host tell each other, as it is written here: a host of another release may speak another. */
export const protocol = 1;

/** Signals within so many ms of the first are the same wish: a terminal and a service manager send one to many at once. */
const sameWishMs = 500;

/** Tells whoever insists on the end from one who has asked for it several times at once. */
export class EndWishes {
  #first: number | undefined;

  /** Whether this is another wish than the first. */
  insists(): boolean {
    const now = performance.now();
    this.#first ??= now;
    return now - this.#first > sameWishMs;
  }
}

export type UpgradeRefusal = 'UpgradeFailed' | 'UpgradeRunning' | 'ReleaseInvalid' | 'HostClosing';

/** What the parent asks for. */
export type ParentRequest =
  /**
   * The first thing that it says: begin with these settings, which count as those that were read last, keep to `containment`, and go on
   * with the plugins as the host before this one has told of them last. It may come long after the start: until then the host stands by.
   */
  | { ask: 'begin'; settings: ResolvedSettings; containment: KeptContainment; wishes?: Wishes | undefined }
  /** An end when requests under way have ended, or at once. `why`: a signal, as a rule. */
  | { ask: 'end'; atOnce: boolean; why: string }
  /** Read the settings again. `wish` grows from one to the next. */
  | { ask: 'reload'; wish: number }
  /** Say that the event loop turns. */
  | { ask: 'sign' }
  /** What came of an upgrade: the new host stands by, and this one is to begin anew; or why not. `wish`: when this one has asked for it. */
  | { ask: 'upgrade'; wish?: number | undefined; version: string }
  | { ask: 'upgrade'; wish: number; code: UpgradeRefusal; failed: string }
  /** Log what was written to the standard streams. */
  | { ask: 'log'; batch: OutputBatch };

/** What the host tells. */
export type Notice =
  /** Answers `sign`. */
  | { told: 'sign' }
  /** Everything that was there to begin with was tried. `about`: what it serves and where. */
  | { told: 'ready'; about: string }
  /** Settings are read again. */
  | { told: 'reloading' }
  /** They were: it goes on, with what was read or, when nothing was taken, as before. A host that begins anew, or ends, does not say it. */
  | { told: 'reloaded' }
  /** Settings were read for this wish, or are wrong. A host that ends does not say it: the wish is the next one's. */
  | { told: 'granted'; wish: number }
  /** These are in force, here or in the next process. */
  | { told: 'settings'; settings: ResolvedSettings }
  /** All that a host can do before `begin` is done: it stands by. */
  | { told: 'standing by'; version: string; protocol: number }
  /** Ids of its requests are `name`, `-` and a number. */
  | { told: 'requests'; name: string }
  /** It listens, and serves what the host before it served, as far as it could be loaded; `ready` comes later. */
  | { told: 'listens' }
  /** How the next host is to go on when this one ends in whatever way. After each change. */
  | { told: 'wishes'; wishes: Wishes }
  /** A plugin, or with none the safe mode, is not held back any more: by hand, by new content, or where it is `moved` out of the host's process, for what it did in that. */
  | { told: 'released'; plugin?: string | undefined; isByHand: boolean; moved?: ApartMode | undefined }
  /** Which plugins are of isolation `auto`, after each change. */
  | { told: 'automatic'; plugins: readonly string[] }
  /** A process of an isolated plugin has ended. */
  | { told: 'process ended'; report: CrashReport }
  /** The host itself has put a plugin into quarantine, for what is no crash: the hosts after it keep to that. */
  | { told: 'quarantined'; build: HeldBuild }
  /** Run the next host from the package in this folder (absolute; absent: from where this one came), and begin anew. Answered by `upgrade` with the same `wish`. */
  | { told: 'upgrade'; wish: number; folder?: string | undefined }
  /** It will end, and not begin anew. */
  | { told: 'stopping' }
  /** Somebody may stop its event loop to look at it, or not any more. */
  | { told: 'inspected'; isInspected: boolean }
  /** The output it was given is logged. */
  | { told: 'logged' };

/** The parent reads what is written to the standard streams, and gives it back to be logged. */
export interface GivenOutput {
  /** Tells it what was written by whom. */
  mark: string;
  /** Descriptor of the parent's own standard output, for the log. */
  log: number;
  /** Descriptor of its standard error, for words to people. */
  words: number;
}

/** What the parent gives its child. */
export interface Given {
  /** That the parent speaks. */
  protocol: number;
  /** Number of the descriptor of a bound socket to listen on; absent when the host has to bind its own. */
  descriptor?: number | undefined;
  /** The same of the listener of the admin API. */
  admin?: { port?: number | undefined; socket?: number | undefined };
  /** What to do with the standard streams; absent when they are the host's to use. */
  output?: GivenOutput | undefined;
  /** Whether a host before this one ended so that this one begins: its clients wait. */
  continues: boolean;
  /** Descriptor of the black box; absent when the parent reads none. */
  box?: number | undefined;
  /** Descriptor of the locked file of the data directory: the lock is held as long as somebody has it. Absent when the host locks it itself. */
  lock?: number | undefined;
}

export type Beginning = Extract<ParentRequest, { ask: 'begin' }>;

/**
 * What the parent asks for, kept until somebody hears it. The end of the parent, however it comes, asks for an end, too.
 * There must be one of it, from the first turn on: what comes with nobody listening is lost.
 */
export class ParentRequests {
  /** What to begin with, for which a host may stand by long; undefined when it is to end before. */
  readonly beginning: Promise<Beginning | undefined>;
  #begin: (beginning: Beginning | undefined) => void = () => {};
  #asked: ((request: ParentRequest) => void) | undefined;
  readonly #kept: ParentRequest[] = [];

  constructor() {
    this.beginning = new Promise((resolve) => (this.#begin = resolve));
    const alone = (): void => this.#take({ ask: 'end', atOnce: false, why: 'the parent process has ended' });
    process.on('message', (request: ParentRequest) => this.#take(request));
    process.on('disconnect', alone);
    // It may have ended before anybody listened.
    if (process.connected !== true) alone();
  }

  /** Tell what it has asked for by now, and what it will ask for. */
  hear(asked: (request: ParentRequest) => void): void {
    this.#asked = asked;
    for (const request of this.#kept.splice(0)) asked(request);
    process.channel?.unref();
  }

  #take(request: ParentRequest): void {
    if (request.ask === 'begin') this.#begin(request);
    else if (request.ask === 'end') this.#begin(undefined);
    if (this.#asked === undefined) this.#kept.push(request);
    else this.#asked(request);
  }
}

/** Tell the parent, when it is still there; resolves when it is on its way. One that goes this very moment hears nothing, and needs nothing. */
export function tellParent(notice: Notice): Promise<void> {
  return new Promise((resolve) => {
    if (process.connected) process.send?.(notice, undefined, undefined, () => resolve());
    else resolve();
  });
}
