import path from 'node:path';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files that take longest, by the seconds that they take beside others on two cores. What takes less than fifteen comes after them. */
const seconds: Readonly<Record<string, number>> = {
  '99.arm64': 240,
  '39.build': 133,
  '119.isolation.faults': 110,
  '32.compiler.build': 107,
  '99.distribution': 97,
  '33.sdk': 92,
  '116.faults': 70,
  '02.headers': 68,
  '105.cli.verbs': 62,
  '98.install.kills': 56,
  '100.openapi.fuzz': 55,
  '91.registry.embedded': 54,
  '36.compiler.results': 50,
  '113.supervisor': 47,
  '34.compiler.broken': 46,
  '56.reload.faults': 44,
  '37.examples': 43,
  '90.contained': 43,
  '57.recycle': 42,
  '87.auth': 40,
  '98.install.http': 38,
  '59.dev': 36,
  '93.registry.hosts': 36,
  '119.isolation.ends': 36,
  '94.config': 35,
  '95.static': 34,
  '40.life': 32,
  '69.tables.crash': 31,
  '68.tables': 31,
  '51.rollback': 31,
  '45.swap': 30,
  '106.process': 29,
  '43.reload': 28,
  '105.cli.doctor': 24,
  '47.examples': 24,
  '44.watch': 24,
  '60.bench': 23,
  '70.tables.property': 23,
  '50.state': 23,
  '88.telemetry': 22,
  '38.new': 22,
  '94.config.plugin': 20,
  '96.registry.races': 20,
  '105.cli.bench': 20,
  '04.documents': 20,
  '96.registry.cuts': 18,
  '49.state-file': 18,
  '92.registry.reached': 18,
  '106.process.manager': 15,
  '46.start': 15,
};

/** Begins with the longest, so that all workers end together. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.toSorted((one, other) => secondsOf(other) - secondsOf(one));
  }
}

function secondsOf({ moduleId }: TestSpecification): number {
  return seconds[path.basename(moduleId, '.test.ts')] ?? 0;
}
