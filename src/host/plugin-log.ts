/** Puts what plugins log into the log of the host. */
import type { Log } from '../base/log.js';
import type { PluginLogRecord } from '../binding/core.js';

type LogMethod = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal';
const methods: Readonly<Record<number, LogMethod>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
};

/** `dropped`: how many records came faster than they were taken. */
export function writePluginLog(log: Log, records: readonly PluginLogRecord[], dropped: number): void {
  for (const { plugin, generation, level, message, fields, time } of records)
    log[methods[level] ?? 'info']({ plugin, generation, fields, loggedAt: time }, message);
  if (dropped > 0)
    log.warn({ dropped }, `${dropped} log records of plugins were dropped: they came faster than they were written`);
}
