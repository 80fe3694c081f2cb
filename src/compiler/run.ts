/** Runs one tool of a build, with limits, and leaves no process of it behind. */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

export interface RunOptions {
  /** Absolute. */
  cwd: string;
  env: Record<string, string>;
  timeLimitMs: number;
  /** Bytes of output that are kept, from the beginning; the rest is read and dropped. */
  outputLimit: number;
  signal?: AbortSignal | undefined;
  /** For every process of the build. */
  limits?: ProcessLimits | undefined;
}

export interface ProcessLimits {
  /** Address space of one process, bytes. Not on macOS, which does not keep it. */
  memory: number;
  /** One file, bytes. */
  file: number;
}

export interface Ran {
  /** Exit status; null when a signal ended it. */
  status: number | null;
  /** Standard output and error, in order of arrival. */
  output: string;
  /** Why it was killed, with everything it had started. */
  killed: 'timeout' | 'aborted' | undefined;
}

/** How long tools may take to end their children and to remove half-written files, ms. */
const grace = 1000;

/** Rejects only when the program cannot be started. */
export function run(program: string, parameters: readonly string[], options: RunOptions): Promise<Ran> {
  const { cwd, env, timeLimitMs, outputLimit, signal, limits } = options;
  if (signal?.aborted) return Promise.resolve({ status: null, output: '', killed: 'aborted' });
  return new Promise((resolve, reject) => {
    // A session of its own: ninja gives every compiler a process group, but none leaves the session.
    const [file, given] = limits === undefined ? [program, parameters] : limited(program, parameters, limits);
    const child = spawn(file, given, { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    const kept: Buffer[] = [];
    let size = 0;
    let killed: Ran['killed'];
    let end: NodeJS.Timeout | undefined;
    const keep = (chunk: Buffer): void => {
      if (size < outputLimit) kept.push(chunk.subarray(0, outputLimit - size));
      size += chunk.length;
    };
    const kill = (why: Ran['killed']): void => {
      if (killed !== undefined || child.pid === undefined) return;
      killed = why;
      const session = child.pid;
      signalTo(-session, 'SIGTERM');
      end = setTimeout(() => {
        killSession(session);
        // Whoever left the session may hold the pipes for ever.
        child.stdout.destroy();
        child.stderr.destroy();
      }, grace);
    };
    const timer = setTimeout(() => kill('timeout'), timeLimitMs);
    const abort = (): void => kill('aborted');
    signal?.addEventListener('abort', abort, { once: true });
    const settle = (): void => {
      clearTimeout(timer);
      clearTimeout(end);
      signal?.removeEventListener('abort', abort);
      if (killed !== undefined && child.pid !== undefined) killSession(child.pid);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', (error) => {
      settle();
      reject(error);
    });
    child.on('close', (status) => {
      settle();
      resolve({ status, output: Buffer.concat(kept).toString('utf8'), killed });
    });
  });
}

/** Of processor time that one compiler may take at the most, whoever still waits for it. */
const processorSeconds = 1800;

/** The same, by way of a shell that takes the limits upon itself and becomes the program. */
function limited(program: string, parameters: readonly string[], limits: ProcessLimits): [string, string[]] {
  const memory = process.platform === 'darwin' ? '' : `ulimit -v ${Math.floor(limits.memory / 1024)} 2>/dev/null; `;
  const blocks = Math.floor(limits.file / 512);
  // The time limit of this process ends with it; a compiler that was left alone ends by its own.
  const script = `${memory}ulimit -t ${processorSeconds} 2>/dev/null; ulimit -f ${blocks} 2>/dev/null; ulimit -c 0 2>/dev/null; exec "$0" "$@"`;
  return ['/bin/sh', ['-c', script, program, ...parameters]];
}

/** Ends every process of `session`. Without /proc only the leader's group; its children got the SIGTERM before. */
function killSession(session: number): void {
  signalTo(-session, 'SIGKILL');
  if (process.platform !== 'linux') return;
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      // The name of the program, in parentheses, may hold anything; state, parent, group and session follow it.
      const facts = readFileSync(`/proc/${name}/stat`, 'latin1');
      if (Number(facts.slice(facts.lastIndexOf(')') + 2).split(' ')[3]) === session) signalTo(Number(name), 'SIGKILL');
    } catch {
      // It ended in the meantime.
    }
  }
}

function signalTo(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It is gone already.
  }
}
