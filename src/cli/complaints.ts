/** What a compiler said, with the source it spoke of. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import type { Diagnostic } from '../compiler/diagnostics.js';

/** The largest file that a line is looked for in, bytes. */
const sourceLimit = 16 * 1024 ** 2;

/** What was wrong in files of the application, as an error carries it in its `details`: of a compiler, or of a schema. */
export function diagnosticsOf(details: Record<string, unknown> | undefined): Diagnostic[] {
  const { diagnostics, problems } = details ?? {};
  if (Array.isArray(diagnostics)) return diagnostics as Diagnostic[];
  if (!Array.isArray(problems)) return [];
  // Those of a manifest have a pointer, which the message of the error names.
  return (problems as (string | Partial<Omit<Diagnostic, 'severity'>>)[]).flatMap((problem): Diagnostic[] => {
    if (typeof problem === 'string') return [{ file: '', line: 0, column: 0, severity: 'error', message: problem }];
    const { file, line = 0, column = 0, message = '' } = problem;
    return file === undefined ? [] : [{ file, line, column, severity: 'error', message }];
  });
}

/** `file:line:column: severity: message`; the file as it is found from `directory`, `folder` is the application's. */
export function diagnosticLine(
  { file, line, column, severity, message }: Diagnostic,
  folder: string,
  directory: string,
): string {
  const place = file === '' ? path.relative(directory, folder) : path.relative(directory, path.resolve(folder, file));
  return `${[place, line, column].filter((part) => part !== 0).join(':')}: ${severity}: ${message}`;
}

/** The source line of a diagnostic and, below it, where in it; none when the file or the line is not there. */
export function sourceLines({ file, line, column }: Diagnostic, folder: string): string[] {
  const place = path.resolve(folder, file);
  if (file === '' || line === 0 || !existsSync(place) || statSync(place).size > sourceLimit) return [];
  const text = readFileSync(place, 'utf8').split(/\r?\n/)[line - 1];
  if (text === undefined) return [];
  const number = String(line).padStart(5);
  const shown = `${number} | ${text.replaceAll('\t', ' ')}`;
  return column === 0 ? [shown] : [shown, `${' '.repeat(number.length)} | ${' '.repeat(column - 1)}^`];
}
