/** Crashes of a process of its own, and what its black box says afterwards. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BoxContents, BoxFault, BoxImage, BoxThread } from '../../src/binding/black-box.js';
import { loadCore } from '../../src/binding/core.js';

const core = loadCore();
const script = path.join(path.dirname(fileURLToPath(import.meta.url)), 'child.mjs');

export interface Crash {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly output: string;
  readonly box: BoxContents;
}

/** Run `steps`, see child.mjs, to the end of their process. */
export async function crash(...steps: string[]): Promise<Crash> {
  const descriptor = core.createBlackBox();
  try {
    return await crashInto(descriptor, steps);
  } finally {
    closeSync(descriptor);
  }
}

/** The same; what is read afterwards is `descriptor`. `meanwhile` is done to it as soon as it has begun. */
export async function crashInto(
  descriptor: number,
  steps: readonly string[],
  meanwhile?: (child: ChildProcess) => Promise<void>,
): Promise<Crash> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenon-crash-'));
  try {
    const child = spawn(process.execPath, [script, folder, ...steps], {
      stdio: ['ignore', 'pipe', 'pipe', descriptor],
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => (output += text));
    const closed = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
    await meanwhile?.(child);
    const [code, signal] = await closed;
    return { code, signal, output, box: core.readBlackBox(descriptor) };
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The report of the handler. Throws when there is none. */
export function faultOf({ box, output, code, signal }: Crash): BoxFault {
  if (box.fault === undefined) throw new Error(`there is no report: ${code ?? signal} ${output}`);
  return box.fault;
}

/** The image that `address` lies in. */
export function imageAt({ box }: Crash, address: string): BoxImage | undefined {
  const at = BigInt(address);
  return box.images.find(({ low, high }) => at >= BigInt(low) && at < BigInt(high));
}

/** The thread of the fault. */
export function faulty(one: Crash): BoxThread {
  const { tid } = faultOf(one);
  const thread = one.box.threads.find((known) => known.tid === tid);
  if (thread === undefined) throw new Error(`there is no thread ${tid}`);
  return thread;
}
