/** Writes the CMake project that turns an application's sources into a plugin. */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { TenonError } from '../base/errors.js';
import type { Application } from './application.js';
import { type Declared, type Scan, scanSource } from './scan.js';

/** `cmake/tenon.cmake` of this package. */
const flags = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..', 'cmake', 'tenon.cmake');

interface Source {
  /** Relative to the application's folder. */
  file: string;
  scan: Scan;
  /** SHA-256 over the source and every file of the application that it includes. */
  content: string;
}

/**
 * Bring `directory` up to date with the application. A file is written only when its text changes, and the text of a
 * piece of glue holds the hash of what it includes: so the build sees a change of content, whatever the times of the
 * files say, and no change when there is none.
 * Throws `SourcesMissing` when nothing in the sources is a plugin, `BuildFailed` when they contradict each other.
 */
export async function generateProject(application: Application, directory: string): Promise<void> {
  const sources = await Promise.all(application.sources.map((file) => readSource(application.folder, file)));
  check(application, sources);
  const files = new Map<string, string>();
  const glue = sources.map((source, index) => {
    const name = `glue/${index}${path.extname(source.file) === '.c' ? '.c' : '.cpp'}`;
    files.set(name, glueOf(application, source, index));
    return name;
  });
  if (!sources.some((source) => source.scan.plugin)) {
    files.set('glue/plugin.cpp', pluginOf(application, sources));
    glue.push('glue/plugin.cpp');
  }
  files.set('CMakeLists.txt', listOf(application, glue, sources));
  // cmake-js looks for the headers of Node, and would download them, unless it sees that only Node-API is meant.
  files.set(
    'package.json',
    `${JSON.stringify({ name: application.id, private: true, binary: { napi_versions: [8] } })}\n`,
  );

  await mkdir(path.join(directory, 'glue'), { recursive: true });
  for (const [name, content] of files) await writeChanged(path.join(directory, name), content);
  for (const name of await readdir(path.join(directory, 'glue')))
    if (!files.has(`glue/${name}`)) await rm(path.join(directory, 'glue', name));
}

async function readSource(folder: string, file: string): Promise<Source> {
  // A name with these cannot stand in an #include.
  if (/["\\\n\r]/.test(path.join(folder, file)))
    throw new TenonError(
      'BuildFailed',
      `${file}: a source may not have quotes, backslashes or line breaks in its path`,
      {
        next: 'rename it',
        details: { file },
      },
    );
  const text = await readFile(path.join(folder, file), 'utf8');
  const hash = createHash('sha256').update(text);
  const scan = scanSource(text);
  await hashIncludes(folder, path.dirname(file), scan.includes, hash, new Set([file]));
  return { file, scan, content: hash.digest('hex') };
}

async function hashIncludes(
  folder: string,
  from: string,
  includes: readonly string[],
  hash: ReturnType<typeof createHash>,
  seen: Set<string>,
): Promise<void> {
  for (const include of includes) {
    const file = path.join(from, include);
    if (path.isAbsolute(include) || file.startsWith('..') || seen.has(file)) continue;
    seen.add(file);
    const text = await readFile(path.join(folder, file), 'utf8').catch(() => undefined);
    hash.update(`\0${file}\0${text ?? ''}`);
    if (text !== undefined) await hashIncludes(folder, path.dirname(file), scanSource(text).includes, hash, seen);
  }
}

interface Place {
  file: string;
  line: number;
  column: number;
  name: string;
}

function check(application: Application, sources: readonly Source[]): void {
  const places = (of: (scan: Scan) => { line: number; column: number; name?: string }[]): Place[] =>
    sources.flatMap(({ file, scan }) =>
      of(scan).map(({ line, column, name = 'TENON_PLUGIN' }) => ({ file, line, column, name })),
    );
  const plugins = places((scan) => (scan.plugin === undefined ? [] : [scan.plugin]));
  const extensions = places((scan) => scan.extensions);
  const declared = [...places((scan) => scan.resources), ...extensions];
  const [, secondPlugin] = plugins;
  if (secondPlugin !== undefined)
    throw clash(secondPlugin, 'a second TENON_PLUGIN in one application', 'keep one', plugins);
  const [, secondExtension] = extensions;
  if (secondExtension !== undefined)
    throw clash(secondExtension, 'a second extension in one application', 'make one of them', extensions);
  const [byHand] = plugins;
  if (byHand !== undefined && declared.length > 0)
    throw clash(byHand, 'a plugin written by hand does not serve', 'keep one of the two ways', declared);
  if (byHand === undefined && declared.length === 0)
    throw new TenonError(
      'SourcesMissing',
      `the sources of ${application.id} declare no tenon::Resource, no {Name}Extension and no TENON_PLUGIN`,
      {
        next: 'write `struct NAME : tenon::Resource { … };` in one of them',
        details: { sources: sources.map((source) => source.file) },
      },
    );
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
function glueOf(application: Application, source: Source, index: number): string {
  const file = path.join(application.folder, source.file);
  const lines = [`// ${source.file} ${source.content}`, `#include "${file}"`];
  const { resources, extensions } = source.scan;
  if (resources.length > 0 || extensions.length > 0) {
    lines.push('#include <tenon/tenon.hpp>');
    for (const type of resources.filter((each) => each.conditional)) lines.push(forward(type));
  }
  if (resources.length > 0) {
    lines.push(
      `extern const tenon::ResourceEntry tenon_glue_resources_${index}[];`,
      `const tenon::ResourceEntry tenon_glue_resources_${index}[] = {`,
    );
    for (const type of resources)
      lines.push(`#line ${type.line} "${file}"`, `    tenon::resource<${type.qualified}>("${type.name}"),`);
    lines.push('};');
  }
  for (const type of extensions)
    lines.push(
      'extern const tenon::ExtensionEntry tenon_glue_extension;',
      `#line ${type.line} "${file}"`,
      `const tenon::ExtensionEntry tenon_glue_extension = tenon::extension_entry<${type.qualified}>();`,
    );
  return `${lines.join('\n')}\n`;
}

/** Declares a type that may not have been compiled in, so that it can be asked about. */
function forward(type: Declared): string {
  const open = type.namespaces.map((name) => `namespace ${name} { `).join('');
  return `${open}${type.key} ${type.name};${' }'.repeat(type.namespaces.length)}`;
}

function pluginOf(application: Application, sources: readonly Source[]): string {
  const tables = sources.flatMap(({ scan }, index) => (scan.resources.length > 0 ? [{ index, scan }] : []));
  const extension = sources.some(({ scan }) => scan.extensions.length > 0);
  const { config } = application;
  const lines = [
    '#include <tenon/application.hpp>',
    ...tables.map(({ index }) => `extern const tenon::ResourceEntry tenon_glue_resources_${index}[];`),
    ...(extension ? ['extern const tenon::ExtensionEntry tenon_glue_extension;'] : []),
    'static tenon_status create(const tenon_host_t* host, tenon_plugin_t** out) {',
    `  const tenon::ResourceTable tables[] = {${[
      ...tables.map(({ index, scan }) => `{tenon_glue_resources_${index}, ${scan.resources.length}}`),
      '{nullptr, 0}',
    ].join(', ')}};`,
    `  return tenon::Application::create(host, out, tables, ${tables.length}, ${extension ? '&tenon_glue_extension' : 'nullptr'});`,
    '}',
    `TENON_PLUGIN(${[application.id, config.name, config.version].map(cppString).join(', ')},`,
    `             ${config.description === '' ? 'nullptr' : cppString(config.description)}, nullptr, TENON_TRIAL_FULL, create)`,
  ];
  return `${lines.join('\n')}\n`;
}

function listOf(application: Application, glue: readonly string[], sources: readonly Source[]): string {
  const languages = [...new Set(glue.map((file) => (file.endsWith('.c') ? 'C' : 'CXX')))].sort();
  const generated = glue.length > sources.length;
  // Including the header is nearly all the work there is, so it is compiled once; but not for who does without it.
  const without = glue.filter((file, index) => {
    const scan = sources[index]?.scan;
    return file.endsWith('.cpp') && scan !== undefined && scan.resources.length + scan.extensions.length === 0;
  });
  return [
    'cmake_minimum_required(VERSION 3.18)',
    `project(plugin LANGUAGES ${languages.join(' ')})`,
    `include(${cmakeString(flags)})`,
    ...without.map((file) => `set_source_files_properties(${file} PROPERTIES SKIP_PRECOMPILE_HEADERS ON)`),
    `tenon_add_plugin(plugin OUTPUT_NAME ${application.id}`,
    `  SOURCE_ROOT ${cmakeString(application.folder)}`,
    ...(generated ? ['  PRECOMPILE <tenon/tenon.hpp>'] : []),
    `  SOURCES ${glue.join(' ')})`,
    '',
  ].join('\n');
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

async function writeChanged(file: string, content: string): Promise<void> {
  const old = await readFile(file, 'utf8').catch(() => undefined);
  if (old !== content) await writeFile(file, content);
}
