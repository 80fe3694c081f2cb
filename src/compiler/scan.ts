/**
 * What a C or C++ text declares, found without a compiler: its tenon::Resource and tenon::Extension types, and its
 * TENON_PLUGIN. Where the text alone cannot tell, it says what that hangs on. What is found here is verified by the
 * compiler, because the generated glue asserts it.
 */
import {
  attributeClose,
  attributeOpen,
  type Directives,
  doubleColon,
  type Language,
  literal,
  type Macro,
  type Position,
  type Tokens,
  tokenize,
  word,
} from './tokens.js';

export type { Language, Position } from './tokens.js';

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

export interface Scan extends Directives {
  resources: Declared[];
  extensions: Declared[];
  /** Where TENON_PLUGIN( stands at namespace scope. */
  plugin: Position | undefined;
  /** Words at namespace scope: any of them may be a macro. */
  used: Set<string>;
  /** Those of them in the head of a type, a namespace or an alias, and those that are called with braces or types. */
  heads: Set<string>;
  bodied: Set<string>;
  /** What stands for a resource or an extension here, and the namespaces of those that were found. */
  names: Set<string>;
  /** Nothing in it makes a declaration; of such a text only the directives are known. */
  silent: boolean;
  /** A text that includes this one may mean something else by it: it speaks of resources, or opens the namespace tenon. */
  steers: boolean;
}

/** A name that may make its type a resource, an extension or a plugin. */
const telling = /^(?:Resource|TENON_PLUGIN|tenon_plugin_note)$|Extension$/;
/** A text without it declares nothing by itself. */
const anything = /tenon|TENON|Extension/;

const closing = new Map([
  [40, 41],
  [91, 93],
  [attributeOpen, attributeClose],
  [123, 125],
]);

/** Words, attributes and arguments of macros in the head of a type; behind more of them nothing is looked for. */
const longestHead = 50;
/** A list of template arguments with more tokens is not followed, and nothing within more namespaces. */
const longestArguments = 250;
const deepest = 100;
/** A text with more words at namespace scope is not compared with macros: the compiler is asked. */
const mostWords = 50_000;

/** Index after the bracket that closes, at the index of each that is closed. Kinds of brackets do not see each other. */
function matchBrackets(tokens: Tokens): Uint32Array {
  const closed = new Uint32Array(tokens.count);
  const open = new Map<number, number[]>([...closing.values()].map((mark) => [mark, []]));
  const close = (mark: number, next: number): void => {
    const index = open.get(mark)?.pop();
    if (index !== undefined) closed[index] = next;
  };
  for (let index = 0; index < tokens.count; index += 1) {
    const code = tokens.code(index);
    if (code >= word) continue;
    const mark = closing.get(code);
    if (mark !== undefined) open.get(mark)?.push(index);
    else if (open.has(code)) close(code, index + 1);
    // "a[b[0]]" ends with what looks like the end of an attribute.
    if (code === attributeClose) for (let each = 0; each < 2; each += 1) close(93, index + 1);
  }
  return closed;
}

/** Scan the text of one file. Never fails: what it cannot follow it leaves to the compiler. */
export function scanSource(source: string, language: Language = 'c++'): Scan {
  const silent = !anything.test(source);
  const { tokens, directives } = tokenize(source, language, !silent);
  const scan: Scan = {
    ...directives,
    resources: [],
    extensions: [],
    plugin: undefined,
    used: new Set(),
    heads: new Set(),
    bodied: new Set(),
    names: new Set(['Resource', 'Extension']),
    silent,
    steers: false,
  };
  const resources = new Set(['tenon::Resource']);
  const extensions = new Set(['tenon::Extension']);
  const closed = matchBrackets(tokens);
  /** What is open: how many names it has, and how many of the parts and of the prefixes were there before. */
  const scope: { parts: number; prefixes: number }[] = [];
  const around: string[] = [];
  /** Full names of the namespaces around, outermost first. */
  const prefixes: string[] = [];
  let at = 0;

  const code = (index: number): number => tokens.code(index);
  const text = (index: number): string => tokens.text(index);
  /** Index after the bracket that closes the one at `index`. */
  const skip = (index: number): number => closed[index] || tokens.count;
  const skipAngles = (index: number): number => {
    let depth = 0;
    for (let next = index; next < Math.min(tokens.count, index + longestArguments); next += 1) {
      const mark = code(next);
      if (mark === 60) depth += 1;
      else if (mark === 62) depth -= 1;
      else if (mark === 40 || mark === 123 || mark === 91) next = skip(next) - 1;
      else if (mark === 59) return next;
      if (depth === 0) return next + 1;
    }
    return tokens.count;
  };
  const skipAttributes = (index: number): number => {
    let next = index;
    for (;;) {
      if (code(next) === attributeOpen) next = skip(next);
      else if (code(next + 1) === 40 && /^(?:alignas|__attribute__|__declspec)$/.test(text(next)))
        next = skip(next + 1);
      else return next;
    }
  };
  /** Index after the words, attributes and arguments of macros at `index`. */
  const skipHead = (index: number): number => {
    let next = index;
    for (let turn = 0; turn < longestHead; turn += 1) {
      const mark = code(next);
      if (mark === 40 || mark === attributeOpen) next = skip(next);
      else if (mark === word || mark === doubleColon) next += 1;
      else break;
    }
    return next;
  };
  /** A possibly qualified name that begins at `index`. */
  const nameAt = (index: number): { parts: string[]; next: number } => {
    const parts: string[] = [];
    let next = code(index) === doubleColon ? index + 1 : index;
    while (code(next) === word) {
      scan.heads.add(text(next));
      parts.push(text(next));
      next += 1;
      if (code(next) !== doubleColon) break;
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
      if (code(next) === 60) next = skipAngles(next);
      if (code(next) === 123) return { bases, next };
      // A base has one name.
      if (code(next) === word || (code(next) === 40 && text(next - 1) !== 'decltype')) scan.loose = true;
      if (code(next) !== 44) return undefined;
      next += 1;
    }
  };
  const isOne = (base: string, known: Set<string>): boolean =>
    known.has(base) || prefixes.some((prefix) => known.has(`${prefix}::${base}`));

  const typeAt = (index: number, template: boolean): number => {
    const start = skipAttributes(index + 1);
    const name = nameAt(start);
    const simple = name.parts.at(-1);
    if (simple === undefined) return index + 1;
    let next = name.next;
    if (code(next) === 60) return next;
    if (text(next) === 'final') next += 1;
    if (code(next) === word) scan.heads.add(text(next));
    if (code(next) !== 58) {
      // The type has one name: before it stands a macro, of whatever header.
      if (code(skipHead(next)) === 58) scan.loose = true;
      return next;
    }
    const base = basesAt(next);
    if (base === undefined) return next;
    const path = [...around, ...name.parts.slice(0, -1)];
    const qualified = [...path.filter((part) => part !== ''), simple].join('::');
    const isResource = base.bases.some((each) => isOne(each, resources));
    const isExtension = base.bases.some((each) => isOne(each, extensions)) || /.Extension$/.test(simple);
    if (!(isResource || isExtension)) return base.next;
    for (const part of [...path, simple]) scan.names.add(part);
    (isResource ? resources : extensions).add(qualified);
    // It is none itself, but what it is made to is.
    if (template) return base.next;
    (isResource ? scan.resources : scan.extensions).push({
      name: simple,
      qualified: `::${qualified}`,
      conditional: directives.open.has(simple) && name.parts.length === 1,
      namespaces: path,
      key: text(index),
      ...tokens.position(start),
    });
    return base.next;
  };
  /** A namespace, or extern "C", whose first word is at `index`; undefined when it is too deep. */
  const namespaceAt = (index: number, isExtern: boolean): number | undefined => {
    let next = isExtern ? index + 2 : skipAttributes(index + 1);
    const parts: string[] = [];
    while (!isExtern && (code(next) === word || code(next) === doubleColon)) {
      if (code(next) === word && text(next) !== 'inline') {
        scan.heads.add(text(next));
        parts.push(text(next));
      }
      next += 1;
    }
    if (code(next) === 61) {
      const target = nameAt(next + 1).parts.join('::');
      if (target === 'tenon') {
        resources.add(`${parts[0]}::Resource`);
        extensions.add(`${parts[0]}::Extension`);
        scan.steers = true;
      }
    }
    if (code(next) !== 123) return next;
    if (scope.length + around.length + parts.length >= deepest) return undefined;
    scope.push({ parts: around.length, prefixes: prefixes.length });
    for (const part of parts) {
      const prefix = prefixes.at(-1);
      prefixes.push(prefix === undefined ? part : `${prefix}::${part}`);
    }
    around.push(...(!isExtern && parts.length === 0 ? [''] : parts));
    return next + 1;
  };
  const usingAt = (index: number): number => {
    if (text(index + 1) === 'namespace') {
      if (nameAt(index + 2).parts.join('::') === 'tenon') {
        resources.add('Resource');
        extensions.add('Extension');
        scan.steers = true;
      }
    } else {
      const alias = nameAt(index + 1);
      const target = (code(alias.next) === 61 ? nameAt(alias.next + 1).parts : alias.parts).join('::');
      const name = alias.parts.at(-1) ?? '';
      for (const known of [resources, extensions])
        if (isOne(target, known)) {
          known.add(name);
          scan.names.add(name);
        }
    }
    let next = index;
    while (next < tokens.count && code(next) !== 59) next = code(next) === 123 ? skip(next) : next + 1;
    return next;
  };
  /** Whether a macro could make a declaration of what is between the parentheses at `index`. */
  const hasBody = (index: number): boolean => {
    const end = skip(index);
    for (let next = index + 1; next < Math.min(end, index + longestArguments); next += 1)
      if (code(next) === 123 || (code(next) === word && /^(?:struct|class)$/.test(text(next)))) return true;
    return end - index > longestArguments;
  };

  let template = false;
  while (at < tokens.count) {
    const mark = code(at);
    if (mark === word) {
      const name = text(at);
      scan.used.add(name);
      if (name === 'template') {
        at = code(at + 1) === 60 ? skipAngles(at + 1) : at + 1;
        template = true;
      } else if (name === 'namespace' || (name === 'extern' && code(at + 1) === literal)) {
        const next = namespaceAt(at, name === 'extern');
        if (next === undefined) {
          scan.loose = true;
          break;
        }
        at = next;
      } else if (name === 'using') at = usingAt(at);
      else if (name === 'enum') at += /^(?:class|struct)$/.test(text(at + 1)) ? 2 : 1;
      else if (name === 'struct' || name === 'class') at = typeAt(at, template);
      else if (
        (name === 'TENON_PLUGIN' && code(at + 1) === 40) ||
        (name === 'tenon_plugin_note' && code(at + 1) === 61)
      ) {
        scan.plugin ??= tokens.position(at);
        at = code(at + 1) === 40 ? skip(at + 1) : at + 1;
      } else {
        if (code(at + 1) === 40 && !scan.bodied.has(name) && hasBody(at + 1)) scan.bodied.add(name);
        at += 1;
      }
    } else if (mark === 123 || mark === 40 || mark === attributeOpen) {
      at = skip(at);
      if (mark === 123) template = false;
    } else {
      if (mark === 125) {
        const ended = scope.pop();
        around.length = ended?.parts ?? around.length;
        prefixes.length = ended?.prefixes ?? prefixes.length;
      }
      if (mark === 59 || mark === 125) template = false;
      at += 1;
    }
  }
  scan.steers ||= speaks(tokens, directives);
  for (const words of [scan.used, scan.heads, scan.bodied, scan.open])
    if (words.size > mostWords) {
      words.clear();
      scan.loose = true;
    }
  return scan;
}

/** Whether a word of the code, or one that a macro may put there, is a telling one. */
function speaks(tokens: Tokens, { open, macros }: Directives): boolean {
  if ([open, ...macros.map(({ words }) => words)].some((words) => [...words].some((each) => telling.test(each))))
    return true;
  if (!/Resource|Extension|TENON_PLUGIN/.test(tokens.source)) return false;
  for (let index = 0; index < tokens.count; index += 1)
    if (tokens.code(index) === word && telling.test(tokens.text(index))) return true;
  return false;
}

const keyword =
  /^(?:struct|class|namespace|template|using|final|public|private|protected|virtual|inline|extern|tenon|Resource|TENON_PLUGIN)$|Extension$/;
const making = /^(?:struct|class|namespace|using)$/;

/** Whether only the preprocessor can tell what a source declares that includes `headers`, directly or not. */
export function isDoubtful(own: Scan, headers: readonly Scan[]): boolean {
  if (headers.some((each) => each.steers)) return true;
  if (own.silent) return false;
  const all = [own, ...headers];
  const tells = (name: string): boolean => telling.test(name) || own.names.has(name);
  const macros = all.flatMap((each) => each.macros);
  if (all.some((each) => each.loose) || macros.some(({ name }) => keyword.test(name))) return true;
  if (own.open.has('template') || [...own.open].some(tells)) return true;
  const users = new Map<string, string[]>(macros.map(({ name }) => [name, []]));
  for (const { name, words } of macros) for (const each of words) users.get(each)?.push(name);
  /** Names of the macros that `begins`, and of all whose words lead to one of them. */
  const leadingTo = (begins: (macro: Macro) => boolean): Set<string> => {
    const names = new Set(macros.filter(begins).map(({ name }) => name));
    // What is added meanwhile is looked at, too.
    for (const name of names) for (const user of users.get(name) ?? []) names.add(user);
    return names;
  };
  const makers = leadingTo(({ words }) => words.some((each) => tells(each) || making.test(each)));
  /** Macros that may begin or end a declaration; those above may make one. */
  const shaping = leadingTo(({ name, shapes }) => shapes || makers.has(name));
  return (
    macros.some(({ name, call }) => own.heads.has(name) || (call && own.bodied.has(name))) ||
    all.some(
      ({ used, open }) => [...used].some((each) => shaping.has(each)) || [...open].some((each) => makers.has(each)),
    )
  );
}
