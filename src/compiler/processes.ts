/** Ends processes by what stays with them when their parent has gone: their session, and a mark in their environment. */
import { readdirSync, readFileSync } from 'node:fs';

/** Variable that marks every process of a build. */
export const buildMark = 'TENON_BUILD';

/** Ends every process that was given `mark`, or one that begins with it and a dot, in whatever session. Needs /proc. */
export function endMarked(mark: string): void {
  const wanted = `${buildMark}=${mark}`;
  const isWanted = (variable: string): boolean => variable === wanted || variable.startsWith(`${wanted}.`);
  endAll((pid) => readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').some(isWanted));
}

/** Ends every process of `session`. Without /proc only its leader's group. */
export function endSession(session: number): void {
  signalTo(-session, 'SIGKILL');
  endAll((pid) => {
    // The name of the program, in parentheses, may hold anything; state, parent, group and session follow it.
    const facts = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return Number(facts.slice(facts.lastIndexOf(')') + 2).split(' ')[3]) === session;
  });
}

export function signalTo(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It is gone already, or belongs to somebody else.
  }
}

const rounds = 10;

/** A process may start another while it is looked at, so look until there is no new one. */
function endAll(belongs: (pid: string) => boolean): void {
  if (process.platform !== 'linux') return;
  const ended = new Set<string>();
  for (let round = 0; round < rounds; round += 1) {
    const before = ended.size;
    for (const pid of readdirSync('/proc')) {
      if (!/^\d+$/.test(pid) || ended.has(pid)) continue;
      try {
        if (!belongs(pid)) continue;
      } catch {
        continue; // It ended in the meantime, or belongs to somebody else.
      }
      ended.add(pid);
      signalTo(Number(pid), 'SIGKILL');
    }
    if (ended.size === before) return;
  }
}
