/** Names the functions and the sources of the addresses in a crash report, as far as the libraries are kept and tell. */
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import type { CrashReport, Frame } from '../base/crash-report.js';
import { readRegular } from '../base/regular.js';
import { librarySuffix } from '../compiler/application.js';
import { ElfSymbols } from '../compiler/elf-symbols.js';
import { sourcePlaces, type SourcePlace } from '../compiler/source-lines.js';

/** Where libraries, and their debug information, are looked for. */
export interface SymbolSources {
  /** Data directory of the host; absolute. */
  readonly data: string;
  /** Folders of applications, the likeliest first; absolute. */
  readonly applications: readonly string[];
  /** Debug information of one of the libraries, in a file of its own; absolute. */
  readonly debugFile?: string | undefined;
}

/** A file that knows an image's symbols. */
interface Symbols {
  readonly file: string;
  readonly elf: ElfSymbols;
}

const plugins = /^[a-z0-9][a-z0-9_-]{0,62}$/;
const hashes = /^[0-9a-f]{64}$/;
const framesNamed = 256;
const libraryLimit = 512 * 1024 ** 2;
/** A program is larger, and has few names that help. */
const systemLibraryLimit = 16 * 1024 ** 2;

/**
 * The report with a symbol, and a source where the build has debug information, for each frame that they are found for, and with why names
 * are missing of a plugin whose library is stripped. Libraries are those with the very hash that crashed. Throws TypeError for a debug file
 * that is none, or of no library of the report.
 */
export async function symbolised(report: CrashReport, sources: SymbolSources): Promise<CrashReport> {
  const debug = sources.debugFile === undefined ? undefined : await debugSymbols(sources.debugFile);
  const groups = new Map<string, Frame[]>();
  for (const frame of report.frames.slice(0, framesNamed)) {
    const key = imageOf(frame, report);
    if (key !== undefined && frame.offset !== undefined) groups.set(key, [...(groups.get(key) ?? []), frame]);
  }
  const named = new Map<Frame, Frame>();
  const seen = new Set<string>();
  const gaps = new Set<string>();
  for (const [key, frames] of groups) {
    const found = await symbolsOf(key, report, sources);
    if (found === undefined) continue;
    seen.add(found.elf.buildId);
    const isDebugged = debug !== undefined && debug.elf.buildId === found.elf.buildId;
    const used = isDebugged ? debug : found;
    await nameFrames(frames, used, named);
    const plugin = frames[0]?.plugin;
    const isNamed = frames.every((frame) => named.get(frame)?.symbol !== undefined);
    if (plugin !== undefined && used.elf.isStripped && !isNamed) gaps.add(await namesGap(plugin, used, sources));
  }
  if (debug !== undefined && !seen.has(debug.elf.buildId)) throw strangeDebugFile(debug, [...seen]);
  return {
    ...report,
    frames: report.frames.map((frame) => named.get(frame) ?? frame),
    gaps: [...report.gaps, ...gaps],
  };
}

/** Why functions of `plugin` have no names, and how to get them. */
async function namesGap(plugin: string, { elf }: Symbols, { applications }: SymbolSources): Promise<string> {
  const what = `names of functions of ${plugin}: its library is stripped`;
  if (elf.buildId === '') return `${what}, and has no build id to know its debug information by`;
  const beside = await symbolsBeside(plugin, applications);
  const other = beside.find((each) => each.elf.buildId !== elf.buildId);
  const found = other === undefined ? '' : `, and ${other.file} is of another build`;
  const [place = ''] = debugPlaces(plugin, applications);
  return `${what}${found}; give its debug information with \`tenon crashes --debug-file\`, or put it at ${place}`;
}

/** Where the debug information of a plugin lies beside its library. */
function debugPlaces(plugin: string, applications: readonly string[]): string[] {
  return applications.map((folder) => path.join(folder, plugin, `${plugin}.debug`));
}

async function symbolsBeside(plugin: string, applications: readonly string[]): Promise<Symbols[]> {
  const found = await Promise.all(debugPlaces(plugin, applications).map((file) => symbolsIn(file, libraryLimit)));
  return found.filter((each) => each !== undefined);
}

/** `plugin:HASH` or the path of a file; undefined when it is not known. */
function imageOf(frame: Frame, { verdict }: CrashReport): string | undefined {
  const { plugin, generation, file } = frame;
  if (plugin === undefined) return file !== undefined && path.isAbsolute(file) ? file : undefined;
  const parties = [verdict.culprit, ...verdict.suspects];
  const party = parties.find((each) => each?.plugin === plugin && each.generation === generation);
  const sha256 = frame.sha256 ?? party?.sha256 ?? '';
  return plugins.test(plugin) && hashes.test(sha256) ? `${plugin}:${sha256}` : undefined;
}

async function symbolsOf(key: string, report: CrashReport, sources: SymbolSources): Promise<Symbols | undefined> {
  if (path.isAbsolute(key)) return systemSymbols(key, Date.parse(report.at));
  const [plugin = '', sha256 = ''] = key.split(':');
  const { data, applications } = sources;
  const places = [
    path.join(data, 'versions', plugin, `${sha256}.library`),
    path.join(data, 'cache', 'results', `${sha256}.library`),
    ...applications.map((folder) => path.join(folder, plugin, `${plugin}${librarySuffix}`)),
  ];
  for (const file of places) {
    const bytes = await readRegular(file, libraryLimit).catch(() => undefined); // it is looked for in several places
    if (bytes === undefined || createHash('sha256').update(bytes).digest('hex') !== sha256) continue;
    const elf = ElfSymbols.read(bytes);
    if (elf === undefined) return undefined;
    const beside = await symbolsBeside(plugin, applications);
    return (elf.buildId === '' ? undefined : beside.find((each) => each.elf.buildId === elf.buildId)) ?? { file, elf };
  }
  return undefined;
}

/** Of a library that was there before the crash, and has not changed since. */
async function systemSymbols(file: string, at: number): Promise<Symbols | undefined> {
  const facts = await stat(file).catch(() => undefined); // it may be gone by now
  return facts === undefined || facts.mtimeMs > at ? undefined : symbolsIn(file, systemLibraryLimit);
}

async function symbolsIn(file: string, limit: number): Promise<Symbols | undefined> {
  const bytes = await readRegular(file, limit).catch(() => undefined); // there need be none
  const elf = bytes === undefined ? undefined : ElfSymbols.read(bytes);
  return elf === undefined ? undefined : { file, elf };
}

async function debugSymbols(file: string): Promise<Symbols> {
  const found = await symbolsIn(file, libraryLimit);
  if (found === undefined) throw new TypeError(`option debug-file: ${file} is no ELF file that can be read`);
  return found;
}

function strangeDebugFile({ file, elf }: Symbols, seen: readonly string[]): TypeError {
  const there = seen.filter((id) => id !== '').join(', ') || 'not to be found';
  return new TypeError(
    `option debug-file: ${file} has the build id ${elf.buildId || '(none)'}, and those of the libraries are ${there}`,
  );
}

async function nameFrames(frames: readonly Frame[], { file, elf }: Symbols, named: Map<Frame, Frame>): Promise<void> {
  const address = (frame: Frame): number => {
    const at = Number.parseInt(frame.offset ?? '', 16) + elf.base;
    // What is on the stack is where the call returns to: the instruction behind it.
    return frame.found === 'pc' ? at : at - 1;
  };
  const known = [...new Set(frames.map(address))].filter((at) => Number.isSafeInteger(at) && at >= 0);
  const places = await sourcePlaces(file, known);
  for (const frame of frames) {
    const at = address(frame);
    const symbol = symbolOf(elf, at, frame.found === 'pc' ? 0 : 1, places.get(at) ?? []);
    const source = frame.plugin === undefined ? undefined : places.get(at)?.[0]?.source;
    if (symbol !== undefined || source !== undefined)
      named.set(frame, {
        ...frame,
        ...(symbol === undefined ? {} : { symbol }),
        ...(source === undefined ? {} : { source }),
      });
  }
}

/** `function+0x12`, or `inlined in function+0x12`. */
function symbolOf(elf: ElfSymbols, at: number, behind: number, places: readonly SourcePlace[]): string | undefined {
  const found = elf.at(at);
  const name = places.at(-1)?.function ?? found?.name;
  if (name === undefined) return undefined;
  const whole = found === undefined ? name : `${name}+0x${(found.delta + behind).toString(16)}`;
  const [innermost] = places;
  return places.length > 1 && innermost?.function !== undefined ? `${innermost.function} in ${whole}` : whole;
}
