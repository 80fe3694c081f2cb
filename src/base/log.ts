/** The host's log: pino, readable on a terminal, one JSON object a line otherwise. */
import { pino } from 'pino';
import pretty from 'pino-pretty';

/** pino's logger; `child({ plugin, generation })` tags what a plugin says. */
export type Log = pino.Logger;

export interface LogOptions {
  /** Lowest level that is kept: trace, debug, info, warn, error, fatal or silent. */
  level: string;
  /** Readable lines instead of JSON; by default when standard output is a terminal. */
  pretty?: boolean;
  /** Colours in readable lines; by default when standard output is a terminal. */
  color?: boolean;
}

/** A log that writes to standard output before a call returns, so that nothing is lost when the process ends. */
export function openLog(options: LogOptions): Log {
  const terminal = process.stdout.isTTY === true;
  const base = { level: options.level, base: null };
  if (options.pretty ?? terminal) {
    const stream = pretty({
      sync: true,
      colorize: options.color ?? terminal,
      ignore: 'pid,hostname,phases',
      translateTime: 'HH:MM:ss.l',
      singleLine: true,
    });
    return pino(base, stream);
  }
  return pino({ ...base, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ dest: 1, sync: true }));
}

/** A log that keeps nothing. */
export function silentLog(): Log {
  return pino({ level: 'silent' });
}
