/** Where a plugin runs, in rows for people. */
import type { PluginView } from '../index.js';

type Isolation = NonNullable<PluginView['isolation']>;

const mebibyte = 1024 ** 2;

/** In one word or two. */
export function isolationWord(isolation: Isolation | undefined): string {
  if (isolation === undefined) return '-';
  const { mode, processes } = isolation;
  if (mode !== 'auto') return mode;
  return processes.length === 0 ? 'auto' : 'auto: process';
}

export function isolationRows(isolation: Isolation | undefined): string[][] {
  if (isolation === undefined) return [];
  const { processes, limits, confinement, demoted } = isolation;
  return [
    ['isolation', isolationWord(isolation)],
    ...(demoted === undefined ? [] : [['  since', `${demoted.since}: ${demoted.reason}`]]),
    ...processes.map((one) => ['  process', processWords(one)]),
    ...(limits === undefined ? [] : [['  limits', limitWords(limits)]]),
    ...(confinement === undefined ? [] : [['  confined by', confinementWords(confinement)]]),
  ];
}

function processWords({ pid, residentBytes, processorMs, restarts, lastEnd }: Isolation['processes'][number]): string {
  const what = pid === 0 ? 'none runs now' : `${pid}, ${(residentBytes / mebibyte).toFixed(1)} MiB`;
  const last = lastEnd === '' ? '' : `; the one before ${lastEnd}`;
  return `${what}, ${(processorMs / 1000).toFixed(1)} s of processor time, ${restarts} restarts${last}`;
}

function limitWords(limits: NonNullable<Isolation['limits']>): string {
  const { memoryBytes, processorPercent, descriptors, childProcesses, graceMs, sandbox, requireConfinement } = limits;
  return [
    memoryBytes === 0 ? 'any memory' : `${(memoryBytes / mebibyte).toFixed(0)} MiB`,
    processorPercent === 0 ? 'any processor time' : `${processorPercent} % of a processor`,
    descriptors === 0 ? 'any descriptors' : `${descriptors} descriptors`,
    `${childProcesses} child processes`,
    `${graceMs} ms of grace`,
    ...(sandbox ? [] : ['no sandbox']),
    ...(requireConfinement ? ['confinement required'] : []),
  ].join(', ');
}

function confinementWords({ noNewPrivileges, seccomp, landlock }: NonNullable<Isolation['confinement']>): string {
  const by = [
    ...(noNewPrivileges ? ['no new privileges'] : []),
    ...(seccomp ? ['seccomp'] : []),
    ...(landlock === 0 ? [] : [`landlock ${landlock}`]),
  ];
  return by.length === 0 ? 'nothing of the kernel' : by.join(', ');
}
