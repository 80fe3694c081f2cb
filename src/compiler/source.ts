/** The sources of an application, as they are now, and what they declare. */
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { TenonError } from '../base/errors.js';
import type { Application } from './application.js';
import type { Diagnostic } from './diagnostics.js';
import { sha256 } from './fingerprint.js';
import { type Preprocessor, preprocess } from './preprocess.js';
import { readRegular } from './regular.js';
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
  /** Where the text ends. */
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

interface Text {
  file: string;
  text: string;
  scan: Scan;
}

/** Throws `BuildFailed` for one that cannot be compiled whatever it says. */
export async function readSources(application: Application, preprocessor: Preprocessor): Promise<Sources> {
  const reader = new Reader(application, preprocessor);
  for (const file of application.sources) await reader.add(file, false);
  for (const file of application.vendored) await reader.add(file, true);
  return reader;
}

class Reader implements Sources {
  readonly sources: Source[] = [];
  readonly read = new Map<string, string>();
  readonly included = new Set<string>();
  readonly warnings: Diagnostic[] = [];
  readonly #application: Application;
  readonly #preprocessor: Preprocessor;

  constructor(application: Application, preprocessor: Preprocessor) {
    this.#application = application;
    this.#preprocessor = preprocessor;
  }

  async add(file: string, vendored: boolean): Promise<void> {
    const language = path.extname(file) === '.c' ? 'c' : 'c++';
    const own = await this.#source(file, language);
    const { scan } = own;
    const source: Source = { file, resources: [], extensions: [], plugin: undefined, vendored, end: scan.end };
    this.sources.push(source);
    if (vendored) return;
    const headers = await this.#headers(file, scan.includes, language, new Map());
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

  async #source(file: string, language: Language): Promise<Text> {
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
    return this.#text(file, language).catch((error: unknown) => {
      if (error instanceof TenonError || this.#preprocessor.signal?.aborted) throw error;
      throw refused(file, 'the source cannot be read', 'look at who may read it, and try again', error);
    });
  }

  async #text(file: string, language: Language): Promise<Text> {
    const place = path.join(this.#application.folder, file);
    const bytes = await readRegular(place, sourceLimit);
    const hash = sha256(bytes);
    this.read.set(place, hash);
    const text = bytes.toString('utf8');
    return { file, text, scan: await scanText(text, hash, language, this.#preprocessor.signal) };
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
      const text = await this.#text(header, language).catch((error: unknown) => {
        if (error instanceof TenonError || this.#preprocessor.signal?.aborted) throw error;
        // Whoever may not read it will be told by the compiler.
        return undefined;
      });
      if (text === undefined) continue;
      seen.set(header, text);
      if ((await this.#headers(header, text.scan.includes, language, seen)) === undefined) whole = false;
    }
    const vendored = (name: string): boolean =>
      config.dependencies.vendored.some((each) => name.startsWith(`${each}/`));
    return whole ? [...seen.values()].filter((each) => !vendored(each.file)) : undefined;
  }

  /** Let the preprocessor tell what `source` declares; false when it fails. */
  async #ask(source: Source, language: Language): Promise<boolean> {
    const { folder } = this.#application;
    const { signal, located } = this.#preprocessor;
    const expanded = await preprocess(this.#application, source.file, language, this.#preprocessor);
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
      const row = rows.get(file)?.[line - 1] ?? '';
      // Blanks are not kept, and behind a macro the name may not be there at all.
      const found = row.search(new RegExp(`(?<![\\w$])${name.replaceAll('$', '\\$')}(?![\\w$])`));
      return { ...each, file, line, column: (found === -1 ? Math.max(row.search(/\S/), 0) : found) + 1 };
    };
    source.resources = scan.resources.map((each) => placed(each, each.name));
    source.extensions = scan.extensions.map((each) => placed(each, each.name));
    source.plugin = scan.plugin && placed(scan.plugin, 'TENON_PLUGIN');
    return true;
  }
}

function refused(file: string, sentence: string, next: string, cause?: unknown): TenonError {
  return new TenonError('BuildFailed', `${file}: ${sentence}`, { next, details: { file }, cause });
}
