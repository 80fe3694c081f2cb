/** The bytes of an archive as they come, within a limit and a time. */
import { Readable } from 'node:stream';
import { overBytes, overLimit } from './tar-refusal.js';

export interface SourceLimits {
  readonly bytes: number;
  readonly timeMs: number;
}

async function* whole(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

function bufferOf(chunk: unknown): Buffer {
  if (!(chunk instanceof Uint8Array)) throw new TypeError('source must give Uint8Array');
  return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
}

export class ArchiveSource {
  readonly #source: AsyncIterable<Uint8Array>;
  readonly #iterator: AsyncIterator<Uint8Array>;
  readonly #limits: SourceLimits;
  readonly #end: number;
  #received = 0;
  #ended = false;

  /** The time begins now. */
  constructor(source: Uint8Array | AsyncIterable<Uint8Array>, limits: SourceLimits) {
    this.#source = source instanceof Uint8Array ? whole(source) : source;
    this.#iterator = this.#source[Symbol.asyncIterator]();
    this.#limits = limits;
    this.#end = performance.now() + limits.timeMs;
  }

  /** The next bytes, some, which are the source's again at the next call; undefined: there are no more. */
  async next(): Promise<Buffer | undefined> {
    for (;;) {
      const result = await this.#inTime(this.#iterator.next());
      if (result.done === true) {
        this.#ended = true;
        return undefined;
      }
      const bytes = bufferOf(result.value);
      this.#received += bytes.length;
      const { bytes: limit } = this.#limits;
      if (this.#received > limit) throw overBytes(limit, `is larger than ${limit} bytes`);
      if (bytes.length > 0) return bytes;
    }
  }

  /** Throws once the time is over. */
  checkTime(): void {
    if (performance.now() >= this.#end) throw this.#late();
  }

  /** Tell a source that was not read to its end that no more is wanted: a stream is destroyed. */
  close(): void {
    if (this.#ended) return;
    if (this.#source instanceof Readable) this.#source.destroy();
    // It may be waiting for bytes that never come, so nobody waits for it.
    void Promise.resolve(this.#iterator.return?.()).catch(() => undefined);
  }

  async #inTime<Value>(promise: Promise<Value>): Promise<Value> {
    promise.catch(() => undefined);
    this.checkTime();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      // Who waits for bytes that never come does not keep a process that has nothing else to do.
      timer = setTimeout(() => reject(this.#late()), Math.max(0, this.#end - performance.now())).unref();
    });
    try {
      return await Promise.race([promise, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  #late(): Error {
    const { timeMs } = this.#limits;
    return overLimit('time', timeMs, `was not read within ${timeMs} ms`, 'send it again, over a faster line');
  }
}
