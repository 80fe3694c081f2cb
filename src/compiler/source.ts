/** The sources of an application, as they are now. */
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { TenonError } from '../base/errors.js';
import type { Application } from './application.js';
import { sha256 } from './fingerprint.js';
import { readRegular } from './regular.js';
import { type Scan, scanSource } from './scan.js';

/** Largest source that is given to a compiler, bytes. */
export const sourceLimit = 16 * 1024 * 1024;

export interface Source {
  /** Relative to the application's folder. */
  file: string;
  scan: Scan;
  /** Of a vendored folder: compiled, but not searched for what it declares. */
  vendored: boolean;
  /** SHA-256 of its bytes. */
  hash: string;
  /** Where the text ends. */
  end: { line: number; column: number };
}

const nothing: Scan = { resources: [], extensions: [], plugin: undefined, includes: [] };

/** Throws `BuildFailed` for one that cannot be compiled whatever it says. */
export async function readSources(application: Application): Promise<Source[]> {
  const { folder, sources, vendored } = application;
  return Promise.all([
    ...sources.map((file) => readSource(folder, file, false)),
    ...vendored.map((file) => readSource(folder, file, true)),
  ]);
}

async function readSource(folder: string, file: string, vendored: boolean): Promise<Source> {
  // A name with these cannot stand in an #include.
  if (/["\\\n\r]/.test(path.join(folder, file)))
    throw refused(file, 'a source may not have quotes, backslashes or line breaks in its path', 'rename it');
  const { size } = await stat(path.join(folder, file)).catch(() => ({ size: 0 }));
  if (size > sourceLimit) {
    const mebibytes = (bytes: number): string => `${Math.ceil(bytes / 1024 ** 2)} MiB`;
    const sentence = `the source has ${mebibytes(size)}, and at most ${mebibytes(sourceLimit)} are compiled`;
    throw refused(file, sentence, 'load the data at run time, or split the source');
  }
  const bytes = await readRegular(path.join(folder, file), sourceLimit).catch((error: unknown) => {
    throw refused(file, 'the source cannot be read', 'look at who may read it, and try again', error);
  });
  const text = bytes.toString('utf8');
  const lines = text.split('\n');
  if (lines.length > 1 && lines.at(-1) === '') lines.pop();
  const end = { line: lines.length, column: Buffer.byteLength(lines.at(-1) ?? '') + 1 };
  return { file, scan: vendored ? nothing : scanSource(text), vendored, hash: sha256(bytes), end };
}

function refused(file: string, sentence: string, next: string, cause?: unknown): TenonError {
  return new TenonError('BuildFailed', `${file}: ${sentence}`, { next, details: { file }, cause });
}

/** Files of the application that the sources include by a quoted name, absolute, as far as can be told without compiling. */
export async function includedFiles(folder: string, sources: readonly Source[]): Promise<Set<string>> {
  const seen = new Set<string>();
  const follow = async (from: string, includes: readonly string[]): Promise<void> => {
    for (const include of includes) {
      const file = path.join(from, include);
      if (path.isAbsolute(include) || file.startsWith('..') || seen.has(file)) continue;
      seen.add(file);
      const place = path.join(folder, file);
      const info = await stat(place).catch(() => undefined);
      // The compiler would wait for a FIFO, and read a device for ever.
      if (info !== undefined && !info.isFile() && !info.isDirectory())
        throw refused(file, 'only a regular file can be included', 'put the header itself there');
      if (info?.isFile() !== true || info.size > sourceLimit) continue;
      const text = await readRegular(place, sourceLimit).catch(() => '');
      await follow(path.dirname(file), scanSource(text.toString()).includes);
    }
  };
  for (const { file, scan } of sources) await follow(path.dirname(file), scan.includes);
  return new Set([...seen].map((file) => path.join(folder, file)));
}
