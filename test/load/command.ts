/** `tenon` as a process: what it prints, and how it ends. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { until } from './world.js';

const program = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..', 'dist', 'cli', 'tenon.js');

/** The admin token, unless the variables give another. */
export const token = 'a-token-of-the-tests';

/** Process of the host with this data directory, below the one of the command; undefined while none listens. */
export async function hostProcess(data: string): Promise<number | undefined> {
  const text = await readFile(path.join(data, 'host.json'), 'utf8').catch(() => '{}');
  return (JSON.parse(text) as { pid?: number }).pid;
}

/** The command line in a process of its own. */
export class Command {
  readonly child: ChildProcess;
  readonly exit: Promise<unknown[]>;
  out = '';
  err = '';

  /** @param under program that runs it, with words before its own */
  constructor(words: string[], directory: string, variables: Record<string, string>, under: readonly string[] = []) {
    const { PATH, HOME, TENON_ISOLATION } = process.env;
    const [first = process.execPath, ...rest] = [...under, process.execPath, program, ...words];
    this.child = spawn(first, rest, {
      cwd: directory,
      env: {
        PATH,
        HOME,
        ...(TENON_ISOLATION === undefined ? {} : { TENON_ISOLATION }),
        TENON_ADMIN_TOKEN: token,
        TENON_REGISTRY: 'false',
        TENON_STANDBY: 'false',
        ...variables,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child.stdout?.on('data', (text: Buffer) => {
      this.out += text.toString();
    });
    this.child.stderr?.on('data', (text: Buffer) => {
      this.err += text.toString();
    });
    this.exit = once(this.child, 'close');
  }

  /** Where it listens; empty until it does. */
  get url(): string {
    return /listens on (\S+)/.exec(this.err)?.[1] ?? '';
  }
}

/** Kill the host of `command`, which has this data directory, as an unlucky machine does: nobody begins another one. */
export async function killHost(command: Command, data: string): Promise<void> {
  const host = await hostProcess(data);
  command.child.kill('SIGSTOP');
  if (host !== undefined) process.kill(host, 'SIGKILL');
  command.child.kill('SIGKILL');
  await command.exit;
  // Whoever inherits it takes its exit status in his own time.
  if (host !== undefined) await until('the host is gone', () => !isThere(host));
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
