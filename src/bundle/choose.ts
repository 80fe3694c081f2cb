/** Which library of a bundle is for this machine. */
import { satisfies } from 'semver';
import { describeError, TenonError } from '../base/errors.js';
import type { Manifest } from './manifest.js';
import { type Platform, platformName } from './platform.js';

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

/** A library that is offered and does not fit. */
interface Offered {
  readonly platform: string;
  readonly path: string;
  /** A clause: `needs glibc 2.38`. */
  readonly why: string;
}

/** Libraries that a sentence names. */
const told = 6;

/**
 * The library for this machine: one for its very libc before one that names none, and that before the one for any
 * machine; each only if what is read of it fits. Rejects with `EngineUnsupported` when the bundle is not for this release
 * at all, libraries or sources, and with what `inspect` rejects with.
 */
export async function choosePrebuild(manifest: Manifest, options: ChoiceOptions): Promise<Choice> {
  checkEngine(manifest, options.version);
  const { platform } = options;
  const offers = new Map(Object.entries(offeredBy(manifest, platform)));
  const passedOver = new Map<string, Offered>();
  for (const key of wantedKeys(platform)) {
    const path = offers.get(key);
    if (path === undefined) continue;
    const facts = await options.inspect(path);
    const why = facts instanceof TenonError ? describeError(facts) : misfit(facts, options);
    if (why === undefined) return { path, platform: key };
    passedOver.set(key, { platform: key, path, why });
  }
  return {
    refusal: unavailable(
      manifest,
      options,
      [...offers].map(([key, path]) => passedOver.get(key) ?? { platform: key, path, why: 'is for other machines' }),
    ),
  };
}

/** Paths of libraries by platform: those that a manifest names, or, where it lists nothing, the file named after the id. */
export function offeredBy(manifest: Manifest, { os }: Pick<Platform, 'os'>): Readonly<Record<string, string>> {
  const { entrypoints, files, id } = manifest;
  if (files !== undefined || Object.keys(entrypoints).length > 0) return entrypoints;
  return { main: `${id}.${os === 'darwin' ? 'dylib' : 'so'}` };
}

function checkEngine({ id, version, engines }: Manifest, own: string): void {
  const range = engines['tenon'];
  if (range === undefined || satisfies(own, range, { includePrerelease: true })) return;
  throw new TenonError('EngineUnsupported', `${id} ${version} is for Tenon ${range}, this is ${own}`, {
    next: 'install a version of the bundle that is for this release, or another release of Tenon',
    details: { engine: 'tenon', range, version: own },
  });
}

/** Keys of libraries that may be for the machine, best first. */
function wantedKeys({ os, arch, libc }: Platform): string[] {
  return [...(libc === undefined ? [] : [`${os}-${arch}-${libc}`]), `${os}-${arch}`, 'main'];
}

function misfit(facts: LibraryFacts, { platform, abi }: ChoiceOptions): string | undefined {
  const { os, arch, libc, libcVersion } = platform;
  if (facts.os !== os || facts.arch !== arch) return `is for ${facts.os}-${facts.arch}, whatever its name says`;
  if (facts.libc !== undefined && libc !== undefined && facts.libc !== libc) return `needs ${facts.libc}`;
  if (facts.glibcFloor !== undefined && libcVersion !== undefined && isBelow(libcVersion, facts.glibcFloor))
    return `needs glibc ${facts.glibcFloor}`;
  if (facts.abi.major !== abi.major || facts.abi.minor > abi.minor)
    return `is built for ABI ${facts.abi.major}.${facts.abi.minor}`;
  return undefined;
}

/** Whether a version of numbers and dots is before another. */
function isBelow(one: string, other: string): boolean {
  const [ours, theirs] = [one, other].map((text) => text.split('.').map(Number));
  const at = [0, 1, 2].find((part) => (ours?.[part] ?? 0) !== (theirs?.[part] ?? 0));
  return at !== undefined && (ours?.[at] ?? 0) < (theirs?.[at] ?? 0);
}

function unavailable(manifest: Manifest, { platform, abi }: ChoiceOptions, offered: readonly Offered[]): TenonError {
  const { libc, libcVersion } = platform;
  const name = platformName(platform);
  const needed = { platform: name, libc, libcVersion, abi: `${abi.major}.${abi.minor}` };
  const machine = [name, libc === undefined ? [] : [libc, libcVersion ?? []].flat().join(' '), `ABI ${needed.abi}`];
  const reasons = offered.slice(0, told).map(({ platform: key, why }) => `${key} ${why}`);
  const more = offered.length > told ? `; and ${offered.length - told} more` : '';
  const culprit = `${manifest.id} ${manifest.version}`;
  return new TenonError(
    'PrebuildUnavailable',
    offered.length === 0
      ? `${culprit} has no library at all; needed is one for ${machine.flat().join(', ')}`
      : `${culprit} has no library for this machine (${machine.flat().join(', ')}): ${reasons.join('; ')}${more}`,
    { next: `get a bundle with a library for ${name}, or one with sources`, details: { needed, offered } },
  );
}
