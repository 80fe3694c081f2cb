import { readFileSync } from 'node:fs';

/** Processor time of `pid` and of everything it started and that has ended, ms in steps of 10; NaN except on Linux. */
function processorTime(pid: number): number {
  try {
    const facts = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = facts.slice(facts.lastIndexOf(')') + 2).split(' ');
    return [11, 12, 13, 14].reduce((sum, field) => sum + Number(fields[field]) * 10, 0);
  } catch {
    return Number.NaN;
  }
}

/** Time on the clock, and on the processor in `pid` and what it starts. */
export async function spent(work: () => Promise<unknown>, pid = process.pid): Promise<Record<string, number>> {
  const processor = processorTime(pid);
  const begin = performance.now();
  await work();
  const ms = performance.now() - begin;
  return { ms, 'CPU ms': processorTime(pid) - processor };
}
