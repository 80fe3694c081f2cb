/** Runs `doctor-native.js`, and tells how it ended when it says nothing. */
import { fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Settings } from '../base/config.js';
import { type ErrorCode, TenonError } from '../base/errors.js';

export type StoreSettings = Pick<Settings, 'rocksdb' | 'tablesSync' | 'tablesLog' | 'tablesCache'>;

/** What is to be tried there. */
export type Trial =
  | { of: 'core' | 'runner' }
  | { of: 'RocksDB'; settings: StoreSettings; folder: string }
  | { of: 'executing'; places: readonly string[] };

export interface TrialAnswer {
  found?: string;
  /** Whether programs may be run from each of the places. */
  executing?: readonly boolean[];
  code?: string;
  message?: string;
  next?: string;
}

const limitMs = 12_000;
/** The program that runs, also where its file was replaced meanwhile. */
const ownProgram = '/proc/self/exe';

/** What it has found. Rejects with what it met, and with `Internal` when it was killed or has said nothing in time. */
export async function tryNative(trial: Trial): Promise<TrialAnswer> {
  const here = fileURLToPath(import.meta.url);
  const program = path.join(path.dirname(here), `doctor-native${path.extname(here)}`);
  const answer = await ask(program, trial);
  if (answer.message === undefined) return answer;
  const { code = 'Internal', message, next } = answer;
  throw new TenonError(code as ErrorCode, message, next === undefined ? {} : { next });
}

/** Whether it opens a store: what that is, and where it is from. The store is gone afterwards, however that ends. */
export async function tryRocksdb(settings: StoreSettings): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenon-doctor-'));
  try {
    return (await tryNative({ of: 'RocksDB', settings, folder })).found ?? '';
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function ask(program: string, trial: Trial): Promise<TrialAnswer> {
  return new Promise((resolve, reject) => {
    const child = fork(program, [JSON.stringify(trial)], {
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      execPath: existsSync(ownProgram) ? ownProgram : process.execPath,
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), limitMs);
    const end = (settle: () => void): void => {
      clearTimeout(timer);
      settle();
    };
    child.once('message', (said) => {
      end(() => resolve(said as TrialAnswer));
      child.disconnect();
    });
    child.once('error', (error) => end(() => reject(error)));
    child.once('exit', (status, signal) => {
      const how = signal === null ? `ended with status ${status}` : `was ended by ${signal}`;
      end(() =>
        reject(new TenonError('Internal', `the process that tried it ${how}`, { next: 'see what its file is' })),
      );
    });
  });
}
