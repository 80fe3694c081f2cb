/** `tenon logs`: what the host and its plugins have logged, and log. */
import { resolveSettings } from '../base/config.js';
import { logLevels } from '../base/log.js';
import { type AskFlags, Client } from './client.js';
import { paintWith, type Paint } from './dev-page.js';
import { follow } from './follow.js';
import { printable } from './printable.js';
import { printTable } from './table.js';

export interface LogsFlags extends AskFlags {
  level?: string;
  since?: string;
  limit?: string;
  follow?: true;
}

/** A record as the API has it. */
interface Logged {
  type: string;
  at: string;
  level: string;
  message: string;
  plugin?: string;
  generation?: number;
  requestId?: string;
  /** Of a gap; null when the host is another one. */
  missed?: number | null;
}

const units: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** A time as ISO 8601, from one that is, or from how long ago it was. Throws TypeError. */
export function timeOf(since: string, now = Date.now()): string {
  const [, count, unit = ''] = /^(\d{1,9})([smhd])$/.exec(since) ?? [];
  if (count !== undefined) return new Date(Math.max(0, now - Number(count) * (units[unit] ?? 1) * 1000)).toISOString();
  const time = /^\d{4}-\d\d-\d\d/.test(since) ? Date.parse(since) : Number.NaN;
  if (Number.isNaN(time))
    throw new TypeError(
      `option since: ${JSON.stringify(since)} is neither how long ago, as 90s, 10m, 2h or 1d, nor a time as 2026-01-31T12:00:00Z`,
    );
  return new Date(time).toISOString();
}

function queryOf(plugin: string | undefined, { level, since, limit, follow }: LogsFlags): string {
  if (level !== undefined && !(level in logLevels))
    throw new TypeError(`option level: ${JSON.stringify(level)} is not one of ${Object.keys(logLevels).join(', ')}`);
  const asked = {
    plugin,
    level,
    since: since === undefined ? undefined : timeOf(since),
    limit: limit ?? (follow === true && since === undefined ? '20' : undefined),
    follow: follow === true ? 'true' : undefined,
  };
  const given = Object.entries(asked).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as [string, string]],
  );
  return given.length === 0 ? '' : `?${new URLSearchParams(given).toString()}`;
}

/** One record in one line. */
function lineOf(record: Logged, paint: Paint): string {
  const { at, level, message, plugin, generation, requestId } = record;
  const who = plugin === undefined ? '' : `${plugin}${generation === undefined ? '' : `#${generation}`}: `;
  const request = requestId === undefined ? '' : paint.faint(`  ${requestId}`);
  const word = level.toUpperCase().padEnd(5);
  const isBad = level === 'warn' || level === 'error' || level === 'fatal';
  return `${paint.faint(at)} ${isBad ? paint.bad(word) : word} ${who}${printable(message)}${request}`;
}

function print(record: Logged, json: boolean, paint: Paint): void {
  if (record.type === 'gap' && !json) {
    const { missed = 0 } = record;
    process.stderr.write(missed === null ? 'the host began anew\n' : `${missed} records were missed\n`);
    return;
  }
  process.stdout.write(`${json ? JSON.stringify(record) : lineOf(record, paint)}\n`);
}

/**
 * Print what is kept of the log, and with `follow` what comes, until the host is gone. Rejects with `HostNotRunning` then, and with TypeError
 * for wrong flags.
 */
export async function logs(plugin: string | undefined, flags: LogsFlags): Promise<void> {
  const query = queryOf(plugin, flags);
  const { settings } = resolveSettings({ flags: { data: flags.data } });
  const paint = paintWith(process.stdout.isTTY === true && settings.color);
  const client = Client.find(flags);
  if (plugin !== undefined) await client.get(`/api/v1/plugins/${encodeURIComponent(plugin)}`);
  if (flags.follow !== true) {
    const answer = await client.get<{ logs: Logged[] }>(`/api/v1/logs${query}`);
    for (const record of answer.logs) print(record, flags.json === true, paint);
    return;
  }
  const tell = (record: Logged): void => print(record, flags.json === true, paint);
  await follow(client, { target: `/api/v1/logs${query}`, flags, tell });
}

interface Levels {
  level: string;
  setting: string;
  plugins: Record<string, string>;
}

/**
 * Show from which levels on records are kept, or set one: of `plugin`, or, when it is no plugin but a level, of the host. `default` takes
 * back what was set.
 */
export async function logLevel(plugin: string | undefined, level: string | undefined, flags: AskFlags): Promise<void> {
  const client = Client.find(flags);
  const words = [...Object.keys(logLevels), 'silent', 'default'];
  const ofHost = level === undefined && plugin !== undefined && words.includes(plugin);
  const wanted = ofHost ? plugin : level;
  if (wanted !== undefined && !words.includes(wanted))
    throw new TypeError(`the level ${JSON.stringify(wanted)} is not one of ${words.join(', ')}`);
  const body = { level: wanted === 'default' ? null : wanted };
  const target = ofHost ? '/api/v1/log-level' : `/api/v1/plugins/${encodeURIComponent(plugin ?? '')}/log-level`;
  if (wanted === undefined && plugin !== undefined) await client.get(`/api/v1/plugins/${encodeURIComponent(plugin)}`);
  const levels =
    wanted === undefined ? await client.get<Levels>('/api/v1/log-levels') : await client.put<Levels>(target, body);
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify(levels)}\n`);
    return;
  }
  const host = levels.level === levels.setting ? levels.level : `${levels.level} (setting: ${levels.setting})`;
  const own = Object.entries(levels.plugins).filter(([id]) => plugin === undefined || ofHost || id === plugin);
  const rest = plugin === undefined || ofHost || own.length > 0 ? [] : [[plugin, `${levels.level}, as the host`]];
  printTable([['host', host], ...own, ...rest]);
}
