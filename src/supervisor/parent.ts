/** The parent process as its child, the host, sees it: what they tell each other. */
import type { ResolvedSettings } from '../base/config.js';
import type { OutputBatch } from './output.js';

/** Exit status of a host that wants to begin anew in a fresh process. */
export const recycleStatus = 75;

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

/** What the parent asks for. */
export type ParentRequest =
  /** The first thing that it says: begin with these settings, which count as those that were read last. */
  | { ask: 'begin'; settings: ResolvedSettings }
  /** An end when requests under way have ended, or at once. `why`: a signal, as a rule. */
  | { ask: 'end'; atOnce: boolean; why: string }
  /** Read the settings again. `wish` grows from one to the next. */
  | { ask: 'reload'; wish: number }
  /** Say that the event loop turns. */
  | { ask: 'sign' }
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
  /** It will end, and not begin anew. */
  | { told: 'stopping' }
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
  /** Number of the descriptor of a bound socket to listen on; absent when the host has to bind its own. */
  descriptor?: number | undefined;
  /** The same of the listener of the admin API. */
  admin?: { port?: number | undefined; socket?: number | undefined };
  /** What to do with the standard streams; absent when they are the host's to use. */
  output?: GivenOutput | undefined;
  /** Whether a host before this one ended so that this one begins: its clients wait. */
  continues: boolean;
  /** Whether `begin` comes; else the host reads its settings itself. */
  begins: boolean;
}

/**
 * What the parent asks for, kept until somebody hears it. The end of the parent, however it comes, asks for an end, too.
 * There must be one of it, from the first turn on: what comes with nobody listening is lost.
 */
export class ParentRequests {
  /** The settings to begin with, which the parent says first; undefined when it has ended before. */
  readonly beginning: Promise<ResolvedSettings | undefined>;
  #begin: (settings: ResolvedSettings | undefined) => void = () => {};
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
    this.#begin(request.ask === 'begin' ? request.settings : undefined);
    if (this.#asked === undefined) this.#kept.push(request);
    else this.#asked(request);
  }
}

/** Tell the parent, when it is still there. */
export function tellParent(notice: Notice): void {
  // One that goes this very moment hears nothing, and needs nothing.
  if (process.connected) process.send?.(notice, undefined, undefined, () => {});
}
