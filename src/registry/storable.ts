/** What PostgreSQL can store: no NUL, and no half of a surrogate pair. */

const unstorable = /[\0\p{Surrogate}]/gu;

export function storable(text: string): string {
  return text.replaceAll(unstorable, '\u{fffd}');
}

/** JSON of `value`; texts in it, and names, are made storable. */
export function storableJson(value: unknown): string {
  const text = JSON.stringify(value);
  // Both are escaped in JSON.
  if (!/\\u(?:0000|[dD][89a-fA-F])/.test(text)) return text;
  return JSON.stringify(value, (_, inner: unknown) => (typeof inner === 'string' ? storable(inner) : named(inner)));
}

function named(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]: [string, unknown]) => [storable(name), inner]));
}
