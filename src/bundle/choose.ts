/** Which library of a bundle is for this machine. */
import { TenonError } from '../base/errors.js';
import type { Manifest } from './manifest.js';
import type { Platform } from './platform.js';

/** What is read of a library without loading it. */
export interface LibraryFacts {
  readonly os: string;
  readonly arch: string;
  readonly libc: 'glibc' | 'musl' | undefined;
  /** Lowest glibc that has every symbol version it needs, as `2.34`; undefined when it needs none. */
  readonly glibcFloor: string | undefined;
  readonly abi: { readonly major: number; readonly minor: number };
}

export interface ChoiceOptions {
  platform: Platform;
  /** ABI that this host speaks. */
  abi: { major: number; minor: number };
  /** Version of Tenon. */
  version: string;
  /** Facts of the library at a path of the bundle, or the error that says why there are none. */
  inspect: (path: string) => Promise<LibraryFacts | TenonError>;
}

/** Path of the library to open, or why none of those that are offered fits: `PrebuildUnavailable` with `details: {needed, offered: [{platform, path, why}]}`. */
export type Choice = { readonly path: string; readonly platform: string } | { readonly refusal: TenonError };

/** Rejects with `EngineUnsupported` when the bundle is not for this release at all, libraries or sources. */
export function choosePrebuild(manifest: Manifest, options: ChoiceOptions): Promise<Choice> {
  void options;
  return Promise.resolve({
    refusal: new TenonError('PrebuildUnavailable', `${manifest.id}: libraries are not chosen yet`),
  });
}
