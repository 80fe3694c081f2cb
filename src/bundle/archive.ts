/** Reads the archive of a bundle: one gzip member with a tar of files and folders, all of it checked before anybody sees it. */
import { Readable } from 'node:stream';
import { GzipMember } from './gzip-member.js';
import { type ArchiveFile, TarReader } from './tar-reader.js';
import { overLimit } from './tar-refusal.js';

export type { ArchiveFile } from './tar-reader.js';

/** What an archive is read within; what is absent is as here. */
export interface ArchiveLimits {
  /** Bytes of the archive, and of all files in it; 64 MiB. */
  bytes?: number;
  /** Entries; 1,000. */
  entries?: number;
  /** How many times larger what is in it may be than the archive, at every point behind the first 4 MiB; 200. */
  ratio?: number;
  /** Time for all of it, ms; 10,000. */
  timeMs?: number;
}

/** What an archive is read within when nothing else is said. */
export const archiveLimits: Readonly<Required<ArchiveLimits>> = {
  bytes: 64 * 1024 * 1024,
  entries: 1000,
  ratio: 200,
  timeMs: 10_000,
};
/** Bytes that any archive may have in it: the start of a file may be empty space. */
export const freeBytes = 4 * 1024 * 1024;

/** Throws once the time is over. */
class Deadline {
  readonly #limit: number;
  readonly #end: number;

  constructor(limitMs: number) {
    this.#limit = limitMs;
    this.#end = performance.now() + limitMs;
  }

  check(): void {
    if (performance.now() > this.#end) throw this.#over();
  }

  /** What `promise` comes to, if it does in time. */
  async within<Value>(promise: Promise<Value>): Promise<Value> {
    this.check();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      // Who waits for bytes that never come does not keep a process that has nothing else to do.
      timer = setTimeout(() => reject(this.#over()), Math.max(0, this.#end - performance.now())).unref();
    });
    try {
      return await Promise.race([promise, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  #over(): Error {
    return overLimit('time', this.#limit, `was not read within ${this.#limit} ms`);
  }
}

async function* whole(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** Tell the source that no more is wanted; it may be waiting, so nobody waits for it. */
function leave(source: AsyncIterable<Uint8Array>, iterator: AsyncIterator<Uint8Array>): void {
  if (source instanceof Readable) source.destroy();
  void Promise.resolve(iterator.return?.()).catch(() => undefined);
}

function piece(chunk: unknown): Buffer {
  if (!(chunk instanceof Uint8Array)) throw new TypeError('source must give Uint8Array');
  return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
}

async function read(source: AsyncIterable<Uint8Array>, limits: Required<ArchiveLimits>): Promise<ArchiveFile[]> {
  const deadline = new Deadline(limits.timeMs);
  const tar = new TarReader(limits);
  let inflated = 0;
  const member = new GzipMember((bytes, consumed) => {
    inflated += bytes.length;
    deadline.check();
    if (inflated > Math.max(freeBytes, limits.ratio * consumed))
      throw overLimit('ratio', limits.ratio, `has more than ${limits.ratio} times its size in it`);
    tar.push(bytes);
  });
  const iterator = source[Symbol.asyncIterator]();
  let received = 0;
  let finished = false;
  try {
    for (;;) {
      const next = iterator.next();
      next.catch(() => undefined);
      const result = await deadline.within(next);
      if (result.done === true) break;
      const bytes = piece(result.value);
      received += bytes.length;
      if (received > limits.bytes) throw overLimit('bytes', limits.bytes, `is larger than ${limits.bytes} bytes`);
      await member.write(bytes);
    }
    finished = true;
    member.end();
    return tar.end();
  } finally {
    member.close();
    if (!finished) leave(source, iterator);
  }
}

/**
 * All files of the archive, in its order. Nothing is written anywhere, and no more is kept in memory than the limits allow. Rejects with
 * `ArchiveInvalid`, `ArchivePath`, `ArchiveType`, `ArchiveDuplicate` (`details: {entry, path, rule}`; entries count from 1)
 * and `ArchiveTooLarge` (`details: {limit, rule}`), and with what `source` rejects with. A source that is not read to its
 * end is told: a stream is destroyed.
 */
export function readArchive(
  source: Uint8Array | AsyncIterable<Uint8Array>,
  limits: ArchiveLimits = {},
): Promise<ArchiveFile[]> {
  return read(source instanceof Uint8Array ? whole(source) : source, { ...archiveLimits, ...limits });
}
