/**
 * What the host is told at its start: flag > environment > `tenon.yaml` > default. The only reader of process.env.
 */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { isMap, isScalar, isSeq, LineCounter, parseDocument, type YAMLMap } from 'yaml';
import { closest } from './closest.js';
import { TenonError } from './errors.js';
import { splitPatterns, wrongPattern } from './pattern.js';
import { wrongGrant } from './permission.js';
import { type Definition, definitions, type SettingName, type Settings, type Value } from './settings.js';

export type { SettingName, Settings } from './settings.js';

/** Where a value came from. */
export type SettingSource = 'flag' | 'environment' | 'tenon.yaml' | 'default';

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
  /** Whether the flags are all that counts: neither variables nor `tenon.yaml` are looked at. */
  isAlone?: boolean;
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

/** What commas separate. */
export function listOf(text: string): string[] {
  return text.match(/[^ ,]+/g) ?? [];
}

function readPatterns(raw: unknown, least: number): { value: Value } | { expected: string } {
  const given: unknown = typeof raw === 'string' ? splitPatterns(raw) : raw;
  if (!Array.isArray(given) || !given.every((item) => typeof item === 'string'))
    return { expected: 'a list of patterns' };
  if (given.length < least) return { expected: 'a list of at least one pattern' };
  const wrong = given.map(wrongPattern).find((clause) => clause !== undefined);
  return wrong === undefined ? { value: [...new Set(given)] } : { expected: `a list, each ${wrong}` };
}

/** A list of `ID PERMISSION`, or such a line. */
function readGrantLines(raw: unknown): { value: Value } | { expected: string } {
  const given: unknown = typeof raw === 'string' ? [raw] : raw;
  if (!Array.isArray(given) || !given.every((item) => typeof item === 'string'))
    return { expected: 'a list of lines "ID PERMISSION"' };
  const wrong = given.find((line) => wrongGrant(line) !== undefined);
  return wrong === undefined
    ? { value: [...new Set(given)] }
    : { expected: `a list of lines "ID PERMISSION": ${JSON.stringify(wrong)} ${wrongGrant(wrong)}` };
}

/** `raw` as a value of the kind, or a clause that says what is expected. */
function read(definition: Definition, raw: unknown): { value: Value } | { expected: string } {
  if (definition.kind === 'patterns') return readPatterns(raw, definition.least ?? 0);
  if (definition.kind === 'grants') return readGrantLines(raw);
  if (definition.kind === 'boolean') {
    if (raw === true || raw === 'true' || raw === '1') return { value: true };
    if (raw === false || raw === 'false' || raw === '0') return { value: false };
    return { expected: 'true or false' };
  }
  if (definition.kind === 'integer') {
    const { least = 0, most = Number.MAX_SAFE_INTEGER, orZero = false } = definition;
    const number = typeof raw === 'string' && /^\d+$/.test(raw) ? Number(raw) : raw;
    if (orZero && number === 0) return { value: number };
    if (typeof number === 'number' && Number.isInteger(number) && number >= least && number <= most)
      return { value: number };
    return { expected: `${orZero ? '0 or ' : ''}a whole number from ${least} to ${most}` };
  }
  if (definition.kind === 'level')
    return typeof raw === 'string' && levels.includes(raw)
      ? { value: raw }
      : { expected: `one of ${levels.join(', ')}` };
  const [grammar, expected] = definition.grammar ?? [/./s, 'a text'];
  const text = definition.mayBeNumber === true && typeof raw === 'number' ? String(raw) : raw;
  return typeof text === 'string' && grammar.test(text) && !text.includes('\0') ? { value: text } : { expected };
}

/** A single value, or a list of them; of anything else nothing. */
function plain(node: unknown): unknown {
  if (isSeq(node)) return node.items.map((item) => (isScalar(item) ? item.value : undefined));
  return isScalar(node) ? node.value : undefined;
}

interface FileValue {
  raw: unknown;
  line: number;
  /** Then `raw` is undefined. */
  isMapping: boolean;
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
      else if (keys.includes(full))
        values.set(full, { raw: plain(value), line: lines.linePos(offset).line, isMapping: isMap(value) });
      else {
        const meant = meantBy(full, keys);
        refuse(
          offset,
          `there is no setting \`${full}\``,
          meant === undefined
            ? 'see all of them with `tenon start --print-config`'
            : `write \`${meant}\`, if that was meant`,
        );
      }
    }
  };
  if (isMap(document.contents)) walk(document.contents, '');
  else if (document.contents !== null) refuse(0, 'the file is not a map of settings', 'write `name: value` lines');
  return values;
}

/** The key, or the section, that `full` was probably meant to be. */
function meantBy(full: string, keys: readonly string[]): string | undefined {
  const sections = keys.flatMap((key) => (key.includes('.') ? [key.slice(0, key.lastIndexOf('.'))] : []));
  return closest(full, [...keys, ...sections]);
}

function pick(
  name: SettingName,
  input: Required<Omit<SettingsInput, 'isAlone'>>,
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
  const { flags = {}, isAlone = false, directory = process.cwd() } = input;
  const variables = isAlone ? {} : (input.variables ?? processEnvironment());
  for (const flag of Object.keys(flags))
    if (!(flag in definitions)) {
      const meant = closest(flag, names);
      throw new TypeError(`there is no option ${flag}${meant === undefined ? '' : `; did you mean ${meant}?`}`);
    }
  const file = path.join(directory, 'tenon.yaml');
  const values = isAlone ? new Map<string, FileValue>() : readFile(file);
  const settings: Record<string, Value> = {};
  const printed: PrintedSetting[] = [];
  for (const name of names) {
    const definition = definitions[name];
    const { raw, source, where } = pick(name, { flags, variables, directory }, file, values);
    // An empty text is a default: it cannot be asked for.
    const result = source === 'default' ? { value: definition.fallback } : read(definition, raw);
    if ('expected' in result) {
      const isMapping = source === 'tenon.yaml' && values.get(definition.key)?.isMapping === true;
      const shown = isMapping ? 'a mapping' : definition.secret === true ? 'the value' : JSON.stringify(raw);
      const sentence = `${where}: ${shown} is not ${result.expected}`;
      if (source === 'flag') throw new TypeError(sentence);
      throw new TenonError('SettingsInvalid', sentence, {
        next: `give ${result.expected}${isMapping && definition.mapping !== undefined ? `; ${definition.mapping}` : ''}`,
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
