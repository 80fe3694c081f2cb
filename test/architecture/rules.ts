import path from 'node:path';
import { type ModuleReach, readModule } from './module.js';

/** Files of the project: path from its root, with `/`, to content. */
export type Files = ReadonlyMap<string, string>;

/** Rooms from the ground up; those of one line do not see each other. A file directly in `src` is a room of its own. */
export const rooms: readonly (readonly string[])[] = [
  ['base'],
  ['binding'],
  ['tables', 'registry', 'compiler', 'bundle'],
  ['plugin'],
  ['host'],
  ['http', 'reload'],
  ['embedding'],
  ['main'],
  ['index', 'supervisor'],
  ['cli'],
];

/** What only one file, or one room (ending in `/`), may import. */
const importers: Readonly<Record<string, string>> = {
  koffi: 'src/binding/library.ts',
  pino: 'src/base/log.ts',
  'pino-pretty': 'src/base/log.ts',
  express: 'src/http/',
  'find-my-way': 'src/http/',
  'prom-client': 'src/http/',
  '@opentelemetry/api': 'src/base/tracing.ts',
  chokidar: 'src/reload/',
  pg: 'src/registry/',
  '@electric-sql/pglite': 'src/registry/',
  commander: 'src/cli/',
  ajv: 'src/compiler/config-schema.ts',
  busboy: 'src/http/',
  fflate: 'src/bundle/',
  '@noble/hashes': 'src/bundle/',
  semver: 'src/bundle/',
};
const environmentReader = 'src/base/config.ts';
const addonOpener = 'src/binding/core.ts';
const emptyNames = new Set(['util', 'utils', 'helper', 'helpers', 'common', 'misc', 'data']);
const nodeHeaders =
  /^(?:napi|napi-inl|node|node_api|node_api_types|js_native_api|node_buffer|uv|v8)\.h$|^(?:uv|v8)[/-]/;
const lineLimit = 450;
const architectureLimit = 150;

function roomOf(file: string): string {
  const [, first = '', ...rest] = file.split('/');
  return rest.length === 0 ? first.replace(/\.ts$/, '') : first;
}

function rankOf(room: string): number {
  return rooms.findIndex((line) => line.includes(room));
}

function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

function isTypeScript(file: string): boolean {
  return file.startsWith('src/') && file.endsWith('.ts');
}

function isNative(file: string): boolean {
  return /\.(?:c|cc|cpp|h|hpp)$/.test(file);
}

/** The modules of `src`, parsed. */
export function readModules(files: Files): Map<string, ModuleReach> {
  return new Map(
    [...files].filter(([file]) => isTypeScript(file)).map(([file, text]) => [file, readModule(file, text)]),
  );
}

/** File a relative specifier stands for. */
function target(from: string, specifier: string): string {
  return path.posix.join(path.posix.dirname(from), specifier).replace(/\.js$/, '.ts');
}

/** Rooms import strictly lower rooms only, through paths that can be read and exist. */
export function roomOrder(files: Files): string[] {
  const broken: string[] = [];
  for (const [file, reach] of readModules(files)) {
    const room = roomOf(file);
    if (rankOf(room) < 0) broken.push(`${file}: there is no room ${room}`);
    for (const text of reach.computedImports) broken.push(`${file}: import of ${text}, which no one can check`);
    for (const specifier of reach.imports.filter((text) => text.startsWith('.'))) {
      const other = target(file, specifier);
      const otherRoom = roomOf(other);
      if (!files.has(other) || !specifier.endsWith('.js')) broken.push(`${file}: ${specifier} is no module of src`);
      else if (otherRoom !== room && rankOf(otherRoom) >= rankOf(room))
        broken.push(`${file}: ${room} may not import ${otherRoom} (${specifier})`);
    }
  }
  return broken;
}

/** Every ring of files that import each other, named once. */
export function cycles(files: Files): string[] {
  const modules = readModules(files);
  const done = new Set<string>();
  const trail: string[] = [];
  const broken: string[] = [];
  const walk = (file: string): void => {
    const at = trail.indexOf(file);
    if (at >= 0) broken.push(`ring: ${[...trail.slice(at), file].join(' -> ')}`);
    if (at >= 0 || done.has(file)) return;
    trail.push(file);
    for (const specifier of modules.get(file)?.imports ?? [])
      if (specifier.startsWith('.') && modules.has(target(file, specifier))) walk(target(file, specifier));
    trail.pop();
    done.add(file);
  };
  for (const file of modules.keys()) walk(file);
  return broken;
}

/** Packages are declared, and those with one door are imported there only; so for process.env and the addon. */
export function singleDoors(files: Files, dependencies: readonly string[]): string[] {
  const broken: string[] = [];
  for (const [file, reach] of readModules(files)) {
    for (const specifier of reach.imports.filter((text) => !/^(?:\.|node:)/.test(text))) {
      const name = packageOf(specifier);
      const door = importers[name];
      if (!dependencies.includes(name)) broken.push(`${file}: ${name} is not among the dependencies`);
      if (door !== undefined && !(door.endsWith('/') ? file.startsWith(door) : file === door))
        broken.push(`${file}: ${name} is imported by ${door} only`);
    }
    if (reach.readsEnvironment && file !== environmentReader)
      broken.push(`${file}: process.env is read by ${environmentReader} only`);
    if (reach.opensAddon && file !== addonOpener) broken.push(`${file}: the addon is opened by ${addonOpener} only`);
  }
  return broken;
}

/** No name that could hold anything. */
export function emptyFileNames(files: Files): string[] {
  return [...files.keys()]
    .filter((file) => /^(?:src|native|cmake|scripts|bench|test)\//.test(file))
    .filter((file) => file.split('/').some((part) => emptyNames.has(part.replace(/\..*$/, '').toLowerCase())))
    .map((file) => `${file}: the name says nothing about what is in it`);
}

/** Paths a C or C++ file includes, comments left out. */
export function includes(text: string): string[] {
  const code = text.replace(/\/\*[\s\S]*?\*\/|"(?:\\.|[^"\\\n])*"|\/\/[^\n]*/g, (part) =>
    part.startsWith('"') ? part : ' '.repeat(part.startsWith('//') ? 0 : 1),
  );
  return [...code.matchAll(/^[ \t]*#[ \t]*include[ \t]*([<"][^>"\n]+)[>"]/gm)].map((match) => match[1] ?? '');
}

/** The core knows no Node, and plugins know the contract only. */
export function nativeIncludes(files: Files): string[] {
  const broken: string[] = [];
  for (const [file, text] of files) {
    if (!isNative(file)) continue;
    const core = /^native\/(?:core|wire|isolated|runner|include)\//.test(file);
    const plugin = /^(?:applications|test\/plugins)\//.test(file);
    for (const include of includes(text)) {
      const name = include.slice(1);
      if ((core || plugin) && nodeHeaders.test(name)) broken.push(`${file}: includes ${name}, which is Node's`);
      if (core && /(?:^|\/)node\//.test(name)) broken.push(`${file}: includes ${name}; only native/node sees Node`);
      const own = include.startsWith('"') && files.has(path.posix.join(path.posix.dirname(file), name));
      if (plugin && (name.includes('..') || /(?:^|\/)(?:native|core)\//.test(name)))
        broken.push(`${file}: includes ${name}; a plugin sees tenon/ and system headers only`);
      else if (plugin && include.startsWith('"') && !own && !name.startsWith('tenon/'))
        broken.push(`${file}: includes ${name}, which is neither its own nor of tenon/`);
    }
  }
  return broken;
}

/** Rooms of `native/` that files of each may include, beside its own and the contract. */
const nativeRooms: Readonly<Record<string, readonly string[]>> = {
  core: [],
  wire: [],
  isolated: ['core', 'wire'],
  runner: ['core', 'wire'],
  node: ['core', 'wire', 'isolated'],
};

/** What the host and a runner share stands on nothing else, and neither of them sees the other. */
export function nativeRoomOrder(files: Files): string[] {
  const broken: string[] = [];
  for (const [file, text] of files) {
    const room = /^native\/(\w+)\//.exec(file)?.[1] ?? '';
    const below = isNative(file) ? nativeRooms[room] : undefined;
    if (below === undefined) continue;
    for (const name of includes(text).flatMap((include) => (include.startsWith('"') ? [include.slice(1)] : []))) {
      const folders = [path.posix.dirname(file), 'native', 'native/core', 'native/include'];
      const found = folders.map((folder) => path.posix.join(folder, name)).find((place) => files.has(place));
      const other = /^native\/(\w+)\//.exec(found ?? '')?.[1];
      if (other === undefined || other === room || other === 'include' || below.includes(other)) continue;
      broken.push(`${file}: includes ${name}; native/${room} may not see native/${other}`);
    }
  }
  return broken;
}

function lines(text: string): number {
  return text.split('\n').length - (text.endsWith('\n') ? 1 : 0);
}

/** A file that is one noun or one verb has an end. */
export function lengths(files: Files): string[] {
  return [...files]
    .map(([file, text]) => ({
      file,
      count: lines(text),
      limit: file === 'ARCHITECTURE.md' ? architectureLimit : lineLimit,
    }))
    .filter(({ file, count, limit }) => (isTypeScript(file) || file === 'ARCHITECTURE.md') && count > limit)
    .map(({ file, count, limit }) => `${file}: ${count} lines, over ${limit}`);
}

const machineFolders = ['tmp', 'root', 'work', 'home', 'Users'].join('|');
const packageHosts = [
  ['registry', 'npmjs'],
  ['npmjs', 'org'],
  ['deb', 'debian'],
]
  .map((parts) => parts.join('\\.'))
  .join('|');
const machinePath = new RegExp(`(?:^|[^a-zA-Z0-9_./})\\]-])/(?:${machineFolders})/|${packageHosts}`);

/** No path of somebody's machine and no host of a package registry. */
export function machineTraces(files: Files): string[] {
  const broken: string[] = [];
  for (const [file, text] of files) {
    if (file === 'package-lock.json') continue;
    text.split('\n').forEach((line, index) => {
      const found = machinePath.exec(line);
      if (found) broken.push(`${file}:${index + 1}: ${found[0].trim()} belongs to one machine`);
    });
  }
  return broken;
}
