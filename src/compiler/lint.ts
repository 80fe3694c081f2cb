/** Looks at a library that was just linked for what will trouble whoever loads it. */
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { loadCore } from '../binding/core.js';
import type { ImageFinding } from '../binding/image.js';
import type { Diagnostic } from './diagnostics.js';

/** A finding of the core, and the source that it comes from, where that can be told. */
export interface Finding extends ImageFinding {
  /** Relative to the application's folder; empty when no source can be named. */
  file: string;
}

/** What is said of a library; throws for what is no library of this system. */
export type Inspect = (bytes: Uint8Array) => readonly ImageFinding[];

const advice: Record<string, string> = {
  'unique-symbol': 'it keeps every build mapped for ever; build it with -fno-gnu-unique',
  nodelete: 'it keeps every build mapped for ever; do not link with -z nodelete',
  'thread-local-destructor': 'the build stays mapped until the threads that used it end; give it no destructor',
  'static-tls': 'the process runs out of room for it after some reloads; do not compile with -ftls-model=initial-exec',
  'executable-stack': 'some systems refuse it; add the .note.GNU-stack section to the assembly',
  'writable-code': 'some systems refuse it; look at the linker script or the assembly',
  'text-relocations': 'some systems refuse it; compile everything with -fPIC',
  rpath: 'libraries would be looked for where this machine has them; link without it',
  'fast-math': 'loading it changes floating point for the whole process; do not link with -ffast-math or -Ofast',
};

/** The core's own inspection. Elsewhere than on Linux libraries are of another format, which it does not read. */
export function inspectWithCore(bytes: Uint8Array): readonly ImageFinding[] {
  return process.platform === 'linux' ? loadCore().inspectImage(bytes).findings : [];
}

/** `build` has the objects, whose n-th piece of glue is for the n-th of `sources`. */
export async function lint(
  bytes: Buffer,
  build: string,
  sources: readonly string[],
  inspect: Inspect,
): Promise<Finding[]> {
  const found = [...inspect(bytes)];
  if (bytes.includes('set_fast_math\0'))
    found.push({
      rule: 'fast-math',
      detail: 'the library sets the floating-point mode when it is loaded',
      pins: false,
    });
  if (found.length === 0) return [];
  const objects = await objectsOf(build, sources);
  return found.map((finding) => ({ ...finding, file: sourceOf(finding, objects) }));
}

async function objectsOf(build: string, sources: readonly string[]): Promise<{ file: string; bytes: Buffer }[]> {
  const folder = path.join(build, 'CMakeFiles', 'plugin.dir', 'glue');
  const names = await readdir(folder).catch(() => []);
  const objects: { file: string; bytes: Buffer }[] = [];
  for (const name of names) {
    const index = /^(\d+)\.c(?:pp)?\.o$/.exec(name)?.[1];
    const file = index === undefined ? undefined : sources[Number(index)];
    if (file !== undefined) objects.push({ file, bytes: await readFile(path.join(folder, name)) });
  }
  return objects;
}

const traces: Record<string, string> = {
  'thread-local-destructor': '__cxa_thread_atexit',
};

/** The first source whose object has the symbol that the finding names. */
function sourceOf(finding: ImageFinding, objects: readonly { file: string; bytes: Buffer }[]): string {
  const symbols = [...finding.detail.matchAll(/\b_?[A-Za-z]\w{3,}\b/g)].map(([word]) => word);
  const wanted = [traces[finding.rule], ...symbols.filter((word) => /[_\d]/.test(word))].filter(
    (each) => each !== undefined,
  );
  const one = wanted.flatMap((symbol) => objects.filter(({ bytes }) => bytes.includes(`${symbol}\0`)))[0];
  return one?.file ?? (objects.length === 1 ? (objects[0]?.file ?? '') : '');
}

/** As a warning of the build. */
export function warningOf({ rule, detail, file }: Finding): Diagnostic {
  const why = advice[rule];
  return { file, line: 0, column: 0, severity: 'warning', message: `${detail}${why === undefined ? '' : `: ${why}`}` };
}
