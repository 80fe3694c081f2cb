import path from 'node:path';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files that take longest, by the seconds of a core that they take. What takes less than ten comes after them. */
const seconds: Readonly<Record<string, number>> = {
  '39.build': 100,
  '32.compiler.build': 80,
  '33.sdk': 60,
  '93.registry.hosts': 50,
  '36.compiler.results': 42,
  '105.cli.verbs': 34,
  '94.config': 40,
  '34.compiler.broken': 39,
  '91.registry.embedded': 38,
  '02.headers': 36,
  '37.examples': 32,
  '69.tables.crash': 32,
  '45.swap': 26,
  '38.new': 25,
  '68.tables': 22,
  '60.bench': 20,
  '57.recycle': 18,
  '43.reload': 18,
  '47.examples': 18,
  '56.reload.faults': 16,
  '46.start': 15,
  '106.process.manager': 15,
  '106.process': 12,
  '58.cli': 14,
  '04.documents': 14,
  '44.watch': 14,
  '68.tables.wrong': 13,
  '59.dev': 12,
  '100.openapi.fuzz': 12,
  '68.tables.gone': 11,
  '67.tables.plugin': 11,
  '50.state': 11,
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
