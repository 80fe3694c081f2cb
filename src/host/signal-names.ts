/** What the numbers of a fault are called. */
import os from 'node:os';

const byNumber = new Map<number, string>(Object.entries(os.constants.signals).map(([name, number]) => [number, name]));

/** As SIGSEGV; of one that has no name here, its number. */
export function signalName(signal: number): string {
  return byNumber.get(signal) ?? `signal ${signal}`;
}

export function signalNumber(name: string): number {
  return (os.constants.signals as Readonly<Record<string, number>>)[name] ?? 0;
}

/** By signal, from 1 on: the same numbers on Linux and, but for a few, on macOS. */
const codes: Readonly<Record<string, readonly string[]>> = {
  SIGSEGV: ['SEGV_MAPERR', 'SEGV_ACCERR', 'SEGV_BNDERR', 'SEGV_PKUERR'],
  SIGBUS: ['BUS_ADRALN', 'BUS_ADRERR', 'BUS_OBJERR', 'BUS_MCEERR_AR', 'BUS_MCEERR_AO'],
  SIGFPE: [
    'FPE_INTDIV',
    'FPE_INTOVF',
    'FPE_FLTDIV',
    'FPE_FLTOVF',
    'FPE_FLTUND',
    'FPE_FLTRES',
    'FPE_FLTINV',
    'FPE_FLTSUB',
  ],
  SIGILL: [
    'ILL_ILLOPC',
    'ILL_ILLOPN',
    'ILL_ILLADR',
    'ILL_ILLTRP',
    'ILL_PRVOPC',
    'ILL_PRVREG',
    'ILL_COPROC',
    'ILL_BADSTK',
  ],
  SIGTRAP: ['TRAP_BRKPT', 'TRAP_TRACE', 'TRAP_BRANCH', 'TRAP_HWBKPT'],
  SIGSYS: ['SYS_SECCOMP'],
};
const anyCodes: Readonly<Record<string, string>> = {
  '0': 'SI_USER',
  '-1': 'SI_QUEUE',
  '-6': 'SI_TKILL',
  '128': 'SI_KERNEL',
};

/** As SEGV_MAPERR; the number where it has no name here. */
export function faultCode(signal: number, code: number): string {
  return anyCodes[code] ?? codes[signalName(signal)]?.[code - 1] ?? String(code);
}
