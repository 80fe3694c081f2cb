/** Rows of the registry, from the database or from the copy on disk, checked where they enter. */
import { TenonError } from '../base/errors.js';
import { type DesiredPlugin, type PluginStatus, statuses } from './rows.js';

/** Most bytes of one config as JSON. */
export const mostConfigBytes = 256 * 1024;
/** Most characters of a reason; what is longer is cut. */
export const mostReason = 2000;

const idGrammar = /^[a-z0-9][a-z0-9_-]{0,62}$/;
const deepestConfig = 64;
const longestVersion = 31;
const longestFolder = 255;
const longestPath = 4096;

type Fields = Readonly<Record<string, unknown>>;

/** Whether `name` can be the name of a plugin. */
export function isPluginName(name: unknown): name is string {
  return typeof name === 'string' && idGrammar.test(name);
}

/** `row` as a plugin. Throws `RegistryInvalid` that names the plugin and the column when it cannot be one. */
export function checkedPlugin(row: unknown): DesiredPlugin {
  const fields = isFields(row) ? row : {};
  const { name, type, status, pinned } = fields;
  if (!isPluginName(name)) throw wrong(clip(name), 'name', 'cannot be the name of a plugin');
  if (type !== 'dynamic' && type !== 'static') throw wrong(name, 'type', 'is neither dynamic nor static');
  if (!isStatus(status)) throw wrong(name, 'status', `is none of ${statuses.join(', ')}`);
  if (typeof pinned !== 'boolean') throw wrong(name, 'pinned', 'is neither true nor false');
  const version = textOrNull(name, 'version', fields['version'], longestVersion);
  const revision = wholeNumber(name, 'revision', fields['revision']);
  return {
    name,
    sourcePath: folderName(name, fields['sourcePath']),
    binaryPath: textOrNull(name, 'binary_path', fields['binaryPath'], longestPath),
    type,
    status,
    statusReason: textOrNull(name, 'status_reason', fields['statusReason'], mostReason),
    version,
    pinned: pinned && version !== null,
    config: configOf(name, fields),
    reloadAt: timeOrNull(name, 'reload_at', fields['reloadAt']),
    revision,
    configRevision: wholeNumber(name, 'config_revision', fields['configRevision']),
  };
}

/** What cannot be in a config, as the end of a sentence; undefined when it can be one. */
export function wrongConfig(config: unknown): string | undefined {
  if (!isFields(config)) return 'is no JSON object';
  const reason = wrongInside(config);
  if (reason !== undefined) return reason;
  return Buffer.byteLength(JSON.stringify(config)) > mostConfigBytes
    ? `has more than ${mostConfigBytes} bytes`
    : undefined;
}

/** A time of the database as ISO 8601; undefined for what is none. */
export function isoTime(value: unknown): string | undefined {
  const time = value instanceof Date ? value : typeof value === 'string' ? new Date(value) : undefined;
  return time === undefined || Number.isNaN(time.getTime()) ? undefined : time.toISOString();
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isStatus(value: unknown): value is PluginStatus {
  return statuses.some((status) => status === value);
}

function wrong(name: string, column: string, reason: string): TenonError {
  return new TenonError('RegistryInvalid', `plugins.${column} of ${name} in the registry ${reason}`, {
    next: 'correct the row; what was known of the plugin before holds until then',
    details: { plugin: name, column },
  });
}

function clip(name: unknown): string {
  return JSON.stringify(typeof name === 'string' ? name.slice(0, 80) : typeof name);
}

function textOrNull(name: string, column: string, value: unknown, longest: number): string | null {
  if (value === null || value === undefined) return null;
  if (typeof value !== 'string') throw wrong(name, column, 'is no text');
  if (value.length > longest) throw wrong(name, column, `has more than ${longest} characters`);
  return value;
}

function folderName(name: string, value: unknown): string | null {
  const folder = textOrNull(name, 'source_path', value, longestFolder);
  if (folder === null) return null;
  if (folder === '' || folder.startsWith('.') || /[/\\\p{Cc}]/u.test(folder))
    throw wrong(name, 'source_path', 'is no plain name of a folder in the applications directory');
  return folder;
}

/** A bigint comes as text. */
function wholeNumber(name: string, column: string, value: unknown): number {
  const number = typeof value === 'string' && /^\d{1,16}$/.test(value) ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isSafeInteger(number) || number < 0)
    throw wrong(name, column, 'is no whole number that can be');
  return number;
}

function timeOrNull(name: string, column: string, value: unknown): string | null {
  if (value === null || value === undefined) return null;
  const time = isoTime(value);
  if (time === undefined) throw wrong(name, column, 'is no time');
  return time;
}

function configOf(name: string, fields: Fields): DesiredPlugin['config'] {
  const { config, configTooLarge, beyondAll } = fields;
  if (configTooLarge === true) throw wrong(name, 'config', `has more than ${mostConfigBytes} bytes`);
  if (beyondAll === true)
    throw wrong(name, 'config', 'is not read: all configs of the registry together are too large');
  if (config === null || config === undefined) return null;
  const reason = wrongConfig(config);
  if (reason !== undefined) throw wrong(name, 'config', reason);
  return config as Fields;
}

/** As the end of a sentence. JSON knows numbers that JavaScript does not. */
function wrongInside(config: object): string | undefined {
  let level: unknown[] = [config];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > deepestConfig) return `is nested more than ${deepestConfig} deep`;
    if (level.some((value) => typeof value === 'number' && !Number.isFinite(value)))
      return 'has a number that is too large';
    level = level.flatMap((value): unknown[] =>
      typeof value === 'object' && value !== null ? Object.values(value) : [],
    );
  }
  return undefined;
}
