/** Makes files of the bytes of a tar file, however they are cut; throws at the first that is wrong. */
import { blockBytes, readTarHeader } from './tar-header.js';
import { paxLimit, readPax } from './tar-pax.js';
import { brokenPathRule, pathFaults, TakenPaths } from './tar-path.js';
import { overBytes, overLimit, type Place, refusedArchive, refusedEntry } from './tar-refusal.js';

/** A file of an archive. */
export interface ArchiveFile {
  /** Relative, "/" between segments, as a manifest names it. */
  readonly path: string;
  /** All files of an archive share one memory: what is kept for long is better copied. */
  readonly bytes: Buffer;
}

export interface TarLimits {
  /** Of all files together. */
  readonly bytes: number;
  readonly entries: number;
}

/** Zero bytes that may follow the end: writers fill up to a tape's record, of 10 KiB mostly. */
const fillLimit = 1024 * 1024;
const endBlocks = 2;

/** A body on its way. */
interface Body {
  readonly pieces: Buffer[];
  missing: number;
  /** What is done once it is whole. */
  readonly done: (bytes: Buffer) => void;
}

/** The bytes of all pieces; not copied when they lie one behind the other. */
function joined(pieces: readonly Buffer[]): Buffer {
  const [first = Buffer.alloc(0)] = pieces;
  let end = first.byteOffset;
  for (const piece of pieces) {
    if (piece.buffer !== first.buffer || piece.byteOffset !== end) return Buffer.concat(pieces);
    end += piece.length;
  }
  return Buffer.from(first.buffer, first.byteOffset, end - first.byteOffset);
}

function paddingOf(size: number): number {
  return (blockBytes - (size % blockBytes)) % blockBytes;
}

export class TarReader {
  readonly #limits: TarLimits;
  readonly #files: ArchiveFile[] = [];
  readonly #taken = new TakenPaths();
  readonly #header = Buffer.alloc(blockBytes);
  #headerFilled = 0;
  #body: Body | undefined;
  #padding = 0;
  #zeroBlocks = 0;
  /** Zeros after the end. */
  #fill = 0;
  #entry = 0;
  #bytes = 0;
  /** Of the extended header that is for the next entry. */
  #pax: { readonly path: string | undefined } | undefined;

  constructor(limits: TarLimits) {
    this.#limits = limits;
  }

  /** Take the next bytes; files keep them, without a copy. */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) at += this.#step(chunk.subarray(at));
  }

  /** The files, once the last byte was taken. */
  end(): ArchiveFile[] {
    if (this.#zeroBlocks < endBlocks)
      throw refusedArchive('end', 'ends before its end: two blocks of zeros are missing');
    if (this.#fill % blockBytes !== 0) throw refusedArchive('end', 'ends within a block');
    return this.#files;
  }

  /** Returns how many bytes of `rest`, which has some, were taken. */
  #step(rest: Buffer): number {
    if (this.#body !== undefined) return this.#takeBody(this.#body, rest);
    if (this.#padding > 0) return this.#takePadding(rest);
    if (this.#zeroBlocks === endBlocks) return this.#takeFill(rest);
    return this.#takeHeader(rest);
  }

  #takeBody(body: Body, rest: Buffer): number {
    const piece = rest.subarray(0, body.missing);
    body.pieces.push(piece);
    body.missing -= piece.length;
    if (body.missing === 0) {
      this.#body = undefined;
      body.done(joined(body.pieces));
    }
    return piece.length;
  }

  #takePadding(rest: Buffer): number {
    const taken = Math.min(this.#padding, rest.length);
    if (rest.subarray(0, taken).some((byte) => byte !== 0))
      throw refusedEntry('ArchiveInvalid', 'padding', { entry: this.#entry }, 'has something behind its bytes');
    this.#padding -= taken;
    return taken;
  }

  #takeFill(rest: Buffer): number {
    if (rest.some((byte) => byte !== 0)) throw refusedArchive('end', 'has something behind its end');
    this.#fill += rest.length;
    if (this.#fill > fillLimit) throw overLimit('fill', fillLimit, `has more than ${fillLimit} zeros behind its end`);
    return rest.length;
  }

  #takeHeader(rest: Buffer): number {
    const taken = rest.copy(this.#header, this.#headerFilled);
    this.#headerFilled += taken;
    if (this.#headerFilled === blockBytes) {
      this.#headerFilled = 0;
      this.#readHeader();
    }
    return taken;
  }

  #readHeader(): void {
    if (this.#header.every((byte) => byte === 0)) {
      if (this.#pax !== undefined)
        throw refusedArchive('pax', 'has an extended header at its end that is for no entry');
      this.#zeroBlocks += 1;
      return;
    }
    if (this.#zeroBlocks > 0) throw refusedArchive('end', 'has something behind a block of zeros');
    if (this.#pax === undefined) this.#countEntry();
    const place = { entry: this.#entry };
    const header = readTarHeader(this.#header);
    if ('fault' in header) throw refusedEntry(header.code, header.rule, place, header.fault);
    if (header.type === 'pax') this.#expectPax(header.size, place);
    else this.#expectEntry(header.type, this.#pax?.path ?? header.path, header.size);
  }

  #countEntry(): void {
    const { entries } = this.#limits;
    this.#entry += 1;
    if (this.#entry > entries) throw overLimit('entries', entries, `has more than ${entries} entries`);
  }

  #expectPax(size: number, place: Place): void {
    if (this.#pax !== undefined) throw refusedEntry('ArchiveInvalid', 'pax', place, 'has two extended headers');
    if (size === 0 || size > paxLimit)
      throw refusedEntry(
        'ArchiveInvalid',
        'pax',
        place,
        `has an extended header that is empty or over ${paxLimit} bytes`,
      );
    this.#expectBody(size, (bytes) => {
      const pax = readPax(bytes);
      if (typeof pax === 'string') throw refusedEntry('ArchiveInvalid', 'pax', place, pax);
      this.#pax = pax;
    });
  }

  #expectEntry(type: 'file' | 'folder', name: string | Buffer, size: number): void {
    this.#pax = undefined;
    const path = this.#allowedPath(type, typeof name === 'string' ? Buffer.from(name) : name);
    const place = { entry: this.#entry, path };
    const clash = this.#taken.take(path, type);
    if (clash !== undefined) throw refusedEntry('ArchiveDuplicate', clash.rule, place, clash.fault);
    if (type === 'folder') return;
    this.#bytes += size;
    const { bytes } = this.#limits;
    if (this.#bytes > bytes) throw overBytes(bytes, `has files of more than ${bytes} bytes in all`);
    this.#expectBody(size, (content) => this.#files.push({ path, bytes: content }));
  }

  #allowedPath(type: 'file' | 'folder', bytes: Buffer): string {
    const text = bytes.toString('utf8');
    const path = type === 'folder' && text.length > 1 && text.endsWith('/') ? text.slice(0, -1) : text;
    const rule = Buffer.from(text).equals(bytes) ? brokenPathRule(path) : 'character';
    if (rule !== undefined)
      throw refusedEntry('ArchivePath', rule, { entry: this.#entry, path: text }, pathFaults[rule]);
    return path;
  }

  #expectBody(size: number, done: (bytes: Buffer) => void): void {
    this.#padding = paddingOf(size);
    if (size === 0) done(Buffer.alloc(0));
    else this.#body = { pieces: [], missing: size, done };
  }
}
