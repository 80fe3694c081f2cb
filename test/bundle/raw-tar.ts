/** Writes tar and gzip by hand, wrong in any way that is asked for; shares nothing with what is tested. */
import { gzipSync } from 'node:zlib';

export const blockBytes = 512;

/** A field as it is written; text is Latin-1. */
type Field = string | Buffer;

export interface RawEntry {
  name?: Field;
  prefix?: Field;
  /** A character, or its number. */
  type?: string | number;
  body?: Field;
  mode?: Field;
  uid?: Field;
  gid?: Field;
  /** Absent: that of the body. */
  size?: Field;
  mtime?: Field;
  link?: Field;
  /** Magic and version, 8 bytes. */
  magic?: Field;
  major?: Field;
  minor?: Field;
  /** Last 12 bytes of the header. */
  rest?: Field;
  /** Absent: the right one. */
  checksum?: Field;
  /** What the last block of the body is filled up with. */
  fill?: number;
}

const bytesOf = (field: Field): Buffer => (typeof field === 'string' ? Buffer.from(field, 'latin1') : field);

export function sumOf(header: Buffer): number {
  let sum = 0;
  for (const [at, byte] of header.entries()) sum += at >= 148 && at < 156 ? 32 : byte;
  return sum;
}

/** Write the checksum that `header` ought to have into it. */
export function mendChecksum(header: Buffer): void {
  header.write(`${sumOf(header).toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
}

export function rawHeader(entry: RawEntry): Buffer {
  const header = Buffer.alloc(blockBytes);
  const put = (field: Field, at: number, most: number): void => {
    bytesOf(field).copy(header, at, 0, most);
  };
  put(entry.name ?? 'file', 0, 100);
  put(entry.mode ?? '0000644\0', 100, 8);
  put(entry.uid ?? '0000000\0', 108, 8);
  put(entry.gid ?? '0000000\0', 116, 8);
  put(
    entry.size ??
      `${bytesOf(entry.body ?? '')
        .length.toString(8)
        .padStart(11, '0')}\0`,
    124,
    12,
  );
  put(entry.mtime ?? '00000000000\0', 136, 12);
  const type = entry.type ?? '0';
  header[156] = typeof type === 'number' ? type : type.charCodeAt(0);
  put(entry.link ?? '', 157, 100);
  put(entry.magic ?? 'ustar\x0000', 257, 8);
  put(entry.major ?? '0000000\0', 329, 8);
  put(entry.minor ?? '0000000\0', 337, 8);
  put(entry.prefix ?? '', 345, 155);
  put(entry.rest ?? '', 500, 12);
  if (entry.checksum === undefined) mendChecksum(header);
  else put(entry.checksum, 148, 8);
  return header;
}

export function rawEntry(entry: RawEntry): Buffer {
  const body = bytesOf(entry.body ?? '');
  const rest = (blockBytes - (body.length % blockBytes)) % blockBytes;
  return Buffer.concat([rawHeader(entry), body, Buffer.alloc(rest, entry.fill ?? 0)]);
}

export const twoZeroBlocks = Buffer.alloc(2 * blockBytes);

export function rawTar(entries: readonly RawEntry[], end: Buffer = twoZeroBlocks): Buffer {
  return Buffer.concat([...entries.map(rawEntry), end]);
}

export const zip = (tar: Uint8Array): Buffer => gzipSync(tar);

/** One record of an extended header. */
export function paxRecord(key: string, value: Field): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), bytesOf(value), Buffer.from('\n')]);
  let length = rest.length + 1;
  while (rest.length + String(length).length !== length) length += 1;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

/** An extended header. */
export function pax(...records: readonly Field[]): RawEntry {
  return { name: 'pax', type: 'x', body: Buffer.concat(records.map(bytesOf)) };
}

/** A file whose path stands in an extended header. */
export function paxNamed(path: Field, entry: RawEntry = {}): RawEntry[] {
  return [pax(paxRecord('path', typeof path === 'string' ? Buffer.from(path) : path)), { body: 'x', ...entry }];
}
