/** Numbers of generations that were begun in hosts which crashed: the list of kept builds has those that served, and is written later. */
import type { BegunGenerations } from '../base/containment.js';
import type { BoxContents } from '../binding/black-box.js';

const ids = /^[a-z0-9][a-z0-9_-]{0,62}$/;
/** A plugin may have written anywhere in the box: no number is so high that there is none above it. */
const highestNumber = 1e9;

/** `known` with those of `contents`; the same when there is nothing new. */
export function withBegun(known: BegunGenerations, contents: BoxContents | undefined): BegunGenerations {
  const raised = new Map<string, number>();
  for (const { plugin, generation } of contents?.images ?? []) {
    const isSound = ids.test(plugin) && Number.isInteger(generation) && generation <= highestNumber;
    if (isSound && generation > Math.max(known[plugin] ?? 0, raised.get(plugin) ?? 0)) raised.set(plugin, generation);
  }
  return raised.size === 0 ? known : { ...known, ...Object.fromEntries(raised) };
}
