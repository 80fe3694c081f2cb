/**
 * Cuts a file of seed data into its records without making objects of them: the store reads JSON itself, a file may be large, and
 * others want the event loop meanwhile.
 */
import { setImmediate as turn } from 'node:timers/promises';

/** The records of one table in a file. */
export interface SeedEntry {
  /** As written; the application's when absent. */
  database?: string;
  table: string;
  /** Where the entry begins, bytes. */
  at: number;
  /** Where its text ends. */
  end: number;
  /** Begin and end of each record, bytes, in turn. */
  ranges: number[];
}

/** A file that is not `{database, table, records}` or a list of those. */
export class SeedProblem extends Error {
  /** Where in the file, bytes. */
  readonly at: number;

  constructor(at: number, message: string) {
    super(message);
    this.at = at;
  }
}

/** Records in one file. */
const mostRecords = 1_000_000;
/** Bytes that are looked at before others have their turn. */
const slice = 1024 * 1024;

const [quote, backslash, comma, colon] = [0x22, 0x5c, 0x2c, 0x3a];
const [openBrace, closeBrace, openBracket, closeBracket] = [0x7b, 0x7d, 0x5b, 0x5d];

function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

class SeedReader {
  readonly #bytes: Buffer;
  #at: number;
  #looked = 0;
  #records = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    const marked = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
    this.#at = marked ? 3 : 0;
  }

  async read(): Promise<SeedEntry[]> {
    const entries: SeedEntry[] = [];
    if (this.#next() === openBracket) {
      for await (const at of this.#items(openBracket, closeBracket)) entries.push(await this.#entry(at));
    } else {
      entries.push(await this.#entry(this.#at));
    }
    if (this.#next() !== undefined) throw new SeedProblem(this.#at, 'something stands behind the end');
    return entries;
  }

  /** The next byte that is no white space. */
  #next(): number | undefined {
    while (isBlank(this.#bytes[this.#at])) this.#at += 1;
    return this.#bytes[this.#at];
  }

  /** Where each item of a list, or member of an object, begins; it has to be read before the next one is asked for. */
  async *#items(open: number, close: number): AsyncGenerator<number> {
    if (this.#next() !== open) throw new SeedProblem(this.#at, `${String.fromCharCode(open)} is expected`);
    this.#at += 1;
    if (this.#next() === close) {
      this.#at += 1;
      return;
    }
    for (;;) {
      this.#next();
      yield this.#at;
      const after = this.#next();
      this.#at += 1;
      if (after === close) return;
      if (after !== comma) throw new SeedProblem(this.#at - 1, `, or ${String.fromCharCode(close)} is expected`);
    }
  }

  async #entry(at: number): Promise<SeedEntry> {
    if (this.#next() !== openBrace)
      throw new SeedProblem(at, 'seed data is an object {database, table, records}, or a list of those');
    const entry: Partial<SeedEntry> & { at: number } = { at };
    for await (const start of this.#items(openBrace, closeBrace)) {
      const name = this.#text(start, 'a member');
      if (this.#next() !== colon) throw new SeedProblem(this.#at, ': is expected');
      this.#at += 1;
      this.#next();
      if (name !== 'database' && name !== 'table' && name !== 'records')
        throw new SeedProblem(
          start,
          `seed data has no member ${JSON.stringify(name)}: it has database, table and records`,
        );
      if (name === 'records' ? entry.ranges !== undefined : entry[name] !== undefined)
        throw new SeedProblem(start, `${name} is there twice`);
      if (name === 'records') entry.ranges = await this.#ranges();
      else entry[name] = this.#text(this.#at, name);
    }
    const { database, table, ranges } = entry;
    if (table === undefined) throw new SeedProblem(at, 'seed data needs the name of a table: table');
    if (ranges === undefined) throw new SeedProblem(at, 'seed data needs a list of records: records');
    return { ...(database !== undefined && { database }), table, at, end: this.#at, ranges };
  }

  async #ranges(): Promise<number[]> {
    if (this.#next() !== openBracket) throw new SeedProblem(this.#at, 'records must be a list');
    const ranges: number[] = [];
    for await (const start of this.#items(openBracket, closeBracket)) {
      this.#records += 1;
      if (this.#records > mostRecords) throw new SeedProblem(start, `a file has at most ${mostRecords} records`);
      if (this.#bytes[start] !== openBrace) throw new SeedProblem(start, 'a record must be an object');
      this.#skipObject();
      ranges.push(start, this.#at);
      if (this.#at - this.#looked > slice) {
        this.#looked = this.#at;
        await turn();
      }
    }
    return ranges;
  }

  #text(start: number, what: string): string {
    if (this.#bytes[this.#at] !== quote) throw new SeedProblem(start, `${what} must be text in quotes`);
    this.#skipText();
    try {
      return JSON.parse(this.#bytes.toString('utf8', start, this.#at)) as string;
    } catch {
      throw new SeedProblem(start, `${what} is no text of JSON`);
    }
  }

  #skipText(): void {
    const begin = this.#at;
    let end = begin;
    for (;;) {
      end = this.#bytes.indexOf(quote, end + 1);
      if (end === -1) throw new SeedProblem(begin, 'a text has no end');
      let slashes = 0;
      while (this.#bytes[end - 1 - slashes] === backslash) slashes += 1;
      if (slashes % 2 === 0) break;
    }
    this.#at = end + 1;
  }

  /** Only brackets and texts are told apart: the store reads the record. */
  #skipObject(): void {
    const begin = this.#at;
    let depth = 0;
    do {
      const byte = this.#bytes[this.#at];
      if (byte === undefined) throw new SeedProblem(begin, 'the record has no end');
      if (byte === quote) {
        this.#skipText();
        continue;
      }
      if (byte === openBrace || byte === openBracket) depth += 1;
      else if (byte === closeBrace || byte === closeBracket) depth -= 1;
      this.#at += 1;
    } while (depth > 0);
  }
}

/** What `bytes` hold. Throws {@link SeedProblem}. */
export function readSeedFile(bytes: Buffer): Promise<SeedEntry[]> {
  return new SeedReader(bytes).read();
}

/** Line and column of a byte, counted from 1; the column in characters. */
export function placeOf(bytes: Buffer, at: number): { line: number; column: number } {
  let line = 1;
  let begin = 0;
  for (let end = bytes.indexOf(0x0a); end !== -1 && end < at; end = bytes.indexOf(0x0a, begin)) {
    line += 1;
    begin = end + 1;
  }
  return { line, column: bytes.toString('utf8', begin, at).length + 1 };
}
