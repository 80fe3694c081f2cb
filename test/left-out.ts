import type { Reporter, TestModule } from 'vitest/node';

/** Says in the end which tests were left out, for which reason: one without a reason is a defect. */
export default class LeftOut implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const counts = new Map<string, number>();
    for (const module of modules)
      for (const test of module.children.allTests('skipped')) {
        const result = test.result();
        const reason =
          result.state === 'skipped' && result.note !== undefined ? result.note : `no reason: ${test.fullName}`;
        const key = `${module.project.name}: ${module.relativeModuleId}: ${reason}`;
        counts.set(key, (counts.get(key) ?? 0) + 1);
      }
    const lines = [...counts].map(([key, count]) => `  ${key}${count === 1 ? '' : ` (${count})`}`);
    if (lines.length > 0) process.stdout.write(`left out:\n${lines.toSorted().join('\n')}\n`);
  }
}
