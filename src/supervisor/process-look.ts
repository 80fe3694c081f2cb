/** What the system says of the process of a host: whether it stands because somebody looks at it. */
import { readFileSync } from 'node:fs';
import { processEnvironment } from '../base/config.js';

/** How a process is held: by a debugger or a tracer, or by SIGSTOP. */
export type Hold = 'traced' | 'stopped' | undefined;

/** Undefined, too, where the system does not say it. */
export function holdOf(pid: number | undefined): Hold {
  try {
    return holdIn(readFileSync(`/proc/${pid ?? 0}/status`, 'latin1'));
  } catch {
    return undefined; // no such file system
  }
}

/** By the text of its `status`; a tracer outside of this container has the number 0. */
export function holdIn(status: string): Hold {
  const tracer = /^TracerPid:\s*(\d+)/m.exec(status)?.[1] ?? '0';
  const state = /^State:\s*(\S)/m.exec(status)?.[1];
  if (tracer !== '0' || state === 't') return 'traced';
  return state === 'T' ? 'stopped' : undefined;
}

/** Whether hosts are started so that somebody may stop their event loop to look at it. */
export function isInspected(
  words: readonly string[] = process.execArgv,
  { NODE_OPTIONS: options = '' } = processEnvironment(),
): boolean {
  return [...words, ...options.split(/\s+/)].some((word) => /^"?--inspect(?!-port\b)/.test(word));
}
