/** Folders, and the file systems they are on, as `tenon doctor` finds them. */
import { access, constants, mkdtemp, readdir, rm, stat, statfs, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Settings } from '../base/config.js';
import { TenonError } from '../base/errors.js';
import { schemasAlone, whyNoApplication } from '../host/applications.js';
import { type Answer, failed, type Probe, warning } from './doctor-finding.js';
import { tryNative } from './doctor-trial.js';

const mebibyte = 1024 * 1024;
/** Builds, kept versions and the registry fill it. */
const leastFree = 512 * mebibyte;
const sharedMemory = '/dev/shm';
/** As the staging of libraries asks for. */
const sharedRoom = 256 * mebibyte;
/** Between the clocks of the process and of a file system, ms. */
const clockSlackMs = 5000;

const networkSystems: Readonly<Record<number, string>> = {
  0x6969: 'NFS',
  0xff534d42: 'CIFS',
  0xfe534d42: 'SMB',
  0x01021997: '9p',
  0x00c36400: 'Ceph',
  0x65735546: 'FUSE',
  0x786f4256: 'a shared folder of VirtualBox',
};
const memorySystem = 0x01021994;

export function placeProbes(settings: Settings): Probe[] {
  const { data, applications } = settings;
  return [
    { what: 'data directory', look: () => dataDirectory(data), why: 'the host cannot start' },
    { what: 'staging', look: () => staging(data), why: 'no library can be opened' },
    { what: 'temporary files', look: temporary, why: 'commands that try something need a place for it' },
    ...(process.platform === 'linux' ? [{ what: 'shared memory', look: memoryFiles }] : []),
    { what: 'clocks', look: clocks },
    { what: 'applications', look: () => applicationFolders(applications) },
  ];
}

/** The folder itself, or the nearest one above it that is there. */
export async function nearest(folder: string): Promise<string> {
  try {
    await stat(folder);
    return folder;
  } catch (error) {
    const above = path.dirname(folder);
    const { code } = error as NodeJS.ErrnoException;
    if ((code !== 'ENOENT' && code !== 'ENOTDIR') || above === folder) throw error;
    return nearest(above);
  }
}

async function dataDirectory(data: string): Promise<Answer | string> {
  const why = 'the host keeps its token, builds, tables and registry there';
  const elsewhere = 'name another with --data, TENON_DATA or `data` in tenon.yaml';
  const there = await nearest(data);
  const isMade = there === data;
  const facts = await stat(there);
  if (!facts.isDirectory()) return failed(`${there} is not a directory`, why, elsewhere);
  const name = isMade ? data : `${data}, which the first start makes`;
  try {
    await access(there, constants.W_OK | constants.X_OK);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    const reason = code === 'EROFS' ? 'is on a file system that is mounted read-only' : `may not be written (${code})`;
    return failed(`${there} ${reason}`, why, `let the user of the host write it, or ${elsewhere}`);
  }
  const system = await statfs(there);
  const free = system.bavail * system.bsize;
  const room = `${Math.floor(free / mebibyte)} MiB free`;
  if (free < mebibyte || (system.files > 0 && system.ffree === 0))
    return failed(`${name}: the file system is full`, why, `make room on it, or ${elsewhere}`);
  const network = networkSystems[system.type];
  if (network !== undefined)
    return warning(
      `${name}, on ${network}, ${room}`,
      'locks, syncing and changes of files are not what they are on a local disk: two hosts may take it at once',
      `put it on a local disk: ${elsewhere}`,
    );
  if (system.type === memorySystem)
    return warning(
      `${name}, in memory, ${room}`,
      'what is kept there is gone when the machine starts again',
      elsewhere,
    );
  if (free < leastFree)
    return warning(`${name}, ${room}`, 'builds and tables stop when it is full', `make room on it, or ${elsewhere}`);
  if (!isMade) return `${name}; ${room}`;
  const mine = process.getuid?.() ?? facts.uid;
  if (facts.uid !== mine && mine !== 0)
    return warning(
      `${data} belongs to user ${facts.uid}, this is user ${mine}`,
      'what the host writes there for its owner alone cannot be read back by another user',
      'run every command as the user of the host',
    );
  if ((facts.mode & 0o077) !== 0)
    return warning(
      `${data} is open to others (mode ${(facts.mode & 0o777).toString(8)})`,
      'the admin token is in it; the host closes it at its next start',
      `run \`chmod 700 ${data}\``,
    );
  return `${data}, ${room}`;
}

async function staging(data: string): Promise<Answer | string> {
  const places = [...(process.platform === 'linux' ? [sharedMemory] : []), await nearest(data)];
  const { executing = [] } = await tryNative({ of: 'executing', places });
  const used: string[] = [];
  for (const [at, place] of places.entries()) {
    const below = place === sharedMemory ? place : path.join(data, 'staging');
    if (executing[at] !== true) used.push(`${below} is mounted noexec`);
    else if (place === sharedMemory && !(await hasRoom()))
      used.push(`${below} has less than ${sharedRoom / mebibyte} MiB`);
    else return [below, ...used].join('; ');
  }
  return failed(
    used.join('; '),
    'libraries are opened from a private copy, which has to be on a file system that lets programs run',
    'put the data directory on one, or mount it with exec: `mount -o remount,exec <place>`',
  );
}

async function hasRoom(): Promise<boolean> {
  const { type, bavail, bsize } = await statfs(sharedMemory);
  return type === memorySystem && bavail * bsize >= sharedRoom;
}

async function memoryFiles(): Promise<Answer | string> {
  const system = await statfs(sharedMemory).catch(() => undefined);
  if (system === undefined)
    return warning(
      `there is no ${sharedMemory}`,
      'libraries are staged in the data directory, which takes longer',
      'mount a tmpfs there',
    );
  const found = `${sharedMemory}: ${Math.floor((system.bavail * system.bsize) / mebibyte)} of ${Math.floor((system.blocks * system.bsize) / mebibyte)} MiB free`;
  if (await hasRoom()) return found;
  return warning(
    found,
    `less than ${sharedRoom / mebibyte} MiB: libraries are staged in the data directory, which takes longer`,
    'give it more, in a container with --shm-size=512m',
  );
}

async function temporary(): Promise<Answer | string> {
  const folder = os.tmpdir();
  const own = await mkdtemp(path.join(folder, 'tenon-doctor-')).catch((error: NodeJS.ErrnoException) => error);
  if (own instanceof Error)
    return failed(
      `${folder} cannot be used: ${own.code ?? own.message}`,
      'commands that try something need it',
      'make it writable, or name another folder with TMPDIR',
    );
  await rm(own, { recursive: true, force: true });
  const { executing = [] } = await tryNative({ of: 'executing', places: [folder] });
  if (executing[0] === true) return folder;
  return warning(
    `${folder} is mounted noexec`,
    'the host runs nothing there, but tools of a build may want to',
    'name a folder that lets programs run with TMPDIR, if a build fails for it',
  );
}

async function clocks(): Promise<Answer | string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenon-doctor-'));
  try {
    const file = path.join(folder, 'now');
    const [wall, steady] = [Date.now(), performance.now()];
    await writeFile(file, '');
    const { mtimeMs } = await stat(file);
    const [later, drift] = [Date.now(), Date.now() - wall - (performance.now() - steady)];
    const ahead = Math.round(mtimeMs < wall ? mtimeMs - wall : Math.max(0, mtimeMs - later));
    if (Math.abs(ahead) > clockSlackMs)
      return warning(
        `the clock of ${os.tmpdir()} is ${ahead} ms from that of the machine`,
        'the quiet time after a change of a file is measured by the clock of its file system',
        'set the clocks, with chrony or systemd-timesyncd',
      );
    if (Math.abs(drift) > clockSlackMs)
      return warning(
        `the clock was set by ${Math.round(drift)} ms just now`,
        'times in records jump; waiting does not depend on it',
        'see what sets it',
      );
    const built = new Date('2025-01-01').getTime();
    if (wall < built)
      return warning(
        `it is ${new Date(wall).toISOString()}, they say`,
        'certificates and records are judged by it',
        'set the clock, with chrony or systemd-timesyncd',
      );
    return `${new Date(wall).toISOString()}, files within ${Math.abs(ahead)} ms of it`;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function applicationFolders(applications: string): Promise<Answer | string> {
  const alone = (await schemasAlone(applications)).map(whyNoApplication);
  if (alone.length > 0) throw new TenonError('ConfigNotFound', alone.join('; '));
  const entries = await readdir(applications, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => error);
  if (!(entries instanceof Error)) {
    const folders = entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'));
    return `${applications}, ${folders.length} of them`;
  }
  if (entries.code === 'ENOENT')
    return warning(
      `there is no ${applications}`,
      'a host without applications serves none, until the folder is made',
      'run `tenon new <name>`, or name the folder with --applications',
    );
  return failed(
    `${applications} cannot be read (${entries.code ?? entries.message})`,
    'nothing can be loaded',
    'let the user of the host read it',
  );
}
