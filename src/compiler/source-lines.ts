/** Asks the tools of the machine which line of which source an address of a library comes from. */
import path from 'node:path';
import { processEnvironment } from '../base/config.js';
import { run, type Ran } from './run.js';

/** Where the code at an address comes from, innermost first when functions are inlined into each other. */
export interface SourcePlace {
  /** Demangled. */
  readonly function?: string;
  /** `file:line`, when the library has debug information. */
  readonly source?: string;
}

const timeLimitMs = 2000;
const outputLimit = 4 * 1024 ** 2;
const memoryLimit = 1024 ** 3;

/** They print the same. */
const tools = [
  ['addr2line', []],
  ['llvm-symbolizer', ['--output-style=GNU']],
] as const;

/** What there is to say of each of `addresses`, which are as the linker of `file` (absolute) counts them; nothing without such a tool. */
export async function sourcePlaces(file: string, addresses: readonly number[]): Promise<Map<number, SourcePlace[]>> {
  if (addresses.length === 0) return new Map();
  // Nothing else of the environment: a tool may ask servers that it names for debug information.
  const { PATH = '/usr/bin:/bin' } = processEnvironment();
  const asked = addresses.map((address) => `0x${address.toString(16)}`);
  for (const [tool, first] of tools) {
    const ran = await run(tool, [...first, '-a', '-C', '-f', '-i', '-e', file, ...asked], {
      cwd: path.dirname(file),
      env: { PATH, LC_ALL: 'C' },
      timeLimitMs,
      outputLimit,
      limits: { memory: memoryLimit, file: 0 },
    }).catch(() => undefined); // it is not there, or the machine has no process left: it is told without
    if (ran !== undefined && isWhole(ran)) return placesIn(ran.answer);
  }
  return new Map();
}

function isWhole({ status, answer }: Ran): boolean {
  return status === 0 && answer.length < outputLimit;
}

/** An address, then a line for the function and one for the source, as often as it is inlined. */
function placesIn(answer: string): Map<number, SourcePlace[]> {
  const places = new Map<number, SourcePlace[]>();
  let current: SourcePlace[] = [];
  let name: string | undefined;
  for (const line of answer.split('\n')) {
    if (name === undefined && /^0x[0-9a-f]{1,16}$/.test(line)) {
      current = [];
      places.set(Number.parseInt(line, 16), current);
    } else if (name === undefined) name = line;
    else {
      current.push(placeOf(name, line));
      name = undefined;
    }
  }
  return places;
}

function placeOf(name: string, line: string): SourcePlace {
  const [, source] = /^(.+:[1-9]\d{0,8})(?::\d+)?(?: \(.*\))?$/.exec(line) ?? [];
  const isKnown = name !== '' && name !== '??';
  return {
    ...(isKnown ? { function: shortened(name) } : {}),
    ...(source === undefined || source.startsWith('??') ? {} : { source }),
  };
}

function shortened(name: string): string {
  return name.replaceAll(
    /std::(?:__cxx11::)?basic_string<char, std::char_traits<char>, std::allocator<char> ?>/g,
    'std::string',
  );
}
