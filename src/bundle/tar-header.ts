/** One header block of a tar file, as POSIX has it (ustar), and as GNU tar writes it where that means the same. */

/** Bytes of a block; headers are one, bodies are filled up to whole ones. */
export const blockBytes = 512;

/** What a header says, as far as it matters. */
export interface TarHeader {
  readonly type: 'file' | 'folder' | 'pax';
  /** Its bytes; not checked. */
  readonly path: Buffer;
  /** Bytes of the body. */
  readonly size: number;
}

/** What is wrong with a header. */
export interface HeaderFault {
  readonly code: 'ArchiveInvalid' | 'ArchiveType' | 'ArchivePath';
  readonly rule: string;
  readonly fault: string;
}

const posixMagic = 'ustar\x0000';
const gnuMagic = 'ustar  \0';
const checksumField = { at: 148, bytes: 8 };
const otherNumbers = { mode: [100, 8], uid: [108, 8], gid: [116, 8], mtime: [136, 12] } as const;
const deviceNumbers = { devmajor: [329, 8], devminor: [337, 8] } as const;
const types = new Map<number, TarHeader['type']>([
  [0, 'file'],
  [0x30, 'file'],
  [0x35, 'folder'],
  [0x78, 'pax'],
]);

/** Octal digits up to the end of the field or blanks; no sign, no base-256. */
function octal(block: Buffer, at: number, bytes: number): number | undefined {
  const text = block.toString('latin1', at, at + bytes);
  const digits = /^([0-7]+)[ \0]+$/.exec(text)?.[1];
  return digits === undefined ? undefined : Number.parseInt(digits, 8);
}

function isZero(block: Buffer, from: number, to: number): boolean {
  return block.subarray(from, to).every((byte) => byte === 0);
}

/** Up to the first NUL; undefined when something follows it. */
function terminated(block: Buffer, at: number, bytes: number): Buffer | undefined {
  const field = block.subarray(at, at + bytes);
  const end = field.indexOf(0);
  if (end === -1) return field;
  return isZero(field, end, field.length) ? field.subarray(0, end) : undefined;
}

function checksum(block: Buffer): number {
  let sum = checksumField.bytes * 0x20;
  for (const [at, byte] of block.entries())
    if (at < checksumField.at || at >= checksumField.at + checksumField.bytes) sum += byte;
  return sum;
}

function invalid(rule: string, fault: string): HeaderFault {
  return { code: 'ArchiveInvalid', rule, fault };
}

function wrongNumbers(block: Buffer): HeaderFault | undefined {
  for (const [name, [at, bytes]] of Object.entries(otherNumbers))
    if (octal(block, at, bytes) === undefined) return invalid('number', `has a ${name} that is not octal`);
  for (const [name, [at, bytes]] of Object.entries(deviceNumbers))
    if (!isZero(block, at, at + bytes) && octal(block, at, bytes) === undefined)
      return invalid('number', `has a ${name} that is not octal`);
  return undefined;
}

function wrongMagic(block: Buffer, type: TarHeader['type']): HeaderFault | undefined {
  const magic = block.toString('latin1', 257, 265);
  if (magic === posixMagic) return undefined;
  // Where POSIX has the first part of the path GNU tar has times and maps of holes: empty, both mean the same.
  if (magic === gnuMagic && type !== 'pax' && isZero(block, 345, blockBytes)) return undefined;
  return invalid('magic', 'is not of the ustar format');
}

/** What `block`, of 512 bytes that are not all zero, says, or what is wrong with it. */
export function readTarHeader(block: Buffer): TarHeader | HeaderFault {
  const sum = octal(block, checksumField.at, checksumField.bytes);
  if (sum === undefined || sum !== checksum(block)) return invalid('checksum', 'has a wrong checksum');
  const flag = block[156] ?? 0;
  const type = types.get(flag);
  if (type === undefined) {
    const shown = JSON.stringify(String.fromCharCode(flag));
    return { code: 'ArchiveType', rule: 'type', fault: `is neither a file nor a folder but of type ${shown}` };
  }
  const wrong = wrongMagic(block, type) ?? wrongNumbers(block);
  if (wrong !== undefined) return wrong;
  const size = octal(block, 124, 12);
  if (size === undefined) return invalid('size', 'has a size that is not octal');
  if (type === 'folder' && size !== 0) return invalid('size', 'is a folder with a size');
  if (!isZero(block, 157, 257)) return { code: 'ArchiveType', rule: 'link', fault: 'names a target, as links do' };
  if (!isZero(block, 500, blockBytes)) return invalid('padding', 'has something behind its header');
  const name = terminated(block, 0, 100);
  const prefix = terminated(block, 345, 155);
  if (name === undefined || prefix === undefined)
    return { code: 'ArchivePath', rule: 'character', fault: 'has a path with a NUL in it' };
  const path = prefix.length === 0 ? name : Buffer.concat([prefix, Buffer.from('/'), name]);
  return { type, path: Buffer.from(path), size };
}

/** What a header is made of. */
interface WrittenHeader {
  readonly name: Uint8Array;
  readonly prefix: Uint8Array;
  readonly flag: '0' | 'x';
  readonly size: number;
}

/** The block of a header: mode 0644, all else about its origin zero or empty. */
export function tarHeader({ name, prefix, flag, size }: WrittenHeader): Buffer {
  const block = Buffer.alloc(blockBytes);
  const digits = (value: number, at: number, bytes: number): void => {
    block.write(value.toString(8).padStart(bytes - 1, '0'), at, 'latin1');
  };
  block.set(name, 0);
  digits(0o644, 100, 8);
  for (const [at, bytes] of [otherNumbers.uid, otherNumbers.gid, otherNumbers.mtime]) digits(0, at, bytes);
  digits(size, 124, 12);
  block.write(flag, 156, 'latin1');
  block.write(posixMagic, 257, 'latin1');
  for (const [at, bytes] of Object.values(deviceNumbers)) digits(0, at, bytes);
  block.set(prefix, 345);
  block.write(`${checksum(block).toString(8).padStart(6, '0')}\0 `, checksumField.at, 'latin1');
  return block;
}
