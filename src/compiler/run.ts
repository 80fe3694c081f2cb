/** Runs one tool of a build, with limits, and leaves no process of it behind. */
import { spawn } from 'node:child_process';
import { TenonError } from '../base/errors.js';
import { buildMark, endMarked, endSession, signalTo } from './processes.js';

export interface RunOptions {
  /** Absolute. */
  cwd: string;
  env: Record<string, string>;
  timeLimitMs: number;
  /** Bytes of output that are kept, from the beginning; the rest is read and dropped. */
  outputLimit: number;
  /** Bytes of output that end it; 64 MiB when absent. */
  floodLimit?: number | undefined;
  signal?: AbortSignal | undefined;
  /** For every process of the build. */
  limits?: ProcessLimits | undefined;
  /** Given to every process of it, so that those that leave its session are found. */
  mark?: string | undefined;
  /** Whether what it leaves running is ended with it, at the price of a look at every process of the machine. */
  sweep?: boolean | undefined;
}

export interface ProcessLimits {
  /** Address space of one process, bytes; undefined: any. Not on macOS, which does not keep it. */
  memory: number | undefined;
  /** One file, bytes. */
  file: number;
}

/** What a compiler, a linker or a program of tests may take when nothing else is said. */
export const usualLimits = { memory: 4 * 1024 ** 3, file: 512 * 1024 ** 2 } as const satisfies ProcessLimits;

export interface Ran {
  /** Exit status; null when a signal ended it. */
  status: number | null;
  /** Standard output and error, in order of arrival. */
  output: string;
  /** Standard output alone, as far as it is kept. */
  answer: string;
  /** Why it was killed, with everything it had started. */
  killed: 'timeout' | 'aborted' | 'output' | undefined;
  /** How it ended, as a clause: "it ended with status 1", or the limit that ended it. */
  end: string;
}

/** How long tools may take to end their children and to remove half-written files, ms. */
const grace = 1000;
const usualFlood = 64 * 1024 ** 2;
const longestTimer = 2 ** 31 - 1;

/** Rejects only when the program cannot be started: `ToolchainMissing` when it is not there, else `BuildFailed`. */
export function run(program: string, parameters: readonly string[], options: RunOptions): Promise<Ran> {
  const { cwd, env, timeLimitMs, outputLimit, floodLimit = usualFlood, signal, limits, mark, sweep } = options;
  if (signal?.aborted)
    return Promise.resolve({ status: null, output: '', answer: '', killed: 'aborted', end: interrupted });
  return new Promise((resolve, reject) => {
    // A session of its own: ninja gives every compiler a process group, but none leaves the session.
    const [file, given] = limits === undefined ? [program, parameters] : limited(program, parameters, limits);
    const marked = mark === undefined ? env : { ...env, [buildMark]: mark };
    const refuse = (error: Error): void => reject(notStarted(program, cwd, error));
    const child = (() => {
      try {
        return spawn(file, given, { cwd, env: marked, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
      } catch (error) {
        refuse(error as Error);
        return undefined;
      }
    })();
    if (child === undefined) return;
    child.on('error', refuse);
    const { pid } = child;
    // The error is about to be told; without file descriptors the child has no streams either.
    if (pid === undefined) return;
    const kept: { chunk: Buffer; answer: boolean }[] = [];
    let size = 0;
    let killed: Ran['killed'];
    let end: NodeJS.Timeout | undefined;
    const endAll = (): void => {
      endSession(pid);
      if (mark !== undefined) endMarked(mark);
    };
    /** Ends everything, after a while also the wait for those who hold the pipes and cannot be found. */
    const force = (): void => {
      endAll();
      end = setTimeout(() => {
        child.stdout.destroy();
        child.stderr.destroy();
      }, grace);
    };
    const kill = (why: Ran['killed']): void => {
      if (killed !== undefined || child.exitCode !== null || child.signalCode !== null) return;
      killed = why;
      signalTo(-pid, 'SIGTERM');
      end = setTimeout(force, grace);
    };
    const keep = (chunk: Buffer, answer: boolean): void => {
      if (size < outputLimit) kept.push({ chunk: chunk.subarray(0, outputLimit - size), answer });
      size += chunk.length;
      if (size > floodLimit) kill('output');
    };
    const timer = setTimeout(() => kill('timeout'), Math.min(timeLimitMs, longestTimer));
    const abort = (): void => kill('aborted');
    signal?.addEventListener('abort', abort, { once: true });
    child.stdout.on('data', (chunk: Buffer) => keep(chunk, true));
    child.stderr.on('data', (chunk: Buffer) => keep(chunk, false));
    child.on('exit', () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      if (killed !== undefined) return;
      // Its own children may hold the pipes for ever.
      if (sweep === true) force();
      else end = setTimeout(force, grace);
    });
    child.on('close', (status, by) => {
      clearTimeout(end);
      if (killed !== undefined) endAll();
      const text = (chunks: typeof kept): string => Buffer.concat(chunks.map(({ chunk }) => chunk)).toString('utf8');
      const answer = text(kept.filter((each) => each.answer));
      const how = killed === undefined ? endOf(status, by, limits) : endBy[killed](options);
      resolve({ status, output: text(kept), answer, killed, end: how });
    });
  });
}

const interrupted = 'it was interrupted';

const endBy: Record<NonNullable<Ran['killed']>, (options: RunOptions) => string> = {
  timeout: ({ timeLimitMs }) => `it was ended after ${Math.round(timeLimitMs)} ms`,
  output: ({ floodLimit = usualFlood }) => `it was ended because it wrote more than ${inMiB(floodLimit)} of output`,
  aborted: () => interrupted,
};

function endOf(status: number | null, signal: NodeJS.Signals | null, limits: ProcessLimits | undefined): string {
  if (signal === null) return `it ended with status ${status}`;
  if (signal === 'SIGXFSZ' && limits !== undefined)
    return `it was ended by SIGXFSZ because it wrote more than ${inMiB(limits.file)} to one file`;
  if (signal === 'SIGXCPU') return `it was ended by SIGXCPU after ${processorSeconds} s of processor time`;
  if (signal === 'SIGKILL') return 'it was ended by SIGKILL, as the system does when memory runs out';
  return `it was ended by ${signal}`;
}

export function inMiB(bytes: number): string {
  return `${Math.floor(bytes / 1024 ** 2)} MiB`;
}

function notStarted(program: string, cwd: string, error: Error): TenonError {
  const why = 'code' in error ? String(error.code) : error.message;
  const gone = why === 'ENOENT' || why === 'EACCES';
  return new TenonError(gone ? 'ToolchainMissing' : 'BuildFailed', `${program} cannot be started in ${cwd}: ${why}`, {
    next: gone
      ? 'see that both are there and may be used'
      : 'see that the machine has processes, memory and file descriptors left',
    details: { program, directory: cwd },
    cause: error,
  });
}

/** Of processor time that one compiler may take at the most, whoever still waits for it. */
const processorSeconds = 1800;

/** The same, by way of a shell that takes the limits upon itself and becomes the program. */
function limited(program: string, parameters: readonly string[], limits: ProcessLimits): [string, string[]] {
  const kilobytes = limits.memory === undefined ? undefined : Math.floor(limits.memory / 1024);
  // The time limit of this process ends with it; a compiler that was left alone ends by its own.
  const asked = [
    ...(kilobytes === undefined || process.platform === 'darwin' ? [] : [`-v ${kilobytes}`]),
    `-S -t ${processorSeconds}`,
    `-H -t ${processorSeconds + 1}`,
    `-f ${Math.floor(limits.file / 512)}`,
    '-c 0',
  ];
  const script = `${asked.map((each) => `ulimit ${each} 2>/dev/null`).join('; ')}; exec "$0" "$@"`;
  return ['/bin/sh', ['-c', script, program, ...parameters]];
}
