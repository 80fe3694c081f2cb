/** The sources of an application, as they are now, and what they declare. */
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { TenonError } from '../base/errors.js';
import type { Application } from './application.js';
import type { Diagnostic } from './diagnostics.js';
import { sha256 } from './fingerprint.js';
import { mayComeFirst, SystemHeaders } from './preamble.js';
import { type Preprocessor, preprocess } from './preprocess.js';
import { readRegular } from '../base/regular.js';
import { type Declared, isDoubtful, type Language, type Position, type Scan } from './scan.js';
import { scanText } from './scanner.js';

/** Largest source that is given to a compiler, bytes. */
export const sourceLimit = 16 * 1024 * 1024;

/** Of a type or of TENON_PLUGIN: the file it stands in, relative to the application's folder. */
export interface Placed {
  file: string;
}

export interface Source {
  /** Relative to the application's folder. */
  file: string;
  /** What the source declares, with the headers of the application that it includes. */
  resources: (Declared & Placed)[];
  extensions: (Declared & Placed)[];
  plugin: (Position & Placed) | undefined;
  /** Of a vendored folder: compiled, but not searched for what it declares. */
  vendored: boolean;
  /** False when tenon.hpp must not be read before its first line. */
  precompiled: boolean;
  /** Where the text ends; the column is counted in bytes. */
  end: Position;
}

export interface Sources {
  sources: Source[];
  /** Files of the application that were looked at, absolute, with the SHA-256 of their bytes. */
  read: Map<string, string>;
  /** Files of the application that the sources may include by a quoted name, absolute. */
  included: Set<string>;
  warnings: Diagnostic[];
}

interface Content {
  text: string;
  /** SHA-256 of its bytes. */
  hash: string;
}

interface Text {
  file: string;
  scan: Scan;
}

/** Only so much of a line is searched for a name, characters. */
const searchedRow = 4096;
/** So many types are placed before others have their turn. */
const placedAtOnce = 100;

/** Throws `BuildFailed` for one that cannot be compiled whatever it says. */
export async function readSources(application: Application, preprocessor: Preprocessor): Promise<Sources> {
  const reader = new Reader(application, preprocessor);
  for (const file of application.sources) await reader.add(file);
  for (const file of application.vendored) await reader.addVendored(file);
  return reader;
}

class Reader implements Sources {
  readonly sources: Source[] = [];
  readonly read = new Map<string, string>();
  readonly included = new Set<string>();
  readonly warnings: Diagnostic[] = [];
  readonly #application: Application;
  readonly #preprocessor: Preprocessor;
  readonly #system: SystemHeaders;

  constructor(application: Application, preprocessor: Preprocessor) {
    this.#application = application;
    this.#preprocessor = preprocessor;
    this.#system = new SystemHeaders(preprocessor.searched, preprocessor.located.includes);
  }

  async addVendored(file: string): Promise<void> {
    const { text } = await this.#source(file);
    const nothing = { resources: [], extensions: [], plugin: undefined };
    this.sources.push({ file, ...nothing, vendored: true, precompiled: false, end: endOf(text) });
  }

  async add(file: string): Promise<void> {
    const language = languageOf(file);
    const content = await this.#source(file);
    const scan = await this.#scan(content, language);
    const seen = new Map<string, Text>();
    const headers = await this.#headers(file, scan.includes, language, seen);
    const precompiled = language === 'c++' && mayComeFirst({ file, scan }, seen, this.#system);
    const nothing = { resources: [], extensions: [], plugin: undefined };
    const source: Source = { file, ...nothing, vendored: false, precompiled, end: endOf(content.text) };
    this.sources.push(source);
    const doubtful =
      headers === undefined ||
      isDoubtful(
        scan,
        headers.map((each) => each.scan),
      );
    if (doubtful && (await this.#ask(source, language))) return;
    const place = { file };
    source.resources = scan.resources.map((each) => ({ ...each, ...place }));
    source.extensions = scan.extensions.map((each) => ({ ...each, ...place }));
    source.plugin = scan.plugin && { ...scan.plugin, ...place };
  }

  async #source(file: string): Promise<Content> {
    const place = path.join(this.#application.folder, file);
    // A name with these cannot stand in an #include.
    if (/["\\\n\r]/.test(place))
      throw refused(file, 'a source may not have quotes, backslashes or line breaks in its path', 'rename it');
    const { size } = await stat(place).catch(() => ({ size: 0 }));
    if (size > sourceLimit) {
      const mebibytes = (bytes: number): string => `${Math.ceil(bytes / 1024 ** 2)} MiB`;
      const sentence = `the source has ${mebibytes(size)}, and at most ${mebibytes(sourceLimit)} are compiled`;
      throw refused(file, sentence, 'load the data at run time, or split the source');
    }
    return this.#read(place).catch((error: unknown) => {
      throw refused(file, 'the source cannot be read', 'look at who may read it, and try again', error);
    });
  }

  /** `place` is absolute. */
  async #read(place: string): Promise<Content> {
    const bytes = await readRegular(place, sourceLimit);
    const hash = sha256(bytes);
    this.read.set(place, hash);
    return { text: bytes.toString('utf8'), hash };
  }

  #scan({ text, hash }: Content, language: Language): Promise<Scan> {
    return scanText(text, hash, language, this.#preprocessor.signal);
  }

  /** Headers of the application that `file` may include; undefined when one of them is too large to be looked at. */
  async #headers(
    file: string,
    includes: readonly string[],
    language: Language,
    seen: Map<string, Text>,
  ): Promise<Text[] | undefined> {
    const { folder, config } = this.#application;
    let whole = true;
    for (const include of includes) {
      const header = path.join(path.dirname(file), include);
      if (path.isAbsolute(include) || header.startsWith('..') || seen.has(header)) continue;
      const place = path.join(folder, header);
      this.included.add(place);
      const info = await stat(place).catch(() => undefined);
      // The compiler would wait for a FIFO, and read a device for ever.
      if (info !== undefined && !info.isFile() && !info.isDirectory())
        throw refused(header, 'only a regular file can be included', 'put the header itself there');
      if (info?.isFile() !== true) continue;
      if (info.size > sourceLimit) {
        whole = false;
        continue;
      }
      // Whoever may not read it will be told by the compiler.
      const content = await this.#read(place).catch(() => undefined);
      if (content === undefined) continue;
      const scan = await this.#scan(content, language);
      seen.set(header, { file: header, scan });
      if ((await this.#headers(header, scan.includes, language, seen)) === undefined) whole = false;
    }
    const vendored = (name: string): boolean =>
      config.dependencies.vendored.some((each) => name.startsWith(`${each}/`));
    return whole ? [...seen.values()].filter((each) => !vendored(each.file)) : undefined;
  }

  /** Let the preprocessor tell what `source` declares; false when it fails. */
  async #ask(source: Source, language: Language): Promise<boolean> {
    const { folder } = this.#application;
    const { signal, located } = this.#preprocessor;
    const unit = { file: source.file, language, precompiled: source.precompiled };
    const expanded = await preprocess(this.#application, unit, this.#preprocessor);
    if (expanded === undefined) {
      // What else it fails of, the build fails of too.
      if (located.cmake.length > 0)
        this.warnings.push({
          file: source.file,
          line: 0,
          column: 0,
          severity: 'warning',
          message:
            'what it declares in headers, behind macros or in an #else is not found, because the headers of CMake packages cannot be preprocessed',
        });
      return false;
    }
    const rows = new Map<string, string[]>();
    for (const file of expanded.files) {
      const place = path.join(folder, file);
      const bytes = await readRegular(place, sourceLimit).catch(() => undefined);
      if (bytes === undefined) continue;
      this.included.add(place);
      if (!this.read.has(place)) this.read.set(place, sha256(bytes));
      rows.set(file, bytes.toString('utf8').split('\n'));
    }
    const scan = await scanText(expanded.text, sha256(expanded.text), language, signal);
    const placed = <Type extends Position>(each: Type, name: string): Type & Placed => {
      const { file, line } = expanded.origin(each.line);
      const row = (rows.get(file)?.[line - 1] ?? '').slice(0, searchedRow);
      // Blanks are not kept, and behind a macro the name may not be there at all.
      const whole = new RegExp(`(?<![\\w$])${name.replaceAll('$', '\\$')}(?![\\w$])`);
      const found = row.includes(name) ? row.search(whole) : -1;
      return { ...each, file, line, column: (found === -1 ? Math.max(row.search(/\S/), 0) : found) + 1 };
    };
    const all = async (types: readonly Declared[]): Promise<(Declared & Placed)[]> => {
      const those: (Declared & Placed)[] = [];
      for (const each of types) {
        those.push(placed(each, each.name));
        if (those.length % placedAtOnce > 0) continue;
        await turn();
        signal?.throwIfAborted();
      }
      return those;
    };
    source.resources = await all(scan.resources);
    source.extensions = await all(scan.extensions);
    source.plugin = scan.plugin && placed(scan.plugin, 'TENON_PLUGIN');
    return true;
  }
}

/** `error`, but the id that a TENON_PLUGIN of `application` gives to the wrong plugin is named by its place. */
export async function atItsSource(error: TenonError, application: Application): Promise<TenonError> {
  const { code, details } = error;
  const { id } = details;
  if (code !== 'PluginIdMismatch' || typeof id !== 'string' || details['expected'] !== application.id) return error;
  const place = await placeOfPlugin(application);
  if (place === undefined) return error;
  const { file, line, column } = place;
  const sentence = `${file}:${line}:${column}: TENON_PLUGIN has the id "${id}", and the application is "${application.id}"`;
  return new TenonError(code, sentence, {
    next: `write "${application.id}" there, or \`app_id: ${id}\` in config.yaml`,
    details: { ...details, file, line, column },
    cause: error,
  });
}

/** Where the first TENON_PLUGIN of its sources stands, as they are now; undefined when none is there. */
export async function placeOfPlugin(
  application: Application,
): Promise<{ file: string; line: number; column: number } | undefined> {
  for (const file of application.sources) {
    const bytes = await readRegular(path.join(application.folder, file), sourceLimit).catch(() => undefined);
    if (bytes === undefined) continue;
    const { plugin } = await scanText(bytes.toString('utf8'), sha256(bytes), languageOf(file));
    if (plugin !== undefined) return { file, line: plugin.line, column: plugin.column };
  }
  return undefined;
}

function languageOf(file: string): Language {
  return path.extname(file) === '.c' ? 'c' : 'c++';
}

function refused(file: string, sentence: string, next: string, cause?: unknown): TenonError {
  return new TenonError('BuildFailed', `${file}: ${sentence}`, { next, details: { file }, cause });
}

/** Where `text` ends; columns of the last line are counted in bytes. */
function endOf(text: string): Position {
  const whole = text.endsWith('\n') && text.length > 1 ? text.slice(0, -1) : text;
  let line = 1;
  for (let at = whole.indexOf('\n'); at !== -1; at = whole.indexOf('\n', at + 1)) line += 1;
  return { line, column: Buffer.byteLength(whole.slice(whole.lastIndexOf('\n') + 1)) + 1 };
}
