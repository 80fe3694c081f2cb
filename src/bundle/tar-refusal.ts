/** How an archive is refused: with the entry and the rule, for programs and for people. */
import { type ErrorCode, TenonError } from '../base/errors.js';
import { quoted } from './manifest-grammar.js';

/** Where in an archive something is wrong. */
export interface Place {
  /** Number of the entry, from 1, as `tar -t` lists them. */
  readonly entry: number;
  /** As the entry spells it; absent where it could not be read yet. */
  readonly path?: string;
}

const shownCharacters = 200;

/** @param fault one clause that goes on from the name of the entry */
export function refusedEntry(code: ErrorCode, rule: string, { entry, path }: Place, fault: string): TenonError {
  const shown = path?.slice(0, shownCharacters);
  const name = shown === undefined ? `entry ${entry} of the archive` : `entry ${entry} (${quoted(shown)})`;
  return new TenonError(code, `${name} ${fault}`, {
    next: 'make the archive with `tenon pack`',
    details: shown === undefined ? { entry, rule } : { entry, path: shown, rule },
  });
}

/** @param fault one clause that goes on from "the archive" */
export function refusedArchive(rule: string, fault: string, cause?: unknown): TenonError {
  return new TenonError('ArchiveInvalid', `the archive ${fault}`, {
    next: 'make the archive with `tenon pack`, or send it again',
    details: { rule },
    cause,
  });
}

/** @param fault one clause that goes on from "the archive" */
export function overLimit(rule: string, limit: number, fault: string, next = 'make the bundle smaller'): TenonError {
  return new TenonError('ArchiveTooLarge', `the archive ${fault}`, { next, details: { limit, rule } });
}

export function overBytes(limit: number, fault: string): TenonError {
  return overLimit('bytes', limit, fault, 'make the bundle smaller, or raise the setting `limits.bundle`');
}
