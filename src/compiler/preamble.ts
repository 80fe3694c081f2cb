/** Whether tenon.hpp may be read before a source's first line, as a precompiled header is. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Directives } from './tokens.js';

/** A text of the application. */
export interface Included {
  /** Relative to the application's folder. */
  file: string;
  scan: Pick<Directives, 'included' | 'leading'>;
}

/** Of an #include: tenon.hpp, and what includes it. */
const sdk = /^["<]tenon\/(?!testing)\w+\.hpp[">]$/;

/** Says of a header, by the name it is included by, whether it is the same in every order with others. */
export class SystemHeaders {
  readonly #searched: readonly string[];
  readonly #others: readonly string[];
  readonly #known = new Map<string, boolean>();

  /** Absolute paths: those that the compiler searches by itself, and those before them. */
  constructor(searched: readonly string[], others: readonly string[]) {
    this.#searched = searched;
    this.#others = others;
  }

  /** In this turn: to ask for a file costs less than a thread that asks. */
  has(name: string): boolean {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const isIn = (folder: string): boolean => existsSync(path.join(folder, name));
    const found = name.startsWith('tenon/') || (this.#searched.some(isIn) && !this.#others.some(isIn));
    this.#known.set(name, found);
    return found;
  }
}

/** The compiler goes no deeper. */
const deepest = 200;

/**
 * False when `source` includes tenon.hpp behind something that may change what it means: a macro or a #pragma, also of a
 * header. `headers` are those of the application, by their files. Who does not include it has it no other way.
 */
export function mayComeFirst(source: Included, headers: ReadonlyMap<string, Included>, system: SystemHeaders): boolean {
  const names = [source, ...headers.values()].flatMap(({ scan }) => scan.included);
  if (!names.some((name) => sdk.test(name))) return true;
  const seen = new Set<Included>();
  /** Undefined when tenon.hpp has not come yet. */
  const follow = (text: Included, depth: number): boolean | undefined => {
    if (depth > deepest) return false;
    if (seen.has(text)) return undefined;
    seen.add(text);
    const { included, leading } = text.scan;
    for (const include of included.slice(0, leading)) {
      if (sdk.test(include)) return true;
      const name = include.slice(1, -1);
      const own = include.startsWith('"') ? headers.get(path.join(path.dirname(text.file), name)) : undefined;
      if (own === undefined && !system.has(name)) return false;
      const found = own && follow(own, depth + 1);
      if (found !== undefined) return found;
    }
    return leading === undefined ? undefined : false;
  };
  return follow(source, 0) ?? true;
}
