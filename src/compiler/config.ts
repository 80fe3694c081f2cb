/**
 * config.yaml of an application: which keys there are, what each may hold, and where in the file a wrong one stands.
 */
import path from 'node:path';
import { isMap, isScalar, LineCounter, type Node, type Pair, parseDocument, type YAMLMap } from 'yaml';
import { TenonError } from '../base/errors.js';
import { closest } from '../base/closest.js';
import { isolationKeys, type IsolationWish, readIsolation, wrongIsolation } from '../base/isolation.js';
import { mostPermissions, wrongPermission } from '../base/permission.js';
import {
  anything,
  type Check,
  mapping,
  matching,
  oneOf,
  patterns,
  prefix,
  text,
  texts,
  truth,
  whole,
} from './config-check.js';
import { checkDependencies, type Dependencies, readDependencies } from './dependencies.js';
import { type ExtensionUse, idGrammar, jsonOf, readExtensionList } from './extension-list.js';
import {
  checkCors,
  checkFiles,
  corsKeys,
  type CorsRules,
  fileKeys,
  readCors,
  readFiles,
  type StaticFiles,
} from './web-config.js';

import { limitKeys, readLimits, type ResourceLimits } from './limits-config.js';

export type { ExtensionUse } from './extension-list.js';
export type { ResourceLimits } from './limits-config.js';
export type { CorsRules, StaticFiles } from './web-config.js';
export { idGrammar } from './extension-list.js';

/** What config.yaml says, defaults filled in. */
export interface ApplicationConfig {
  /** `app_id`; the folder's name when absent. */
  appId: string;
  /** For people; the id when absent. */
  name: string;
  /** Semantic version; `0.0.0` when absent. */
  version: string;
  description: string;
  /** False: the application is neither compiled nor loaded. */
  enabled: boolean;
  /** Globs of sources, relative to the folder. */
  resources: string[];
  /** Globs of the files of its schema, relative to the folder. */
  schemas: string[];
  /** Globs of files of records that its tables begin with, relative to the folder (`dataLoader`). */
  seeds: string[];
  /** Surfaces of its tables whose @export does not say. */
  surfaces: Partial<Surfaces>;
  /** Handlers that may run at once on the pool, 1 to 64; undefined takes the host's setting. */
  concurrency: number | undefined;
  /** For routes that name none: 1 to 3,600,000; undefined takes the host's setting. */
  deadlineMs: number | undefined;
  /** For routes that name none, in bytes: 1 to 1 GiB; undefined takes the host's setting. */
  bodyLimit: number | undefined;
  /** How much it may have of what all plugins share; what is absent is as for every plugin. */
  limits: ResourceLimits;
  /** Whether others may list it under `extensions`; `telemetry`: and it is loaded before all who are not. */
  extension: boolean | 'telemetry';
  /** Those it uses, in the order in which they are asked. */
  extensions: readonly ExtensionUse[];
  /** Who may call its routes that say nothing of it; undefined goes by what its extensions offer. */
  auth: 'open' | 'identity' | undefined;
  /** What its plugin reads as its own config: a JSON object, as text. */
  custom: string;
  /** What is needed to build it, beside its own sources. */
  dependencies: Dependencies;
  /** Pages of which other origins may read what it serves; undefined: what its answers say themselves. */
  cors: CorsRules | undefined;
  /** Files that are served beside its routes; undefined for none. */
  staticFiles: StaticFiles | undefined;
  /** Keys that are checked and kept, and that the compiler does not act upon. */
  reserved: ReservedConfig;
}

/** What tables are served by, when their `@export` says nothing of it. */
export interface Surfaces {
  rest: boolean;
  graphql: boolean;
  sse: boolean;
  ws: boolean;
}

/** What config.yaml says to other rooms, and to releases to come. */
export interface ReservedConfig {
  routePrefix?: string;
  /** Where its code is to run. */
  isolation?: IsolationWish;
  reload?: ReloadConfig;
  permissions?: string[];
  /** JSON Schema of `custom`, or a file of the folder that holds it. */
  configSchema?: Record<string, unknown> | string;
  /** Whether each change of its config needs a new generation. */
  reloadOnChange?: boolean;
}

/** What config.yaml sets apart from the host's settings of hot reload; what is absent is as there. */
export interface ReloadConfig {
  /** False: while it runs a change of files reloads nothing. */
  enabled?: boolean;
  /** Quiet time after any change, ms. */
  debounceMs?: number;
  /** Patterns of files, in place of the host's. */
  watch?: string[];
  /** Patterns of files and folders, in place of the host's. */
  exclude?: string[];
  preserveState?: boolean;
  maxRetries?: number;
  retryDelayMs?: number;
}

const version = matching(
  /^(?=.{1,31}$)\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?$/,
  'must be a semantic version of at most 31 characters, such as "1.2.0"',
);
const object: Check = (value) => {
  const read = jsonOf(value);
  return 'wrong' in read ? read.wrong : undefined;
};

const schemaFile: Check = (value) =>
  /^(?!.*\.\.)[\w.-]+(?:\/[\w.-]+)*\.json$/.test(String(value))
    ? undefined
    : 'must be a JSON Schema, or the path of a .json file in the folder';

const permissions: Check = (value) => {
  const wrong = texts(value);
  if (wrong !== undefined) return wrong;
  const lines = value as string[];
  if (lines.length > mostPermissions) return `must hold at most ${mostPermissions} permissions`;
  const line = lines.find((each) => wrongPermission(each) !== undefined);
  return line === undefined ? undefined : `holds ${JSON.stringify(line)}, which ${wrongPermission(line)}`;
};

/** One pattern, or a list of them. */
const globs: Check = (value) =>
  typeof value === 'string' || Array.isArray(value)
    ? patterns(0)([value].flat())
    : 'must be a pattern of files, or a list of them';

/** Every key of `reload`. */
const reloadKeys: Record<keyof ReloadConfig, Check> = {
  enabled: truth,
  debounceMs: whole(0, 60_000),
  watch: patterns(1),
  exclude: patterns(0),
  preserveState: truth,
  maxRetries: whole(0, 100),
  retryDelayMs: whole(1, 3_600_000),
};

/** Every key of config.yaml, with what it may hold: what reading, building and running a plugin needs ... */
const acted: Record<string, Check> = {
  name: text,
  app_id: matching(idGrammar, 'must be 1 to 63 characters of a-z, 0-9, "_" and "-", beginning with a letter or digit'),
  version,
  description: text,
  enabled: truth,
  resources: patterns(0),
  schemas: patterns(0),
  dataLoader: globs,
  rest: truth,
  graphql: truth,
  sse: truth,
  ws: truth,
  extension: (value) =>
    truth(value) !== undefined && value !== 'telemetry' ? 'must be true, false or telemetry' : undefined,
  extensions: anything,
  auth: oneOf('open', 'identity'),
  custom: object,
  dependencies: checkDependencies,
  concurrency: whole(1, 64),
  deadlineMs: whole(1, 3_600_000),
  bodyLimit: whole(1, 1024 ** 3),
  limits: mapping,
  cors: checkCors,
  static_files: checkFiles,
};

/** Keys of keys. */
const inner: Record<string, Record<string, Check>> = {
  reload: reloadKeys,
  cors: corsKeys,
  static_files: fileKeys,
  limits: limitKeys,
  isolation: isolationKeys,
};

/** ... and what is accepted, under the given name, for other rooms and for releases to come. */
const reserved: Record<string, [keyof ReservedConfig, Check]> = {
  route_prefix: ['routePrefix', prefix],
  isolation: ['isolation', wrongIsolation],
  reload: ['reload', mapping],
  permissions: ['permissions', permissions],
  configSchema: ['configSchema', (value) => (typeof value === 'string' ? schemaFile(value) : object(value))],
  reloadOnChange: ['reloadOnChange', truth],
};

const surfaceKeys = ['rest', 'graphql', 'sse', 'ws'] as const;

function ownOf<T>(table: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined;
}

const knownKeys = [...Object.keys(acted), ...Object.keys(reserved)];
/** Largest config.yaml, bytes. */
export const configLimit = 64 * 1024;

/** Version of an application that names none. */
export const unsaidVersion = '0.0.0';

/** Name of the file. */
export const configFile = 'config.yaml';

/** One thing wrong in a file. Lines and columns count from 1. */
export interface ConfigProblem {
  line: number;
  column: number;
  message: string;
}

/** @param name the file in `folder` that is wrong */
export function invalid(folder: string, problems: readonly ConfigProblem[], name = configFile): TenonError {
  const first = problems[0] ?? { line: 1, column: 1, message: 'is not valid' };
  const file = path.join(folder, name);
  return new TenonError('ConfigInvalid', `${name}:${first.line}:${first.column}: ${first.message}`, {
    next: `correct ${file}; a host that watches it then tries again`,
    details: {
      file: name,
      path: file,
      line: first.line,
      column: first.column,
      problems: problems.map((problem) => ({ file: name, ...problem })),
    },
  });
}

/** For a config.yaml beyond {@link configLimit}. */
export function configTooLarge(folder: string): TenonError {
  return invalid(folder, [{ line: 1, column: 1, message: `the file is larger than ${configLimit} bytes` }]);
}

/**
 * Read `source`, the text of `<folder>/config.yaml`.
 * @param id what it is where `app_id` does not say, unchecked; absent: the folder's name, which has to be one then
 * Throws `ConfigInvalid` with `details: {file, line, column, problems}`.
 */
export function parseConfig(source: string, folder: string, id?: string): ApplicationConfig {
  if (Buffer.byteLength(source) > configLimit) throw configTooLarge(folder);

  const lines = new LineCounter();
  const at = (offset: number): { line: number; column: number } => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const given = new Map<string, unknown>();
  let listed: { uses: ExtensionUse[]; offsets: number[] } = { uses: [], offsets: [] };
  const problems: ConfigProblem[] = [];
  try {
    const document = parseDocument(source, { lineCounter: lines, prettyErrors: false });
    for (const error of document.errors) problems.push({ ...at(error.pos[0]), message: error.message });
    if (problems.length === 0 && document.contents !== null && !isMap(document.contents)) {
      if (!(isScalar(document.contents) && document.contents.value === null))
        problems.push({ ...at(document.contents.range[0]), message: 'the file must be a mapping of keys to values' });
    }
    if (problems.length === 0 && isMap(document.contents)) {
      const read = (
        map: YAMLMap,
        above: string,
        checkOf: (key: string) => Check | undefined,
        known: string[],
      ): void => {
        for (const pair of map.items as Pair<Node | null, Node | null>[]) {
          const key = isScalar(pair.key) ? String(pair.key.value) : '';
          const check = checkOf(key);
          if (check === undefined) {
            const meant = closest(key, known);
            const hint = meant === undefined ? '' : `; did you mean "${above}${meant}"?`;
            problems.push({ ...at(pair.key?.range?.[0] ?? 0), message: `unknown key "${above}${key}"${hint}` });
            continue;
          }
          const value: unknown = pair.value?.toJS(document) ?? null;
          const wrong = check(value);
          const offset = pair.value?.range?.[0] ?? pair.key?.range?.[0] ?? 0;
          if (wrong !== undefined) problems.push({ ...at(offset), message: `${above}${key} ${wrong}` });
          else if (above === '') given.set(key, value);
          if (above === '' && key === 'extensions') {
            const { flaws, ...rest } = readExtensionList(pair.value, document);
            listed = rest;
            for (const flaw of flaws)
              problems.push({ ...at(flaw.offset || offset), message: `extensions ${flaw.message}` });
          }
          const below = above === '' ? ownOf(inner, key) : undefined;
          if (below !== undefined && isMap(pair.value))
            read(pair.value, `${key}.`, (name) => ownOf(below, name), Object.keys(below));
        }
      };
      read(document.contents, '', (key) => ownOf(acted, key) ?? ownOf(reserved, key)?.[1], knownKeys);
    }
  } catch (error) {
    problems.push({ line: 1, column: 1, message: error instanceof Error ? error.message : String(error) });
  }
  if (problems.length > 0) throw invalid(folder, problems);

  const unsaidId = id ?? path.basename(folder);
  if (!given.has('app_id') && id === undefined && !idGrammar.test(unsaidId)) {
    const message = `app_id is needed, because the folder's name "${unsaidId}" cannot be an id (a-z, 0-9, "_", "-")`;
    throw invalid(folder, [{ line: 1, column: 1, message }]);
  }
  const config = configOf(given, unsaidId, listed.uses);
  const itself = listed.uses.findIndex(({ id }) => id === config.appId);
  if (itself !== -1)
    throw invalid(folder, [{ ...at(listed.offsets[itself] ?? 0), message: `extensions lists ${config.appId} itself` }]);
  return config;
}

/** The config of an application that has no config.yaml. `folderName` must match {@link idGrammar}. */
export function defaultConfig(folderName: string): ApplicationConfig {
  return configOf(new Map(), folderName, []);
}

function configOf(
  given: ReadonlyMap<string, unknown>,
  unsaidId: string,
  extensions: readonly ExtensionUse[],
): ApplicationConfig {
  const appId = (given.get('app_id') as string | undefined) ?? unsaidId;
  const kept: Record<string, unknown> = {};
  for (const [key, [name]] of Object.entries(reserved)) if (given.has(key)) kept[name] = given.get(key);
  if (given.has('isolation')) kept['isolation'] = readIsolation(given.get('isolation'));
  return {
    appId,
    name: (given.get('name') as string | undefined) ?? appId,
    version: (given.get('version') as string | undefined) ?? unsaidVersion,
    description: (given.get('description') as string | undefined) ?? '',
    enabled: (given.get('enabled') as boolean | undefined) ?? true,
    resources: (given.get('resources') as string[] | undefined) ?? ['resources/**/*.{c,cc,cpp,cxx}'],
    dependencies: readDependencies(given.get('dependencies')),
    schemas: (given.get('schemas') as string[] | undefined) ?? ['schema.graphql'],
    seeds: [(given.get('dataLoader') as string | string[] | undefined) ?? 'data/*.json'].flat(),
    surfaces: Object.fromEntries(surfaceKeys.filter((key) => given.has(key)).map((key) => [key, given.get(key)])),
    concurrency: given.get('concurrency') as number | undefined,
    deadlineMs: given.get('deadlineMs') as number | undefined,
    bodyLimit: given.get('bodyLimit') as number | undefined,
    limits: readLimits(given.get('limits')),
    extension: (given.get('extension') as ApplicationConfig['extension'] | undefined) ?? false,
    extensions,
    auth: given.get('auth') as ApplicationConfig['auth'],
    custom: JSON.stringify(given.get('custom') ?? {}),
    cors: readCors(given.get('cors')),
    staticFiles: readFiles(given.get('static_files')),
    reserved: kept,
  };
}
