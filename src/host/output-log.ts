/** Puts what the host's process writes to standard output and standard error into its log. */
import { type Log, logLevels } from '../base/log.js';
import type { LogLevels } from './log-levels.js';

/** One line that was written there. */
export interface OutputLine {
  source: 'stdout' | 'stderr';
  /** Without its end; bytes that are no text are there as `\xNN`. */
  text: string;
  /** Whose code wrote it, and for which request, where that is known. */
  plugin?: string;
  generation?: number;
  requestId?: string;
  /** Bytes of a longer line that are left out at its end. */
  cut?: number;
}

/** The standard streams of a process of the host's own, as its parent reads them. */
export interface OwnOutput {
  /** Tells the parent what was written by whom, see `native/core/log_output.h`. */
  mark: string;
  /** Given, once, what takes the lines, and how many were dropped before them. */
  open: (tell: (lines: readonly OutputLine[], dropped: number) => void) => void;
}

const levelOf = { stdout: 'info', stderr: 'warn' } as const;

/**
 * @param log takes records of every level
 * @param dropped how many lines came faster than they were taken
 */
export function writeOutput(log: Log, levels: LogLevels, lines: readonly OutputLine[], dropped: number): void {
  for (const { text, ...facts } of lines) {
    const level = levelOf[facts.source];
    if (logLevels[level] >= levels.lowestOf(facts.plugin)) log[level](facts, text);
  }
  if (dropped > 0)
    log.warn({ dropped }, `${dropped} lines of output were dropped: they came faster than they were logged`);
}
