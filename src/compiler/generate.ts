/** Writes the CMake project that turns an application's sources into a plugin. */
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { TenonError } from '../base/errors.js';
import { packageRoot } from '../base/package-root.js';
import type { Application } from './application.js';
import { sha256 } from './fingerprint.js';
import type { Diagnostic } from './diagnostics.js';
import type { Located } from './locate.js';
import type { Preprocessor } from './preprocess.js';
import type { Profile } from './profile.js';
import type { Target } from './target.js';
import type { Declared, Position } from './scan.js';
import { type Placed, readSources, type Source } from './source.js';
import { isBelow } from './way.js';

/** `cmake/tenon.cmake` of this package. */
const flags = path.join(packageRoot, 'cmake', 'tenon.cmake');

/** A project that is not written yet. */
export interface Project {
  /** Texts of its files by their path from the project's directory. */
  readonly files: ReadonlyMap<string, string>;
  /** The n-th piece of glue is for the n-th of these. */
  readonly sources: readonly Source[];
  /** Files of the application that it depends on, absolute, with the SHA-256 of what was in them. */
  readonly read: ReadonlyMap<string, string>;
  /** Files of the application that the sources may include by a quoted name, absolute. */
  readonly included: ReadonlySet<string>;
  readonly warnings: readonly Diagnostic[];
  /** Changes with everything that the build is told; headers and libraries are not looked into. */
  readonly key: string;
  /** Why what compiles would still be no plugin: what the compiler says of the sources is worth more, so it goes first. */
  readonly nothing: TenonError | undefined;
}

/** Throws `BuildFailed` when the sources contradict each other, or cannot be read. */
export async function planProject(application: Application, preprocessor: Preprocessor): Promise<Project> {
  const { located, profile, toolchain } = preprocessor;
  const { sources, read, included, warnings } = await readSources(application, preprocessor);
  serveOnce(sources);
  const nothing = check(application, sources);
  const files = new Map<string, string>();
  const plugin = nothing === undefined && !sources.some((source) => source.plugin);
  const declaring = sources.filter(declares);
  // Their macros may change what the standard library is, so that the plugin has to be compiled behind them.
  const home = plugin && !declaring.some((source) => source.precompiled) ? declaring[0] : undefined;
  const glue = sources.map((source, index) => {
    const name = `glue/${index}${path.extname(source.file) === '.c' ? '.c' : '.cpp'}`;
    const text = glueOf(application, source, index);
    files.set(name, source === home ? text + pluginOf(application, sources) : text);
    return name;
  });
  if (plugin && home === undefined) {
    // Nothing is declared, so that C will do, which is compiled ten times faster.
    const [name, text] =
      declaring.length === 0 ? ['c', emptyPluginOf(application)] : ['cpp', pluginOf(application, sources)];
    files.set(`glue/plugin.${name}`, text);
    glue.push(`glue/plugin.${name}`);
  }
  files.set('CMakeLists.txt', listOf({ application, located, profile, target: toolchain.target }, glue, sources));
  // cmake-js looks for the headers of Node, and would download them, unless it sees that only Node-API is meant.
  files.set(
    'package.json',
    `${JSON.stringify({ name: application.id, private: true, binary: { napi_versions: [8] } })}\n`,
  );
  const contents = sources.map(({ file }) => [file, read.get(path.join(application.folder, file))]);
  const key = sha256(JSON.stringify([[...files], contents, located, profile]));
  return { files, sources, read, included, warnings, key, nothing };
}

/**
 * Bring `directory` up to date with the project; the paths of what had to be written. What is there is read in this turn:
 * a few small files, which cost less than a thread that reads them.
 */
export async function writeProject({ files }: Project, directory: string): Promise<Set<string>> {
  const glue = path.join(directory, 'glue');
  await mkdir(glue, { recursive: true });
  const written = new Set<string>();
  for (const [name, content] of files) {
    const file = path.join(directory, name);
    if (holds(file, content)) continue;
    await writeFile(file, content);
    written.add(name);
  }
  for (const name of readdirSync(glue)) if (!files.has(`glue/${name}`)) await rm(path.join(glue, name));
  return written;
}

function declares({ resources, extensions }: Source): boolean {
  return resources.length + extensions.length > 0;
}

interface Place {
  file: string;
  line: number;
  column: number;
  name: string;
}

/** What stands in a header belongs to the first source that includes it. */
function serveOnce(sources: readonly Source[]): void {
  const seen = new Map<string, Source>();
  for (const source of sources) {
    const isFirst = ({ file, line, column, qualified }: Declared & Placed): boolean => {
      const key = `${file}:${line}:${column} ${qualified}`;
      const first = seen.get(key) ?? source;
      seen.set(key, first);
      return first === source;
    };
    source.resources = source.resources.filter(isFirst);
    source.extensions = source.extensions.filter(isFirst);
  }
}

function check(application: Application, sources: readonly Source[]): TenonError | undefined {
  const places = (of: (source: Source) => (Position & Placed & { name?: string })[]): Place[] =>
    sources.flatMap((source) =>
      of(source).map(({ file, line, column, name = 'TENON_PLUGIN' }) => ({ file, line, column, name })),
    );
  const plugins = places(({ plugin }) => (plugin === undefined ? [] : [plugin]));
  const extensions = places((source) => source.extensions);
  const declared = [...places((source) => source.resources), ...extensions];
  const types = new Map<string, Place & { source: Source }>();
  for (const source of sources)
    for (const { file, qualified, namespaces, line, column, name } of [...source.resources, ...source.extensions]) {
      // One without a name keeps what is in it to its file. The linker would take one of two for both.
      if (namespaces.includes('')) continue;
      const place = { file, line, column, name };
      const other = types.get(qualified);
      if (other !== undefined && other.source !== source)
        throw clash(place, `a second type named ${name}`, 'give one of them another name', [place, other]);
      types.set(qualified, { ...place, source });
    }
  const [, secondPlugin] = plugins;
  if (secondPlugin !== undefined)
    throw clash(secondPlugin, 'a second TENON_PLUGIN in one application', 'keep one', plugins);
  const [, secondExtension] = extensions;
  if (secondExtension !== undefined)
    throw clash(secondExtension, 'a second extension in one application', 'make one of them', extensions);
  const [byHand] = plugins;
  if (byHand !== undefined && declared.length > 0)
    throw clash(byHand, 'a plugin written by hand does not serve', 'keep one of the two ways', declared);
  // Tables and files alone are served too.
  const serves = application.schemas.length > 0 || application.config.staticFiles !== undefined;
  if (byHand === undefined && declared.length === 0 && !serves)
    return new TenonError(
      'SourcesMissing',
      `the sources of ${application.id} declare no tenon::Resource, no {Name}Extension and no TENON_PLUGIN`,
      {
        next: 'write `struct NAME : tenon::Resource { … };` in one of them',
        details: { sources: sources.map((source) => source.file) },
      },
    );
  return undefined;
}

function clash(at: Place, sentence: string, next: string, places: readonly Place[]): TenonError {
  const others = places.filter((place) => place !== at).map(({ file, line, name }) => `${name} (${file}:${line})`);
  const { file, line, column } = at;
  return new TenonError('BuildFailed', `${file}:${line}:${column}: ${sentence}: ${others.join(', ')}`, {
    next,
    details: { file, line, column, places },
  });
}

/** The source, and a table of what it declares. Every entry is compiled as if it stood where its type is declared. */
/** GCC takes a source for a header because glue includes it, and warns of what is fine in a source: types without a linkage in its lambdas. */
const mainFile = [
  '#if defined(__GNUC__) && !defined(__clang__)',
  '#pragma GCC diagnostic ignored "-Wsubobject-linkage"',
  '#endif',
];

function glueOf(application: Application, source: Source, index: number): string {
  const file = path.join(application.folder, source.file);
  // What is left open at the end of the source is noticed there, and not where it meets the glue.
  const end = path.extname(file) === '.c' ? '_Static_assert(1, "");' : 'static_assert(true, "");';
  const lines = [`// ${source.file}`, ...(path.extname(file) === '.c' ? [] : mainFile), `#include "${file}"`, end];
  const { resources, extensions } = source;
  if (declares(source)) {
    lines.push('#include <tenon/tenon.hpp>', `${agreement(index)} {}`);
    for (const type of resources.filter((each) => each.conditional)) lines.push(forward(type));
  }
  if (resources.length > 0) {
    lines.push(
      `extern const tenon::ResourceEntry tenon_glue_resources_${index}[];`,
      `const tenon::ResourceEntry tenon_glue_resources_${index}[] = {`,
    );
    for (const type of resources)
      lines.push(lineOf(application, type), `    tenon::resource<${type.qualified}>("${type.name}"),`);
    lines.push('};');
  }
  for (const type of extensions)
    lines.push(
      'extern const tenon::ExtensionEntry tenon_glue_extension;',
      lineOf(application, type),
      `const tenon::ExtensionEntry tenon_glue_extension = tenon::extension_entry<${type.qualified}>();`,
    );
  if (lines.some((line) => line.startsWith('#line')))
    // What was left open is not to be laid at the last of these lines, which pass for the source's.
    lines.push(`#line 1 "../glue/${index}.cpp"`, end);
  return `${lines.join('\n')}\n`;
}

function lineOf({ folder }: Application, { file, line }: Placed & Position): string {
  return `#line ${line} "${path.join(folder, file)}"`;
}

/** Declares a type that may not have been compiled in, so that it can be asked about. */
function forward(type: Declared): string {
  const open = type.namespaces.map((name) => `namespace ${name} { `).join('');
  return `${open}${type.key} ${type.name};${' }'.repeat(type.namespaces.length)}`;
}

/** Its symbol names the type: sources that do not mean the same std::string are not linked. */
function agreement(index: number): string {
  return `void tenon_glue_agrees_on_std_string_${index}(const std::string*)`;
}

function pluginOf(application: Application, sources: readonly Source[]): string {
  const tables = sources.flatMap(({ resources }, index) =>
    resources.length > 0 ? [{ index, count: resources.length }] : [],
  );
  const extension = sources.some(({ extensions }) => extensions.length > 0);
  const declaring = sources.flatMap((source, index) => (declares(source) ? [index] : []));
  const { config } = application;
  const lines = [
    '#include <tenon/application.hpp>',
    ...tables.map(({ index }) => `extern const tenon::ResourceEntry tenon_glue_resources_${index}[];`),
    ...(extension ? ['extern const tenon::ExtensionEntry tenon_glue_extension;'] : []),
    ...declaring.map((index) => `${agreement(index)};`),
    'static tenon_status tenon_glue_create(const tenon_host_t* host, tenon_plugin_t** out) {',
    ...declaring.map((index) => `  tenon_glue_agrees_on_std_string_${index}(nullptr);`),
    `  const tenon::ResourceTable tables[] = {${[
      ...tables.map(({ index, count }) => `{tenon_glue_resources_${index}, ${count}}`),
      '{nullptr, 0}',
    ].join(', ')}};`,
    `  return tenon::Application::create(host, out, tables, ${tables.length}, ${extension ? '&tenon_glue_extension' : 'nullptr'});`,
    '}',
    `TENON_PLUGIN(${[application.id, config.name, config.version].map(cppString).join(', ')},`,
    `             ${config.description === '' ? 'nullptr' : cppString(config.description)}, nullptr, TENON_TRIAL_FULL, tenon_glue_create)`,
  ];
  return `${lines.join('\n')}\n`;
}

/** A plugin that serves nothing itself: of an application that is tables only. */
function emptyPluginOf({ id, config }: Application): string {
  return `#include <tenon/entry.h>

static void destroy(tenon_plugin_t* plugin) { (void)plugin; }
static const void* get_extension(tenon_plugin_t* plugin, const char* id) { return (void)plugin, (void)id, NULL; }
static tenon_status create(const tenon_host_t* host, tenon_plugin_t** out) {
  static tenon_plugin_t plugin = {.size = sizeof(tenon_plugin_t), .destroy = destroy, .get_extension = get_extension};
  (void)host;
  *out = &plugin;
  return TENON_OK;
}
TENON_PLUGIN(${[id, config.name, config.version].map(cppString).join(', ')},
             ${config.description === '' ? 'NULL' : cppString(config.description)}, NULL, TENON_TRIAL_FULL, create)
`;
}

interface Listed {
  application: Application;
  located: Located;
  profile: Profile;
  target: Target | undefined;
}

function listOf({ application, located, profile, target }: Listed, glue: string[], sources: readonly Source[]): string {
  const languages = [...new Set(glue.map((file) => (file.endsWith('.c') ? 'C' : 'CXX')))].sort();
  // Including the header is nearly all the work there is, so it is compiled once; but not for who does without it, or
  // has something to say before it.
  const without = glue.filter((file, index) => {
    const source = sources[index];
    return file.endsWith('.cpp') && source !== undefined && !(source.precompiled && declares(source));
  });
  const behind = glue.some((file) => file.endsWith('.cpp') && !without.includes(file));
  const vendored = glue.filter((_, index) => sources[index]?.vendored === true);
  const packages = located.cmake.flatMap(({ package: name, components, targets }) => [
    `find_package(${[name, 'QUIET', ...(components.length > 0 ? ['COMPONENTS', ...components] : [])].join(' ')})`,
    `if(NOT ${name}_FOUND)`,
    `  message(FATAL_ERROR "tenon: CMake package ${name} is not found")`,
    'endif()',
    ...targets.flatMap((target) => [
      `if(NOT TARGET ${target})`,
      `  message(FATAL_ERROR "tenon: CMake target ${target} is not part of ${name}")`,
      'endif()',
    ]),
  ]);
  const targets = located.cmake.flatMap((each) => each.targets);
  const told = (command: string, scope: string, values: readonly string[]): string[] =>
    values.length === 0 ? [] : [`${command}(plugin ${scope} ${values.map(cmakeString).join(' ')})`];
  return [
    'cmake_minimum_required(VERSION 3.18)',
    ...(target === undefined
      ? []
      : ['set(CMAKE_SYSTEM_NAME Linux)', `set(CMAKE_SYSTEM_PROCESSOR ${target.processor})`]),
    `project(plugin LANGUAGES ${languages.join(' ')})`,
    ...(profile === 'sanitize' ? ['set(TENON_SANITIZE "address,undefined")'] : []),
    ...(profile === 'bundle' ? ['set(TENON_BUNDLE ON)'] : []),
    'set(CMAKE_EXPORT_COMPILE_COMMANDS ON)',
    `include(${cmakeString(flags)})`,
    ...packages,
    ...without.map((file) => `set_source_files_properties(${file} PROPERTIES SKIP_PRECOMPILE_HEADERS ON)`),
    ...vendored.map((file) => `set_source_files_properties(${file} PROPERTIES COMPILE_OPTIONS -w)`),
    // Names of what is static are made of a number, which is drawn unless it is given.
    ...(profile === 'bundle'
      ? glue.map((file) => `set_property(SOURCE ${file} APPEND PROPERTY COMPILE_OPTIONS -frandom-seed=${file})`)
      : []),
    `tenon_add_plugin(plugin OUTPUT_NAME ${application.id}`,
    `  SOURCE_ROOT ${cmakeString(application.folder)}`,
    ...(behind ? ['  PRECOMPILE <tenon/tenon.hpp>'] : []),
    `  SOURCES ${glue.join(' ')})`,
    ...told('target_include_directories', 'SYSTEM PRIVATE', located.includes),
    ...told('target_compile_options', 'PRIVATE', located.compileOptions),
    ...told('target_compile_options', 'PRIVATE', profile === 'bundle' ? placesTold(application, located) : []),
    ...told('target_link_libraries', 'PRIVATE', [...targets, ...located.linkOptions]),
    '',
  ].join('\n');
}

/** Folders of headers that are another path on each machine, told to the compiler as the same. */
function placesTold({ folder }: Application, { includes }: Located): string[] {
  const elsewhere = includes.filter((place) => !isBelow(folder, place) && !isBelow('/usr', place));
  return elsewhere.map((place, index) => `-ffile-prefix-map=${place}=include/${index}`);
}

/** Printable ASCII stays; every other byte becomes an octal escape, which cannot run into what follows. */
function cppString(text: string): string {
  let literal = '';
  for (const byte of Buffer.from(text)) {
    const plain = byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c && byte !== 0x3f;
    literal += plain ? String.fromCharCode(byte) : `\\${byte.toString(8).padStart(3, '0')}`;
  }
  return `"${literal}"`;
}

function cmakeString(text: string): string {
  return `"${text.replace(/[\\"$;]/g, '\\$&')}"`;
}

function holds(file: string, content: string): boolean {
  try {
    return readFileSync(file, 'utf8') === content;
  } catch {
    return false; // it is written then, and says why it cannot be
  }
}
