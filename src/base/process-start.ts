/** When a process began: its number may be given to another one after it. */
import { readFileSync } from 'node:fs';

/** When a process began, so that a number given again is not taken for the one before; `0` where it is not known. */
export function startTime(pid: number): string {
  if (process.platform !== 'linux') return '0';
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name, in parentheses, may hold anything; the fields after it do not. This one is the 22nd of all.
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? '0';
  } catch {
    return '0';
  }
}
