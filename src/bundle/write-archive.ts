/** Writes the archive of a bundle: the same files are the same bytes, on every machine. */
import { gzipSync } from 'fflate';
import { TenonError } from '../base/errors.js';
import { type ArchiveFile, archiveLimits, freeBytes } from './archive.js';
import { quoted } from './manifest-grammar.js';
import { blockBytes, tarHeader } from './tar-header.js';
import { paxPath } from './tar-pax.js';
import { brokenPathRule, pathFaults, TakenPaths } from './tar-path.js';

const nameBytes = 100;
const prefixBytes = 155;

interface Split {
  readonly name: Buffer;
  readonly prefix: Buffer;
}

/** The two fields of a header that hold `path`; undefined: they do not. */
function split(path: Buffer): Split | undefined {
  if (path.length <= nameBytes) return { name: path, prefix: Buffer.alloc(0) };
  const slash = path.indexOf('/', path.length - nameBytes - 1);
  if (slash === -1 || slash > prefixBytes) return undefined;
  return { name: path.subarray(slash + 1), prefix: path.subarray(0, slash) };
}

function padded(bytes: Uint8Array): Uint8Array[] {
  const rest = bytes.length % blockBytes;
  return rest === 0 ? [bytes] : [bytes, Buffer.alloc(blockBytes - rest)];
}

function entry({ path, bytes }: ArchiveFile): Uint8Array[] {
  const fields = split(Buffer.from(path));
  if (fields !== undefined) return [tarHeader({ ...fields, flag: '0', size: bytes.length }), ...padded(bytes)];
  const pax = paxPath(path);
  const none = Buffer.alloc(0);
  // The names stand for programs that know no extended headers.
  return [
    tarHeader({ name: Buffer.from('extended-header'), prefix: none, flag: 'x', size: pax.length }),
    ...padded(pax),
    tarHeader({ name: Buffer.from('long-path'), prefix: none, flag: '0', size: bytes.length }),
    ...padded(bytes),
  ];
}

function failed(path: string, rule: string, fault: string): TenonError {
  return new TenonError('PackFailed', `${quoted(path)} ${fault}`, {
    next: 'rename it or leave it out',
    details: { path, rule },
  });
}

function tooLarge(rule: string, limit: number, fault: string): TenonError {
  return new TenonError('PackFailed', `the bundle ${fault}`, { next: 'leave something out', details: { limit, rule } });
}

function requireReadable(files: readonly ArchiveFile[]): void {
  const { bytes, entries } = archiveLimits;
  if (files.length > entries) throw tooLarge('entries', entries, `has more than ${entries} files`);
  const total = files.reduce((sum, file) => sum + file.bytes.length, 0);
  if (total > bytes) throw tooLarge('bytes', bytes, `has files of more than ${bytes} bytes in all`);
  const taken = new TakenPaths();
  for (const { path } of files) {
    const rule = brokenPathRule(path);
    if (rule !== undefined) throw failed(path, rule, pathFaults[rule]);
    const clash = taken.take(path, 'file');
    if (clash !== undefined) throw failed(path, clash.rule, clash.fault);
  }
}

/**
 * The archive of `files`, in the given order; modes, owners and times say nothing. What it holds is read by `readArchive`:
 * throws `PackFailed` with `details: {path, rule}` or `{limit, rule}` for files that would not be.
 */
export function writeArchive(files: readonly ArchiveFile[]): Buffer {
  requireReadable(files);
  const tar = Buffer.concat([...files.flatMap(entry), Buffer.alloc(2 * blockBytes)]);
  // zlib's own output is another one on some processors; this is the same everywhere.
  const { buffer, byteOffset, byteLength } = gzipSync(tar, { level: 9, mtime: 0 });
  if (byteLength > archiveLimits.bytes)
    throw tooLarge('bytes', archiveLimits.bytes, `is larger than ${archiveLimits.bytes} bytes`);
  if (tar.length > Math.max(freeBytes, archiveLimits.ratio * byteLength))
    throw tooLarge('ratio', archiveLimits.ratio, `is more than ${archiveLimits.ratio} times smaller than its files`);
  return Buffer.from(buffer, byteOffset, byteLength);
}
