/** Functions of an ELF library by their addresses, as its symbol tables name them. */

/** A function that an address lies in. */
export interface FunctionAt {
  /** As the linker knows it: mangled, where the language mangles. */
  readonly name: string;
  /** Bytes from its beginning to the address. */
  readonly delta: number;
}

interface Symbol {
  readonly start: number;
  /** 0: not known. */
  readonly size: number;
  /** Where its name is in the file, and where the names end. */
  readonly name: number;
  readonly end: number;
}

interface Section {
  readonly kind: number;
  readonly offset: number;
  readonly size: number;
  readonly link: number;
}

const [symbolTable, noteSection, dynamicTable] = [2, 7, 11];
const [plainFunction, chosenFunction] = [2, 10];
const [entrySize, sectionSize, segmentSize] = [24, 64, 56];
const longestName = 16 * 1024;

/** Of 64-bit little-endian files. What is damaged in one is not there. */
export class ElfSymbols {
  /** Hexadecimal; empty when it has none. */
  readonly buildId: string;
  /** What its addresses begin at: where the beginning of the image is, to the linker. */
  readonly base: number;
  /** Whether it names no functions but those that it exports. */
  readonly isStripped: boolean;
  readonly #bytes: Buffer;
  /** By start, then by size. */
  readonly #functions: readonly Symbol[];

  private constructor(bytes: Buffer) {
    this.#bytes = bytes;
    const sections = sectionsOf(bytes);
    const tables = [symbolTable, dynamicTable].flatMap((kind) => sections.filter((each) => each.kind === kind));
    // The one that is there for debuggers has all that the loader's has.
    const [table] = tables;
    const functions = table === undefined ? [] : functionsOf(bytes, table, sections);
    this.#functions = functions.toSorted((left, right) => left.start - right.start || left.size - right.size);
    this.buildId = sections.flatMap((section) => buildIdIn(bytes, section))[0] ?? '';
    this.base = baseOf(bytes);
    this.isStripped = !sections.some(({ kind }) => kind === symbolTable);
  }

  /** Undefined for bytes that are no such file. */
  static read(bytes: Buffer): ElfSymbols | undefined {
    const isElf = bytes.length >= 64 && bytes.readUInt32BE(0) === 0x7f_45_4c_46 && bytes[4] === 2 && bytes[5] === 1;
    if (!isElf) return undefined;
    try {
      return new ElfSymbols(bytes);
    } catch (error) {
      if (error instanceof RangeError) return undefined; // something in it lies outside of it
      throw error;
    }
  }

  /** @param address as the linker counts */
  at(address: number): FunctionAt | undefined {
    let [low, high] = [0, this.#functions.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#functions[middle]?.start ?? 0) <= address) low = middle + 1;
      else high = middle;
    }
    const found = this.#functions[low - 1];
    if (found === undefined || (found.size > 0 && address >= found.start + found.size)) return undefined;
    const name = textAt(this.#bytes, found.name, found.end);
    return name === '' ? undefined : { name, delta: address - found.start };
  }
}

/** Throws RangeError. */
function numberAt(bytes: Buffer, at: number): number {
  const value = bytes.readBigUInt64LE(at);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new RangeError('a number in it is too large');
  return Number(value);
}

function sectionsOf(bytes: Buffer): Section[] {
  const [first, each, count] = [numberAt(bytes, 0x28), bytes.readUInt16LE(0x3a), bytes.readUInt16LE(0x3c)];
  if (each !== sectionSize) return [];
  return Array.from({ length: count }, (_, index) => {
    const at = first + index * sectionSize;
    return {
      kind: bytes.readUInt32LE(at + 4),
      offset: numberAt(bytes, at + 0x18),
      size: numberAt(bytes, at + 0x20),
      link: bytes.readUInt32LE(at + 0x28),
    };
  });
}

function functionsOf(bytes: Buffer, table: Section, sections: readonly Section[]): Symbol[] {
  const names = sections[table.link];
  if (names === undefined || table.offset + table.size > bytes.length) return [];
  const functions: Symbol[] = [];
  for (let at = table.offset; at + entrySize <= table.offset + table.size; at += entrySize) {
    const kind = (bytes[at + 4] ?? 0) & 0xf;
    const isDefined = bytes.readUInt16LE(at + 6) !== 0;
    if (!isDefined || (kind !== plainFunction && kind !== chosenFunction)) continue;
    const [name, end] = [names.offset + bytes.readUInt32LE(at), names.offset + names.size];
    functions.push({ start: numberAt(bytes, at + 8), size: numberAt(bytes, at + 16), name, end });
  }
  return functions;
}

function textAt(bytes: Buffer, at: number, limit: number): string {
  const end = bytes.subarray(0, Math.min(limit, at + longestName)).indexOf(0, at);
  return end === -1 ? '' : bytes.toString('utf8', at, end);
}

/** Lowest address that is mapped. */
function baseOf(bytes: Buffer): number {
  const [first, each, count] = [numberAt(bytes, 0x20), bytes.readUInt16LE(0x36), bytes.readUInt16LE(0x38)];
  if (each !== segmentSize) return 0;
  const starts: number[] = [];
  for (let at = first; at < first + count * segmentSize; at += segmentSize)
    if (bytes.readUInt32LE(at) === 1) starts.push(numberAt(bytes, at + 0x10));
  const lowest = Math.min(...starts);
  return Number.isFinite(lowest) ? lowest : 0;
}

function buildIdIn(bytes: Buffer, { kind, offset, size }: Section): string[] {
  if (kind !== noteSection || size < 16 || offset + size > bytes.length) return [];
  const [nameSize, idSize] = [bytes.readUInt32LE(offset), bytes.readUInt32LE(offset + 4)];
  const isBuildId =
    bytes.readUInt32LE(offset + 8) === 3 && bytes.toString('latin1', offset + 12, offset + 16) === 'GNU\0';
  if (!isBuildId || nameSize !== 4 || idSize > 64 || 16 + idSize > size) return [];
  return [bytes.toString('hex', offset + 16, offset + 16 + idSize)];
}
