/** What the host's process writes to its standard streams: read by the parent, so that the last words of a crash are not lost. */
import { isUtf8 } from 'node:buffer';
import type { OutputLine } from '../host/output-log.js';

const lineLimit = 8 * 1024;
/** Threads of which the begin of a line is kept. */
const threadLimit = 64;
/** For the rest of a line to come, after what its thread has written last, ms. */
const restMs = 100;
/** A head has the id of a plugin, that of a request, and numbers. */
const headLimit = 256;
const headBegin = 0x1e;
const lineEnd = 10;

type Facts = Omit<OutputLine, 'source' | 'text' | 'cut'>;

/** A line that has not come to its end. */
interface Begun {
  readonly facts: Facts;
  readonly parts: Buffer[];
  size: number;
  cut: number;
  /** When it is a line without an end, by `performance.now()`. */
  due: number;
}

/** Makes lines of what comes through one stream. */
export class OutputReader {
  readonly #source: OutputLine['source'];
  readonly #mark: Buffer;
  readonly #tell: (line: OutputLine) => void;
  /** By thread, the one that has written last at the end; what came without a head is of none. */
  readonly #begun = new Map<string, Begun>();
  #rest: Buffer = Buffer.alloc(0);
  /** Of a piece whose head has come. */
  #piece: { thread: string; facts: Facts; left: number } | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @param mark what a head begins with, see `native/core/log_output.h` */
  constructor(source: OutputLine['source'], mark: string, tell: (line: OutputLine) => void) {
    this.#source = source;
    this.#mark = Buffer.from(`\u001e${mark} `, 'latin1');
    this.#tell = tell;
  }

  read(chunk: Buffer): void {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (this.#rest.length > 0 && this.#step());
    this.#watch();
  }

  /** Nothing comes any more: what has begun is a line. */
  end(): void {
    clearTimeout(this.#timer);
    this.#take('', {}, this.#rest);
    this.#rest = Buffer.alloc(0);
    this.#endAll();
  }

  /** False when more has to come first. */
  #step(): boolean {
    if (this.#piece !== undefined) {
      const { thread, facts, left } = this.#piece;
      const bytes = this.#eat(Math.min(left, this.#rest.length));
      this.#take(thread, facts, bytes);
      this.#piece = bytes.length === left ? undefined : { thread, facts, left: left - bytes.length };
      return true;
    }
    const at = this.#findMark();
    if (at > 0) {
      this.#take('', {}, this.#eat(at));
      return true;
    }
    if (this.#rest.length < this.#mark.length) return false;
    const end = this.#rest.subarray(0, headLimit).indexOf(lineEnd);
    if (end < 0 && this.#rest.length < headLimit) return false;
    const head = this.#rest.toString('latin1', this.#mark.length, Math.max(end, 0));
    const [, thread = '', generation, plugin = '', request = '', size] =
      /^(\d+) (\d+) ([\w-]+) (\S+) (\d{1,6})$/.exec(head) ?? [];
    if (size === undefined) {
      // The mark alone: no head of ours.
      this.#take('', {}, this.#eat(1));
      return true;
    }
    this.#eat(end + 1);
    const facts = { plugin, generation: Number(generation), ...(request === '-' ? {} : { requestId: request }) };
    this.#piece = { thread, facts, left: Number(size) };
    return true;
  }

  #eat(size: number): Buffer {
    const bytes = this.#rest.subarray(0, size);
    this.#rest = this.#rest.subarray(size);
    return bytes;
  }

  /** Bytes before the next mark, or before what may become one. */
  #findMark(): number {
    for (let at = this.#rest.indexOf(headBegin); at >= 0; at = this.#rest.indexOf(headBegin, at + 1)) {
      const here = this.#rest.subarray(at, at + this.#mark.length);
      if (here.equals(this.#mark.subarray(0, here.length))) return at;
    }
    return this.#rest.length;
  }

  #take(thread: string, facts: Facts, bytes: Buffer): void {
    let left = bytes;
    while (left.length > 0) {
      const end = left.indexOf(lineEnd);
      const part = end < 0 ? left : left.subarray(0, end);
      this.#add(thread, facts, part);
      if (end >= 0) this.#end(thread);
      left = end < 0 ? left.subarray(left.length) : left.subarray(end + 1);
    }
  }

  #add(thread: string, facts: Facts, part: Buffer): void {
    let begun = this.#begun.get(thread);
    if (begun !== undefined && !isSame(begun.facts, facts)) {
      this.#end(thread);
      begun = undefined;
    }
    if (begun === undefined) {
      const [oldest] = this.#begun.keys();
      if (oldest !== undefined && this.#begun.size >= threadLimit) this.#end(oldest);
      begun = { facts, parts: [], size: 0, cut: 0, due: 0 };
    } else this.#begun.delete(thread);
    this.#begun.set(thread, begun);
    begun.due = performance.now() + restMs;
    const kept = part.subarray(0, lineLimit - begun.size);
    if (kept.length > 0) begun.parts.push(Buffer.from(kept));
    begun.size += kept.length;
    begun.cut += part.length - kept.length;
  }

  #end(thread: string): void {
    const begun = this.#begun.get(thread);
    if (begun === undefined) return;
    this.#begun.delete(thread);
    const { facts, parts, cut } = begun;
    const text = readable(Buffer.concat(parts), cut > 0);
    this.#tell({ source: this.#source, text, ...facts, ...(cut === 0 ? {} : { cut }) });
  }

  #endAll(due = Number.POSITIVE_INFINITY): void {
    for (const [thread, begun] of this.#begun) if (begun.due <= due) this.#end(thread);
  }

  /** The one that has waited longest is first. */
  #watch(): void {
    const [first] = this.#begun.values();
    if (first === undefined || this.#timer !== undefined) return;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        this.#endAll(performance.now());
        this.#watch();
      },
      Math.max(1, Math.ceil(first.due - performance.now())),
    );
  }
}

function isSame(one: Facts, other: Facts): boolean {
  return one.plugin === other.plugin && one.generation === other.generation && one.requestId === other.requestId;
}

/** Text of a line; what is none, or would steer a terminal, stands there as `\xNN`. */
function readable(bytes: Buffer, isCut: boolean): string {
  let kept = bytes;
  for (let back = 0; isCut && back < 3 && !isUtf8(kept); back++) kept = kept.subarray(0, -1);
  const code = (character: string): string => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
  const text = isUtf8(kept) ? kept.toString() : bytes.toString('latin1').replaceAll(/[\u0080-\u00ff]/g, code);
  // oxlint-disable-next-line no-control-regex
  return text.replace(/\r$/, '').replaceAll(/[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/g, code);
}

/** What the parent gives the host of its output. */
export interface OutputBatch {
  output: OutputLine[];
  /** Lines before them that the host took too long for. */
  dropped: number;
}

const batchLines = 256;
const waitingBytes = 1024 * 1024;
/** What an empty line takes. */
const lineBytes = 256;

function bytesOf({ text }: OutputLine): number {
  return lineBytes + text.length;
}

/** Lines on their way to the host, one batch at a time; a batch is kept until the host says that it is logged. */
export class OutputQueue {
  readonly #send: (batch: OutputBatch) => boolean;
  #sent: OutputLine[] = [];
  #waiting: OutputLine[] = [];
  /** Of `#waiting`; those before are gone. */
  #first = 0;
  #bytes = 0;
  #dropped = 0;

  /** @param send false when there is nobody to send to */
  constructor(send: (batch: OutputBatch) => boolean) {
    this.#send = send;
  }

  add(line: OutputLine): void {
    this.#waiting.push(line);
    this.#bytes += bytesOf(line);
    // What comes last says why a host has ended.
    while (this.#bytes > waitingBytes) this.#dropped += this.#forget(1).length;
    this.#pass();
  }

  /** The host has logged what it was given. */
  logged(): void {
    this.#sent = [];
    this.#pass();
  }

  /** What no host has logged. */
  left(): OutputLine[] {
    return [...this.#sent, ...this.#waiting.slice(this.#first)];
  }

  #pass(): void {
    if (this.#sent.length > 0 || this.#waiting.length === this.#first) return;
    const batch = this.#waiting.slice(this.#first, this.#first + batchLines);
    if (!this.#send({ output: batch, dropped: this.#dropped })) return;
    this.#sent = this.#forget(batch.length);
    this.#dropped = 0;
  }

  /** Take away so many, the oldest. */
  #forget(count: number): OutputLine[] {
    const gone = this.#waiting.slice(this.#first, this.#first + count);
    this.#first += count;
    for (const line of gone) this.#bytes -= bytesOf(line);
    // Not at each line: it moves all the others.
    if (this.#first * 2 >= this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#first);
      this.#first = 0;
    }
    return gone;
  }
}
