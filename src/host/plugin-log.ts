/** Puts what plugins log into the log of the host. */
import type { Log, LogLevel } from '../base/log.js';
import type { PluginLogRecord } from '../binding/plugin-log-record.js';
import { type TraceContext, traceIds, tracing } from '../base/tracing.js';

const methods: Readonly<Record<number, LogLevel>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
};

/**
 * @param log takes records of every level: what is below the level of a plugin has not become one
 * @param traceOf what the request of this number is, as a part of a trace
 * @param dropped how many records came faster than they were taken
 */
export function writePluginLog(
  log: Log,
  records: readonly PluginLogRecord[],
  dropped: number,
  traceOf: (request: number) => TraceContext | undefined = () => undefined,
): void {
  for (const { level, message, time, ...facts } of records)
    log[methods[level] ?? 'info']({ ...facts, loggedAt: time, ...idsIn(facts.requestId, traceOf) }, message);
  if (dropped > 0)
    log.warn({ dropped }, `${dropped} log records of plugins were dropped: they came faster than they were written`);
}

/** An id ends with the number of the request. */
function idsIn(requestId: string | undefined, traceOf: (request: number) => TraceContext | undefined): object {
  const around =
    requestId === undefined || !tracing.on
      ? undefined
      : traceOf(Number(requestId.slice(requestId.lastIndexOf('-') + 1)));
  return (around && traceIds(around)) ?? {};
}
