/** What test/plugins/hostile.cpp does to the process that it is in, and to the host behind it. */
export const hostileKinds = {
  'scribble-random': 'writes random bytes over all memory that it shares with the host',
  'scribble-ones': 'the same with ones',
  'scribble-zeros': 'the same with zeros',
  'scribble-on': 'writes random bytes to random places of that memory, and goes on while it is asked',
  'unmap-lanes': 'gives that memory back to the system',
  'close-everything': 'closes all descriptors from 0 on',
  'close-control': 'closes its connection with the host',
  'close-doorbells': 'closes what wakes the host',
  'write-control': 'sends random bytes to the host',
  'write-empty-control': 'sends nothing to the host, as a packet',
  'flood-control': 'asks the host for lanes without end',
  'send-descriptors': 'sends the host 200 descriptors with each packet',
  'loop-blocked': 'never ends a loop, with all signals blocked',
  'answer-late': 'answers after its deadline, within the grace',
  'eat-memory': 'allocates 512 MiB, with a limit of 256 MiB',
  'fork-bomb': 'forks 100 times, and has each child wait',
  'leave-child': 'leaves a child in a session of its own, and ends',
  'run-program': 'has another program in its place',
  'kill-host': 'kills the host (SIGKILL)',
  'stop-host': 'stops the host (SIGSTOP)',
  'kill-group': 'kills its process group',
  'trace-host': 'traces the host as a debugger',
  'write-host-memory': 'opens the memory of the host to write into it',
  'read-host-memory': 'reads the memory of the host',
  'limit-host': 'limits the descriptors of the host',
  'print-much': 'prints 8 MiB',
  'log-much': 'logs 20,000 lines',
  'take-descriptors': 'opens files until none can be opened',
  'huge-body': 'answers with 100 MiB',
  'many-headers': 'answers with 100,000 headers',
} as const satisfies Record<string, string>;

export type HostileKind = keyof typeof hostileKinds;
export const hostileNames = Object.keys(hostileKinds) as HostileKind[];

/** Those that are about the answer to a request. */
const answering: readonly HostileKind[] = ['huge-body', 'many-headers', 'answer-late'];

export const isOfThread = (kind: HostileKind): boolean => !answering.includes(kind);
