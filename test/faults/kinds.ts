/** What test/plugins/fault.cpp can do wrong, and where. */

/** Where it goes wrong. Those with `(host)` are well in their trial. */
export const places = [
  'inline',
  'pool',
  'own',
  'constructor',
  'constructor (host)',
  'initialize',
  'initialize (host)',
  'shutdown',
] as const;

export type Place = (typeof places)[number];

/** Whether a request brings it about, or the library does by itself. */
export function isRequested(place: Place): place is 'inline' | 'pool' | 'own' {
  return place === 'inline' || place === 'pool' || place === 'own';
}

interface Nature {
  /** Words for people. */
  readonly title: string;
  /** The process ends at once, and the thread that did it is known: whom it is put down to is certain. */
  readonly direct?: true;
  /** What it leaves behind spoils what comes after it in the same process. */
  readonly spoils?: true;
  /** It goes wrong in answering a request, and only there. */
  readonly answers?: true;
}

export const kinds = {
  'null-write': { title: 'writes to address 0', direct: true },
  'null-call': { title: 'calls address 0', direct: true },
  'wild-read': { title: 'reads where nothing is', direct: true },
  'write-to-code': { title: 'writes into its own code', direct: true },
  'bus-error': { title: 'reads a mapping whose file was cut (SIGBUS)', direct: true },
  'divide-by-zero': { title: 'divides by zero (SIGFPE)', direct: true },
  'illegal-instruction': { title: 'runs an illegal instruction (SIGILL)', direct: true },
  breakpoint: { title: 'runs a breakpoint (SIGTRAP)', direct: true },
  abort: { title: 'calls `abort`', direct: true },
  assert: { title: 'fails an assertion', direct: true },
  'double-free': { title: 'frees twice', direct: true },
  'corrupt-heap': { title: 'writes over the size of a block and frees it', direct: true },
  throw: { title: 'throws out of a C function', direct: true },
  'throw-in-noexcept': { title: 'throws in a `noexcept` function', direct: true },
  recursion: { title: 'recurses without end', direct: true },
  alloca: { title: 'takes more of the stack than there is', direct: true },
  'exit-0': { title: 'calls `exit(0)`', direct: true },
  'exit-3': { title: 'calls `exit(3)`', direct: true },
  'exit-at-once': { title: 'calls `_exit(0)`', direct: true },
  'quick-exit': { title: 'calls `quick_exit(0)`', direct: true },
  kill: { title: 'kills its process (SIGKILL)', direct: true },
  stop: { title: 'stops its process (SIGSTOP)' },
  'endless-loop': { title: 'never ends a loop', spoils: true },
  deadlock: { title: 'locks its own mutex twice', spoils: true },
  sleep: { title: 'sleeps for ever', spoils: true },
  'pthread-exit': { title: 'ends its thread by `pthread_exit`', spoils: true },
  longjmp: { title: 'jumps out of a function that the host called (`longjmp`)', spoils: true },
  'close-all': { title: 'closes all descriptors from 3 to 255', spoils: true },
  fork: { title: 'forks and runs nothing', spoils: true },
  chdir: { title: 'changes the working directory', spoils: true },
  umask: { title: 'changes the umask', spoils: true },
  setlocale: { title: 'changes the locale', spoils: true },
  setenv: { title: 'changes the environment', spoils: true },
  'signal-handlers': { title: 'replaces the handlers of SIGSEGV, SIGBUS, SIGABRT and SIGTERM', spoils: true },
  sigpipe: { title: 'has SIGPIPE end the process', spoils: true },
  'rounding-mode': { title: 'changes how floating point rounds', spoils: true },
  'leak-memory': { title: 'leaks 16 MiB', spoils: true },
  'leak-descriptors': { title: 'leaks 32 descriptors', spoils: true },
  'leak-threads': { title: 'leaves 8 threads', spoils: true },
  scribble: { title: 'writes over the heap and all shared memory', spoils: true },
  'allocate-2-gb': { title: 'allocates 2 GiB and frees it' },
  'write-beyond': { title: 'writes one byte behind the body that it was lent', answers: true, spoils: true },
  'bad-status': { title: 'answers with status 99999', answers: true },
  'bad-header': { title: 'answers with a line break in a header', answers: true },
  'null-body': { title: 'answers with a body of 10 bytes at address 0', answers: true },
  unloaded: { title: 'calls a function of its generation before, which is unloaded', answers: true },
} as const satisfies Record<string, Nature>;

export type Kind = keyof typeof kinds;
export const kindNames = Object.keys(kinds) as Kind[];

export function natureOf(kind: Kind): Nature {
  return kinds[kind];
}

/** Whether `kind` can happen at `place`. */
export function isPossible(kind: Kind, place: Place): boolean {
  return natureOf(kind).answers === undefined || place === 'inline' || place === 'pool';
}

/** What a library is told in its file: see `order` in fault.cpp. */
export function orderOf(kind: Kind, place: Place, serial: string): string {
  const [where = '', host] = place.split(' ');
  return `${where} ${kind} ${host === undefined ? 'any' : 'host'} ${serial}`;
}

export const healthy = (serial: string): string => `none none any ${serial}`;
