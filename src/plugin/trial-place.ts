/** Names the function of a library that crashed in its trial. */
import { readRegular } from '../base/regular.js';
import { ElfSymbols } from '../compiler/elf-symbols.js';
import { sourcePlaces } from '../compiler/source-lines.js';

/** Where in a library something has crashed. */
export interface CrashPlace {
  /** From the beginning of its image, hexadecimal with 0x. */
  readonly offset: string;
  /** `function+0x12`, as far as the library tells. */
  readonly symbol?: string;
  /** `file:line`, where it has debug information. */
  readonly source?: string;
}

const libraryLimit = 512 * 1024 ** 2;

/**
 * @param path of the library; absolute
 * @param told by the runner: `pc OFFSET`, or `call OFFSET` for where what crashed would have returned to
 * @returns undefined where it has told nothing
 */
export async function crashPlace(path: string, told: string): Promise<CrashPlace | undefined> {
  const [, how, digits = ''] = /^(pc|call) ([0-9a-f]{1,12})$/.exec(told) ?? [];
  if (how === undefined) return undefined;
  const offset = `0x${digits}`;
  const bytes = await readRegular(path, libraryLimit).catch(() => undefined); // it is told without
  const elf = bytes === undefined ? undefined : ElfSymbols.read(bytes);
  if (elf === undefined) return { offset };
  const behind = how === 'call' ? 1 : 0;
  const at = Number.parseInt(digits, 16) + elf.base - behind;
  const place = (await sourcePlaces(path, [at])).get(at) ?? [];
  const found = elf.at(at);
  const name = place.at(-1)?.function ?? found?.name;
  const source = place[0]?.source;
  return {
    offset,
    ...(name === undefined
      ? {}
      : { symbol: found === undefined ? name : `${name}+0x${(found.delta + behind).toString(16)}` }),
    ...(source === undefined ? {} : { source }),
  };
}

/** For a sentence: `in begin+0x12 (todo.c:7)`. */
export function placeWords({ offset, symbol, source }: CrashPlace): string {
  const line = source === undefined ? '' : ` (${source.replace(/^.*\//, '')})`;
  return symbol === undefined ? `at ${offset} of the library${line}` : `in ${symbol}${line}`;
}
