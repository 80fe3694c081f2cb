/** The host that is measured, as the bench sees it. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { TenonError } from '../base/errors.js';
import type { CreateHostOptions, Images, PluginView, ReloadRecord } from '../index.js';

export interface BenchOrder {
  plugin: string;
  options: CreateHostOptions;
}

export type BenchQuestion = 'reload' | 'facts';

export interface HostFacts {
  /** What the process has in memory, after a collection of garbage. */
  residentBytes: number;
  images: Images;
  /** Generations that cannot be unmapped, each with its reason. */
  pinned: string[];
}

export interface BenchAnswer {
  ready?: { url: string; view?: PluginView };
  record?: ReloadRecord | undefined;
  facts?: HostFacts;
  /** Why there is no other answer. */
  failed?: string;
}

const endMs = 20_000;

/** One host in a process of its own, which asks for one thing after the other. */
export class BenchProcess {
  readonly url: string;
  readonly view: PluginView;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, url: string, view: PluginView) {
    this.#child = child;
    this.url = url;
    this.view = view;
  }

  /** Rejects when it does not start, and when the plugin is not there or does not run. */
  static async start(order: BenchOrder, signal: AbortSignal): Promise<BenchProcess> {
    const here = fileURLToPath(import.meta.url);
    const program = path.join(path.dirname(here), `bench-host${path.extname(here)}`);
    const child = fork(program, [JSON.stringify(order)], {
      execArgv: [...process.execArgv, '--expose-gc'],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    child.stderr?.resume();
    try {
      const { ready, failed } = await answerOf(child, signal);
      if (ready === undefined) throw new TenonError('Internal', `the host of the bench did not start: ${failed ?? ''}`);
      const { url, view } = ready;
      if (view === undefined) throw new TenonError('PluginNotFound', `the bench has no plugin ${order.plugin}`);
      if (view.state !== 'running') {
        const { code, message } = view.error ?? { code: 'Internal', message: `${order.plugin} is ${view.state}` };
        throw new TenonError(code as TenonError['code'], message, { next: 'see `tenon build` and `tenon validate`' });
      }
      return new BenchProcess(child, url, view);
    } catch (error) {
      await end(child);
      throw error;
    }
  }

  /** What one reload came to: its record, or why there is none. */
  async reload(signal: AbortSignal): Promise<BenchAnswer> {
    return this.#ask('reload', signal);
  }

  async facts(signal: AbortSignal): Promise<HostFacts> {
    const { facts } = await this.#ask('facts', signal);
    if (facts === undefined) throw new TenonError('Internal', 'the host of the bench does not say what it has');
    return facts;
  }

  /** Never rejects. */
  close(): Promise<void> {
    return end(this.#child);
  }

  #ask(question: BenchQuestion, signal: AbortSignal): Promise<BenchAnswer> {
    const answer = answerOf(this.#child, signal);
    if (this.#child.connected) this.#child.send(question);
    return answer;
  }
}

/** The next one. Rejects when the process ends before, or `signal` is aborted. */
function answerOf(child: ChildProcess, signal: AbortSignal): Promise<BenchAnswer> {
  return new Promise((resolve, reject) => {
    const settle = (how: () => void): void => {
      child.off('message', onMessage).off('exit', onExit);
      signal.removeEventListener('abort', onAbort);
      how();
    };
    const onMessage = (answer: unknown): void => settle(() => resolve(answer as BenchAnswer));
    const onExit = (status: number | null, by: string | null): void =>
      settle(() =>
        reject(
          new TenonError(
            'Internal',
            `the host of the bench was ended ${by === null ? `with status ${status}` : `by ${by}`}`,
          ),
        ),
      );
    const onAbort = (): void => settle(() => reject(signal.reason as Error));
    child.once('message', onMessage).once('exit', onExit);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    else if (child.exitCode !== null || child.signalCode !== null) onExit(child.exitCode, child.signalCode);
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  if (child.connected) child.disconnect();
  const timer = setTimeout(() => child.kill('SIGKILL'), endMs);
  await ended;
  clearTimeout(timer);
}
