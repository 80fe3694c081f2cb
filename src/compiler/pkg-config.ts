/** What pkg-config answers, word by word. What is not taken of it is named, so that nobody looks for it in vain. */
import path from 'node:path';

export interface CompileWords {
  /** Folders with headers. */
  includes: string[];
  options: string[];
  /** Words that are not taken. */
  others: string[];
}

export interface LinkWords {
  /** Each once: as behind `-l`, such as `z` and `:libz.a`, or the absolute path of a library. */
  names: string[];
  /** Folders with libraries. */
  folders: string[];
  options: string[];
  /** Words that are not taken. */
  others: string[];
}

const mac = process.platform === 'darwin';
/** What asks for nothing that a plugin is not compiled with: C 11, C++ 17, position-independent. */
const given = /^-(?:std=(?:c|gnu)(?:\+\+(?:98|03|0x|11|1y|14|1z|17)|89|90|99|9x|11|1x|17|18)|f(?:PIC|pic))$/;

/** Of the answer to `--cflags`. */
export function readCompileWords(text: string): CompileWords {
  const found: CompileWords = { includes: [], options: [], others: [] };
  const words = wordsOf(text);
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    const [, way, folder = ''] = /^(-I|-isystem)(.*)$/s.exec(word) ?? [];
    if (way !== undefined) found.includes.push(folder === '' ? (words.shift() ?? '') : folder);
    else if (/^-(?:[DU].|pthread$)/.test(word)) found.options.push(word);
    else if (!given.test(word)) found.others.push(word);
  }
  return found;
}

/** Of the answer to `--libs`. An option that would search libraries at run time, or work on the process, is not taken. */
export function readLinkWords(text: string): LinkWords {
  const found: LinkWords = { names: [], folders: [], options: [], others: [] };
  const words = wordsOf(text);
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    if (/^-l:?[\w.+-]+$/.test(word)) found.names.push(word.slice(2));
    else if (path.isAbsolute(word)) found.names.push(word);
    else if (word.startsWith('-L')) {
      found.folders.push(word.slice(2));
      found.options.push(word);
    } else if (word === '-pthread') found.options.push(word);
    else if (word === '-framework') {
      const name = words.shift() ?? '';
      if (mac) found.options.push(`-Wl,-framework,${name}`);
      else found.others.push(`${word} ${name}`);
    } else found.others.push(word);
  }
  found.names = [...new Set(found.names)];
  return found;
}

/** pkg-config escapes with backslashes what a shell would split. */
function wordsOf(text: string): string[] {
  return [...text.matchAll(/(?:\\[\s\S]|[^\s\\])+/g)].map(([word]) => word.replace(/\\([\s\S])/g, '$1'));
}
