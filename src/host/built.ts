/** What a build comes to. */
import type { TenonError } from '../base/errors.js';

/** A library that is ready to be admitted. */
export interface Build {
  /** Absolute path. */
  readonly library: string;
  /** What the compiler warned of, one sentence each. */
  readonly warnings: string[];
  /** Platform of the library of a bundle; `sources`: it was compiled. */
  readonly from?: string;
  /** What it has to be, where that is known. */
  readonly expected?: Expected;
}

/** The one library that may be opened. */
export interface Expected {
  readonly sha256: string;
  /** What is wrong with another one, whose hash is `found`. */
  readonly otherwise: (found: string) => TenonError;
}
