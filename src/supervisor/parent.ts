/** The parent process as its child, the host, sees it. */

import type { OutputBatch } from './output.js';

/** Exit status of a host that wants to begin anew in a fresh process. */
export const recycleStatus = 75;

/** What the parent asks for: an end when requests under way have ended, or at once. */
export interface EndRequest {
  atOnce: boolean;
  /** A signal, as a rule. */
  why: string;
}

/** What the host tells: it will end, and not begin anew; the output it was given is logged. */
export type Notice = 'stopping' | 'logged';

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
}

/** Told what the parent asks for. The end of the parent, however it comes, asks for an end, too. */
export function hearParent(asked: (request: EndRequest) => void, written: (batch: OutputBatch) => void): void {
  const alone = (): void => asked({ atOnce: false, why: 'the parent process has ended' });
  process.on('message', (message: EndRequest | OutputBatch) =>
    'output' in message ? written(message) : asked(message),
  );
  process.on('disconnect', alone);
  process.channel?.unref();
  // It may have ended before anybody listened.
  if (process.connected !== true) alone();
}

/** Tell the parent, when it is still there. */
export function tellParent(notice: Notice): void {
  if (process.connected) process.send?.(notice);
}
