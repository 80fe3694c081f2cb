/** Whether changes of files can be heard of, as `tenon doctor` finds it. */
import { watch } from 'node:fs';
import { mkdtemp, readdir, readFile, readlink, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Settings } from '../base/config.js';
import { type Answer, failed, type Probe, warning } from './doctor-finding.js';

/** Folders are counted up to here. */
const countLimit = 100_000;
const why = 'changes of applications are found by looking at everything every 30 s only';
const roomOf = 0.9;

export function watchProbes({ applications, hotReload }: Settings): Probe[] {
  if (process.platform !== 'linux' || !hotReload) return [];
  return [{ what: 'file watches', look: () => fileWatches(applications), why }];
}

async function fileWatches(applications: string): Promise<Answer | string> {
  const [watches, instances, folders, used] = await Promise.all([
    limitOf('watches'),
    limitOf('instances'),
    foldersIn(applications),
    instancesInUse(),
  ]);
  const found = `${watches} watches and ${instances} instances for a user; ${folders} folders of applications, ${used} instances in use`;
  const trouble = await tryOne();
  const raise = (name: string, to: number): string =>
    `run \`sysctl fs.inotify.max_user_${name}=${to}\` as root, and write that line to /etc/sysctl.d/ to keep it`;
  if (trouble === 'EMFILE' || trouble === 'ENFILE')
    return failed(
      `no watch can be made, all instances are in use: ${found}`,
      why,
      raise('instances', Math.max(512, instances * 2)),
    );
  if (trouble === 'ENOSPC')
    return failed(
      `no watch can be made, all watches are in use: ${found}`,
      why,
      raise('watches', Math.max(524_288, watches * 2)),
    );
  if (trouble !== undefined)
    return failed(`no watch can be made: ${trouble}`, why, 'set hotReload.watchIntervalMs lower');
  if (folders >= watches * roomOf) return warning(found, why, raise('watches', Math.max(524_288, folders * 4)));
  if (used >= instances * roomOf) return warning(found, why, raise('instances', Math.max(512, instances * 2)));
  return found;
}

/** The lower one of the machine's and the user namespace's. */
async function limitOf(name: 'watches' | 'instances'): Promise<number> {
  const files = [`/proc/sys/fs/inotify/max_user_${name}`, `/proc/sys/user/max_inotify_${name}`];
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8').catch(() => '')));
  return Math.min(...texts.filter((text) => /^\d+\s*$/.test(text)).map(Number));
}

/** The code of the error that the system gives. */
async function tryOne(): Promise<string | undefined> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenon-doctor-'));
  try {
    return await new Promise((resolve) => {
      const watcher = watch(folder);
      watcher.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      setImmediate(() => {
        watcher.close();
        resolve(undefined);
      });
    });
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? (error as Error).message;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function foldersIn(top: string): Promise<number> {
  let count = 0;
  const left = [top];
  for (let folder = left.pop(); folder !== undefined && count < countLimit; folder = left.pop()) {
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
    count += 1;
    for (const entry of entries)
      if (entry.isDirectory() && !entry.name.startsWith('.') && entry.name !== 'node_modules')
        left.push(path.join(folder, entry.name));
  }
  return count;
}

/** Of the processes that this user may look into. */
async function instancesInUse(): Promise<number> {
  const processes = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  const counts = await Promise.all(
    processes.map(async (id) => {
      const folder = `/proc/${id}/fd`;
      const names = await readdir(folder).catch(() => []);
      const links = await Promise.all(names.map((name) => readlink(`${folder}/${name}`).catch(() => '')));
      return links.filter((link) => link === 'anon_inode:inotify').length;
    }),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}
