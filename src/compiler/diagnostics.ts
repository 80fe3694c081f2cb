/** What a compiler or a linker said, as data. */
import path from 'node:path';

export interface Diagnostic {
  /** Relative to the application's folder when it is inside, else absolute; empty when the tool names none. */
  file: string;
  /** From 1; 0 when the tool names none. */
  line: number;
  column: number;
  severity: 'error' | 'warning' | 'note';
  message: string;
}

const positioned = /^(.+?):(\d+):(?:(\d+):)?\s+(fatal error|error|warning|note):\s+(.*)$/;
const required = /^(.+?):(\d+):(?:(\d+):)?\s+(?:required (?:from|by)|in '?constexpr'? expansion)/;
const requested = /(?:requested here|required (?:from|by))/;
const linker = /^(?:\S*\/)?(?:ld|ld\.\w+|mold|collect2)(?:\.\w+)?: (?:(error|warning|fatal): )?(.*)$/;
const linkerRefers = /(?:undefined reference to|undefined symbol|multiple definition|duplicate symbol|cannot find )/;
const cmake = /^CMake (Error|Warning)(?: \([^)]*\))?(?: at (\S+?):(\d+)(?: \([^)]*\))?)?:\s*(.*)$/;

/** Object files of the generated project, which only the linker speaks of; its n-th piece of glue is the n-th source. */
const object = /glue\/(\d+)\.c(?:pp)?\.o(?::\S*)?/g;

const progress = /^\[ *\d+(?:%|\/\d+)\] /;

/** Nothing worth knowing is further to the right, and the patterns are quick only on lines that somebody would read. */
const longestLine = 4096;
/** The message of CMake is within as many lines. */
const messageLines = 10;

/** A piece of glue, which ends where its source has ended. */
const glueFile = /(?:^|\/)glue\/(\d+)\.c(?:pp)?$/;
const failed = /^FAILED: .*?glue\/(\d+)\.c(?:pp)?\.o\b/;
/** What a compiler says of itself when it has to give up. */
const gaveUp =
  /^(?:\S*\/)?(?:cc1(?:plus)?|[\w.+-]*(?:gcc|g\+\+|clang(?:\+\+)?|cc|c\+\+)(?:-\d+)?|as|virtual memory exhausted): (?:(?:fatal )?error: )?(.*(?:memory|Killed|signal|File size|No space).*)$/;
const unfinished = /at end of input|expected '\}'|unterminated/;

/** Of a project that was generated for the sources: its n-th piece of glue is for the n-th of them. */
export interface Glue {
  /** Absolute. */
  directory: string;
  /** Where each source ends. */
  ends: readonly { line: number; column: number }[];
}

/**
 * Read the output of gcc, clang, ld, lld, mold and CMake. `folder` and `sources` are the application's. What is found wrong inside a header of the SDK or of the system, on behalf of a line of the application, is reported at that line,
 * and what is found wrong in the glue at the end of the source, which has left it open.
 */
export function parseDiagnostics(
  output: string,
  folder: string,
  sources: readonly string[],
  glue?: Glue,
): Diagnostic[] {
  const found: Diagnostic[] = [];
  const open = new Map<number, { place: number; errors: Diagnostic[] }>();
  let building = '';
  const relative = (file: string): string => {
    const below = path.relative(folder, file);
    return path.isAbsolute(file) && !below.startsWith('..') && !path.isAbsolute(below) ? below : file;
  };
  const ours = (file: string): boolean => !path.isAbsolute(relative(file));
  let asker: { file: string; line: number; column: number } | undefined;
  let linked = '';
  const lines = output.split(/\r?\n/).map((line) => line.slice(0, longestLine));
  let complaint: Diagnostic | undefined;
  const add = (diagnostic: Diagnostic): void => {
    found.push(diagnostic);
    if (diagnostic.severity !== 'note') complaint = diagnostic;
  };
  for (const [index, line] of lines.entries()) {
    const here = positioned.exec(line);
    if (here !== null) {
      const [, file = '', row = '0', column = '0', word = '', message = ''] = here;
      const severity = word === 'warning' || word === 'note' ? word : 'error';
      const index = glue === undefined ? -1 : glueAt(file, glue);
      const source = sources[index];
      const end = glue?.ends[index];
      if (source !== undefined && end !== undefined) {
        const said = message.replace(/ before '?(?:_S|s)tatic_assert'?(?: .*)?$/, ' at the end of the file');
        const diagnostic: Diagnostic = { file: source, ...end, severity, message: said };
        const { place, errors } = open.get(index) ?? { place: found.length, errors: [] };
        if (severity === 'error') open.set(index, { place, errors: [...errors, diagnostic] });
        continue;
      }
      const at = { file: relative(file), line: Number(row), column: Number(column) };
      if (severity === 'note' && requested.test(message) && ours(file) && complaint && path.isAbsolute(complaint.file))
        Object.assign(complaint, at);
      const moved = severity !== 'note' && !ours(file) && asker !== undefined ? asker : at;
      add({ ...moved, severity, message });
      if (severity !== 'note') asker = undefined;
      continue;
    }
    const chain = required.exec(line);
    if (chain !== null) {
      const [, file = '', row = '0', column = '0'] = chain;
      if (ours(file)) asker = { file: relative(file), line: Number(row), column: Number(column) };
      continue;
    }
    const step = cmake.exec(line);
    if (step !== null) {
      const [, word, file = '', row = '0', rest = ''] = step;
      const message =
        rest ||
        lines
          .slice(index + 1, index + 1 + messageLines)
          .find((next) => next.trim() !== '')
          ?.trim() ||
        line;
      add({ file, line: Number(row), column: 0, severity: word === 'Error' ? 'error' : 'warning', message });
      continue;
    }
    const failing = failed.exec(line);
    if (failing !== null) building = sources[Number(failing[1])] ?? '';
    const surrender = gaveUp.exec(line);
    if (surrender !== null)
      add({ file: building, line: 0, column: 0, severity: 'error', message: surrender[1] ?? line });
    // A step that is only announced has objects in its name, too.
    if (progress.test(line)) {
      linked = '';
      continue;
    }
    const refers = line.search(linkerRefers);
    const mentioned = / -o /.test(line) ? [] : [...line.matchAll(object)];
    const before =
      mentioned.find((each) => refers === -1 || each.index < refers) ?? (linked === '' ? mentioned[0] : null);
    const named = before ? sources[Number(before[1])] : undefined;
    const last = found.at(-1);
    // bfd names the object before its complaints, lld and mold after them.
    if (!line.startsWith('>>>')) linked = named ?? linked;
    else if (named !== undefined && last?.file === '') last.file = named;
    const link = linker.exec(line);
    if (refers !== -1 || link?.[1] !== undefined) {
      const said = link?.[2] ?? line;
      const from = Math.max(0, said.search(linkerRefers));
      const message = nameSources(said.slice(from), sources);
      const severity = link?.[1] === 'warning' ? 'warning' : 'error';
      // collect2 and clang only repeat that the linker failed.
      if (!/^ld returned|^linker command failed/.test(message))
        add({ file: linked, line: 0, column: 0, severity, message });
    }
  }
  // What an unfinished source makes of the glue is said once, and where it was said first: the rest follows from it.
  for (const { place, errors } of [...open.values()].toReversed()) {
    const first = errors.find(({ message }) => unfinished.test(message)) ?? errors[0];
    if (first !== undefined) found.splice(place, 0, first);
  }
  return open.size === 0 ? found : found.filter(({ message }) => !message.includes('tenon_glue'));
}

/** Put the source in the place of every object file. */
function nameSources(text: string, sources: readonly string[]): string {
  let named = '';
  let from = 0;
  for (const each of text.matchAll(object)) {
    let begin = each.index;
    while (begin > from && /\S/.test(text.charAt(begin - 1))) begin -= 1;
    named += `${text.slice(from, begin)}${sources[Number(each[1])] ?? 'the glue'}:`;
    from = each.index + each[0].length;
  }
  return named + text.slice(from);
}

/** Which piece of glue `file` is; -1 for every other file. */
function glueAt(file: string, { directory }: Glue): number {
  const place = path.resolve(directory, 'build', file);
  return path.dirname(place) === path.join(directory, 'glue') ? Number(glueFile.exec(place)?.[1] ?? -1) : -1;
}

/** `file:line:column: message`, with what is known of the position. */
export function describe(diagnostic: Diagnostic): string {
  const { file, line, column, message } = diagnostic;
  const position = [file, line, column].filter((part) => part !== '' && part !== 0).join(':');
  return position === '' ? message : `${position}: ${message}`;
}
