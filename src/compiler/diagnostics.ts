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
const object = /\S*glue\/(\d+)\.c(?:pp)?\.o(?::\S*)?/g;

/**
 * Read the output of gcc, clang, ld, lld, mold and CMake. `folder` and `sources` are the application's. What is found
 * wrong inside a header of the SDK or of the system, on behalf of a line of the application, is reported at that line.
 */
export function parseDiagnostics(output: string, folder: string, sources: readonly string[]): Diagnostic[] {
  const found: Diagnostic[] = [];
  const relative = (file: string): string => {
    const below = path.relative(folder, file);
    return path.isAbsolute(file) && !below.startsWith('..') && !path.isAbsolute(below) ? below : file;
  };
  const ours = (file: string): boolean => !path.isAbsolute(relative(file));
  let asker: { file: string; line: number; column: number } | undefined;
  let linked = '';
  const lines = output.split(/\r?\n/);
  for (const [index, line] of lines.entries()) {
    const here = positioned.exec(line);
    if (here !== null) {
      const [, file = '', row = '0', column = '0', word = '', message = ''] = here;
      const severity = word === 'warning' || word === 'note' ? word : 'error';
      const at = { file: relative(file), line: Number(row), column: Number(column) };
      const previous = found.findLast((each) => each.severity !== 'note');
      if (severity === 'note' && requested.test(message) && ours(file) && previous && path.isAbsolute(previous.file))
        Object.assign(previous, at);
      const moved = severity !== 'note' && !ours(file) && asker !== undefined ? asker : at;
      found.push({ ...moved, severity, message });
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
          .slice(index + 1)
          .find((next) => next.trim() !== '')
          ?.trim() ||
        line;
      found.push({ file, line: Number(row), column: 0, severity: word === 'Error' ? 'error' : 'warning', message });
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
      const message = said
        .slice(from)
        .replace(object, (_, index: string) => `${sources[Number(index)] ?? 'the glue'}:`);
      const severity = link?.[1] === 'warning' ? 'warning' : 'error';
      // collect2 and clang only repeat that the linker failed.
      if (!/^ld returned|^linker command failed/.test(message))
        found.push({ file: linked, line: 0, column: 0, severity, message });
    }
  }
  return found;
}

/** `file:line:column: message`, with what is known of the position. */
export function describe(diagnostic: Diagnostic): string {
  const { file, line, column, message } = diagnostic;
  const position = [file, line, column].filter((part) => part !== '' && part !== 0).join(':');
  return position === '' ? message : `${position}: ${message}`;
}
