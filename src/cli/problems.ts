/** What is wrong somewhere, one by one, with its place. */
import type { TenonError } from '../base/errors.js';
import { diagnosticsOf } from './complaints.js';
import { printable } from './printable.js';

export interface Problem {
  severity: 'error' | 'warning' | 'note';
  message: string;
  /** Code of the error. */
  code?: string;
  /** Relative to the application or the bundle; empty is unknown. */
  file?: string;
  /** From 1; 0 is unknown. */
  line?: number;
  column?: number;
  /** Where in a JSON file. */
  pointer?: string;
  next?: string;
}

/** All that `error` says is wrong. */
export function problemsOf({ code, message, next, details }: TenonError): Problem[] {
  const { pointer, problems } = details;
  const said = next === undefined ? {} : { next };
  if (typeof pointer === 'string' && Array.isArray(problems))
    return (problems as { pointer: string; message: string }[]).map((problem) => ({
      severity: 'error',
      code,
      file: 'manifest.json',
      pointer: problem.pointer,
      message: problem.message,
    }));
  const diagnostics = diagnosticsOf(details);
  if (diagnostics.length > 0) return diagnostics.map((diagnostic) => ({ code, ...diagnostic }));
  return [{ severity: 'error', code, message, ...said }];
}

/** It, in one line. */
export function problemLine(
  { severity, message, code, file, line, column, pointer, next }: Problem,
  place: string,
): string {
  const where = [file === undefined || file === '' ? place : file, line, column].filter(
    (part) => part !== 0 && part !== undefined,
  );
  const inside = pointer === undefined || pointer === '' ? '' : ` ${pointer}`;
  const named = code === undefined ? '' : `${code}: `;
  return printable(
    `${where.join(':')}: ${severity}: ${named}${inside.trimStart()}${inside === '' ? '' : ' '}${message}${next === undefined ? '' : `; ${next}`}`,
  );
}
