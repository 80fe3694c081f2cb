/** What is to be said of a library that nobody loads. */
import { createHash } from 'node:crypto';
import { asTenonError } from '../base/errors.js';
import type { Core } from '../binding/core.js';
import type { ImageFacts, ImageFinding } from '../binding/image.js';

/** One library; the shape that `--json` prints. */
export interface LibraryReport {
  /** Relative to the bundle. */
  path: string;
  /** Keys of `entrypoints` that lead to it. */
  platforms: string[];
  /** Bytes. */
  size: number;
  sha256: string;
  /** Why it could not be read; absent when all of the following is there. */
  error?: { code: string; message: string };
  arch?: string;
  libc?: 'glibc' | 'musl';
  /** Lowest glibc that has all it needs. */
  glibcFloor?: string;
  abi?: string;
  id?: string;
  version?: string;
  sdkVersion?: string;
  compiler?: string;
  buildId?: string;
  needed?: string[];
  exports?: string[];
  findings?: ImageFinding[];
  /** Whether it would leave the process when it is closed. */
  unloadable?: boolean;
}

/** What the library that `bytes` are says of itself. */
export function reportLibrary(
  bytes: Uint8Array,
  place: Pick<LibraryReport, 'path' | 'platforms'>,
  core: Pick<Core, 'inspectImage'>,
): LibraryReport {
  const report = { ...place, size: bytes.byteLength, sha256: createHash('sha256').update(bytes).digest('hex') };
  try {
    return { ...report, ...readable(core.inspectImage(bytes, 'any')) };
  } catch (error) {
    const { code, message } = asTenonError(error);
    return { ...report, error: { code, message } };
  }
}

function readable(facts: ImageFacts): Omit<LibraryReport, 'path' | 'platforms' | 'size' | 'sha256'> {
  const { arch, libc, glibcFloor, note, buildId, needed, exports, findings } = facts;
  const { abiMajor, abiMinor, id, version, sdkVersion, compiler } = note;
  return {
    arch,
    ...(libc === undefined ? {} : { libc }),
    ...(glibcFloor === undefined ? {} : { glibcFloor }),
    abi: `${abiMajor}.${abiMinor}`,
    id,
    version,
    sdkVersion,
    compiler,
    buildId,
    needed,
    exports,
    findings,
    unloadable: !findings.some(({ pins }) => pins),
  };
}

/** Exports that are told to people. */
const exportsTold = 20;

/** It, for people: rows of a name and what is to be said. */
export function libraryRows(report: LibraryReport): [string, string][] {
  const { platforms, size, sha256, error, arch = '', libc, glibcFloor, abi = '', id = '', version = '' } = report;
  const { compiler = '', needed = [], exports = [], findings = [], unloadable } = report;
  const first: [string, string][] = [
    ...(platforms.length === 0 ? [] : [['for', platforms.join(', ')] as [string, string]]),
    ['size', `${size} bytes`],
    ['sha256', sha256],
  ];
  if (error !== undefined) return [...first, ['not read', `${error.code}: ${error.message}`]];
  const pins = findings.filter((finding) => finding.pins);
  const more = exports.length > exportsTold ? ` and ${exports.length - exportsTold} more` : '';
  const oldest = glibcFloor === undefined ? (libc ?? 'no libc') : `glibc ${glibcFloor} or newer`;
  return [
    ...first,
    ['machine', `${arch}, ${oldest}`],
    ['plugin', id === '' ? `of ABI ${abi}, whose notes are not read` : `${id} ${version}, ABI ${abi}`],
    ...(compiler === '' ? [] : [['compiler', compiler] as [string, string]]),
    ['needs', needed.length === 0 ? 'no library' : needed.join(', ')],
    ['exports', exports.slice(0, exportsTold).join(', ') + more],
    ['unloads', unloadable === true ? 'yes' : `no: ${pins.map(({ detail }) => detail).join('; ')}`],
    ...findings
      .filter((finding) => !finding.pins)
      .map(({ rule, detail }): [string, string] => ['note', `${rule}: ${detail}`]),
  ];
}
