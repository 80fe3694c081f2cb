/** The processes of isolated plugins, as the system shows them. Linux. */
import { readdirSync, readFileSync } from 'node:fs';

function textOf(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}

/** Whether process `pid` is there and has not ended. */
export function isAlive(pid: number): boolean {
  const stat = textOf(`/proc/${pid}/stat`);
  return stat !== '' && !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
}

/** Processes that serve a plugin to the host with process `host`: of the plugin `id`, or of any. */
export function runnersOf(host: number, id?: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      const [program = '', verb, plugin] = textOf(`/proc/${name}/cmdline`).split('\0');
      if (!program.endsWith('tenon-runner') || verb !== 'serve' || (id !== undefined && plugin !== id)) return false;
      const stat = textOf(`/proc/${name}/stat`);
      const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return state !== 'Z' && Number(parent) === host;
    })
    .map(Number)
    .toSorted((one, other) => one - other);
}
