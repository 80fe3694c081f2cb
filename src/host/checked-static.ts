/** Static plugins as they were given, checked once: from here on they are as they should be. */
import { ConfigSchema, configFlaw, type Flaw, SchemaFlawed } from '../compiler/config-schema.js';
import { idGrammar, jsonOf } from '../compiler/extension-list.js';
import { DescriptionFlawed } from './described-schema.js';
import { readOperation, type RouteWords } from './route-words.js';
import type { StaticPlugin, StaticPluginSource, StaticRoute } from './static-plugin.js';

/** One route, with the whole path that a client asks for. */
export interface CheckedRoute {
  readonly method: string;
  readonly path: string;
  readonly auth: 'none' | 'open' | 'identity' | 'roles';
  readonly roles: readonly string[];
  /** Undefined: as the host says. */
  readonly deadlineMs: number | undefined;
  readonly words: RouteWords | undefined;
  readonly route: StaticRoute;
}

export interface CheckedStatic {
  readonly id: string;
  readonly version: string;
  readonly description: string | undefined;
  /** Empty at the root. */
  readonly prefix: string;
  readonly routes: readonly CheckedRoute[];
  readonly schema: ConfigSchema | undefined;
  /** A JSON object, as text. */
  readonly custom: string;
  readonly extensions: readonly string[];
  readonly auth: 'open' | 'identity' | undefined;
  readonly plugin: StaticPlugin;
}

const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
const version = /^(?=.{1,31}$)\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?$/;
const role = /^[A-Za-z0-9_.:-]{1,63}$/;
const literal = /^(?!\.\.?$)[\w.~!$&'()+,;=@-]+$/;
const parameter = /^:[A-Za-z_]\w*$/;
const steps = ['initialize', 'ready', 'changed', 'health', 'shutdown'] as const;
const longestDeadline = 3_600_000;
const mostRoutes = 1000;
const mostParameters = 16;
const longestWords = 16 * 1024;

/**
 * What `sources`, the option `plugins`, stand for. Rejects with a TypeError that names what is wrong.
 * @param reserved first segments of paths that are the host's
 */
export async function checkStatics(
  sources: readonly StaticPluginSource[],
  reserved: readonly string[],
): Promise<CheckedStatic[]> {
  if (!Array.isArray(sources)) throw new TypeError('plugins: must be a list');
  const checked: CheckedStatic[] = [];
  const places = new Map<string, string>();
  for (const [index, source] of (sources as readonly StaticPluginSource[]).entries()) {
    const option = `plugins[${index}]`;
    const one = check(await pluginOf(source, option), option);
    if (checked.some(({ id }) => id === one.id)) throw wrong(option, 'id', `${one.id} is there twice`);
    for (const [at, { method, path }] of one.routes.entries()) {
      const shape = `${method} ${path.replaceAll(/\/:[^/]+/g, '/:')}`;
      const [, first = ''] = path.split('/');
      const owner = reserved.includes(first) ? 'the host' : places.get(shape);
      if (owner !== undefined) throw wrong(option, `routes[${at}]`, `${method} ${path} belongs to ${owner}`);
      places.set(shape, one.id);
    }
    checked.push(one);
  }
  return checked;
}

async function pluginOf(source: unknown, option: string): Promise<unknown> {
  try {
    let found = await source;
    if (isObject(found) && !('id' in found) && 'default' in found) found = found['default'];
    return typeof found === 'function' ? await (found as () => unknown)() : found;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new TypeError(`${option}: could not be had: ${why}`, { cause });
  }
}

function check(given: unknown, option: string): CheckedStatic {
  if (!isObject(given)) throw new TypeError(`${option}: must be a plugin, an object with an id`);
  const plugin = given as unknown as StaticPlugin;
  const must = (name: keyof StaticPlugin, holds: boolean, sentence: string): void => {
    if (!holds) throw wrong(option, name, sentence);
  };
  const { id, version: of = '0.0.0', description, prefix = `/${id}`, routes = [], extensions = [], auth } = plugin;
  must(
    'id',
    typeof id === 'string' && idGrammar.test(id),
    `must be 1 to 63 of a-z, 0-9, "_" and "-", not ${shown(id)}`,
  );
  must('version', typeof of === 'string' && version.test(of), 'must be a semantic version of at most 31 characters');
  must('description', description === undefined || typeof description === 'string', 'must be a text');
  must(
    'prefix',
    typeof prefix === 'string' && pathFlaw(prefix, true) === undefined,
    'must be a path of plain segments',
  );
  must(
    'routes',
    Array.isArray(routes) && routes.length <= mostRoutes,
    `must be a list of at most ${mostRoutes} routes`,
  );
  must('auth', auth === undefined || auth === 'open' || auth === 'identity', 'must be open or identity');
  must(
    'extensions',
    Array.isArray(extensions) &&
      extensions.every((one) => typeof one === 'string' && idGrammar.test(one) && one !== id) &&
      new Set(extensions).size === extensions.length &&
      extensions.length <= 64,
    'must be a list of ids of other plugins, at most 64, none twice',
  );
  for (const step of steps)
    must(step, plugin[step] === undefined || typeof plugin[step] === 'function', 'must be a function');
  const base = prefix === '/' ? '' : prefix;
  return {
    id,
    version: of,
    description,
    prefix: base,
    routes: routes.map((route, at) => checkRoute(route, base, `${option}.routes[${at}]`)),
    ...checkConfig(plugin, option),
    extensions: [...extensions],
    auth,
    plugin,
  };
}

function checkConfig(
  { config = {}, configSchema }: StaticPlugin,
  option: string,
): Pick<CheckedStatic, 'schema' | 'custom'> {
  const read = jsonOf(config);
  if ('wrong' in read) throw wrong(option, 'config', read.wrong);
  const refuse = (name: string, { pointer, message }: Flaw): never => {
    throw wrong(option, name, `${pointer === '' ? 'it' : pointer} ${message}`);
  };
  const flaw = configFlaw(config);
  if (flaw !== undefined) refuse('config', flaw);
  if (configSchema === undefined) return { schema: undefined, custom: read.json };
  const text = jsonOf(configSchema);
  if ('wrong' in text) throw wrong(option, 'configSchema', text.wrong);
  try {
    const schema = ConfigSchema.of(text.json);
    const [first] = schema.flawsAsWritten(config);
    if (first !== undefined) refuse('config', first);
    return { schema, custom: read.json };
  } catch (error) {
    if (error instanceof SchemaFlawed) return refuse('configSchema', error);
    throw error;
  }
}

function checkRoute(given: unknown, prefix: string, option: string): CheckedRoute {
  if (!isObject(given)) throw new TypeError(`${option}: must be a route, an object`);
  const route = given as unknown as StaticRoute;
  const { method, path, auth, roles, deadlineMs, handle } = route;
  if (!methods.includes(method))
    throw wrong(option, 'method', `must be one of ${methods.join(', ')}, not ${shown(method)}`);
  const flaw = typeof path === 'string' ? pathFlaw(path, false) : 'must be a text';
  if (flaw !== undefined) throw wrong(option, 'path', `${shown(path)} ${flaw}`);
  if (typeof handle !== 'function') throw wrong(option, 'handle', 'must be a function');
  if (auth !== undefined && auth !== 'open' && auth !== 'identity')
    throw wrong(option, 'auth', 'must be open or identity');
  if (roles !== undefined) {
    const named = Array.isArray(roles) && roles.length > 0 && roles.length <= 64;
    if (!named || !roles.every((one) => typeof one === 'string' && role.test(one)))
      throw wrong(option, 'roles', 'must be a list of 1 to 64 names, each 1 to 63 bytes of [A-Za-z0-9_.:-]');
    if (auth === 'open') throw wrong(option, 'auth', 'must not be open where there are roles');
  }
  if (deadlineMs !== undefined && !(Number.isInteger(deadlineMs) && deadlineMs >= 1 && deadlineMs <= longestDeadline))
    throw wrong(option, 'deadlineMs', `must be a whole number from 1 to ${longestDeadline}`);
  return {
    method,
    path: path === '/' ? prefix || '/' : `${prefix}${path}`,
    auth: roles === undefined ? (auth ?? 'none') : 'roles',
    roles: roles ?? [],
    deadlineMs,
    words: wordsOf(route, option),
    route,
  };
}

function wordsOf({ method, path, summary, description, openapi }: StaticRoute, option: string): RouteWords | undefined {
  for (const [name, text] of Object.entries({ summary, description }))
    if (text !== undefined && (typeof text !== 'string' || Buffer.byteLength(text) > longestWords))
      throw wrong(option, name, `must be a text of at most ${longestWords} bytes`);
  const plain = {
    ...(summary === undefined ? {} : { summary }),
    ...(description === undefined ? {} : { description }),
  };
  if (openapi === undefined) return Object.keys(plain).length === 0 ? undefined : { operation: plain, refers: [] };
  const read = jsonOf(openapi);
  if ('wrong' in read) throw wrong(option, 'openapi', read.wrong);
  try {
    const { operation, refers } = readOperation(read.json, { method, pattern: path });
    const [name] = refers;
    if (name !== undefined) throw new DescriptionFlawed('', `refers to ${name}, and a static plugin has no tables`);
    return { operation: { ...plain, ...operation }, refers };
  } catch (error) {
    if (error instanceof DescriptionFlawed) throw wrong(option, 'openapi', error.message);
    throw error;
  }
}

/** What is wrong with a path of plain segments or, unless it is `plain`, of parameters. */
function pathFlaw(path: string, plain: boolean): string | undefined {
  if (!path.startsWith('/')) return 'must begin with "/"';
  if (Buffer.byteLength(path) > 1024) return 'must have at most 1,024 bytes';
  if (path === '/') return undefined;
  const segments = path.slice(1).split('/');
  const names = segments.filter((segment) => segment.startsWith(':') || segment === '*');
  if (new Set(names).size < names.length) return 'must not name a parameter twice';
  if (names.length > mostParameters) return `must have at most ${mostParameters} parameters`;
  const bad = segments.find((segment, at) => {
    if (literal.test(segment)) return false;
    return plain || !(parameter.test(segment) || (segment === '*' && at === segments.length - 1));
  });
  return bad === undefined ? undefined : `has the segment ${JSON.stringify(bad)}, which is none of a route`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function shown(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 100)) : typeof value;
}

function wrong(option: string, name: string, sentence: string): TypeError {
  return new TypeError(`${option}.${name}: ${sentence}`);
}
