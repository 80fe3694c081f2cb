/**
 * What a C or C++ source declares, found without a compiler: its tenon::Resource and tenon::Extension types, its
 * TENON_PLUGIN, and the files it includes by a quoted name. What is found here is verified by the compiler, because the
 * generated glue asserts it.
 */

/** A type at namespace scope. Lines and columns count from 1. */
export interface Declared {
  /** Without namespaces, e.g. `Greeting`. */
  name: string;
  /** As the end of the file can name it, e.g. `::shop::Greeting`. */
  qualified: string;
  /** True below an #if: it may not be compiled in. */
  conditional: boolean;
  /** Namespaces around it, outermost first; empty text for one without a name. */
  namespaces: string[];
  /** `struct` or `class`. */
  key: string;
  line: number;
  column: number;
}

export interface Position {
  line: number;
  column: number;
}

export interface Scan {
  resources: Declared[];
  extensions: Declared[];
  /** Where TENON_PLUGIN( stands at namespace scope. */
  plugin: Position | undefined;
  /** Names in `#include "…"`. */
  includes: string[];
}

interface Token extends Position {
  kind: 'word' | 'mark' | 'text';
  text: string;
  /** Number of #if around it, without include guards. */
  conditions: number;
}

/** Of a directive, only so much is looked at, characters. */
const longestDirective = 1024;

/** Cut `source` into words, marks and literals; comments and preprocessor lines are gone. */
function tokenize(source: string): { tokens: Token[]; includes: string[] } {
  const tokens: Token[] = [];
  const includes: string[] = [];
  const conditions: { kept: boolean; taken: boolean; guard: boolean }[] = [];
  /** How many of them are not kept, and how many are no guard. */
  let dropped = 0;
  let depth = 0;
  let line = 1;
  let lineStart = 0;
  let at = 0;
  let fresh = true;

  /** Where the line ends that is being counted. */
  let newline = source.indexOf('\n');
  const countLines = (to: number): void => {
    while (newline !== -1 && newline < to) {
      line += 1;
      lineStart = newline + 1;
      newline = source.indexOf('\n', lineStart);
    }
  };
  const endOf = (pattern: RegExp, from: number): number => {
    pattern.lastIndex = from;
    return pattern.exec(source) === null ? source.length : pattern.lastIndex;
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
    const stop = /[\n"'\\]/g;
    for (let next = from; ; next = stop.lastIndex) {
      stop.lastIndex = next;
      const found = stop.exec(source);
      if (found === null) return source.length;
      if (found[0] === quote) return stop.lastIndex;
      if (found[0] === '\n') return found.index;
      if (found[0] === '\\') stop.lastIndex += source.startsWith('\r\n', stop.lastIndex) ? 2 : 1;
    }
  };
  const directiveEnd = (from: number): number => {
    const stop = /\\\r?\n|\n|["']|\/[*/]/g;
    for (let next = from; ; next = stop.lastIndex) {
      stop.lastIndex = next;
      const found = stop.exec(source);
      if (found === null) return source.length;
      if (found[0] === '\n') return found.index;
      if (found[0] === '//') return lineEnd(stop.lastIndex);
      if (found[0] === '/*') stop.lastIndex = endOf(/\*\//g, stop.lastIndex);
      else if (found[0] === '"' || found[0] === "'") stop.lastIndex = literalEnd(found[0], stop.lastIndex);
    }
  };
  /** Behind the number at `from`, and the numbers that follow it after commas: a table of data is one token. */
  const numbersEnd = (from: number): number => {
    const piece = /[\w.]+(?:(?<=[eEpP])[+-]|'(?=\w))?(?:\s*,\s*-?(?=\d))?/y;
    let end = from;
    for (piece.lastIndex = from; piece.exec(source) !== null; ) end = piece.lastIndex;
    return end;
  };

  const directive = (from: number): number => {
    const end = directiveEnd(from);
    const text = source
      .slice(from + 1, Math.min(end, from + longestDirective))
      .replace(/\\\r?\n/g, ' ')
      .replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, ' ')
      .trim();
    const [, word = '', rest = ''] = /^(\w+)\s*(.*)$/s.exec(text) ?? [];
    if (/^(?:if|ifdef|ifndef)$/.test(word)) {
      const guard = word === 'ifndef' && tokens.length === 0;
      const first = !(word === 'if' && /^(?:0|false)$/.test(rest));
      conditions.push({ kept: first, taken: first, guard });
      if (!first) dropped += 1;
      if (!guard) depth += 1;
    } else if (/^(?:else|elif|elifdef|elifndef)$/.test(word)) {
      const current = conditions.at(-1);
      // One branch of each is read, so that braces stay balanced.
      if (current !== undefined) {
        const kept = !current.taken;
        if (kept !== current.kept) dropped += kept ? -1 : 1;
        current.kept = kept;
        current.taken = true;
      }
    } else if (word === 'endif') {
      const ended = conditions.pop();
      if (ended?.kept === false) dropped -= 1;
      if (ended?.guard === false) depth -= 1;
    } else if (word === 'include' && dropped === 0) {
      const name = /^"([^"]+)"/.exec(rest)?.[1];
      if (name !== undefined) includes.push(name);
    }
    return end;
  };

  while (at < source.length) {
    const character = source[at] ?? '';
    const begin = at;
    if (character === '\n') {
      fresh = true;
      at += 1;
      countLines(at);
      continue;
    }
    if (/\s/.test(character)) {
      at += 1;
      continue;
    }
    if (character === '\\' && /\\\r?\n/y.test(source.slice(at, at + 3))) {
      at = source.indexOf('\n', at) + 1;
      countLines(at);
      continue;
    }
    if (source.startsWith('//', at)) {
      at = lineEnd(at);
      countLines(at);
      continue;
    }
    if (source.startsWith('/*', at)) {
      at = endOf(/\*\//g, at + 2);
      countLines(at);
      continue;
    }
    if (character === '#' && fresh) {
      at = directive(at);
      countLines(at);
      continue;
    }
    fresh = false;
    const position = { line, column: begin - lineStart + 1 };
    let kind: Token['kind'] = 'mark';
    const prefix = /(?:u8|[uUL])?(R?)(["'])/y;
    prefix.lastIndex = at;
    const literal = prefix.exec(source);
    if (literal !== null && (literal[1] === '' || literal[2] === '"')) {
      kind = 'text';
      const open = prefix.lastIndex;
      if (literal[1] === 'R') {
        const delimiter = /[^(\s\\)]{0,16}/y;
        delimiter.lastIndex = open;
        const close = `)${delimiter.exec(source)?.[0] ?? ''}"`;
        const end = source.indexOf(close, open);
        at = end === -1 ? source.length : end + close.length;
      } else {
        at = literalEnd(literal[2] ?? '"', open);
      }
      countLines(at);
    } else if (/[A-Za-z_$\u0080-\uffff]/.test(character)) {
      kind = 'word';
      at = endOf(/[\w$\u0080-\uffff]+/y, at);
    } else if (/[0-9]/.test(character)) {
      kind = 'text';
      at = numbersEnd(at);
      countLines(at);
    } else if (source.startsWith('::', at) || source.startsWith('[[', at) || source.startsWith(']]', at)) at += 2;
    else at += 1;
    if (dropped === 0) tokens.push({ kind, text: source.slice(begin, at), conditions: depth, ...position });
  }
  return { tokens, includes };
}

const closing: Record<string, string> = { '(': ')', '[': ']', '[[': ']]', '{': '}' };

/** A list of template arguments with more tokens is not followed, and nothing within more namespaces. */
const longestArguments = 1000;
const deepest = 100;

/** Index after the bracket that closes, for the index of each that is closed. Kinds of brackets do not see each other. */
function matchBrackets(tokens: readonly Token[]): Map<number, number> {
  const closed = new Map<number, number>();
  const open: Record<string, number[]> = { ')': [], ']': [], ']]': [], '}': [] };
  const close = (mark: string, next: number): void => {
    const index = open[mark]?.pop();
    if (index !== undefined) closed.set(index, next);
  };
  for (const [index, { kind, text }] of tokens.entries()) {
    if (kind !== 'mark') continue;
    const mark = closing[text];
    if (mark !== undefined) open[mark]?.push(index);
    close(text, index + 1);
    // "a[b[0]]" ends with what looks like the end of an attribute.
    if (text === ']]') for (let each = 0; each < 2; each += 1) close(']', index + 1);
  }
  return closed;
}

/** Scan the text of one source. Never fails: what it cannot follow it leaves to the compiler. */
export function scanSource(source: string): Scan {
  const { tokens, includes } = tokenize(source);
  const scan: Scan = { resources: [], extensions: [], plugin: undefined, includes };
  const scope: string[][] = [];
  const resources = new Set(['tenon::Resource']);
  const extensions = new Set(['tenon::Extension']);
  let at = 0;

  const text = (index: number): string => tokens[index]?.text ?? '';
  const closed = matchBrackets(tokens);
  /** Index after the bracket that closes the one at `index`. */
  const skip = (index: number): number => closed.get(index) ?? tokens.length;
  const skipAngles = (index: number): number => {
    let depth = 0;
    for (let next = index; next < Math.min(tokens.length, index + longestArguments); next += 1) {
      const mark = text(next);
      if (mark === '<') depth += 1;
      else if (mark === '>') depth -= 1;
      else if (mark === '(' || mark === '{' || mark === '[') next = skip(next) - 1;
      else if (mark === ';') return next;
      if (depth === 0) return next + 1;
    }
    return tokens.length;
  };
  const skipAttributes = (index: number): number => {
    let next = index;
    for (;;) {
      if (text(next) === '[[') next = skip(next);
      else if (/^(?:alignas|__attribute__|__declspec)$/.test(text(next)) && text(next + 1) === '(')
        next = skip(next + 1);
      else return next;
    }
  };
  /** A possibly qualified name that begins at `index`. */
  const nameAt = (index: number): { parts: string[]; next: number } => {
    const parts: string[] = [];
    let next = text(index) === '::' ? index + 1 : index;
    while (tokens[next]?.kind === 'word') {
      parts.push(text(next));
      next += 1;
      if (text(next) !== '::') break;
      next += 1;
    }
    return { parts, next };
  };
  /** Names after the ":" at `index`, up to the "{"; undefined when it is no base clause. */
  const basesAt = (index: number): { bases: string[]; next: number } | undefined => {
    const bases: string[] = [];
    let next = index + 1;
    for (;;) {
      next = skipAttributes(next);
      while (/^(?:public|protected|private|virtual)$/.test(text(next))) next = skipAttributes(next + 1);
      const name = nameAt(next);
      if (name.parts.length === 0) return undefined;
      bases.push(name.parts.join('::'));
      next = name.next;
      if (text(next) === '<') next = skipAngles(next);
      if (text(next) === '{') return { bases, next };
      if (text(next) !== ',') return undefined;
      next += 1;
    }
  };
  const namespaces = (): string[] => scope.flat();
  /** `name` as seen from here: every full name it may stand for. */
  const meant = (name: string): string[] => {
    const around = namespaces().filter((part) => part !== '');
    return [name, ...around.map((_, index) => [...around.slice(0, index + 1), name].join('::'))];
  };
  const isOne = (bases: string[], known: Set<string>): boolean =>
    bases.some((base) => meant(base).some((name) => known.has(name)));

  const typeAt = (index: number, template: boolean): number => {
    const key = tokens[index];
    const start = skipAttributes(index + 1);
    const name = nameAt(start);
    const at = tokens[start];
    if (key === undefined || at === undefined || name.parts.length === 0) return index + 1;
    let next = name.next;
    if (text(next) === '<') return next;
    if (text(next) === 'final') next += 1;
    if (text(next) !== ':') return next;
    const base = basesAt(next);
    if (base === undefined) return next;
    const simple = name.parts.at(-1) ?? '';
    const path = [...namespaces(), ...name.parts.slice(0, -1)];
    const qualified = [...path.filter((part) => part !== ''), simple].join('::');
    const declared: Declared = {
      name: simple,
      qualified: `::${qualified}`,
      conditional: at.conditions > 0 && name.parts.length === 1,
      namespaces: path,
      key: key.text,
      line: at.line,
      column: at.column,
    };
    if (!template) {
      if (isOne(base.bases, resources)) {
        resources.add(qualified);
        scan.resources.push(declared);
      } else if (isOne(base.bases, extensions) || /.Extension$/.test(simple)) {
        extensions.add(qualified);
        scan.extensions.push(declared);
      }
    }
    return base.next;
  };

  let template = false;
  while (at < tokens.length) {
    const word = text(at);
    if (word === 'template') {
      at = text(at + 1) === '<' ? skipAngles(at + 1) : at + 1;
      template = true;
    } else if (word === 'namespace' || (word === 'extern' && text(at + 1).startsWith('"'))) {
      let next = word === 'extern' ? at + 2 : skipAttributes(at + 1);
      const parts: string[] = [];
      while (word === 'namespace' && text(next) !== '{' && (tokens[next]?.kind === 'word' || text(next) === '::')) {
        if (tokens[next]?.kind === 'word' && text(next) !== 'inline') parts.push(text(next));
        next += 1;
      }
      if (text(next) === '{') {
        scope.push(word === 'namespace' && parts.length === 0 ? [''] : parts);
        if (scope.length + namespaces().length > deepest) return scan;
        next += 1;
      }
      at = next;
    } else if (word === 'using') {
      if (text(at + 1) === 'namespace' && nameAt(at + 2).parts.join('::') === 'tenon') {
        resources.add('Resource');
        extensions.add('Extension');
      } else {
        const alias = nameAt(at + 1);
        const target = text(alias.next) === '=' ? nameAt(alias.next + 1).parts : alias.parts;
        const name = alias.parts.at(-1) ?? '';
        if (isOne([target.join('::')], resources)) resources.add(name);
        if (isOne([target.join('::')], extensions)) extensions.add(name);
      }
      while (at < tokens.length && text(at) !== ';') at = text(at) === '{' ? skip(at) : at + 1;
    } else if (word === 'enum') {
      at += 1;
      if (text(at) === 'class' || text(at) === 'struct') at += 1;
    } else if ((word === 'struct' || word === 'class') && tokens[at]?.kind === 'word') {
      at = typeAt(at, template);
    } else if (word === 'TENON_PLUGIN' && text(at + 1) === '(') {
      scan.plugin ??= { line: tokens[at]?.line ?? 1, column: tokens[at]?.column ?? 1 };
      at = skip(at + 1);
    } else if (word === '{' || word === '(' || word === '[[') {
      at = skip(at);
      if (word === '{') template = false;
    } else {
      if (word === '}') scope.pop();
      if (word === ';' || word === '}') template = false;
      at += 1;
    }
  }
  return scan;
}
