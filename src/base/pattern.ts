/** Patterns of files, as a person writes them: `*.log`, `resources/**`, `{one,two}.c`. */

const longest = 200;
const mostWildcards = 8;
/** Each further one in the same part of a path multiplies the time for a long name by its length. */
const mostInPart = 3;
const wildcards = /[*?]+|\{/g;

function count(text: string): number {
  return text.match(wildcards)?.length ?? 0;
}

/**
 * What is wrong with `pattern`, as the end of a sentence; undefined when it can be used. A pattern of many parts can take
 * a matcher for ever, and one that leaves the folder would match nothing.
 */
export function wrongPattern(pattern: string): string | undefined {
  if (pattern === '' || pattern.includes('\0')) return 'a pattern that is not empty';
  if (
    pattern.length > longest ||
    count(pattern) > mostWildcards ||
    pattern.split('/').some((part) => count(part) > mostInPart)
  )
    return `a pattern of at most ${longest} characters and ${mostWildcards} wildcards, ${mostInPart} in one part of a path`;
  if (pattern.startsWith('/') || pattern.split('/').includes('..')) return 'a pattern of paths inside the application';
  if (/^!|[()]/.test(pattern)) return 'a pattern without parentheses and without "!" before it';
  return undefined;
}

/** `text` cut at its commas, those between braces left alone. */
export function splitPatterns(text: string): string[] {
  return text
    .split(/,(?![^{}]*\})/)
    .map((part) => part.trim())
    .filter((part) => part !== '');
}
