/** A host in a process of its own, that is killed and started again on its data directory. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CreateHostOptions } from '../../src/index.js';

const program = path.join(path.dirname(fileURLToPath(import.meta.url)), 'steered-host.mjs');

export class KilledHost {
  readonly #options: CreateHostOptions;
  #child: ChildProcess | undefined;
  #said = '';
  url = '';

  constructor(options: CreateHostOptions) {
    this.#options = options;
  }

  /** Resolves when it listens. */
  async start(): Promise<void> {
    this.#said = '';
    const words = [program, JSON.stringify(this.#options)];
    const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    child.stderr.on('data', (bytes: Buffer) => {
      this.#said = (this.#said + bytes.toString()).slice(-4000);
    });
    const url = new Promise<string>((resolve, reject) => {
      let text = '';
      child.stdout.on('data', (bytes: Buffer) => {
        text += bytes.toString();
        const line = text.split('\n').find((each) => each.startsWith('http'));
        if (line !== undefined) resolve(line);
      });
      child.once('exit', (code, signal) => reject(new Error(`the host ended: ${code} ${signal} ${this.#said}`)));
    });
    this.url = await url;
  }

  /** As a crash: it does not know. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }
}
