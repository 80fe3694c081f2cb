/**
 * Tries a library in a throw-away process before any of its code runs in the host. One small, idle `tenon-runner trial`
 * forks a child for each trial; its protocol is described in native/runner/trial.h.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { Socket } from 'node:net';
import { type ErrorCode, TenonError } from '../base/errors.js';
import { runnerPath } from '../binding/core.js';
import { confinementMissing, type IsolationPlan } from './isolation.js';
import { crashPlace, type CrashPlace, placeWords } from './trial-place.js';

export interface TrialLimits {
  /** Id that the library must have. */
  id: string;
  /** Time from the start of the child to its verdict, 1 to 3,600,000 ms; 2,000 by default. */
  deadlineMs?: number;
  /** Memory that the child may write, in bytes; 512 MiB by default, 0 for no limit. It may reserve four times as much. */
  memoryBytes?: number;
  /** Processor time of the child in whole seconds; 2 by default, 0 for no limit. */
  cpuSeconds?: number;
  /** Of a plugin that is to run in a process of its own: the child may do what that may, from the first code of the library on. */
  confined?: Confined | undefined;
}

export interface Confined
  extends Pick<IsolationPlan, 'sandbox' | 'requireConfinement' | 'childProcesses' | 'writable'> {
  /** Absolute path of a folder that is its `TMPDIR`. */
  readonly temporary: string;
  /** Absolute paths of which, with all below, it may read nothing. */
  readonly hidden: readonly string[];
}

interface Pending {
  path: string;
  id: string;
  deadlineMs: number;
  request: string;
  /** Runners that died with this trial in their hands. */
  lost: number;
  watchdog: NodeJS.Timeout | undefined;
  resolve: (tried: Tried) => void;
  reject: (error: Error) => void;
}

/** What a library showed that has passed. */
export interface Tried {
  /** `GET /items/:id`, before any prefix; none of a library that is only opened. */
  readonly routes: readonly string[];
  /** Routes that are too many to be told. */
  readonly more: number;
}

interface Runner {
  child: ChildProcess;
  /** What came of a line that is not complete. */
  rest: string;
  pending: Map<number, Pending>;
  gone: Promise<void>;
}

/** Beyond the deadline of a trial the runner itself must have spoken. */
const runnerGraceMs = 5_000;
const closeGraceMs = 2_000;

const places: Record<string, string> = {
  start: 'before it was opened',
  open: 'while it was opened (in a constructor)',
  entry: 'in tenon_plugin_entry',
  create: 'in create',
  initialize: 'in initialize',
  routes: 'while its routes were read',
  health: 'in health',
  destroy: 'in destroy',
};

/** Owner of the runner. It is started at once, restarted when it dies, and does not keep the event loop alive. */
export class Trial {
  readonly #program: string;
  #runner: Runner | undefined;
  #next = 1;
  #closed: Promise<void> | undefined;

  /** @param program absolute path of `tenon-runner` */
  constructor(program: string = runnerPath()) {
    this.#program = program;
    this.#runner = this.#start();
  }

  /** Process id of the idle runner, while there is one. */
  get pid(): number | undefined {
    return this.#runner?.child.pid;
  }

  /**
   * What the library at `path` (absolute) shows, when it passes. Rejects with `TrialOpenFailed`, `TrialCrashed`,
   * `TrialExited`, `TrialTimeout`, `TrialRefused`, `ConfinementMissing`, `RouteInvalid`, `AbiUnsupported` or `PluginIdMismatch` (of the
   * descriptor) with the stage in the details, and with `TrialUnavailable` when the runner died twice over it or could not be run. Trials
   * run side by side.
   */
  try(path: string, limits: TrialLimits): Promise<Tried> {
    const deadlineMs = limits.deadlineMs ?? 2_000;
    const memoryBytes = limits.memoryBytes ?? 512 * 1024 * 1024;
    const cpuSeconds = limits.cpuSeconds ?? 2;
    if (!path.startsWith('/') || path.includes('\0')) throw new TypeError('path: must be an absolute path');
    if (!/^[a-z0-9][a-z0-9_-]{0,62}$/.test(limits.id)) throw new TypeError('id: must be the id of a plugin');
    if (!Number.isInteger(deadlineMs) || deadlineMs < 1 || deadlineMs > 3_600_000)
      throw new TypeError('deadlineMs: must be a whole number from 1 to 3,600,000');
    if (!Number.isSafeInteger(memoryBytes) || memoryBytes < 0)
      throw new TypeError('memoryBytes: must be a whole number, 0 or more');
    if (!Number.isSafeInteger(cpuSeconds) || cpuSeconds < 0)
      throw new TypeError('cpuSeconds: must be a whole number, 0 or more');
    const words = [deadlineMs, memoryBytes, cpuSeconds, limits.id, hex(path)];
    const { confined } = limits;
    if (confined !== undefined) {
      const { sandbox, requireConfinement, childProcesses, hidden, temporary, writable } = confined;
      const paths = [...hidden, temporary, ...writable].map(hex);
      const wall = sandbox ? (requireConfinement ? 2 : 1) : 0;
      words.push([wall, childProcesses, hidden.length, ...paths].join(','));
    }
    return new Promise((resolve, reject) => {
      this.#send({
        path,
        id: limits.id,
        deadlineMs,
        request: words.join(' '),
        lost: 0,
        watchdog: undefined,
        resolve,
        reject,
      });
    });
  }

  /** Kill what is being tried, end the runner and wait for it. Trials under way reject. Closing twice is fine. */
  close(): Promise<void> {
    this.#closed ??= this.#end();
    return this.#closed;
  }

  async #end(): Promise<void> {
    const runner = this.#runner;
    if (runner === undefined) return;
    runner.child.ref();
    runner.child.stdin?.end();
    const timer = setTimeout(() => runner.child.kill('SIGKILL'), closeGraceMs);
    await runner.gone;
    clearTimeout(timer);
  }

  #start(): Runner {
    const child = spawn(this.#program, ['trial'], { stdio: ['pipe', 'pipe', 'inherit'] });
    let leave = (): void => {};
    const gone = new Promise<void>((resolve) => {
      leave = resolve;
    });
    const runner: Runner = { child, rest: '', pending: new Map(), gone };
    let reason = '';
    child.on('error', (error) => {
      reason = error.message;
      if (child.pid === undefined) this.#lose(runner, reason, leave);
    });
    child.on('close', (code, signal) => {
      this.#lose(runner, reason || (signal === null ? `it ended with status ${code}` : `it died by ${signal}`), leave);
    });
    // Writing to a runner that has died fails; `close` tells the same and is what counts.
    child.stdin?.on('error', () => {});
    child.stdout?.setEncoding('latin1');
    child.stdout?.on('data', (text: string) => this.#read(runner, text));
    this.#keepAlive(runner, false);
    return runner;
  }

  /** Whether the event loop waits for this runner. */
  #keepAlive(runner: Runner, wanted: boolean): void {
    for (const part of [runner.child, runner.child.stdin, runner.child.stdout]) {
      if (part !== runner.child && !(part instanceof Socket)) continue;
      if (wanted) part.ref();
      else part.unref();
    }
  }

  #send(pending: Pending): void {
    if (this.#closed !== undefined) {
      pending.reject(unavailable(pending, 'the host is shutting down'));
      return;
    }
    try {
      this.#runner ??= this.#start();
    } catch (error) {
      pending.reject(unavailable(pending, error instanceof Error ? error.message : String(error)));
      return;
    }
    const runner = this.#runner;
    const number = this.#next++;
    runner.pending.set(number, pending);
    runner.child.stdin?.write(`try ${number} ${pending.request}\n`, 'latin1');
    // The timer is also what the event loop waits for.
    pending.watchdog = setTimeout(() => {
      this.#keepAlive(runner, true);
      runner.child.kill('SIGKILL');
    }, pending.deadlineMs + runnerGraceMs);
  }

  #read(runner: Runner, text: string): void {
    const lines = (runner.rest + text).split('\n');
    runner.rest = lines.pop() ?? '';
    for (const line of lines) {
      const [number = '', outcome = '', stage = '', code = '', message = '', output = ''] = line.split(' ');
      const pending = runner.pending.get(Number(number));
      if (pending === undefined) continue;
      runner.pending.delete(Number(number));
      clearTimeout(pending.watchdog);
      void conclude(pending, { outcome, stage, code, message: decode(message), output: decode(output) });
    }
  }

  #lose(runner: Runner, reason: string, leave: () => void): void {
    if (this.#runner === runner) this.#runner = undefined;
    leave();
    const pending = [...runner.pending.values()];
    runner.pending.clear();
    for (const trial of pending) {
      clearTimeout(trial.watchdog);
      trial.lost++;
      if (trial.lost > 1) trial.reject(unavailable(trial, `tenon-runner was lost twice over it: ${reason}`));
      else this.#send(trial);
    }
  }
}

interface Verdict {
  outcome: string;
  stage: string;
  code: string;
  message: string;
  output: string;
}

async function conclude(pending: Pending, verdict: Verdict): Promise<void> {
  const place = verdict.outcome === 'crashed' ? await crashPlace(pending.path, verdict.message) : undefined;
  const error = judge(pending, verdict, place);
  if (error === undefined) pending.resolve(triedOf(verdict));
  else pending.reject(error);
}

function triedOf({ message }: Verdict): Tried {
  const lines = message.split('\n').map(printable).filter(Boolean);
  const more = Number(lines.find((line) => line.startsWith('+')) ?? 0);
  return { routes: lines.filter((line) => !line.startsWith('+')), more };
}

function hex(text: string): string {
  return Buffer.from(text).toString('hex');
}

function decode(digits: string): string {
  return digits === '-' ? '' : Buffer.from(digits, 'hex').toString('utf8');
}

/** For a sentence: a library must not write control sequences to the terminal of who reads it. */
function printable(text: string): string {
  return text.replaceAll(/\p{Cc}+/gu, ' ').trim();
}

function unavailable(pending: Pending, reason: string): TenonError {
  return new TenonError('TrialUnavailable', `plugin "${pending.id}" could not be tried: ${reason}`, {
    next: 'try again; when it stays, run `npm run build:native`',
    details: { id: pending.id, path: pending.path },
  });
}

/** The error that a verdict stands for; nothing when the library passed. `where` it crashed, if so. */
function judge(pending: Pending, verdict: Verdict, where?: CrashPlace): TenonError | undefined {
  const { outcome, stage, code, message, output } = verdict;
  const plugin = `plugin "${pending.id}"`;
  const place = places[stage] ?? `at ${stage}`;
  const lastLine = printable(output.trimEnd().split('\n').at(-1) ?? '').slice(-200);
  const said = lastLine === '' ? '' : `; it last wrote "${lastLine}"`;
  const error = (errorCode: ErrorCode, sentence: string, next: string, facts: Record<string, unknown> = {}) =>
    new TenonError(errorCode, `${plugin} ${sentence}`, {
      next,
      details: { id: pending.id, path: pending.path, stage, ...facts, ...(output === '' ? {} : { output }) },
    });
  switch (outcome) {
    case 'passed':
      return undefined;
    case 'openFailed':
      return error(
        'TrialOpenFailed',
        `could not be opened: ${printable(message)}`,
        'link what it needs into it, or install it',
        {
          reason: message,
        },
      );
    case 'crashed':
      return error(
        'TrialCrashed',
        `crashed ${place} with ${code}${where === undefined ? '' : `, ${placeWords(where)}`}${said}`,
        'mend the plugin; a debugger shows the line',
        { signal: code, ...where },
      );
    case 'exited':
      return error('TrialExited', `ended its process ${place} with status ${code}${said}`, 'a plugin must not exit', {
        status: Number(code),
      });
    case 'timeout': {
      const limit = code === 'cpu' ? 'used up its processor time' : `was not done after ${pending.deadlineMs} ms`;
      return error('TrialTimeout', `${limit} ${place}${said}`, 'make the step shorter, or raise the limit', {
        limit: code,
      });
    }
    case 'unconfined':
      return confinementMissing(pending.id, printable(message), { id: pending.id, path: pending.path, stage });
    case 'refused':
      if (stage === 'routes')
        return error('RouteInvalid', `declares what cannot be served: ${printable(message)}`, 'correct that route');
      return error(
        'TrialRefused',
        `refused ${place}: ${printable(message) || `status ${code}, without a log message`}`,
        'do what it asks for',
        {
          status: Number(code),
          reason: message,
        },
      );
    case 'mismatch':
      return code === 'abi'
        ? error(
            'AbiUnsupported',
            `has a descriptor that disagrees with its note: ${printable(message)}`,
            'build it again',
          )
        : error(
            'PluginIdMismatch',
            `has another id: ${printable(message)}`,
            'give the plugin the id of its application',
          );
    default:
      return unavailable(pending, message || `the runner answered "${outcome}"`);
  }
}
