/** The crashes of hosts with one data directory, as the API and the metrics have them. */
import path from 'node:path';
import { crashFolder, CrashReports } from '../base/crash-reports.js';
import type { Settings } from '../base/settings.js';
import { CrashCounts } from '../host/crash-counts.js';
import { symbolised } from '../host/crash-symbols.js';
import type { CrashesAdminOptions } from './crashes-admin.js';
import type { ContainmentFigures } from './metrics-crashes.js';

/** Everything that is told of crashes. */
export interface Crashes extends CrashesAdminOptions {
  figures: () => Promise<ContainmentFigures>;
}

/** @param held what this host holds back, and how that ends */
export function crashesOf(
  settings: Pick<Settings, 'data' | 'applications'>,
  held: Pick<CrashesAdminOptions, 'containment' | 'release'>,
): Crashes {
  const sources = { data: path.resolve(settings.data), applications: [path.resolve(settings.applications)] };
  const reports = new CrashReports({ folder: crashFolder(sources.data) });
  const counts = new CrashCounts(reports, sources.data);
  return {
    reports,
    symbolised: (report) => symbolised(report, sources),
    containment: () => held.containment(),
    release: (id) => held.release(id),
    figures: async () => ({ ...(await counts.figures()), held: held.containment() }),
  };
}
