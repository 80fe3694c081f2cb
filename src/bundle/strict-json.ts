/** JSON as RFC 8259 and nothing more, from bytes of a stranger: no name twice, bounded depth, nothing that is read differently elsewhere. */

/** One thing wrong in a JSON text: where, as JSON pointer (RFC 6901), and what. */
export interface Problem {
  readonly pointer: string;
  readonly message: string;
}

/** A text that is refused. */
export class JsonRefused extends Error {
  readonly pointer: string;

  constructor({ pointer, message }: Problem) {
    super(message);
    this.name = 'JsonRefused';
    this.pointer = pointer;
  }
}

/** What is wrong with a name of an object that has it already. */
export const twice = 'is there twice';

/** `pointer`, one segment further. */
export function below(pointer: string, segment: string | number): string {
  return `${pointer}/${String(segment).replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

const blank = /[ \t\n\r]*/y;
// eslint-disable-next-line no-control-regex
const string = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*"/y;
const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const words = new Map<string, unknown>([
  ['true', true],
  ['false', false],
  ['null', null],
]);

/** One pass over one text. */
class Reading {
  readonly #text: string;
  readonly #depthLimit: number;
  #at = 0;

  constructor(text: string, depthLimit: number) {
    this.#text = text;
    this.#depthLimit = depthLimit;
  }

  whole(): unknown {
    const value = this.#value('', 0);
    this.#skip();
    if (this.#at < this.#text.length) throw this.#unexpected('', 'the end');
    return value;
  }

  #value(pointer: string, depth: number): unknown {
    this.#skip();
    const first = this.#text[this.#at];
    if (first === '{') return this.#object(pointer, depth + 1);
    if (first === '[') return this.#list(pointer, depth + 1);
    if (first === '"') return this.#string(pointer);
    for (const [word, value] of words)
      if (this.#text.startsWith(word, this.#at)) {
        this.#at += word.length;
        return value;
      }
    const digits = this.#take(number);
    if (digits === undefined) throw this.#unexpected(pointer, 'a value');
    const value = Number(digits);
    if (!Number.isFinite(value)) throw new JsonRefused({ pointer, message: 'is a number too large to be read' });
    // JSON has a zero below zero, which no text that is made of it says.
    return value === 0 ? 0 : value;
  }

  #object(pointer: string, depth: number): Record<string, unknown> {
    const members = new Map<string, unknown>();
    this.#enter(pointer, depth);
    if (this.#passes('}')) return {};
    do {
      this.#skip();
      if (this.#text[this.#at] !== '"') throw this.#unexpected(pointer, 'a name in double quotes');
      const name = this.#string(pointer);
      const place = below(pointer, name);
      if (members.has(name)) throw new JsonRefused({ pointer: place, message: twice });
      if (!this.#passes(':')) throw this.#unexpected(place, '":"');
      members.set(name, this.#value(place, depth));
    } while (this.#passes(','));
    if (!this.#passes('}')) throw this.#unexpected(pointer, '"," or "}"');
    // Own members all of them, __proto__ too.
    return Object.fromEntries(members);
  }

  #list(pointer: string, depth: number): unknown[] {
    const items: unknown[] = [];
    this.#enter(pointer, depth);
    if (this.#passes(']')) return items;
    do items.push(this.#value(below(pointer, items.length), depth));
    while (this.#passes(','));
    if (!this.#passes(']')) throw this.#unexpected(pointer, '"," or "]"');
    return items;
  }

  #enter(pointer: string, depth: number): void {
    if (depth > this.#depthLimit)
      throw new JsonRefused({ pointer, message: `is deeper than ${this.#depthLimit} levels` });
    this.#at++;
  }

  #string(pointer: string): string {
    const from = this.#at;
    const quoted = this.#take(string);
    if (quoted === undefined) {
      this.#at = from;
      throw this.#unexpected(pointer, 'a text of JSON');
    }
    const value = JSON.parse(quoted) as string;
    if (/\p{Surrogate}|\0/u.test(value))
      throw new JsonRefused({ pointer, message: 'must be text without NUL and halves of characters' });
    return value;
  }

  #passes(sign: string): boolean {
    this.#skip();
    if (this.#text[this.#at] !== sign) return false;
    this.#at++;
    return true;
  }

  #skip(): void {
    this.#take(blank);
  }

  #take(grammar: RegExp): string | undefined {
    grammar.lastIndex = this.#at;
    const found = grammar.exec(this.#text)?.[0];
    this.#at += found?.length ?? 0;
    return found;
  }

  #unexpected(pointer: string, wanted: string): JsonRefused {
    const before = this.#text.slice(0, this.#at).split('\n');
    const place = `line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}`;
    return new JsonRefused({ pointer, message: `is no JSON: ${wanted} is expected in ${place}` });
  }
}

/** The value that `bytes` say. Throws {@link JsonRefused}. Names of members are own properties, whatever they are. */
export function strictJson(bytes: Uint8Array, depthLimit: number): unknown {
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf)
    throw new JsonRefused({ pointer: '', message: 'must not begin with a byte order mark' });
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new JsonRefused({ pointer: '', message: 'must be UTF-8' });
  }
  return new Reading(text, depthLimit).whole();
}
