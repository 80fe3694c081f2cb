import { execFile } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const bench = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const include = path.resolve(bench, '..', 'native', 'include');
const library = ['-shared', '-fPIC', '-fvisibility=hidden', '-Wl,-Bsymbolic'];

/** Absolute paths of what was compiled. */
export interface Compiled {
  /** The Tenon plugin. */
  plugin: string;
  /** Library that exports peer_answer. */
  peer: string;
  /** Program that times peer_answer from C. */
  direct: string;
  /** Program that answers on a unix socket. */
  child: string;
}

/** Compile the C files of this bench into `folder`. */
export async function compile(folder: string): Promise<Compiled> {
  const run = async (output: string, source: string, flags: string[]): Promise<string> => {
    const file = path.join(folder, output);
    await promisify(execFile)('cc', [
      '-std=gnu11',
      '-O2',
      `-I${include}`,
      ...flags,
      '-o',
      file,
      path.join(bench, source),
      '-ldl',
    ]);
    return file;
  };
  return {
    plugin: await run('answer.so', 'applications/answer/resources/answer.c', library),
    peer: await run('peer.so', 'call/peer.c', library),
    direct: await run('direct', 'call/direct.c', []),
    child: await run('child', 'isolation/peer.c', []),
  };
}
