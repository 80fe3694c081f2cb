/** The host's log: pino, readable on a terminal, one JSON object a line otherwise. */
import { isatty } from 'node:tty';
import { pino } from 'pino';
import pretty from 'pino-pretty';
import { traceIds } from './tracing.js';

/** pino's logger; `child({ plugin, generation })` tags what a plugin says. */
export type Log = pino.Logger;

export interface LogOptions {
  /** Descriptor that it goes to; that of standard output by default. */
  descriptor?: number | undefined;
  /** Lowest level that is kept: trace, debug, info, warn, error, fatal or silent. */
  level: string;
  /** Readable lines instead of JSON; by default when standard output is a terminal. */
  pretty?: boolean;
  /** Colours in readable lines; by default when standard output is a terminal. */
  color?: boolean;
}

/** A log that writes to standard output before a call returns, so that nothing is lost when the process ends. */
export function openLog(options: LogOptions): Log {
  const { descriptor = 1 } = options;
  const terminal = isatty(descriptor);
  const base = { level: options.level, base: null };
  if (options.pretty ?? terminal) {
    const stream = pretty({
      destination: descriptor,
      sync: true,
      colorize: options.color ?? terminal,
      ignore: 'pid,hostname,phases',
      translateTime: 'HH:MM:ss.l',
      singleLine: true,
    });
    return pino(base, stream);
  }
  return pino(
    { ...base, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: descriptor, sync: true }),
  );
}

/** Writes lines for people to `descriptor`, each before the call returns. */
export function openWords(descriptor: number): (line: string) => void {
  const destination = pino.destination({ dest: descriptor, sync: true });
  return (line) => void destination.write(`${line}\n`);
}

/** A log that keeps nothing. */
export function silentLog(): Log {
  return pino({ level: 'silent' });
}

/** Levels, the lowest first, by pino's number. */
export const logLevels = { trace: 10, debug: 20, info: 30, warn: 40, error: 50, fatal: 60 } as const;
export type LogLevel = keyof typeof logLevels;

/** The number of a level as a setting has it: `silent` is above all. */
export function levelNumber(level: string): number {
  return (logLevels as Readonly<Record<string, number>>)[level] ?? 100;
}

/** One record of a log as others than its output see it. */
export interface LogRecord {
  level: LogLevel;
  message: string;
  fields: Record<string, unknown>;
}

/**
 * `log` from the level `lowest` on, which may change. `told` is told of each record, whatever the level of `log`, and of those of warn and
 * above also when they are below `lowest`, with `kept` false then. It must not throw. What is logged in a span has its ids.
 */
export function tapLog(
  log: Log,
  told: (record: LogRecord, kept: boolean) => void,
  lowest: () => number = () => 0,
): Log {
  const tapped = Object.create(log) as Log;
  for (const level of Object.keys(logLevels) as LogLevel[]) {
    const number = logLevels[level];
    const both = (...given: [unknown, string?, ...unknown[]]): void => {
      const kept = number >= lowest();
      if (!kept && number < logLevels.warn) return;
      const all = withIds(given);
      // Looked up at each call: the level of a log may change.
      if (kept) log[level].apply(log, all);
      const [first, second] = all;
      const record =
        typeof first === 'string'
          ? { level, message: first, fields: {} }
          : { level, message: second ?? '', fields: plainFields(first) };
      told(record, kept);
    };
    tapped[level] = both;
  }
  return tapped;
}

/** With `trace_id` and `span_id` of the span that runs now, if there is one. */
function withIds(given: [unknown, string?, ...unknown[]]): [unknown, string?, ...unknown[]] {
  const ids = traceIds();
  if (ids === undefined) return given;
  const [first, ...rest] = given;
  if (typeof first === 'string') return [ids, first, ...rest];
  if (first instanceof Error) return [{ ...ids, err: first }, rest[0] ?? first.message, ...rest.slice(1)];
  return [{ ...ids, ...(first as object) }, ...rest];
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
