/** Entity tags and the headers that ask by them (RFC 9110, 8.8.3 and 13.1). */
import { TenonError } from '../base/errors.js';

/** One tag of a header: what stands between the quotes. */
export interface EntityTag {
  value: string;
  weak: boolean;
}

/** Tags of `If-Match` or `If-None-Match`, or `*`. Throws `BadRequest`. */
export function readEntityTags(header: string, text: string): EntityTag[] | '*' {
  if (text.trim() === '*') return '*';
  const tags: EntityTag[] = [];
  const pattern = /[\s,]*(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"\s*(?:,|$)/y;
  while (pattern.lastIndex < text.length && /[^\s,]/.test(text.slice(pattern.lastIndex))) {
    const found = pattern.exec(text);
    if (found === null)
      throw new TenonError('BadRequest', `${header}: ${text} is neither * nor a list of entity tags`, {
        next: 'send the ETag of an answer as it came, with its quotes',
        details: { header },
      });
    tags.push({ value: found[2] ?? '', weak: found[1] !== undefined });
  }
  return tags;
}

/** Values of the tags that may match; weak ones never do when a match has to be strong, as for `If-Match`. */
export function tagValues(tags: readonly EntityTag[] | '*', strong: boolean): string[] | '*' {
  if (tags === '*') return '*';
  return tags.filter(({ weak }) => !(strong && weak)).map(({ value }) => value);
}

/** Whether a representation with the tag `value` is among them. */
export function includesTag(values: readonly string[] | '*', value: string): boolean {
  return values === '*' || values.includes(value);
}
