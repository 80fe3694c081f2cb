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

/** One record of a log as others than its output see it. */
export interface LogRecord {
  level: 'warn' | 'error' | 'fatal';
  message: string;
  fields: Record<string, unknown>;
}

/** `log`, whose records of warn and above are told to `told` too, whatever its level. `told` must not throw. */
export function tapLog(log: Log, told: (record: LogRecord) => void): Log {
  const tapped = Object.create(log) as Log;
  for (const level of ['warn', 'error', 'fatal'] as const) {
    const both = (...all: [unknown, string?, ...unknown[]]): void => {
      const [first, second] = all;
      // Looked up at each call: the level of a log may change.
      log[level].apply(log, all);
      told(
        typeof first === 'string'
          ? { level, message: first, fields: {} }
          : { level, message: second ?? '', fields: plainFields(first) },
      );
    };
    tapped[level] = both;
  }
  return tapped;
}

function plainFields(given: unknown): Record<string, unknown> {
  if (typeof given !== 'object' || given === null) return {};
  const named = given instanceof Error ? { err: given } : given;
  return Object.fromEntries(
    Object.entries(named).map(([name, value]: [string, unknown]) => [
      name,
      value instanceof Error ? { type: value.name, message: value.message } : value,
    ]),
  );
}
