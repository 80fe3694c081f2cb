/** Finds what an application depends on, or says what to install. */
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { TenonError } from '../base/errors.js';
import { packageRoot } from '../base/package-root.js';
import type { Application } from './application.js';
import type { CMakePackage } from './dependencies.js';
import type { Diagnostic } from './diagnostics.js';
import { placeOf } from './fingerprint.js';
import { namesOthers } from './linked.js';
import { type LinkWords, readCompileWords, readLinkWords } from './pkg-config.js';
import { readRegular } from '../base/regular.js';
import type { Ran } from './run.js';
import type { Toolchain } from './toolchain.js';

/** What the dependencies of an application mean to its build. */
export interface Located {
  /** Absolute paths of folders with headers. */
  readonly includes: readonly string[];
  readonly compileOptions: readonly string[];
  /** In the order of the linker's command line: absolute paths of archives, and options. */
  readonly linkOptions: readonly string[];
  readonly cmake: readonly CMakePackage[];
  /** Absolute paths of files outside the application that the result depends on, beside headers. */
  readonly inputs: readonly string[];
  /** False: what is linked names further files, which nobody can tell. */
  readonly traced: boolean;
  readonly warnings: readonly Diagnostic[];
}

/** Package that has a pkg-config module: Debian's name, and Homebrew's where it is another than the module's. */
const packages: Record<string, readonly [debian: string, homebrew: string]> = {
  fmt: ['libfmt-dev', 'fmt'],
  'glib-2.0': ['libglib2.0-dev', 'glib'],
  'icu-uc': ['libicu-dev', 'icu4c'],
  libarchive: ['libarchive-dev', 'libarchive'],
  libbrotlidec: ['libbrotli-dev', 'brotli'],
  libbrotlienc: ['libbrotli-dev', 'brotli'],
  libcares: ['libc-ares-dev', 'c-ares'],
  libcrypto: ['libssl-dev', 'openssl'],
  libcurl: ['libcurl4-openssl-dev', 'curl'],
  libffi: ['libffi-dev', 'libffi'],
  libjpeg: ['libjpeg62-turbo-dev', 'jpeg-turbo'],
  liblz4: ['liblz4-dev', 'lz4'],
  liblzma: ['liblzma-dev', 'xz'],
  libnghttp2: ['libnghttp2-dev', 'libnghttp2'],
  'libpcre2-8': ['libpcre2-dev', 'pcre2'],
  libpng: ['libpng-dev', 'libpng'],
  libpq: ['libpq-dev', 'libpq'],
  libsodium: ['libsodium-dev', 'libsodium'],
  libssl: ['libssl-dev', 'openssl'],
  libturbojpeg: ['libturbojpeg0-dev', 'jpeg-turbo'],
  libuv: ['libuv1-dev', 'libuv'],
  libwebp: ['libwebp-dev', 'webp'],
  'libxml-2.0': ['libxml2-dev', 'libxml2'],
  libzmq: ['libzmq3-dev', 'zeromq'],
  libzstd: ['libzstd-dev', 'zstd'],
  openssl: ['libssl-dev', 'openssl'],
  protobuf: ['libprotobuf-dev', 'protobuf'],
  simdjson: ['libsimdjson-dev', 'simdjson'],
  spdlog: ['libspdlog-dev', 'spdlog'],
  sqlite3: ['libsqlite3-dev', 'sqlite'],
  vips: ['libvips-dev', 'vips'],
  'yaml-cpp': ['libyaml-cpp-dev', 'yaml-cpp'],
  zlib: ['zlib1g-dev', 'zlib'],
};

/** What Node calls the copy it carries of a library, whose symbols it exports to whatever it loads. */
const carried: Record<string, string> = {
  z: 'zlib',
  crypto: 'openssl',
  ssl: 'openssl',
  uv: 'uv',
  nghttp2: 'nghttp2',
  nghttp3: 'nghttp3',
  ngtcp2: 'ngtcp2',
  brotlicommon: 'brotli',
  brotlidec: 'brotli',
  brotlienc: 'brotli',
  simdjson: 'simdjson',
  simdutf: 'simdutf',
  cares: 'ares',
  icuuc: 'icu',
  icui18n: 'icu',
  icudata: 'icu',
  ada: 'ada',
  llhttp: 'llhttp',
  sqlite3: 'sqlite',
  zstd: 'zstd',
};

const mac = process.platform === 'darwin';
const manifestLimit = 1024 * 1024;
const exportMap = path.join(packageRoot, 'cmake', 'plugin.map');

export interface LocateOptions {
  toolchain: Toolchain;
  /** As of `buildEnvironment`. */
  env: Record<string, string>;
  /** Text that changes with the tools. */
  identity: string;
  /** Runs a tool within the limits of the build; rejects when they are reached. A status of 127: it is not there. */
  ask: (program: string, parameters: readonly string[]) => Promise<Ran>;
  /** Absolute path of a folder that may be made and removed; nobody else's. */
  scratch: string;
}

interface Parts {
  includes: string[];
  compileOptions: string[];
  linkOptions: string[];
  inputs: string[];
  traced: boolean;
  warnings: Diagnostic[];
}

function noParts(): Parts {
  return { includes: [], compileOptions: [], linkOptions: [], inputs: [], traced: true, warnings: [] };
}

/** Throws `DependencyMissing` with `details: {kind, name, install?}`. */
export async function locate(application: Application, options: LocateOptions): Promise<Located> {
  const { pkgConfig, npm, vendored, cmake } = application.config.dependencies;
  const parts = noParts();
  for (const name of vendored) {
    const include = path.join(application.folder, name, 'include');
    parts.includes.push(existsSync(include) ? include : path.join(application.folder, name));
  }
  for (const name of npm) {
    const { include, manifest } = await npmHeaders(application, name);
    parts.includes.push(include);
    parts.inputs.push(manifest);
  }
  if (pkgConfig.length > 0) {
    const modules = await knownModules(application, pkgConfig, options);
    for (const key of ['includes', 'compileOptions', 'linkOptions', 'inputs'] as const)
      parts[key].push(...modules[key]);
    parts.warnings.push(...modules.warnings);
    parts.traced = modules.traced;
  }
  parts.includes = parts.includes.filter((folder) => folder !== '/usr/include');
  return { ...parts, cmake };
}

function missing(
  application: Application,
  kind: string,
  name: string,
  why: string,
  install?: string,
  otherwise = 'install it, or correct `dependencies` in config.yaml',
): TenonError {
  const next = install ?? otherwise;
  return new TenonError('DependencyMissing', `${application.id} needs ${name} (${kind}), ${why}`, {
    next,
    details: { application: application.id, kind, name, ...(install === undefined ? {} : { install }) },
  });
}

/** The error for a CMake package that the configuration step did not find, by what its output says. */
export function missingPackage(application: Application, output: string): TenonError | undefined {
  const said = /tenon: CMake (package (\S+) is not found|target (\S+) is not part of (\S+))/.exec(
    output.replace(/\s+/g, ' '),
  );
  if (said === null) return undefined;
  const [, , name, target, owner = ''] = said;
  if (name !== undefined) return missing(application, 'cmake', name, 'and CMake finds no package of that name');
  return missing(application, 'cmake', target ?? '', `and the CMake package ${owner} has no such target`);
}

async function npmHeaders(application: Application, name: string): Promise<{ include: string; manifest: string }> {
  const looked: string[] = [];
  for (const start of [application.folder, packageRoot]) {
    for (let folder = start; ; folder = path.dirname(folder)) {
      looked.push(path.join(folder, 'node_modules', name));
      if (folder === path.dirname(folder)) break;
    }
  }
  const place = looked.find((folder) => existsSync(path.join(folder, 'package.json')));
  if (place === undefined)
    throw missing(
      application,
      'npm',
      name,
      'which is not installed',
      `run \`npm install ${name}\` beside the application`,
    );
  const manifest = path.join(place, 'package.json');
  const said = await includeDirectory(manifest).catch((error: Error) => {
    throw missing(application, 'npm', name, `whose package in ${place} cannot be read: ${error.message}`);
  });
  const candidates = [...(said === undefined ? [] : [path.resolve(place, said)]), path.join(place, 'include'), place];
  const include = candidates.find((folder) => existsSync(folder) && (folder !== place || hasHeaders(place)));
  if (include === undefined)
    throw missing(
      application,
      'npm',
      name,
      `which is installed (${place}) but carries no headers`,
      undefined,
      'name a package that has some, or take it out of `dependencies` in config.yaml',
    );
  return { include, manifest };
}

async function includeDirectory(manifest: string): Promise<string | undefined> {
  const text = (await readRegular(manifest, manifestLimit)).toString('utf8');
  const { include_dir: said } = JSON.parse(text) as { include_dir?: unknown };
  return typeof said === 'string' ? said : undefined;
}

function hasHeaders(folder: string): boolean {
  return readdirSync(folder).some((name) => /\.(?:h|hh|hpp|hxx)$/.test(name));
}

/** None of them runs on when one has failed. */
async function together<const T extends readonly Promise<unknown>[]>(
  asked: T,
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(asked);
  return Promise.all(asked);
}

interface Answer {
  parts: Parts;
  /** Everything that was looked at for it: folders by what is in them, files by what they are. */
  places: Places;
}

/** Path of a file or of a folder, to what tells whether it has changed. */
type Places = Map<string, string>;

const answers = new Map<string, Answer>();

/** What was found before, as long as nothing that was looked at for it has changed: asking costs 100 ms, looking 1. */
async function knownModules(
  application: Application,
  modules: readonly string[],
  options: LocateOptions,
): Promise<Parts> {
  const { env, identity } = options;
  const key = JSON.stringify([modules, identity, env]);
  const known = answers.get(key);
  if (known !== undefined && [...known.places].every(([file, place]) => placeOf(file) === place)) return known.parts;
  const places: Places = new Map();
  const parts = await findModules(application, modules, options, (files) => {
    for (const file of files) if (!places.has(file)) places.set(file, placeOf(file));
  });
  answers.set(key, { parts, places });
  return parts;
}

function foldersOf(search: string): string[] {
  return search.split(path.delimiter).filter((folder) => path.isAbsolute(folder));
}

/** None where pkg-config finds none either: in a folder that is not there or may not be read. */
function modulesIn(folder: string): string[] {
  try {
    const names = readdirSync(folder).filter((name) => name.endsWith('.pc'));
    return names.map((name) => path.join(folder, name));
  } catch {
    return [];
  }
}

/** `look` is told of everything that the answer depends on, before it is read. */
async function findModules(
  application: Application,
  modules: readonly string[],
  options: LocateOptions,
  look: (files: readonly string[]) => void,
): Promise<Parts> {
  const { env, ask } = options;
  const parts = noParts();
  look(foldersOf(env['PATH'] ?? '').map((folder) => path.join(folder, 'pkg-config')));
  const search = await ask('pkg-config', ['--variable=pc_path', 'pkg-config']);
  if (search.status === 127)
    throw missing(
      application,
      'tool',
      'pkg-config',
      'which finds the modules of `dependencies`',
      mac ? 'run `brew install pkg-config`' : 'run `apt install pkg-config`',
    );
  const folders = foldersOf(env['PKG_CONFIG_LIBDIR'] ?? `${env['PKG_CONFIG_PATH'] ?? ''}:${search.answer.trim()}`);
  look([...folders, ...folders.flatMap(modulesIn)]);
  const [cc = '', ...flags] = options.toolchain.cc.split(/\s+/);
  const [compile, link, closure, searched] = await together([
    ask('pkg-config', ['--cflags', ...modules]),
    ask('pkg-config', ['--libs', ...modules]),
    ask('pkg-config', ['--static', '--libs', ...modules]),
    ask(cc, [...flags, '-print-search-dirs']),
  ]);
  if (compile.status !== 0 || link.status !== 0)
    throw await missingModule(application, modules, options, compile.output);

  const compileWords = readCompileWords(compile.answer);
  parts.includes.push(...compileWords.includes);
  parts.compileOptions.push(...compileWords.options);
  const shared = readLinkWords(link.answer);
  const all = readLinkWords(closure.status === 0 ? closure.answer : link.answer);
  const left = [...new Set([...compileWords.others, ...shared.others])];
  if (left.length > 0)
    warn(parts, `pkg-config says \`${left.join(' ')}\` for ${modules.join(', ')}, which is left out`);
  const libraryFolders = foldersOf(/^libraries: =?(.*)$/m.exec(searched.answer)?.[1] ?? '');
  // The linker searches a few more by itself, such as those beside the folders of modules.
  look([...all.folders, ...libraryFolders, ...folders.map((folder) => path.dirname(folder))]);
  const find = async (name: string, suffix: '.a' | '.so' | '.dylib'): Promise<string | undefined> => {
    const exact = path.isAbsolute(name) || name.startsWith(':');
    if (system.has(name) || (exact && name.endsWith('.a') !== (suffix === '.a'))) return undefined;
    if (path.isAbsolute(name)) return existsSync(name) ? name : undefined;
    const file = exact ? name.slice(1) : `lib${name}${suffix}`;
    const own = all.folders.map((folder) => path.join(folder, file)).find((place) => existsSync(place));
    if (own !== undefined) return own;
    const out = (await ask(cc, [...flags, `-print-file-name=${file}`])).answer.trim();
    return path.isAbsolute(out) && existsSync(out) ? path.resolve(out) : undefined;
  };
  const [archives, images] = await together([
    together(all.names.map((name) => find(name, '.a'))),
    together(shared.names.map((name) => find(name, mac ? '.dylib' : '.so'))),
  ]);
  const found = [...archives, ...images].filter((file) => file !== undefined);
  look(found);
  const wanted = all.names.map((name, at) => archives[at] ?? wordOf(name));
  const direct = shared.names.every((name) => system.has(name) || archives[all.names.indexOf(name)] !== undefined);
  if (direct && archives.some(Boolean) && (await linksIntoPlugin(wanted, all, archives, options))) {
    parts.linkOptions.push(...all.options, ...wanted);
    parts.inputs.push(...archives.filter((file) => file !== undefined));
    parts.traced = !(await anyNamesOthers(parts.inputs));
    return parts;
  }
  parts.linkOptions.push(...shared.options, ...shared.names.map(wordOf));
  // Of either kind the linker takes what lies in the first of its folders.
  parts.inputs.push(...found);
  parts.traced = !(await anyNamesOthers(found));
  for (const name of shared.names) {
    const own = carried[name];
    if (own === undefined || process.versions[own] === undefined) continue;
    warn(
      parts,
      `lib${name} is linked as a shared library, and Node exports its own copy (${own} ${process.versions[own]}): ` +
        "the plugin will call Node's, whatever version its headers are of; a static, position-independent " +
        `lib${name}.a, or the sources as a vendored folder, would keep it apart`,
    );
  }
  return parts;
}

function warn({ warnings }: Parts, message: string): void {
  warnings.push({ file: 'config.yaml', line: 0, column: 0, severity: 'warning', message });
}

/** For the linker. */
function wordOf(name: string): string {
  return path.isAbsolute(name) ? name : `-l${name}`;
}

async function anyNamesOthers(files: readonly string[]): Promise<boolean> {
  return (await Promise.all(files.map(namesOthers))).some(Boolean);
}

/** Of the C library and the compiler: never linked statically. */
const system = new Set(['c', 'm', 'dl', 'rt', 'pthread', 'stdc++', 'gcc', 'gcc_s', 'c++', 'util', 'resolv', 'atomic']);

/** Whether the archives can become part of a plugin: position-independent, and complete with the rest. */
async function linksIntoPlugin(
  wanted: readonly string[],
  { options }: LinkWords,
  archives: readonly (string | undefined)[],
  { toolchain, ask, scratch }: LocateOptions,
): Promise<boolean> {
  const files = archives.filter((file) => file !== undefined);
  const [cxx = '', ...flags] = toolchain.cxx.split(/\s+/);
  const whole = mac
    ? files.map((file) => `-Wl,-force_load,${file}`)
    : ['-Wl,--whole-archive', ...files, '-Wl,--no-whole-archive'];
  const own = mac
    ? []
    : ['-Wl,-Bsymbolic', '-Wl,--exclude-libs,ALL', `-Wl,--version-script=${exportMap}`, '-Wl,-z,defs'];
  const rest = wanted.filter((word) => !files.includes(word));
  try {
    await mkdir(scratch, { recursive: true });
    const output = ['-o', path.join(scratch, 'trial')];
    return (await ask(cxx, [...flags, '-shared', ...own, ...options, ...whole, ...rest, ...output])).status === 0;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function missingModule(
  application: Application,
  modules: readonly string[],
  { ask, toolchain: { target } }: LocateOptions,
  said: string,
): Promise<TenonError> {
  for (const module of modules) {
    const { status, output } = await ask('pkg-config', ['--print-errors', '--exists', module]);
    if (status === 0) continue;
    const name = module.split(/[ <>=]/)[0] ?? module;
    const [debian, homebrew] = packages[name] ?? [];
    const install =
      debian === undefined
        ? undefined
        : target !== undefined
          ? `run \`dpkg --add-architecture ${target.debian} && apt update && apt install ${debian}:${target.debian}\``
          : mac
            ? `run \`brew install ${homebrew}\``
            : `run \`apt install ${debian}\``;
    const there = (await ask('pkg-config', ['--exists', name])).status === 0;
    const reason = output.split('\n')[0] ?? '';
    return missing(
      application,
      'pkg-config',
      module,
      there
        ? `and another version is installed: ${reason}`
        : `which pkg-config does not find${target === undefined ? '' : ` for ${target.name}`}`,
      there ? undefined : install,
    );
  }
  return missing(application, 'pkg-config', modules.join(', '), `and pkg-config says: ${said.split('\n')[0] ?? ''}`);
}
