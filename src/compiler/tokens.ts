/** Cuts C and C++ into words, marks and literals, without a compiler, and tells where that is not the whole truth. */

export interface Position {
  line: number;
  column: number;
}

export type Language = 'c' | 'c++';

/** A macro that the text defines. */
export interface Macro {
  name: string;
  /** It is called, with arguments. */
  call: boolean;
  /** What it stands for may begin, end or name a declaration. */
  shapes: boolean;
  /** What it may stand for: the words in it. */
  words: string[];
}

/** What the lines for the preprocessor say. */
export interface Directives {
  /** Names in `#include "…"`, of every branch that may be compiled. */
  includes: string[];
  /** All that is included, with the quotes or angles. */
  included: string[];
  /** How many of them come before a line that may change what headers of the system mean: certain macros, a #pragma. */
  leading: number | undefined;
  macros: Macro[];
  /** Words in branches that may be compiled or not. */
  open: Set<string>;
  /** True when only a preprocessor can tell: braces that depend on a branch, an include that a macro names. */
  loose: boolean;
}

/** Codes of tokens that are no mark of one character. */
export const doubleColon = 1;
export const attributeOpen = 2;
export const attributeClose = 3;
export const word = 128;
export const literal = 129;

/** Of a line for the preprocessor, only so much is looked at, characters. */
const longestDirective = 1024;
const shaping = /[{};#]|\b(?:struct|class|union|enum|namespace|using|template|typedef|extern)\b/;
const wordPattern = /[\w$\u0080-\uffff]+/y;
const numberPiece = /[\w.]+(?:(?<=[eEpP])[+-]|'(?=\w))?(?:\s*,\s*-?(?=\d))?/y;
const literalPrefix = /^(?:u8|[uUL])?R?$/;
const literalStop = /[\n"'\\]/g;
const directiveStop = /\\\r?\n|\n|["']|\/[*/]/g;
const rawDelimiter = /[^(\s\\)]{0,16}/y;
/** A macro that no header of the system asks for, nor has in it: those have names of other kinds to themselves. */
const ownMacro = /^(?!(?:NDEBUG$|TENON_))[A-Z][A-Z0-9_]+$/;
/** A #pragma that changes nothing but warnings. */
const idlePragma = /^(?:once$|(?:GCC|clang)\s+diagnostic\b)/;
const splicedWord = /[\w$]\\\r?\n[\w$]/;

/** Tokens of a text, as numbers: there may be as many as characters. */
export class Tokens {
  count = 0;
  readonly source: string;
  #begins = new Uint32Array(1024);
  #ends = new Uint32Array(1024);
  #codes = new Uint8Array(1024);
  #line = 0;
  #lineStart = 0;
  #nextLine = 0;

  constructor(source: string) {
    this.source = source;
  }

  add(code: number, begin: number, end: number): void {
    if (this.count === this.#codes.length) {
      const size = this.count * 2;
      const grown = (from: Uint32Array): Uint32Array<ArrayBuffer> => {
        const to = new Uint32Array(size);
        to.set(from);
        return to;
      };
      this.#begins = grown(this.#begins);
      this.#ends = grown(this.#ends);
      const codes = new Uint8Array(size);
      codes.set(this.#codes);
      this.#codes = codes;
    }
    this.#begins[this.count] = begin;
    this.#ends[this.count] = end;
    this.#codes[this.count] = code;
    this.count += 1;
  }

  /** The character of a mark, or one of the codes above; 0 behind the end. */
  code(index: number): number {
    return index < this.count ? (this.#codes[index] ?? 0) : 0;
  }

  text(index: number): string {
    return index < this.count ? this.source.slice(this.#begins[index], this.#ends[index]) : '';
  }

  begin(index: number): number {
    return this.#begins[index] ?? 0;
  }

  /** Quick as long as it is asked in order. */
  position(index: number): Position {
    const offset = this.begin(index);
    if (offset < this.#lineStart) {
      this.#line = 0;
      this.#nextLine = 0;
    }
    while (offset >= this.#nextLine) {
      this.#line += 1;
      this.#lineStart = this.#nextLine;
      const newline = this.source.indexOf('\n', this.#lineStart);
      this.#nextLine = newline === -1 ? this.source.length + 1 : newline + 1;
    }
    return { line: this.#line, column: offset - this.#lineStart + 1 };
  }
}

interface Condition {
  /** `dead` is never compiled; `dropped` may be, but is not read. */
  branch: 'read' | 'dropped' | 'dead';
  /** Whether the branch, or one before it, is read. */
  taken: boolean;
  /** What is read may not be compiled. */
  assumed: boolean;
  /** Name of an include guard, as far as it can be one. */
  guard: string | undefined;
  /** Braces that were open where it began, the fewest since, and those where the branch ends that is read. */
  braces: number;
  fewest: number;
  after: number;
}

/** Whether the condition of `#<name> <rest>` holds; undefined when that cannot be told. */
function holds(name: string, rest: string, language: Language): boolean | undefined {
  if (/^(?:0|false)$/.test(rest) && name === 'if') return false;
  if (/^(?:1|true)$/.test(rest) && name === 'if') return true;
  const plusPlus = /^(?:__cplusplus|defined\s*\(\s*__cplusplus\s*\)|defined\s+__cplusplus)$/.test(rest);
  if (!plusPlus) return undefined;
  return (name === 'ifndef') === (language === 'c');
}

function isWordStart(code: number): boolean {
  return (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || code === 95 || code === 36 || code >= 0x80;
}

/**
 * Cut `source`; comments and lines for the preprocessor are gone, and of each #if all branches but one. Of a text that
 * need not be `kept`, there are only the directives.
 */
export function tokenize(
  source: string,
  language: Language,
  kept: boolean,
): { tokens: Tokens; directives: Directives } {
  const tokens = new Tokens(source);
  const directives: Directives = {
    includes: [],
    included: [],
    leading: undefined,
    macros: [],
    open: new Set(),
    loose: splicedWord.test(source),
  };
  const conditions: Condition[] = [];
  /** How many of them are dead, are not read, and are assumed. */
  let dead = 0;
  let unread = 0;
  let assumed = 0;
  let braces = 0;
  let guarding: Condition | undefined;
  /** What seemed to be an include guard has ended. */
  let guarded = false;
  let at = 0;
  let fresh = true;
  /** No code has come so far. */
  let untouched = true;

  const endOf = (text: string, from: number): number => {
    const found = source.indexOf(text, from);
    return found === -1 ? source.length : found + text.length;
  };
  // No pattern here may repeat a choice or a group: the engine keeps a way back for every turn, and runs out of stack.
  /** Where the line ends that `from` is in, with the lines that a backslash adds to it. */
  const lineEnd = (from: number): number => {
    for (let next = from; ; next += 1) {
      next = source.indexOf('\n', next);
      if (next === -1) return source.length;
      if (source[source[next - 1] === '\r' ? next - 2 : next - 1] !== '\\') return next;
    }
  };
  /** Behind the literal of which `from` is the first character. An unfinished one ends with its line. */
  const literalEnd = (quote: string, from: number): number => {
    for (let next = from; ; next = literalStop.lastIndex) {
      literalStop.lastIndex = next;
      const found = literalStop.exec(source);
      if (found === null) return source.length;
      if (found[0] === quote) return literalStop.lastIndex;
      if (found[0] === '\n') return found.index;
      if (found[0] === '\\') literalStop.lastIndex += source.startsWith('\r\n', literalStop.lastIndex) ? 2 : 1;
    }
  };
  const rawEnd = (open: number): number => {
    rawDelimiter.lastIndex = open;
    return endOf(`)${rawDelimiter.exec(source)?.[0] ?? ''}"`, open);
  };
  const directiveEnd = (from: number): number => {
    for (let next = from; ; ) {
      directiveStop.lastIndex = next;
      const found = directiveStop.exec(source);
      if (found === null) return source.length;
      next = directiveStop.lastIndex;
      if (found[0] === '\n') return found.index;
      if (found[0] === '//') return lineEnd(next);
      if (found[0] === '/*') next = endOf('*/', next);
      else if (found[0] === '"' || found[0] === "'") next = literalEnd(found[0], next);
    }
  };
  /** Behind the number at `from`, and the numbers that follow it after commas: a table of data is one token. */
  const numbersEnd = (from: number): number => {
    let end = from;
    for (numberPiece.lastIndex = from; numberPiece.exec(source) !== null; ) end = numberPiece.lastIndex;
    return end;
  };

  /** What seemed to be an include guard is a condition like others. */
  const noGuard = (): void => {
    if (guarding === undefined) return;
    guarding.guard = undefined;
    guarding.assumed = true;
    assumed += 1;
    guarding = undefined;
  };
  const enter = (condition: Condition, branch: Condition['branch'], isAssumed: boolean): void => {
    if (condition.branch === 'dead') dead -= 1;
    if (condition.branch !== 'read') unread -= 1;
    if (branch === 'dead') dead += 1;
    if (branch !== 'read') unread += 1;
    if (condition.assumed !== isAssumed) assumed += isAssumed ? 1 : -1;
    condition.branch = branch;
    condition.assumed = isAssumed;
    if (branch === 'read') condition.taken = true;
  };
  const begin = (name: string, rest: string): void => {
    const known = holds(name, rest, language);
    const guard = name === 'ifndef' && known === undefined && untouched && /^\w+$/.test(rest);
    const condition: Condition = {
      branch: 'read',
      taken: false,
      assumed: false,
      guard: guard ? rest : undefined,
      braces,
      fewest: braces,
      after: braces,
    };
    conditions.push(condition);
    enter(condition, known === false ? 'dead' : 'read', known === undefined && !guard);
    if (guard) guarding = condition;
  };
  /** A branch has ended: what is open now must be what was open before it. */
  const leave = (condition: Condition): void => {
    const { branch } = condition;
    if (
      (condition.assumed || branch === 'dropped') &&
      (braces !== condition.braces || condition.fewest < condition.braces)
    )
      directives.loose = true;
    if (branch === 'read') condition.after = braces;
    braces = condition.braces;
  };
  const otherwise = (name: string): void => {
    const condition = conditions.at(-1);
    if (condition === undefined) return;
    if (condition.guard !== undefined) directives.loose = true;
    leave(condition);
    const certain = condition.branch === 'dead' && !condition.taken && name === 'else';
    if (!condition.taken) enter(condition, 'read', !certain);
    else if (condition.assumed || condition.branch === 'dropped' || condition.guard !== undefined)
      enter(condition, 'dropped', condition.assumed);
    else enter(condition, 'dead', false);
  };
  const end = (): void => {
    const condition = conditions.at(-1);
    if (condition === undefined) return;
    leave(condition);
    guarded ||= condition.guard !== undefined && !ownMacro.test(condition.guard);
    enter(condition, 'read', false);
    conditions.pop();
    braces = condition.after;
    const outer = conditions.at(-1);
    if (outer !== undefined) outer.fewest = Math.min(outer.fewest, condition.fewest, braces);
  };
  const change = (): void => {
    directives.leading ??= directives.included.length;
  };
  /** The name. */
  const define = (rest: string, whole: boolean): string => {
    const [, name = '', open = '', body = ''] = /^([\w$\u0080-\uffff]+)(\()?(.*)$/s.exec(rest) ?? [];
    const words = [...new Set(body.match(/[A-Za-z_$\u0080-\uffff][\w$\u0080-\uffff]*/g))];
    directives.macros.push({ name, call: open !== '', shapes: !whole || shaping.test(body), words });
    return name;
  };

  const directive = (from: number): number => {
    const until = directiveEnd(from);
    const whole = until - from <= longestDirective;
    const text = source
      .slice(from + 1, Math.min(until, from + longestDirective))
      .replace(/\\\r?\n/g, ' ')
      .replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, ' ')
      .trim();
    const [, name = '', rest = ''] = /^(\w+)\s*(.*)$/s.exec(text) ?? [];
    const guards = guarding !== undefined && name === 'define' && rest.split(/\W/, 1)[0] === guarding.guard;
    if (!guards) noGuard();
    guarding = undefined;
    // Behind its end, the macro of a guard is one like others.
    if (guarded) change();
    if (name === 'if' || name === 'ifdef' || name === 'ifndef') begin(name, rest);
    else if (/^(?:else|elif|elifdef|elifndef)$/.test(name)) otherwise(name);
    else if (name === 'endif') end();
    else if (dead > 0) return until;
    else if (name === 'define') {
      const macro = define(rest, whole);
      if (!guards && !ownMacro.test(macro)) change();
    } else if (name === 'undef' ? !ownMacro.test(rest) : name === 'pragma' && !idlePragma.test(rest)) change();
    else if (/^(?:include|include_next|import)$/.test(name)) {
      const quoted = /^"([^"]+)"/.exec(rest)?.[1];
      const included = /^(?:"[^"]+"|<[^>]+>)/.exec(rest)?.[0];
      if (quoted !== undefined) directives.includes.push(quoted);
      else if (!rest.startsWith('<')) directives.loose = true;
      if (included === undefined) change();
      else directives.included.push(included);
    }
    return until;
  };

  const add = (code: number, from: number): void => {
    untouched = false;
    if (guarding !== undefined) noGuard();
    if (dead > 0) return;
    if (code === word && directives.leading === undefined && source.startsWith('_Pragma', from)) change();
    if (!kept) return;
    if (code === 123) braces += 1;
    else if (code === 125) {
      braces -= 1;
      const condition = conditions.at(-1);
      if (condition !== undefined && braces < condition.fewest) condition.fewest = braces;
    }
    if (code === word && assumed + unread > 0) directives.open.add(source.slice(from, at));
    if (unread === 0) tokens.add(code, from, at);
  };

  while (at < source.length) {
    const code = source.charCodeAt(at);
    const from = at;
    if (code === 10) {
      fresh = true;
      at += 1;
    } else if (code === 32 || (code >= 9 && code <= 13) || code === 0xa0 || code === 0xfeff) at += 1;
    else if (code === 92 && (source[at + 1] === '\n' || source.startsWith('\r\n', at + 1))) {
      at = source.indexOf('\n', at) + 1;
    } else if (code === 47 && source[at + 1] === '/') at = lineEnd(at);
    else if (code === 47 && source[at + 1] === '*') at = endOf('*/', at + 2);
    else if (code === 35 && fresh) at = directive(at);
    else {
      fresh = false;
      if (isWordStart(code)) {
        wordPattern.lastIndex = at;
        wordPattern.exec(source);
        at = wordPattern.lastIndex;
        const quote = source[at];
        const prefix = (quote === '"' || quote === "'") && at - from <= 3 && literalPrefix.test(source.slice(from, at));
        const raw = prefix && source[at - 1] === 'R';
        if (prefix && (!raw || quote === '"')) {
          at = raw ? rawEnd(at + 1) : literalEnd(quote, at + 1);
          add(literal, from);
        } else add(word, from);
      } else if (code === 34 || code === 39) {
        at = literalEnd(code === 34 ? '"' : "'", at + 1);
        add(literal, from);
      } else if (code >= 48 && code <= 57) {
        at = numbersEnd(at);
        add(literal, from);
      } else if (code === 58 && source.charCodeAt(at + 1) === 58) {
        at += 2;
        add(doubleColon, from);
      } else if ((code === 91 || code === 93) && source.charCodeAt(at + 1) === code) {
        at += 2;
        add(code === 91 ? attributeOpen : attributeClose, from);
      } else {
        at += 1;
        add(code < 128 && code > 3 ? code : 4, from);
      }
    }
  }
  return { tokens, directives };
}
