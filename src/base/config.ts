/**
 * What the host is told at its start: flag > environment > `tenon.yaml` > default. The only reader of process.env.
 */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { isMap, isScalar, isSeq, LineCounter, parseDocument, type YAMLMap } from 'yaml';
import { closest } from './closest.js';
import { TenonError } from './errors.js';
import { splitPatterns, wrongPattern } from './pattern.js';

/** Every setting with its final value. */
export interface Settings {
  /** Address to listen on. */
  host: string;
  /** Port to listen on; 0 takes a free one. */
  port: number;
  /** Data directory, absolute; made when absent, mode 0700. */
  data: string;
  /** Directory of the applications, absolute. */
  applications: string;
  /** Token of the admin API; empty: made at the first start and kept in the data directory. */
  adminToken: string;
  /** Names to call the admin API by, beside localhost, addresses and the name in `host`; separated by commas. */
  adminHosts: string;
  /** Whether changes in the applications directory are taken up by themselves. */
  hotReload: boolean;
  /** Quiet time after a change of a library, ms. */
  libraryDebounceMs: number;
  /** Quiet time after a change of a source, ms. */
  sourceDebounceMs: number;
  /** What an application is made of: patterns of files, relative to its folder; `config.yaml` always is part of it. */
  watchPatterns: readonly string[];
  /** What changes without meaning: patterns of files and folders. */
  excludePatterns: readonly string[];
  /** Whether a reload hands the state of the old build to the new one. */
  preserveState: boolean;
  /** How often a reload that files asked for is tried again when it failed for a reason that may pass. */
  maxRetries: number;
  /** Before the first of these tries, ms; doubled before each further one. */
  retryDelayMs: number;
  /** The longest wait between two of these tries, ms. */
  maxRetryDelayMs: number;
  /** Between two looks at everything, which find what the system did not tell, ms. */
  watchIntervalMs: number;
  /** Whether a new folder is loaded by itself. */
  autoDiscovery: boolean;
  /** trace, debug, info, warn, error, fatal or silent. */
  logLevel: string;
  /** Colours on a terminal. */
  color: boolean;
  /** Time for a request whose route names none, ms. */
  deadlineMs: number;
  /** Request body of a route that names no limit, bytes. */
  bodyLimit: number;
  /** Pool threads of a generation whose plugin names no number. */
  concurrency: number;
  /** Calls of one plugin that may wait. */
  queueLimit: number;
  /** Time for one step of a plugin's life, ms. */
  lifecycleMs: number;
  /** Time for the calls of a replaced generation to end, ms. */
  drainMs: number;
  /** Time for the trial of a library, ms. */
  trialMs: number;
  /** Largest library, bytes. */
  imageLimit: number;
  /** Time for one build, ms. */
  buildMs: number;
  /** Keep staged libraries on disk, for debuggers. */
  keepStaged: boolean;
  /** Time in which a new build must do as well as the one before, ms; 0: it need not. */
  probationMs: number;
  /** Share of its calls that may fail meanwhile, unless as many failed before, percent. */
  probationFaultPercent: number;
  /** How many times slower than before its calls may be meanwhile, at the 95th percentile. */
  probationSlowFactor: number;
  /** Images that may stay mapped because they cannot be unmapped, before the host begins anew in a fresh process. */
  pinnedLimit: number;
  /** The same in bytes of their libraries. */
  pinnedBytesLimit: number;
  /** Largest state of one plugin, bytes. */
  stateLimit: number;
  /** When a build refuses the state that an earlier host kept: `empty` begins without it, `fail` does not begin. */
  refusedState: string;
  /** Builds of one plugin that are kept to go back to, the running one among them. */
  keptVersions: number;
  /** File of RocksDB for tables; empty: the one that comes with Tenon, else the system's. */
  rocksdb: string;
  /** Whether each write of a table waits for the disk; else a power cut may take the last second, the end of a process nothing. */
  tablesSync: boolean;
  /** Memory for what was read of tables, bytes. */
  tablesCache: number;
  /** Logs of tables that are kept for listeners to resume from, bytes. */
  tablesLog: number;
  /** Whether GraphQL tells its schema to whoever asks. */
  graphqlIntrospection: boolean;
  /** Origins whose pages may open WebSockets beside pages of the host itself, separated by commas; `*`: all. */
  tablesOrigins: string;
  /** Names WebSockets are served under, without port, separated by commas; empty: any. */
  tablesHosts: string;
}

export type SettingName = keyof Settings;

/** Where a value came from. */
export type SettingSource = 'flag' | 'environment' | 'tenon.yaml' | 'default';

type Value = string | number | boolean | readonly string[];

interface Definition {
  readonly kind: 'text' | 'path' | 'integer' | 'boolean' | 'level' | 'patterns';
  /** For a text: what it must look like, and the same in words. */
  readonly grammar?: readonly [RegExp, string];
  /** Place in `tenon.yaml`; a dot steps into a map. */
  readonly key: string;
  readonly environment?: string;
  readonly fallback: Value;
  readonly least?: number;
  readonly most?: number;
  readonly secret?: true;
}

const minute = 60_000;
const mebibyte = 1024 * 1024;

/** What editors, compilers, version control and running programs leave behind. */
const noise = ['.*', 'node_modules', '4913', '*~', '#*#', '*.sw[a-z]', '*.{tmp,part,o,pid,log}', '*.log.[0-9]*'];

const hostNames: [RegExp, string] = [/^[\w.-]+(?: *, *[\w.-]+)*$/, 'names separated by commas, without ports'];
const originList: [RegExp, string] = [
  /^(?:\*|[a-z][a-z\d+.-]*:\/\/[^\s,/]+(?: *, *[a-z][a-z\d+.-]*:\/\/[^\s,/]+)*)$/,
  'origins separated by commas, as https://example.org, or *',
];

const definitions: Record<SettingName, Definition> = {
  host: { kind: 'text', key: 'host', environment: 'HOST', fallback: '127.0.0.1' },
  port: { kind: 'integer', key: 'port', environment: 'PORT', fallback: 8080, least: 0, most: 65_535 },
  data: { kind: 'path', key: 'data', environment: 'TENON_DATA', fallback: './data' },
  applications: {
    kind: 'path',
    key: 'applications',
    environment: 'TENON_APPLICATIONS',
    fallback: './applications',
  },
  adminToken: {
    kind: 'text',
    key: 'adminToken',
    environment: 'TENON_ADMIN_TOKEN',
    fallback: '',
    secret: true,
    grammar: [/^[\x21-\x7e]+$/, 'visible ASCII characters without a blank, as a request can carry them'],
  },
  adminHosts: { kind: 'text', key: 'adminHosts', environment: 'TENON_ADMIN_HOSTS', fallback: '', grammar: hostNames },
  hotReload: {
    kind: 'boolean',
    key: 'hotReload.enabled',
    environment: 'TENON_HOT_RELOAD_ENABLED',
    fallback: true,
  },
  libraryDebounceMs: {
    kind: 'integer',
    key: 'hotReload.debounceMs',
    environment: 'TENON_HOT_RELOAD_DEBOUNCE_MS',
    fallback: 500,
    least: 0,
    most: minute,
  },
  sourceDebounceMs: {
    kind: 'integer',
    key: 'hotReload.sourceDebounceMs',
    environment: 'TENON_HOT_RELOAD_SOURCE_DEBOUNCE_MS',
    fallback: 50,
    least: 0,
    most: minute,
  },
  watchPatterns: {
    kind: 'patterns',
    key: 'hotReload.watchPatterns',
    environment: 'TENON_HOT_RELOAD_WATCH_PATTERNS',
    fallback: ['**'],
    least: 1,
  },
  excludePatterns: {
    kind: 'patterns',
    key: 'hotReload.excludePatterns',
    environment: 'TENON_HOT_RELOAD_EXCLUDE_PATTERNS',
    fallback: noise,
  },
  preserveState: {
    kind: 'boolean',
    key: 'hotReload.preserveState',
    environment: 'TENON_HOT_RELOAD_PRESERVE_STATE',
    fallback: true,
  },
  maxRetries: {
    kind: 'integer',
    key: 'hotReload.maxRetries',
    environment: 'TENON_HOT_RELOAD_MAX_RETRIES',
    fallback: 3,
    least: 0,
    most: 100,
  },
  retryDelayMs: {
    kind: 'integer',
    key: 'hotReload.retryDelayMs',
    environment: 'TENON_HOT_RELOAD_RETRY_DELAY_MS',
    fallback: 1000,
    least: 1,
    most: 60 * minute,
  },
  maxRetryDelayMs: {
    kind: 'integer',
    key: 'hotReload.maxRetryDelayMs',
    environment: 'TENON_HOT_RELOAD_MAX_RETRY_DELAY_MS',
    fallback: 30_000,
    least: 1,
    most: 60 * minute,
  },
  watchIntervalMs: {
    kind: 'integer',
    key: 'hotReload.watchIntervalMs',
    environment: 'TENON_HOT_RELOAD_WATCH_INTERVAL_MS',
    fallback: 30_000,
    least: 100,
    most: 60 * minute,
  },
  autoDiscovery: {
    kind: 'boolean',
    key: 'hotReload.autoDiscovery',
    environment: 'TENON_HOT_RELOAD_AUTO_DISCOVERY',
    fallback: true,
  },
  logLevel: { kind: 'level', key: 'log.level', environment: 'LOG_LEVEL', fallback: 'info' },
  color: { kind: 'boolean', key: 'log.color', fallback: true },
  deadlineMs: { kind: 'integer', key: 'limits.deadlineMs', fallback: 30_000, least: 1, most: 60 * minute },
  bodyLimit: { kind: 'integer', key: 'limits.bodyLimit', fallback: mebibyte, least: 0, most: 1024 * mebibyte },
  concurrency: { kind: 'integer', key: 'limits.concurrency', fallback: 4, least: 1, most: 64 },
  queueLimit: { kind: 'integer', key: 'limits.queue', fallback: 1000, least: 0, most: 100_000 },
  lifecycleMs: { kind: 'integer', key: 'limits.lifecycleMs', fallback: 10_000, least: 1, most: 10 * minute },
  drainMs: { kind: 'integer', key: 'limits.drainMs', fallback: 30_000, least: 0, most: 60 * minute },
  trialMs: { kind: 'integer', key: 'limits.trialMs', fallback: 2000, least: 10, most: 10 * minute },
  imageLimit: { kind: 'integer', key: 'limits.image', fallback: 64 * mebibyte, least: 1, most: 1024 * mebibyte },
  buildMs: { kind: 'integer', key: 'limits.buildMs', fallback: 5 * minute, least: 1000, most: 60 * minute },
  keepStaged: { kind: 'boolean', key: 'keepStaged', fallback: false },
  probationMs: { kind: 'integer', key: 'probation.ms', fallback: 30_000, least: 0, most: 60 * minute },
  probationFaultPercent: { kind: 'integer', key: 'probation.faultPercent', fallback: 50, least: 0, most: 100 },
  probationSlowFactor: { kind: 'integer', key: 'probation.slowFactor', fallback: 10, least: 2, most: 1000 },
  pinnedLimit: { kind: 'integer', key: 'pinned.images', fallback: 64, least: 0, most: 10_000 },
  pinnedBytesLimit: { kind: 'integer', key: 'pinned.bytes', fallback: 512 * mebibyte, least: 0 },
  stateLimit: { kind: 'integer', key: 'state.limit', fallback: 64 * mebibyte, least: 1, most: 64 * mebibyte },
  refusedState: {
    kind: 'text',
    key: 'state.refused',
    fallback: 'empty',
    grammar: [/^(?:empty|fail)$/, 'empty or fail'],
  },
  keptVersions: { kind: 'integer', key: 'keptVersions', fallback: 5, least: 2, most: 100 },
  rocksdb: { kind: 'text', key: 'tables.rocksdb', environment: 'TENON_ROCKSDB', fallback: '' },
  tablesSync: { kind: 'boolean', key: 'tables.sync', environment: 'TENON_TABLES_SYNC', fallback: false },
  tablesCache: { kind: 'integer', key: 'tables.cacheBytes', fallback: 64 * mebibyte, least: mebibyte },
  tablesLog: { kind: 'integer', key: 'tables.logBytes', fallback: 256 * mebibyte, least: mebibyte },
  graphqlIntrospection: { kind: 'boolean', key: 'tables.introspection', fallback: true },
  tablesOrigins: { kind: 'text', key: 'tables.origins', fallback: '', grammar: originList },
  tablesHosts: { kind: 'text', key: 'tables.hosts', fallback: '', grammar: hostNames },
};

const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'];
const names = Object.keys(definitions) as SettingName[];

/** One setting as `--print-config` shows it; a secret's value is masked. */
export interface PrintedSetting {
  /** Name of the option of `createHost`. */
  name: string;
  /** Place in `tenon.yaml`; a dot steps into a map. */
  key: string;
  value: Value;
  source: SettingSource;
  environment?: string;
}

/** The settings, each with its source. */
export interface ResolvedSettings {
  readonly settings: Settings;
  readonly printed: PrintedSetting[];
}

export interface SettingsInput {
  /** Values given on the command line (as text) or in code; undefined ones do not count. A wrong one is a TypeError. */
  flags?: { [Name in SettingName]?: Settings[Name] | string | undefined };
  /** Variables to read; the process's own by default. */
  variables?: Environment;
  /** Absolute: where `tenon.yaml` may lie and relative paths begin; the working directory by default. */
  directory?: string;
}

/** Environment variables. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The environment of this process. */
export function processEnvironment(): Environment {
  return process.env;
}

function readPatterns(raw: unknown, least: number): { value: Value } | { expected: string } {
  const given: unknown = typeof raw === 'string' ? splitPatterns(raw) : raw;
  if (!Array.isArray(given) || !given.every((item) => typeof item === 'string'))
    return { expected: 'a list of patterns' };
  if (given.length < least) return { expected: 'a list of at least one pattern' };
  const wrong = given.map(wrongPattern).find((clause) => clause !== undefined);
  return wrong === undefined ? { value: [...new Set(given)] } : { expected: `a list, each ${wrong}` };
}

/** `raw` as a value of the kind, or a clause that says what is expected. */
function read(definition: Definition, raw: unknown): { value: Value } | { expected: string } {
  if (definition.kind === 'patterns') return readPatterns(raw, definition.least ?? 0);
  if (definition.kind === 'boolean') {
    if (raw === true || raw === 'true' || raw === '1') return { value: true };
    if (raw === false || raw === 'false' || raw === '0') return { value: false };
    return { expected: 'true or false' };
  }
  if (definition.kind === 'integer') {
    const { least = 0, most = Number.MAX_SAFE_INTEGER } = definition;
    const number = typeof raw === 'string' && /^\d+$/.test(raw) ? Number(raw) : raw;
    if (typeof number === 'number' && Number.isInteger(number) && number >= least && number <= most)
      return { value: number };
    return { expected: `a whole number from ${least} to ${most}` };
  }
  if (definition.kind === 'level')
    return typeof raw === 'string' && levels.includes(raw)
      ? { value: raw }
      : { expected: `one of ${levels.join(', ')}` };
  const [grammar, expected] = definition.grammar ?? [/./s, 'a text'];
  return typeof raw === 'string' && grammar.test(raw) && !raw.includes('\0') ? { value: raw } : { expected };
}

/** A single value, or a list of them; of anything else nothing. */
function plain(node: unknown): unknown {
  if (isSeq(node)) return node.items.map((item) => (isScalar(item) ? item.value : undefined));
  return isScalar(node) ? node.value : undefined;
}

interface FileValue {
  raw: unknown;
  line: number;
}

/** Values of `tenon.yaml` by key. Unknown keys are refused with their line and what was probably meant. */
function readFile(file: string): Map<string, FileValue> {
  const values = new Map<string, FileValue>();
  if (!existsSync(file)) return values;
  const lines = new LineCounter();
  const document = parseDocument(readFileSync(file, 'utf8'), { lineCounter: lines, uniqueKeys: true });
  const refuse = (offset: number, sentence: string, next: string): never => {
    const line = lines.linePos(offset).line;
    throw new TenonError('SettingsInvalid', `${file}:${line}: ${sentence}`, { next, details: { file, line } });
  };
  const [error] = document.errors;
  if (error !== undefined) refuse(error.pos[0], error.message.split('\n')[0] ?? 'not YAML', 'correct the line');
  const keys = names.map((name) => definitions[name].key);
  const walk = (map: YAMLMap, above: string): void => {
    for (const { key, value } of map.items) {
      const offset = isScalar(key) ? (key.range?.[0] ?? 0) : 0;
      const full = `${above}${isScalar(key) ? String(key.value) : '?'}`;
      if (isMap(value) && keys.some((known) => known.startsWith(`${full}.`))) walk(value, `${full}.`);
      else if (keys.includes(full)) values.set(full, { raw: plain(value), line: lines.linePos(offset).line });
      else {
        const meant = closest(full, keys);
        refuse(
          offset,
          `there is no setting \`${full}\``,
          meant === undefined ? `use one of ${keys.join(', ')}` : `write \`${meant}\`, if that was meant`,
        );
      }
    }
  };
  if (isMap(document.contents)) walk(document.contents, '');
  else if (document.contents !== null) refuse(0, 'the file is not a map of settings', 'write `name: value` lines');
  return values;
}

function pick(
  name: SettingName,
  input: Required<SettingsInput>,
  file: string,
  values: Map<string, FileValue>,
): { raw: unknown; source: SettingSource; where: string } {
  const definition = definitions[name];
  const flag = input.flags[name];
  if (flag !== undefined) return { raw: flag, source: 'flag', where: `option ${name}` };
  const variable = definition.environment === undefined ? undefined : input.variables[definition.environment];
  if (variable !== undefined && variable !== '')
    return { raw: variable, source: 'environment', where: `environment variable ${definition.environment ?? ''}` };
  if (name === 'color' && (input.variables['NO_COLOR'] ?? '') !== '')
    return { raw: false, source: 'environment', where: 'environment variable NO_COLOR' };
  const own = values.get(definition.key);
  if (own !== undefined) return { raw: own.raw, source: 'tenon.yaml', where: `${file}:${own.line}: ${definition.key}` };
  return { raw: definition.fallback, source: 'default', where: `default of ${name}` };
}

/** `raw` as the value of the setting `name`. Throws TypeError that says what is expected; `called` is its name there. */
export function readSetting<Name extends SettingName>(name: Name, raw: unknown, called: string): Settings[Name] {
  const result = read(definitions[name], raw);
  if ('expected' in result) throw new TypeError(`${called}: ${JSON.stringify(raw)} is not ${result.expected}`);
  return result.value as Settings[Name];
}

/**
 * The settings of a host. Throws TypeError for a wrong flag, naming it, and `SettingsInvalid` for a wrong variable or
 * a wrong line of `tenon.yaml`.
 */
export function resolveSettings(input: SettingsInput = {}): ResolvedSettings {
  const { flags = {}, variables = processEnvironment(), directory = process.cwd() } = input;
  for (const flag of Object.keys(flags))
    if (!(flag in definitions)) {
      const meant = closest(flag, names);
      throw new TypeError(`there is no option ${flag}${meant === undefined ? '' : `; did you mean ${meant}?`}`);
    }
  const file = path.join(directory, 'tenon.yaml');
  const values = readFile(file);
  const settings: Record<string, Value> = {};
  const printed: PrintedSetting[] = [];
  for (const name of names) {
    const definition = definitions[name];
    const { raw, source, where } = pick(name, { flags, variables, directory }, file, values);
    // An empty text is a default: it cannot be asked for.
    const result = source === 'default' ? { value: definition.fallback } : read(definition, raw);
    if ('expected' in result) {
      const shown = definition.secret === true ? 'the value' : JSON.stringify(raw);
      const sentence = `${where}: ${shown} is not ${result.expected}`;
      if (source === 'flag') throw new TypeError(sentence);
      throw new TenonError('SettingsInvalid', sentence, {
        next: `give ${result.expected}`,
        details: { setting: name },
      });
    }
    const value = definition.kind === 'path' ? path.resolve(directory, String(result.value)) : result.value;
    settings[name] = value;
    printed.push({
      name,
      key: definition.key,
      value: definition.secret === true && value !== '' ? '********' : value,
      source,
      ...(definition.environment === undefined ? {} : { environment: definition.environment }),
    });
  }
  return { settings: settings as unknown as Settings, printed };
}
