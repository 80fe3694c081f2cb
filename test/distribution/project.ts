/** An empty project into which the packed Tenon has been installed, with install scripts blocked. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, readlink, rm, stat } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { root } from '../architecture/tree.js';
import { until } from '../load/world.js';
import { plainEnvironment, run } from './scratch.js';

/** For what takes seconds on a machine that does nothing else. */
const patienceMs = 120_000;

/** `tenon dev`, or what else keeps running, in a project. */
export class Running {
  readonly #child: ChildProcess;
  readonly #data: string;
  #text = '';

  constructor(command: string, words: readonly string[], directory: string, env: NodeJS.ProcessEnv) {
    this.#data = path.join(directory, 'data');
    // a group of its own: npx has children
    this.#child = spawn(command, words, { cwd: directory, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on('data', (bytes: Buffer) => {
        this.#text += bytes.toString();
      });
  }

  /** Everything printed so far. */
  get text(): string {
    return this.#text;
  }

  /** The program file that the host runs in, whatever it calls itself. */
  async program(): Promise<string> {
    const { pid } = JSON.parse(await readFile(path.join(this.#data, 'host.json'), 'utf8')) as { pid: number };
    return readlink(`/proc/${pid}/exe`);
  }

  /** Where it listens, once it does. Rejects when it ends before. */
  async url(): Promise<string> {
    let url = '';
    await until(
      'it listens',
      () => {
        url = /listens on (\S+)/.exec(this.#text)?.[1] ?? '';
        if (url === '' && this.#child.exitCode !== null) throw new Error(`it has ended:\n${this.#text}`);
        return url !== '';
      },
      patienceMs,
    );
    return url;
  }

  /** The first line that `which` holds for. */
  async says(which: (line: string) => boolean): Promise<string> {
    let line: string | undefined;
    await until('it says so', () => (line = this.#text.split('\n').find(which)) !== undefined, patienceMs).catch(
      (error: Error) => {
        throw new Error(`${error.message}\n${this.#text}`);
      },
    );
    return line ?? '';
  }

  /** Resolves when the answer under `place` is `wanted`; what is no GET is asked once. */
  async answers(place: string, wanted: string, method = 'GET'): Promise<void> {
    const url = await this.url();
    let got = '';
    await until(
      `${method} ${place} answers ${wanted}`,
      async () => {
        got = await fetch(url + place, { method }).then((answer) => answer.text(), String);
        if (method !== 'GET' && got !== wanted) throw new Error(`${method} ${place}`);
        return got === wanted;
      },
      patienceMs,
    ).catch((error: Error) => {
      throw new Error(`${error.message}, but ${got}\n${this.#text}`);
    });
  }

  /** Let it end; its exit status, or the signal that has ended it. */
  async end(): Promise<unknown> {
    const ended = once(this.#child, 'close');
    const { pid } = JSON.parse(await readFile(path.join(this.#data, 'host.json'), 'utf8')) as { pid: number };
    process.kill(pid, 'SIGTERM');
    const [status, signal] = await ended;
    return status ?? signal;
  }

  /** Whatever is left of it, at once. */
  kill(): void {
    try {
      process.kill(-(this.#child.pid ?? Number.NaN), 'SIGKILL');
    } catch {
      // it has ended
    }
  }
}

export class Project {
  /** Absolute. */
  readonly directory: string;
  /** The installed package. */
  readonly tenon: string;
  /** Bytes of the archive. */
  readonly archiveSize: number;
  readonly archive: string;

  private constructor(directory: string, archive: string, archiveSize: number) {
    this.directory = directory;
    this.tenon = path.join(directory, 'node_modules', 'tenon');
    this.archive = archive;
    this.archiveSize = archiveSize;
  }

  /** Pack the clone with what is built, and install it. */
  static async make(): Promise<Project> {
    const scratch = await mkdtemp(path.join(os.tmpdir(), 'tenon-project-'));
    await run('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', scratch], root);
    const [name = ''] = await readdir(scratch);
    const archive = path.join(scratch, name);
    const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'];
    const directory = await mkdtemp(path.join(scratch, 'empty-'));
    await run('npm', ['install', ...flags, archive], directory);
    return new Project(directory, archive, (await stat(archive)).size);
  }

  /** Run a program of the project as its user does, from its start to its end. */
  npx(...words: string[]): Promise<{ stdout: string; stderr: string }> {
    return run('npx', ['--no-install', ...words], this.directory);
  }

  /** Start `tenon` with `words`, by npx, or by the Node in the folder `node` alone. */
  start(words: readonly string[], node?: string): Running {
    const env = plainEnvironment();
    if (node === undefined) return new Running('npx', ['--no-install', 'tenon', ...words], this.directory, env);
    const program = path.join(this.directory, 'node_modules', '.bin', 'tenon');
    const search = `${path.join(node, 'bin')}${path.delimiter}${env['PATH'] ?? ''}`;
    return new Running(program, words, this.directory, { ...env, PATH: search });
  }

  remove(): Promise<void> {
    return rm(path.dirname(this.archive), { recursive: true, force: true });
  }
}
