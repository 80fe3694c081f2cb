/** What a reload came to, for whoever works on the application. */
import type { ReloadRecord } from '../index.js';
import { diagnosticLine, diagnosticsOf, sourceLines } from './complaints.js';
import { barParts, phaseTimes, reloadLine } from './phases.js';

const barWidth = 60;
/** The rest follows from the first, as a rule. */
const shownDiagnostics = 10;

/**
 * What is wrong, in lines: each complaint of the compiler with the source line, or else the error's own sentence.
 * @param folder of the application; files are shown as they are found from `directory`
 */
export function complaintLines(
  error: { message: string; details: Record<string, unknown> } | undefined,
  folder: string,
  directory: string,
): string[] {
  if (error === undefined) return [];
  const said = diagnosticsOf(error.details);
  if (said.length === 0) return [error.message];
  const shown = said
    .slice(0, shownDiagnostics)
    .flatMap((each) => [diagnosticLine(each, folder, directory), ...sourceLines(each, folder)]);
  return said.length > shownDiagnostics ? [...shown, `and ${said.length - shownDiagnostics} more`] : shown;
}

/** A reload with its phases, and what was wrong. One that found nothing changed is not worth a line. */
export function reloadReport(record: ReloadRecord, folder: string, directory: string): string[] {
  if (record.unchanged === true && (record.applied ?? []).length === 0) return [];
  const bar = barParts(record.phases, barWidth).map((part) => part.bar);
  return [
    reloadLine(record),
    ...(bar.length === 0 ? [] : [`  ${bar.join('')}`, `  ${phaseTimes(record.phases)}`]),
    ...complaintLines(record.error, folder, directory).map((line) => `  ${line}`),
    ...record.warnings.map((warning) => `  ${warning}`),
  ];
}
