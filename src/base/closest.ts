import { closest as nearest, distance } from 'fastest-levenshtein';

/** The word of `known` that `word` was probably meant to be; undefined when none is near. */
export function closest(word: string, known: Iterable<string>): string | undefined {
  const words = [...known];
  if (words.length === 0) return undefined;
  const best = nearest(
    word.toLowerCase(),
    words.map((candidate) => candidate.toLowerCase()),
  );
  if (distance(word.toLowerCase(), best) > Math.max(2, Math.floor(word.length / 3))) return undefined;
  return words.find((candidate) => candidate.toLowerCase() === best);
}
