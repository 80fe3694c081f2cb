/** Inflates exactly one gzip member, in steps, and nothing behind it. */
import { crc32, createInflateRaw, type InflateRaw } from 'node:zlib';
import { asTenonError } from '../base/errors.js';
import { refusedArchive } from './tar-refusal.js';

const headerBytes = 10;
const trailerBytes = 8;
const nameFlag = 0x08;
const nameLimit = 1024;
/** Bytes that the inflater is given at once; it makes up to a thousand times as many of them. */
const stepBytes = 8 * 1024;
const smallestRoom = 64 * 1024;
const largestRoom = 256 * 1024 * 1024;

/** Reads what stands before and behind the deflated bytes, and inflates those. */
export class GzipMember {
  readonly #take: (inflated: Buffer, consumed: number) => void;
  readonly #inflater: InflateRaw;
  #state: 'header' | 'deflated' | 'trailer' = 'header';
  /** Of the header or the trailer, until it is whole. */
  #held = Buffer.alloc(0);
  #given = 0;
  #before = 0;
  #checksum = 0;
  #inflated = 0;
  #failure: Error | undefined;
  #settle: (() => void) | undefined;
  #ended = false;

  /**
   * @param room bytes that are probably inflated
   * @param take called with inflated bytes, and how many of the member were used for all so far; what it throws ends the reading
   */
  constructor(room: number, take: (inflated: Buffer, consumed: number) => void) {
    this.#take = take;
    // All in one piece of memory, which the system gives only where something is written: smaller ones would be copied
    // together, and be garbage of tens of megabytes before it is collected.
    const chunkSize = Math.ceil(Math.min(largestRoom, Math.max(smallestRoom, room)));
    this.#inflater = createInflateRaw({ chunkSize });
    this.#inflater.on('data', (inflated: Buffer) => this.#onInflated(inflated));
    this.#inflater.on('end', () => {
      this.#ended = true;
      this.#settle?.();
    });
    this.#inflater.on('error', (error) => {
      this.#failure ??= refusedArchive('deflate', 'is not well compressed', error);
      this.#settle?.();
    });
  }

  /** Take the next bytes; when it resolves they are all used. */
  async write(bytes: Buffer): Promise<void> {
    let rest = bytes;
    while (rest.length > 0) {
      if (this.#state === 'header') rest = this.#readHeader(rest);
      else if (this.#state === 'deflated') rest = await this.#inflate(rest);
      else rest = this.#readTrailer(rest);
    }
  }

  /** Throws unless the member is whole. */
  end(): void {
    if (this.#state !== 'trailer' || this.#held.length < trailerBytes)
      throw refusedArchive('truncated', 'ends too early');
    if (this.#held.readUInt32LE(0) !== this.#checksum || this.#held.readUInt32LE(4) !== this.#inflated % 2 ** 32)
      throw refusedArchive('gzip', 'is damaged: its checksum is another one');
  }

  /** Free what it holds. */
  close(): void {
    this.#inflater.destroy();
  }

  #readHeader(rest: Buffer): Buffer {
    const have = Buffer.concat([this.#held, rest]);
    this.#held = have;
    if (have.length < headerBytes) return Buffer.alloc(0);
    if (have[0] !== 0x1f || have[1] !== 0x8b || have[2] !== 8) throw refusedArchive('gzip', 'is not gzip');
    const flags = have[3] ?? 0;
    if ((flags & ~nameFlag) !== 0) throw refusedArchive('gzip', 'has a gzip header with more than a name');
    let end = headerBytes;
    if (flags === nameFlag) {
      const nul = have.indexOf(0, headerBytes);
      if (nul === -1 ? have.length > headerBytes + nameLimit : nul > headerBytes + nameLimit)
        throw refusedArchive('gzip', `has a gzip header with a name of more than ${nameLimit} bytes`);
      if (nul === -1) return Buffer.alloc(0);
      end = nul + 1;
    }
    this.#state = 'deflated';
    this.#before = end;
    this.#held = Buffer.alloc(0);
    return have.subarray(end);
  }

  async #inflate(rest: Buffer): Promise<Buffer> {
    const piece = rest.subarray(0, stepBytes);
    const from = this.#given;
    this.#given += piece.length;
    await new Promise<void>((resolve) => {
      this.#settle = resolve;
      this.#inflater.write(piece, () => resolve());
    });
    this.#settle = undefined;
    if (this.#failure !== undefined) throw this.#failure;
    if (!this.#ended) return rest.subarray(piece.length);
    this.#state = 'trailer';
    return rest.subarray(this.#inflater.bytesWritten - from);
  }

  #onInflated(inflated: Buffer): void {
    if (this.#failure !== undefined) return;
    try {
      this.#checksum = crc32(inflated, this.#checksum);
      this.#inflated += inflated.length;
      this.#take(inflated, this.#before + this.#inflater.bytesWritten);
    } catch (error) {
      this.#failure = asTenonError(error);
      this.#inflater.destroy();
      this.#settle?.();
    }
  }

  #readTrailer(rest: Buffer): Buffer {
    const have = Buffer.concat([this.#held, rest.subarray(0, trailerBytes)]);
    if (have.length > trailerBytes || rest.length > trailerBytes)
      throw refusedArchive('trailing', 'has something behind its end');
    this.#held = have;
    return Buffer.alloc(0);
  }
}
