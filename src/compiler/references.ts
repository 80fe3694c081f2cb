/** How a text of a config refers to secrets: `${NAME}` a variable, `${file:NAME}` a file; `$${` stands for `${`. */

/** What a reference names. */
export interface Reference {
  readonly kind: 'variable' | 'file';
  readonly name: string;
}

/** A text in parts: what stands there, what is referred to, and what begins like a reference and is none. */
export type Part = string | Reference | { readonly wrong: string };

const token = /\$\$\{|\$\{[^}]*\}?/g;
const variable = /^\$\{([A-Za-z_]\w{0,127})\}$/;
const file = /^\$\{file:(\w[\w.-]{0,127})\}$/;

export function partsOf(text: string): Part[] {
  const parts: Part[] = [];
  let end = 0;
  for (const { 0: found, index } of text.matchAll(token)) {
    parts.push(text.slice(end, index), partOf(found));
    end = index + found.length;
  }
  return [...parts, text.slice(end)].filter((part) => part !== '');
}

function partOf(found: string): Part {
  if (found === '$${') return '${';
  const named = variable.exec(found)?.[1];
  if (named !== undefined) return { kind: 'variable', name: named };
  const filed = file.exec(found)?.[1];
  return filed === undefined ? { wrong: found } : { kind: 'file', name: filed };
}

export function isReference(part: Part): part is Reference {
  return typeof part !== 'string' && 'kind' in part;
}

/** Whether a secret is referred to in `text`. */
export function refers(text: string): boolean {
  return text.includes('${') && partsOf(text).some(isReference);
}
