/** A crash report in a few words, as it is listed. */
import type { CrashReport, Party } from '../base/crash-report.js';

export interface CrashSummary
  extends Pick<CrashReport, 'id' | 'at' | 'kind' | 'signal' | 'status' | 'stackOverflow' | 'action' | 'released'> {
  readonly culprit?: Party;
  readonly suspects: readonly Party[];
  readonly sentence: string;
}

export function summaryOf(report: CrashReport): CrashSummary {
  const { id, at, kind, signal, status, stackOverflow, action, released, verdict } = report;
  const { culprit, suspects, sentence } = verdict;
  return {
    id,
    at,
    kind,
    ...(signal === undefined ? {} : { signal }),
    ...(status === undefined ? {} : { status }),
    ...(stackOverflow === undefined ? {} : { stackOverflow }),
    action,
    ...(released === undefined ? {} : { released }),
    ...(culprit === undefined ? {} : { culprit }),
    suspects,
    sentence,
  };
}
